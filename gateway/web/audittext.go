package web

import (
	"cmp"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// acts names what the audit log has, for people.
var acts = map[string]policy.Label{
	"release": {EN: "Released", ZH: "立即放行"}, "hold": {EN: "Hold changed", ZH: "调整暂缓时间"},
	"cancel": {EN: "Cancelled", ZH: "取消发送"}, "resend": {EN: "Sent again", ZH: "重新投递"},
	"approve": {EN: "Approved", ZH: "审批通过"}, "approve_batch": {EN: "Approved a batch", ZH: "批量审批通过"},
	"cancel_batch": {EN: "Cancelled a batch", ZH: "批量取消发送"},
	"view_source":  {EN: "Viewed content", ZH: "查看邮件内容"},
	"recall":       {EN: "Recalled", ZH: "发起撤回"}, "recall_cancel": {EN: "Ended a recall", ZH: "终止撤回"},
	"recall_approve": {EN: "Approved a recall", ZH: "批准撤回"}, "recall_restore": {EN: "Restored recalled mail", ZH: "恢复已撤回邮件"},
	"boost": {EN: "Raised a limit", ZH: "临时提高限额"}, "override": {EN: "Replaced a limit", ZH: "临时改写限额"},
	"revoke": {EN: "Ended grants", ZH: "撤销临时限额"}, "reset": {EN: "Reset usage", ZH: "清零用量"},
	"suspend": {EN: "Suspended", ZH: "暂停发件人"}, "unsuspend": {EN: "Unsuspended", ZH: "恢复发件人"},
	"campaign_approve": {EN: "Approved a campaign", ZH: "放行群发"}, "campaign_cancel": {EN: "Stopped a campaign", ZH: "阻止群发"},
	"campaign_slow": {EN: "Slowed a campaign", ZH: "限速群发"}, "campaign_allow": {EN: "Allowed a campaign", ZH: "允许群发"},
	"campaign_withdraw": {EN: "Withdrew a decision", ZH: "撤销群发决定"},
	"acknowledge":       {EN: "Acknowledged an alert", ZH: "确认告警"},
	"import":            {EN: "Imported a log", ZH: "导入日志"}, "rules_test": {EN: "Back-tested limits", ZH: "回测限额"},
	"export_person": {EN: "Exported a person's data", ZH: "导出个人数据"}, "erase_person": {EN: "Erased a person", ZH: "清除个人数据"},
	actSignIn: {EN: "Signed in", ZH: "登录"}, actSignInFailed: {EN: "Sign-in failed", ZH: "登录失败"},
	actSignOut: {EN: "Signed out", ZH: "退出登录"}, actSessionEnded: {EN: "Session expired", ZH: "会话到期"},
	"add_user": {EN: "Added a user", ZH: "添加用户"}, "change_user": {EN: "Changed a user", ZH: "修改用户"},
	"remove_user": {EN: "Removed a user", ZH: "删除用户"}, "change_password": {EN: "Changed the own password", ZH: "修改本人密码"},
	"revoke_session": {EN: "Ended a session", ZH: "结束会话"}, "setup_link": {EN: "Made a set-up link", ZH: "生成初始化链接"},
	"test_webhook": {EN: "Tested a webhook", ZH: "测试 Webhook"}, "resume_webhook": {EN: "Resumed a webhook", ZH: "恢复 Webhook 推送"},
	"backup": {EN: "Made a backup", ZH: "创建备份"}, "restore": {EN: "Restored a backup", ZH: "恢复备份"},
	"bypass": {EN: "Bypassed the rules", ZH: "旁路规则"}, "end_bypass": {EN: "Ended the bypass", ZH: "结束旁路"},
	"drain": {EN: "Began to drain", ZH: "开始排空"}, "stop_drain": {EN: "Stopped draining", ZH: "停止排空"},
	actRefused: {EN: "Access refused", ZH: "越权被拒"},
}

// actLabel gives the words for an act; one that has none stands for itself.
func actLabel(act string) policy.Label {
	if l, ok := acts[act]; ok {
		return l
	}
	text := strings.ReplaceAll(act, "_", " ")
	return policy.Label{EN: text, ZH: text}
}

// A saidValue is a parameter of an act in the words of a language.
type saidValue struct {
	Name string
	Text string
	Time time.Time // in place of Text
}

// saidCodes are the parameters whose values are codes, and where these have words. A reason is a code when no person
// wrote it.
var saidCodes = map[string]string{
	"role": "role.", "kind": "account.kind.", "overall": "recalls.overall.", "history": "audit.history.", "part": "audit.part.",
	"bounce": "audit.is.", "disabled": "audit.is.", "new_password": "audit.is.", "suspensions": "audit.is.", "all": "audit.is.", "skip": "audit.is.",
	actSignInFailed + " reason": "audit.sign_in_failed.", actSessionEnded + " reason": "audit.session_ended.",
}

// saidTimes are the parameters that are times.
var saidTimes = map[string]bool{"until": true, "since": true, "last_request": true}

// saidValues puts the parameters of an entry into words. What has none stands for itself.
func (s *Server) saidValues(lang string, e *AuditEntry) (list []saidValue) {
	for _, p := range e.Parameters {
		v := saidValue{Name: s.sayOr(lang, "audit.parameter."+p.Name, p.Name), Text: p.Value}
		if words := cmp.Or(saidCodes[p.Name], saidCodes[e.Act+" "+p.Name]); words != "" {
			v.Text = s.sayOr(lang, words+p.Value, p.Value)
		}
		if t, err := time.Parse(time.RFC3339, p.Value); err == nil && saidTimes[p.Name] {
			v.Time = t
		}
		list = append(list, v)
	}
	return list
}

// sayOr gives the text of a key, or another where there is none.
func (s *Server) sayOr(lang, key, other string) string {
	if text := s.renderer.Say(lang, key); text != key {
		return text
	}
	return other
}
