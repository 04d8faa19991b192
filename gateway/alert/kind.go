package alert

import (
	"slices"

	"github.com/sendgate/sendgate/policy"
)

// A Kind is what an incident is about. The list is open: a kind without texts of its own is shown by
// its name, with the texts of its occurrences.
type Kind string

// The kinds with texts of their own.
const (
	LimitWarning    Kind = "limit_warning"  // the warning mark of a limit was crossed
	LimitExceeded   Kind = "limit_exceeded" // messages are held, put off or refused
	ApprovalWaiting Kind = "approval_waiting"
	ApprovalExpired Kind = "approval_expired"
	Suspended       Kind = "suspended"
	Unsuspended     Kind = "unsuspended"
	PulledBack      Kind = "pulled_back" // what a suspended sender had held or queued waits for a person
	BoostGiven      Kind = "boost_given"
	DomainRefused   Kind = "domain_refused" // many recipients in domains that do not exist
	UnknownRate     Kind = "unknown_rate"   // too many recipients of which nothing is known
	TrackingGap     Kind = "tracking_gap"   // a log or a mailbox cannot be read
	DiskLow         Kind = "disk_low"
	Campaign        Kind = "campaign"        // many similar messages
	Hijack          Kind = "hijack"          // an account behaves as if somebody else used it
	MassRecall      Kind = "mass_recall"     // an ordinary account takes back a lot of mail
	Bypass          Kind = "bypass"          // the rules are bypassed for a while
	BypassOver      Kind = "bypass_over"     // they apply again
	Restored        Kind = "restored"        // mail of a backup waits for a person
	StoreBounded    Kind = "store_bounded"   // what is kept was deleted before its time
	WebhookFailing  Kind = "webhook_failing" // a program that is to be told of events cannot be
	Digest          Kind = "digest"          // of notices only: what there was no room for
	Test            Kind = "test"            // of notices only
)

// Severity says how much an incident matters.
type Severity string

// The severities.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

func (s Severity) rank() int { return slices.Index([]Severity{Info, Warning, Critical}, s) }

// A trait is what is common to all incidents of a kind.
type trait struct {
	severity Severity
	title    policy.Label // what happened; the subject is put behind it
	own      policy.Label // the title for the sender; empty: the sender is not told
	advice   policy.Label // to the administrators
	// What the advice proposes: a button or a place of the dashboard, first, with its path there; then a command. The
	// subject takes the place of IDENTITY, the rule that of BATCH.
	page     policy.Label
	apart    bool // the page is a sentence of its own
	at       string
	command  string
	from     int  // occurrences before anybody is told, when more than one
	standing bool // it does not end because nothing more comes
	act      bool // somebody's deed: each is told by itself
}

func (k Kind) trait() trait {
	if t, ok := traits[k]; ok {
		return t
	}
	return trait{severity: Warning, title: policy.Label{EN: string(k), ZH: string(k)}}
}

// traitOf is the trait of an incident. Where several accounts send the same text, it is decided on that.
func (k Kind) traitOf(subject string) trait {
	t := k.trait()
	if _, err := policy.ParseID(subject); k == Hijack && err == nil {
		c := Campaign.trait()
		t.advice, t.page, t.at, t.command = c.advice, c.page, c.at, c.command
	}
	return t
}

