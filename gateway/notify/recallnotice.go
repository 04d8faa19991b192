package notify

import (
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/notify/webhook"
	"github.com/sendgate/sendgate/policy"
)

// A Recalled message is what a recipient is told about: who wrote it and when, and never who else got it.
type Recalled struct {
	Sender  policy.Address
	Subject string
	Sent    time.Time
	Now     time.Time
}

// Placeholder stands for a message that was taken out of a mailbox. It does not name the subject:
// that may be what should not be read.
func (r *Recalled) Placeholder() webhook.Notice {
	n := r.notice("A message was taken back by its sender", "发件人已撤回一封邮件")
	n.Lines = []policy.Label{{
		EN: "The sender has taken a message back. It is not in your mailbox any more, and there is nothing for you to do.",
		ZH: "发件人撤回了一封邮件，该邮件已不在您的邮箱中，您无需进行任何操作。",
	}}
	return n
}

// Disregard asks somebody who has the message not to rely on it.
func (r *Recalled) Disregard() webhook.Notice {
	n := r.notice("The sender takes a message back", "发件人希望撤回一封邮件")
	n.Lines = []policy.Label{{
		EN: "The sender has taken this message back, but your copy could not be removed or was read already. Please disregard and delete it.",
		ZH: "发件人撤回了这封邮件，但您的副本已读或无法移除。请忽略并删除该邮件。",
	}}
	r.subject(&n)
	return n
}

// Corrected tells somebody who has the message that another one replaces it.
func (r *Recalled) Corrected(correction string) webhook.Notice {
	n := r.notice("The sender has corrected a message", "发件人已更正一封邮件")
	n.Lines = []policy.Label{{
		EN: "The sender has taken this message back and replaced it. Please disregard it and go by the new one.",
		ZH: "发件人撤回了这封邮件并已发送更正邮件。请忽略原邮件，以更正邮件为准。",
	}}
	r.subject(&n)
	n.Facts = append(n.Facts, webhook.Fact{Name: policy.Label{EN: "Subject of the new message", ZH: "更正邮件主题"}, Value: correction})
	return n
}

func (r *Recalled) notice(en, zh string) webhook.Notice {
	return webhook.Notice{
		Kind: "recall", Severity: webhook.Info, Time: r.Now, Title: policy.Label{EN: en, ZH: zh},
		Facts: []webhook.Fact{
			{Name: policy.Label{EN: "Sender", ZH: "发件人"}, Value: string(r.Sender)},
			{Name: policy.Label{EN: "Sent", ZH: "发送时间"}, Value: r.Sent.Format(clockForm)},
		},
	}
}

func (r *Recalled) subject(n *webhook.Notice) {
	n.Facts = append(n.Facts, webhook.Fact{Name: policy.Label{EN: "Subject", ZH: "邮件主题"}, Value: r.Subject})
}

// robots are the beginnings of local parts behind which nobody reads.
var robots = []string{"noreply", "no-reply", "no_reply", "donotreply", "do-not-reply", "mailer-daemon", "bounce", "listserv", "majordomo", "owner-"}

// IsPerson reports whether somebody may read mail to an address: it is neither the null sender nor named as
// programs are (RFC 3834 2).
func IsPerson(a policy.Address) bool {
	local := strings.ToLower(a.Local())
	if a.Domain() == "" || strings.HasSuffix(local, "-request") || strings.HasSuffix(local, "-bounces") {
		return false
	}
	for _, r := range robots {
		if strings.HasPrefix(local, r) {
			return false
		}
	}
	return true
}

// In gives the Mailer that writes in one language, zh-CN or en, where the configuration asks for both.
func (m *Mailer) In(language string) *Mailer {
	one := *m
	if m.language == webhook.Both {
		one.language = webhook.English
		if strings.HasPrefix(language, "zh") {
			one.language = webhook.Chinese
		}
	}
	return &one
}
