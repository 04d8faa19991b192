package recall

import (
	"fmt"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// refuse makes a refusal in both languages.
func refuse(code, en, zh string) *policy.RecallRefusal {
	return &policy.RecallRefusal{Code: code, Text: policy.Label{EN: en, ZH: zh}}
}

func refuseDisabled() error {
	return refuse(policy.RefusedDisabled, "taking mail back is switched off here", "本系统未启用邮件撤回功能")
}

func refuseUnknown(id policy.ID) error {
	return refuse(policy.RefusedNotFound,
		fmt.Sprintf("sendgate has no message %s", id), fmt.Sprintf("系统中没有邮件 %s", id))
}

func refuseNothing() error {
	return refuse(policy.RefusedNotFound, "none of the addresses is a recipient of the message", "所选地址均不是该邮件的收件人")
}

func refuseSender() error {
	return refuse(policy.RefusedNotSender, "only who sent a message, or an administrator of the sender's domain, can take it back", "只有发件人或其所属域的管理员可以撤回邮件")
}

func refuseChannel() error {
	return refuse(policy.RefusedChannel, "mail that came in this way is not taken back", "通过该渠道传入的邮件不支持撤回")
}

func refuseWindow(window, age time.Duration) error {
	return refuse(policy.RefusedWindow,
		fmt.Sprintf("the time for taking it back is over: it is %s, and the message was sent %s ago", span(window), span(age)),
		fmt.Sprintf("撤回时限已过：时限为%s，邮件已发出%s", spanZH(window), spanZH(age)))
}

func refuseRecalled(existing policy.ID) error {
	r := refuse(policy.RefusedRecalled, "it has been taken back already", "该邮件此前已撤回")
	r.Existing = existing
	return r
}

func refuseInProgress(existing policy.ID) error {
	r := refuse(policy.RefusedInProgress, "it is being taken back already", "该邮件正在撤回中")
	r.Existing = existing
	return r
}

func refuseReason() error {
	return refuse(policy.RefusedReason, "say why: the reason is kept with the message", "请填写撤回原因，原因将随邮件记录保存")
}

func refuseRate(recalls int) error {
	return refuse(policy.RefusedRate,
		fmt.Sprintf("at most %d recalls in an hour: try again later, or ask an administrator", recalls),
		fmt.Sprintf("每小时最多撤回 %d 次：请稍后再试或联系管理员", recalls))
}

func refuseSize() error {
	return refuse(policy.RefusedTooMany,
		fmt.Sprintf("a recall covers at most %d messages and %d recipients: name fewer", maxMessages, maxRecipients),
		fmt.Sprintf("一次撤回最多包含 %d 封邮件、%d 个收件人，请缩小范围", maxMessages, maxRecipients))
}

func refuseOwn() error {
	return refuse(policy.RefusedOwn, "a second person has to approve it, not who asked for it", "须由申请人以外的另一人审批")
}

func refuseApprover() error {
	return refuse(policy.RefusedNotSender, "only an administrator of the sender's domain can approve it", "只有发件人所属域的管理员可以审批")
}

func refuseNoApproval() error {
	return refuse(policy.RefusedState, "it does not wait for approval", "该撤回任务无需审批")
}

func refuseEnded() error {
	return refuse(policy.RefusedState, "it has ended already", "该撤回任务已结束")
}

func refuseRestore() error {
	return refuse(policy.RefusedState, "nothing of it lies in staging that could be put back", "暂存区中没有可恢复的邮件")
}

// span writes a time as people say it: "1d 2h", "3h 5m", "40s".
func span(d time.Duration) string { return spans(d, "d", "h", "m", "s", " ") }

func spanZH(d time.Duration) string { return spans(d, "天", "小时", "分钟", "秒", "") }

// spans gives the two largest units.
func spans(d time.Duration, day, hour, minute, second, sep string) string {
	units := []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, day}, {time.Hour, hour}, {time.Minute, minute}, {time.Second, second}}
	text, parts := "", 0
	for _, u := range units {
		n := d / u.size
		d %= u.size
		if n == 0 && parts == 0 {
			continue
		}
		if parts++; n > 0 {
			if text != "" {
				text += sep
			}
			text += fmt.Sprintf("%d%s", n, u.name)
		}
		if parts == 2 {
			break
		}
	}
	if text == "" {
		return "0" + second
	}
	return text
}