var traits = map[Kind]trait{
	LimitWarning: {
		severity: Info, title: policy.Label{EN: "Sending limit nearly reached", ZH: "即将达到发送上限"},
		own:    policy.Label{EN: "Your sending limit is nearly reached", ZH: "您即将达到发送上限"},
		advice: policy.Label{EN: "Nothing is kept back yet. If more is needed today, raise the limit for a while", ZH: "尚未影响发送。如当天需要发送更多，可临时提额"},
		page:   policy.Label{EN: "“Raise and release” on the page of the sender", ZH: "发件人页面的“提额并放行”"}, at: "/senders/IDENTITY",
		command: "sendgate senders boost IDENTITY --amount N --for 24h --reason TEXT",
	},
	LimitExceeded: {
		severity: Warning, title: policy.Label{EN: "Sending limit reached", ZH: "已达发送上限"},
		own:    policy.Label{EN: "Your sending limit is reached", ZH: "您已达到发送上限"},
		advice: policy.Label{EN: "If this is wanted, raise the limit for a while", ZH: "如属正常业务，可临时提额"},
		page:   policy.Label{EN: "“Raise and release” on the page of the sender", ZH: "发件人页面的“提额并放行”"}, at: "/senders/IDENTITY",
		command: "sendgate senders boost IDENTITY --amount N --for 24h --reason TEXT",
	},
	ApprovalWaiting: {
		severity: Warning, title: policy.Label{EN: "Waits for approval", ZH: "邮件等待审批"},
		own:    policy.Label{EN: "Your message waits for approval", ZH: "您的邮件等待审批"},
		advice: policy.Label{EN: "Let it go or take it back", ZH: "请决定放行或撤回"},
		page:   policy.Label{EN: "“Approve” or “Take back” on the page Approvals", ZH: "“待审批”页面的“批准”或“撤回”"}, at: "/approvals", command: "sendgate approvals",
		standing: true,
	},
	ApprovalExpired: {
		severity: Warning, title: policy.Label{EN: "Nobody approved in time", ZH: "审批已过期"},
		own: policy.Label{EN: "Nobody approved your message in time", ZH: "您的邮件未在期限内获得审批"},
	},
	Suspended: {
		severity: Warning, title: policy.Label{EN: "Suspended from sending", ZH: "已暂停发送"},
		own:    policy.Label{EN: "You are suspended from sending to other organisations", ZH: "您已被暂停对外发送邮件"},
		advice: policy.Label{EN: "To end it", ZH: "如需恢复"},
		page:   policy.Label{EN: "“End the suspension” on the page of the sender", ZH: "发件人页面的“解除暂停”"}, at: "/senders/IDENTITY",
		command: "sendgate senders unsuspend IDENTITY", standing: true,
	},
	Unsuspended: {
		severity: Info, title: policy.Label{EN: "May send again", ZH: "已恢复发送"},
		own: policy.Label{EN: "You may send to other organisations again", ZH: "您已可以重新对外发送邮件"}, act: true,
	},
	PulledBack: {
		severity: Critical, title: policy.Label{EN: "Mail of a suspended sender was pulled back", ZH: "已撤回被暂停发件人的邮件"},
		advice: policy.Label{EN: "Look at the mail, then let all of it go or take all of it back", ZH: "请查看这些邮件，然后整批放行或撤回"},
		page:   policy.Label{EN: "“Approve all” or “Take all back” on the page of the batch", ZH: "批次页面的“全部批准”或“全部撤回”"}, at: "/approvals?batch=BATCH",
		command: "sendgate approvals --batch BATCH", standing: true,
	},
	BoostGiven: {
		severity: Info, title: policy.Label{EN: "Limit changed for one sender", ZH: "发件人限额已调整"},
		own: policy.Label{EN: "Your sending limit was changed", ZH: "您的发送限额已调整"}, act: true,
	},
	DomainRefused: {
		severity: Warning, title: policy.Label{EN: "Many recipients in domains that take no mail", ZH: "大量收件人的域名无效"},
		advice: policy.Label{EN: "An old list of addresses, or an account that somebody else uses: ask the sender", ZH: "可能是过期的通讯录，也可能是账号被盗用：请向发件人核实"},
		page:   policy.Label{EN: "See the sign-ins on the page of the sender", ZH: "发件人页面的登录记录"}, at: "/senders/IDENTITY", apart: true,
		from: 20,
	},
	UnknownRate: {
		severity: Warning, title: policy.Label{EN: "Too many recipients in an unknown state", ZH: "状态未知的收件人过多"},
		advice: policy.Label{EN: "See whether the logs of the servers behind us are read to their end", ZH: "请检查后端服务器的日志是否完整读取"},
		page:   policy.Label{EN: "See Health on the page Overview", ZH: "见“总览”页面的运行状况"}, at: "/overview", apart: true, command: "sendgate doctor",
	},
	TrackingGap: {
		severity: Warning, title: policy.Label{EN: "Delivery is not tracked", ZH: "投递跟踪中断"},
		advice: policy.Label{EN: "Mail still flows; what became of it shows when this is mended", ZH: "邮件仍正常发送，修复后可补全投递状态"},
		page:   policy.Label{EN: "See Health on the page Overview", ZH: "见“总览”页面的运行状况"}, at: "/overview", apart: true, command: "sendgate doctor",
	},
	DiskLow: {
		severity: Critical, title: policy.Label{EN: "The disk is nearly full", ZH: "磁盘空间不足"},
		advice: policy.Label{EN: "Free some space or shorten what is kept: new mail is put off (452) when nothing is left", ZH: "请清理空间或缩短保留时间：空间用尽后新邮件将被暂缓接收 (452)"},
		page:   policy.Label{EN: "What takes the space stands in Settings, About", ZH: "占用情况见“设置”中的“关于”"}, at: "/settings/about", apart: true,
	},
	Restored: {
		severity: Critical, title: policy.Label{EN: "Mail restored from a backup waits for a decision", ZH: "由备份恢复的邮件等待处理"},
		advice: policy.Label{
			EN: "It may have been sent after the backup was made: look into the log of the server behind, then let it go or take it back",
			ZH: "备份之后可能已经发出：请先核对后端服务器的日志，然后整批放行或撤回",
		},
		page: policy.Label{EN: "“Approve all” or “Take all back” on the page of the batch", ZH: "批次页面的“全部批准”或“全部撤回”"}, at: "/approvals?batch=BATCH",
		command: "sendgate approvals --batch BATCH", standing: true,
	},
	StoreBounded: {
		severity: Warning, title: policy.Label{EN: "The store has reached its size limit", ZH: "存储已达容量上限"},
		advice: policy.Label{EN: "Raise store.max_size_mib, or shorten what is kept (bodies_for, events_for)", ZH: "请调大 store.max_size_mib，或缩短保留时间 (bodies_for、events_for)"},
		page:   policy.Label{EN: "What is used stands in Settings, About", ZH: "占用情况见“设置”中的“关于”"}, at: "/settings/about", apart: true,
		command: "sendgate store usage",
	},
	Campaign: {
		severity: Warning, title: policy.Label{EN: "Many similar messages", ZH: "大量相似邮件"},
		advice: policy.Label{EN: "Look at the sample and decide on all of them at once", ZH: "请查看样本后统一处理"},
		page:   policy.Label{EN: "“Approve”, “Slow down” or “Stop” on the page of the campaign", ZH: "群发页面的“批准”“限速”或“终止”"}, at: "/campaigns/IDENTITY", command: "sendgate campaigns IDENTITY",
	},
	MassRecall: {
		severity: Warning, title: policy.Label{EN: "An account takes back a lot of mail", ZH: "账号大量撤回邮件"},
		advice: policy.Label{EN: "Somebody who uses the account may wipe the traces: ask the owner, and see what was taken back", ZH: "可能是盗用者在清除痕迹：请向账号所有者核实，并查看撤回记录"},
		page:   policy.Label{EN: "See the page Recall", ZH: "见“撤回”页面"}, at: "/recalls", apart: true,
		command: "sendgate recalls",
	},
	Bypass: {
		severity: Critical, title: policy.Label{EN: "The rules are bypassed: nothing is held", ZH: "规则已旁路：邮件不再暂缓"},
		advice: policy.Label{EN: "It ends by itself. To end it now", ZH: "到期自动结束。如需立即结束"},
		page:   policy.Label{EN: "“End it now” on top of every page", ZH: "任一页面顶部的“立即结束”"}, at: "/overview", command: "sendgate bypass --end",
		standing: true,
	},
	WebhookFailing: {
		severity: Warning, title: policy.Label{EN: "A program is not told what happens", ZH: "事件推送失败"},
		advice: policy.Label{EN: "Mail still flows. To see what its receiver says", ZH: "邮件仍正常发送。查看推送状态"},
		page:   policy.Label{EN: "Settings, Webhooks", ZH: "“设置”中的“Webhook”"}, at: "/settings/webhooks",
		command: "sendgate webhooks", standing: true,
	},
	BypassOver: {
		severity: Info, title: policy.Label{EN: "The rules apply again", ZH: "规则恢复生效"}, act: true,
	},
	Hijack: {
		severity: Critical, title: policy.Label{EN: "An account behaves as if somebody else used it", ZH: "账号疑似被盗用"},
		advice: policy.Label{EN: "Ask the owner by telephone, change the password, and until then", ZH: "请电话核实并修改密码，在此之前可"},
		page:   policy.Label{EN: "“Suspend” on the page of the sender", ZH: "发件人页面的“暂停对外发信”"}, at: "/senders/IDENTITY", command: "sendgate senders suspend IDENTITY --reason TEXT",
	},
}
