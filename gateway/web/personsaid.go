package web

import (
	"fmt"
	"strings"

	"github.com/sendgate/sendgate/policy"
)

// unreached is what an erasure cannot reach, and says so.
var unreached = policy.Label{
	EN: "Not reached: the logs of the mail server and sendgate's own mail log, backups and exports that were made before, what webhooks and mail have already carried elsewhere, " +
		"mailboxes, texts that other people wrote, and the configuration with its accounts. The journal's files lose what was overwritten when they are compacted.",
	ZH: "无法触及：邮件服务器日志与 sendgate 自身的邮件日志、此前的备份与导出、已通过 Webhook 或邮件送出的内容、收件人邮箱、他人撰写的正文，以及配置中的账号。" +
		"被覆盖的内容要到日志库文件压缩后才会从磁盘上消失。",
}

// said puts an erasure into sentences.
func (v *Erasure) said() policy.Label {
	m := &v.Messages
	l := policy.Label{
		EN: fmt.Sprintf("The person was taken out of %s and %s.", counted(m.Erased, "message", "messages"), counted(v.Audit, "entry of the audit log", "entries of the audit log")),
		ZH: fmt.Sprintf("已从 %d 封邮件记录和 %d 条审计记录中清除此人的信息。", m.Erased, v.Audit),
	}
	if v.DryRun {
		l = policy.Label{
			EN: fmt.Sprintf("The person would be taken out of %s and %s. Nothing was changed.", counted(m.Erased, "message", "messages"), counted(v.Audit, "entry of the audit log", "entries of the audit log")),
			ZH: fmt.Sprintf("将从 %d 封邮件记录和 %d 条审计记录中清除此人的信息。本次未作任何更改。", m.Erased, v.Audit),
		}
	}
	l = followed(l, v.Elsewhere.said())
	l = followed(l, m.left(v.Elsewhere.Left))
	l = followed(l, v.saidOfLogins())
	if v.Elsewhere.Unread {
		l = followed(l, policy.Label{
			EN: "Parts of the store are damaged: what names them there was not found, and is left.",
			ZH: "部分存储已损坏，其中提及此人的内容无法查找，仍然保留。",
		})
	}
	if m.More {
		l = followed(l, policy.Label{EN: "There are more: erase once more.", ZH: "仍有未处理的邮件，请再次执行。"})
	}
	return l
}

// saidOfLogins tells of the other names of the person.
func (v *Erasure) saidOfLogins() (l policy.Label) {
	if names := strings.Join(v.Logins, ", "); names != "" {
		l = policy.Label{
			EN: "With them, because nobody else has sent under it: the login " + names + ".",
			ZH: "以下登录名仅此人用于发信，一并处理：" + names + "。",
		}
	}
	if names := strings.Join(v.Shared, ", "); names != "" {
		l = policy.Label{
			EN: strings.TrimSpace(l.EN + " Left as they are: sign-ins and limits under the login " + names + ", under which others have sent, too. If it is only theirs, erase that name as well."),
			ZH: l.ZH + "以下登录名另有他人发信，其登录记录与限额计数保持不变：" + names + "。若确属此人，请再以该名称清除一次。",
		}
	}
	return l
}

// followed puts one sentence behind another, if there is one.
func followed(l, next policy.Label) policy.Label {
	if next.EN == "" {
		return l
	}
	return policy.Label{EN: l.EN + " " + next.EN, ZH: l.ZH + next.ZH}
}

// counted is a number with its noun.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// A reckoning is what something came to, in words.
type reckoning struct {
	n         int
	one, many string
	zh        string // with a place for the number
}

// said tells where else the person was found.
func (v *ErasedElsewhere) said() policy.Label {
	return listed(policy.Label{EN: "Elsewhere: ", ZH: "其他位置："}, []reckoning{
		{v.Named, "message of others that named them", "messages of others that named them", "提及此人的他人邮件 %d 封"},
		{v.Letters, "letter of sendgate", "letters of sendgate", "系统信件 %d 封"},
		{v.SignIns, "day of sign-ins", "days of sign-ins", "登录记录 %d 天"},
		{v.Recalls, "recall", "recalls", "撤回任务 %d 个"},
		{v.Decisions, "suspension or grant", "suspensions and grants", "暂停与限额调整 %d 项"},
		{v.Alerts, "alert or notice", "alerts and notices", "告警与通知 %d 条"},
		{v.Limits, "key of limits", "keys of limits", "限额计数 %d 项"},
		{v.Accounts, "baseline", "baselines", "行为基线 %d 个"},
		{v.Contacts, "correspondent", "correspondents", "往来联系人 %d 个"},
		{v.Campaigns, "campaign", "campaigns", "群发活动 %d 个"},
	})
}

// left tells what stays as it is.
func (m *ErasedMessages) left(elsewhere int) policy.Label {
	return listed(policy.Label{EN: "Messages left as they are: ", ZH: "以下邮件保持不变："}, []reckoning{
		{m.OnTheWay, "on the way", "on the way", "投递中 %d 封"},
		{m.LegalHold, "under legal hold", "under legal hold", "受法律保留 %d 封"},
		{m.Recalled, "with a recall that can be put back", "with a recall that can be put back", "撤回仍可恢复 %d 封"},
		{m.TooLarge, "with too many recipients", "with too many recipients", "收件人过多 %d 封"},
		{elsewhere, "of others, or a recall that is going on", "of others, or recalls that are going on", "他人邮件或进行中的撤回 %d 项"},
	})
}

// listed puts what there is of it in one sentence; nothing gives none.
func listed(head policy.Label, all []reckoning) policy.Label {
	var en, zh []string
	for _, r := range all {
		if r.n > 0 {
			en = append(en, counted(r.n, r.one, r.many))
			zh = append(zh, fmt.Sprintf(r.zh, r.n))
		}
	}
	if en == nil {
		return policy.Label{}
	}
	return policy.Label{EN: head.EN + strings.Join(en, ", ") + ".", ZH: head.ZH + strings.Join(zh, "，") + "。"}
}
