package demo

import (
	"fmt"
	"mime"
	"net/mail"
	"strings"
	"time"
)

// A letter is one message of the demo's own traffic.
type letter struct {
	from    string // local part at corp.example
	to      []string
	subject string
	text    string
	urgent  bool // asks for no hold
}

// letters are the traffic: one of everything that the gateway can show.
func letters() []letter {
	return []letter{
		{from: "alice", to: []string{"bob@corp.example"}, subject: "Lunch on Thursday?",
			text: "The new place at the corner, at noon?"},
		{from: "wang.fang", to: []string{"li.lei@corp.example", "alice@corp.example"}, subject: "会议纪要：第三季度预算",
			text: "附上今天会议的纪要，请在周五之前确认。"},
		{from: "bob", to: []string{"carol@corp.example", "purchasing@customer.example"}, subject: "Offer 2026-114",
			text: "Please find our offer below. It is valid for 30 days."},
		{from: "carol", to: []string{"zhang.wei@partner.example"}, subject: "报价单已更新",
			text: "您好，更新后的报价单见下文。"},
		{from: "li.lei", to: []string{"王芳@corp.example"}, subject: "您的新地址",
			text: "这封邮件寄往中文地址。"},
		{from: "alice", to: []string{"dave@corp.example"}, subject: "Welcome, Dave",
			text: "Nobody of this name works here: the upstream says so while alice's program still waits."},
		{from: "monitor", to: []string{"bob@corp.example"}, subject: "Disk 91 % full on db2", urgent: true,
			text: "Time-critical mail of machines is not held."},
		{from: "bob", to: []string{"orders@" + Greylist}, subject: "Order 4711",
			text: "The first attempt is put off, a later one succeeds."},
		{from: "alice", to: []string{"info@" + Bounce}, subject: "Request for information",
			text: "This one is refused for good, and comes back to alice."},
	}
}

// utf8 reports whether an address needs SMTPUTF8 (RFC 6531).
func (l letter) utf8() bool {
	return strings.ContainsFunc(strings.Join(l.to, ""), func(r rune) bool { return r > 0x7e })
}

// message writes the letter as it is sent. The number tells the messages of one moment apart.
func (l letter) message(number int, now time.Time) string {
	var b strings.Builder
	from := mail.Address{Name: l.name(), Address: l.from + "@" + Domain}
	fmt.Fprintf(&b, "From: %s\r\n", from.String())
	fmt.Fprintf(&b, "To: %s\r\n", strings.Join(l.to, ", "))
	fmt.Fprintf(&b, "Subject: %s\r\n", mime.BEncoding.Encode("utf-8", l.subject))
	fmt.Fprintf(&b, "Date: %s\r\n", now.Format(time.RFC1123Z))
	fmt.Fprintf(&b, "Message-ID: <demo.%d.%d@%s>\r\n", now.UnixNano(), number, Domain)
	if l.urgent {
		b.WriteString("X-Sendgate-Hold: 0\r\n")
	}
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
	b.WriteString(l.text + "\r\n")
	return b.String()
}

// name is the writer's name, empty for machines.
func (l letter) name() string {
	for _, p := range People() {
		if p.Login == l.from {
			return p.Name
		}
	}
	return ""
}
