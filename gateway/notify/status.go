package notify

import (
	"bytes"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/emersion/go-message/textproto"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// international reports whether an address in the fields is not ASCII (RFC 6533 3).
func (r *Report) international() bool {
	for i := range r.Recipients {
		rc := &r.Recipients[i]
		if !rc.Address.IsASCII() || !isASCII(rc.Original) {
			return true
		}
	}
	return r.utf8()
}

func (r *Report) statusSubtype() string {
	if r.international() {
		return "global-delivery-status"
	}
	return "delivery-status"
}

// statusPart holds the fields for programs: those of the message, then those of each recipient.
func (r *Report) statusPart() part {
	p := part{contentType: "message/" + r.statusSubtype(), description: "Delivery report", encoding: "7bit"}
	if r.international() {
		// RFC 6533 3 allows an encoding where the way is not 8-bit clean.
		if p.encoding = "quoted-printable"; r.utf8() {
			p.encoding = "8bit"
		}
	}
	var b bytes.Buffer
	groups := []fields{r.messageFields()}
	for i := range r.Recipients {
		groups = append(groups, r.recipientFields(&r.Recipients[i]))
	}
	for _, g := range groups {
		if !r.international() {
			for i := range g {
				g[i] = ascii(g[i])
			}
		}
		// A bytes.Buffer does not fail.
		_ = textproto.WriteHeader(&b, g.header())
	}
	p.body = b.Bytes()
	return p
}

// messageFields are those of RFC 3464 2.2.
func (r *Report) messageFields() (fs fields) {
	e := &r.Message.Envelope
	fs.add("Reporting-MTA", "dns; "+r.Hostname)
	fs.add("Original-Envelope-Id", e.EnvID)
	fs.add("Arrival-Date", e.Received.Format(time.RFC1123Z))
	fs.add("X-Sendgate-ID", r.Message.ID.String())
	return fs
}

// recipientFields are those of RFC 3464 2.3.
func (r *Report) recipientFields(rc *store.Recipient) (fs fields) {
	if rc.Original != "" {
		kind := clean(rc.OriginalType)
		if kind == "" {
			kind = "rfc822"
		}
		fs.add("Original-Recipient", kind+"; "+rc.Original)
	}
	kind := "rfc822"
	if !rc.Address.IsASCII() {
		kind = "utf-8"
	}
	fs.add("Final-Recipient", kind+"; "+string(rc.Address))
	fs.add("Action", string(r.action(rc)))
	fs.add("Status", r.status(rc))
	if m := smtpReply.FindString(rc.Reply); m != "" {
		fs.add("Remote-MTA", remote(rc.Upstream))
		fs.add("Diagnostic-Code", "smtp; "+rc.Reply)
	} else if rc.Reply != "" {
		fs.add("Diagnostic-Code", "x-sendgate; "+rc.Reply)
	}
	fs.add("Last-Attempt-Date", rc.Since.Format(time.RFC1123Z))
	if r.Action == Delayed {
		fs.add("Will-Retry-Until", r.RetryUntil.Format(time.RFC1123Z))
	}
	return fs
}

func (r *Report) action(rc *store.Recipient) Action {
	if r.Action == Relayed && rc.State == policy.StateDeliveredMailbox {
		return "delivered"
	}
	return r.Action
}

var (
	smtpReply    = regexp.MustCompile(`^[245]\d\d(?:[ -]|$)`)
	enhancedCode = regexp.MustCompile(`^([245])\d\d[ -](([245])\.\d{1,3}\.\d{1,3})(?:\s|$)`)
)

// status gives the status code of RFC 3463: that of the reply where it fits the action, else one
// made from what is known.
func (r *Report) status(rc *store.Recipient) string {
	if rc.State == policy.StateExpired {
		return "4.4.7" // delivery time expired
	}
	if r.Stopped {
		return "5.7.1" // delivery not authorized
	}
	want := map[Action]string{Failed: "5", Delayed: "4", Relayed: "2"}[r.Action]
	if m := enhancedCode.FindStringSubmatch(rc.Reply); m != nil && m[1] == want && m[3] == want {
		return m[2]
	}
	return want + ".0.0"
}

// remote gives the name of a next hop from "name address", where the address may have a port.
func remote(upstream string) string {
	words := strings.Fields(upstream)
	if len(words) == 0 {
		return ""
	}
	host := strings.Trim(words[len(words)-1], "()[]")
	if h, _, err := net.SplitHostPort(words[len(words)-1]); err == nil {
		host = h
	}
	switch ip, err := netip.ParseAddr(host); {
	case err != nil:
	case ip.Is4():
		host = "[" + host + "]"
	default:
		host = "[IPv6:" + host + "]"
	}
	return "dns; " + host
}
