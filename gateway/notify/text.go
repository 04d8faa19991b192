package notify

import (
	"fmt"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// maxNamed bounds the recipients in the text for people.
const maxNamed = 100

var subjects = map[Action]policy.Label{
	Failed:  {EN: "Undelivered mail returned to sender", ZH: "邮件未能送达，已退回"},
	Delayed: {EN: "Delivery of your mail is delayed", ZH: "邮件投递延迟"},
	Relayed: {EN: "Your mail was passed on", ZH: "邮件已送出"},
}

var openings = map[Action]policy.Label{
	Failed: {
		EN: "Your message could not be delivered to the recipients below. Nothing more will be tried;\nsend it again if it is still needed.",
		ZH: "您的邮件未能送达以下收件人，系统不会再次尝试；如仍需要，请重新发送。",
	},
	Delayed: {
		EN: "Your message has not been delivered to the recipients below yet. You need not send it again:\ndelivery is tried until %s.",
		ZH: "您的邮件尚未送达以下收件人。无需重新发送，系统将继续尝试至 %s。",
	},
	Relayed: {
		EN: "Your message was taken by the next server for the recipients below. That server does not\nconfirm delivery; there may be no further notice.",
		ZH: "以下收件人的邮件已由下一台服务器接收。该服务器不提供送达确认，可能不再有后续通知。",
	},
}

var stoppedSubject = policy.Label{EN: "Your mail was stopped by an administrator", ZH: "邮件已被管理员终止发送"}

var stoppedOpening = policy.Label{
	EN: "An administrator stopped your message before it left. The recipients below do not receive it.",
	ZH: "管理员在邮件发出前终止了发送，以下收件人不会收到这封邮件。",
}

var reasonName = policy.Label{EN: "Reason: ", ZH: "原因："}

// opening is the sentence with which the text begins.
func (r *Report) opening(lang, clock string) string {
	switch {
	case r.Stopped && clean(r.Reason) == "":
		return stoppedOpening.In(lang)
	case r.Stopped:
		return stoppedOpening.In(lang) + "\n\n" + reasonName.In(lang) + clean(r.Reason)
	case r.Action == Delayed:
		return fmt.Sprintf(openings[r.Action].In(lang), r.RetryUntil.Format(clock))
	}
	return openings[r.Action].In(lang)
}

// textPart is the part for people.
func (r *Report) textPart() part {
	var b strings.Builder
	r.write(&b, "en", "This is the mail system at %s.\n\n", "Subject", "Sent")
	b.WriteString("\n----------------------------------------\n\n")
	r.write(&b, "zh", "这是 %s 的邮件系统。\n\n", "主题", "发送时间")
	return part{
		contentType: "text/plain; charset=utf-8", description: "Notification", encoding: "quoted-printable",
		body: []byte(strings.ReplaceAll(b.String(), "\n", "\r\n")),
	}
}

func (r *Report) write(b *strings.Builder, lang, greeting, subject, sent string) {
	const clock = "2006-01-02 15:04 -0700"
	fmt.Fprintf(b, greeting, r.Hostname)
	b.WriteString(r.opening(lang, clock) + "\n\n")
	if s := clean(r.Message.Envelope.Subject); s != "" {
		fmt.Fprintf(b, "  %s: %s\n", subject, s)
	}
	fmt.Fprintf(b, "  %s: %s\n\n", sent, r.Message.Envelope.Received.Format(clock))
	for i := range r.Recipients {
		if i == maxNamed {
			fmt.Fprintf(b, "... +%d\n", len(r.Recipients)-i)
			break
		}
		r.writeRecipient(b, lang, &r.Recipients[i])
	}
}

func (r *Report) writeRecipient(b *strings.Builder, lang string, rc *store.Recipient) {
	fmt.Fprintf(b, "<%s>", rc.Address)
	if o := clean(rc.Original); o != "" && o != string(rc.Address) {
		fmt.Fprintf(b, " (%s)", o)
	}
	b.WriteString("\n")
	if rc.State == policy.StateExpired {
		age := rc.Since.Sub(r.Message.Envelope.Received).Round(time.Hour)
		fmt.Fprintf(b, "    %s\n", policy.Label{
			EN: fmt.Sprintf("given up after %.0f hours", age.Hours()),
			ZH: fmt.Sprintf("尝试 %.0f 小时后放弃", age.Hours()),
		}.In(lang))
	}
	if reply := clean(rc.Reply); reply != "" && !r.Stopped { // who stopped it is said above
		fmt.Fprintf(b, "    %s\n", reply)
	}
}
