package e2e

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// limited is a sendgate with limits, as a relay or as Postfix's milter, with everything around it.
type limited struct {
	*gateway
	server string // where clients send to
	boxes  *dovecot
	mta    *postfix
	world  *sink
	names  *names
	chats  *chats
	milter *holding // nil for the relay
}

// limitRules has a limit for each sender, so that the tests do not meet.
const limitRules = `internal: ["@corp.test"]
trial: 0s
limits:
  - {name: window, match: {senders: [alice@corp.test, bob@corp.test]}, unit: messages, limit: 2, per: 1m}
  - {name: many, match: {senders: [carol@corp.test]}, unit: recipients, limit: 3, per: message, action: approval, approval_expires: 90s}
  - {name: pace, match: {senders: [dave@corp.test]}, unit: messages, limit: 4, per: 1m, action: pace}
  - {name: huge, match: {senders: [erin@corp.test]}, unit: recipients, limit: 8, per: message, action: reject}
  - {name: server, match: {senders: [frank@corp.test]}, unit: recipients, limit: 100, per: message, warn: 0, action: reject}
  - {name: day, unit: recipients, limit: 1000, per: day}
`

// startLimited runs everything until the test ends.
func startLimited(t *testing.T, milter bool) *limited {
	t.Helper()
	l := &limited{chats: startChats(t), names: startNames(t,
		"gmail.com. 300 IN MX 5 mx.gmail.com.", "nomail.com. 300 IN MX 0 .")}
	r := rules{policy: limitRules, sections: fmt.Sprintf(
		"similar: {enabled: false}\ndomains: {resolvers: [%q]}\nnotices:\n  admins: [postmaster@corp.test]\n  hourly_max: 1000\n  webhooks:\n%s", l.names.address, l.chats.hooks())}
	if milter {
		l.boxes = startDovecot(t)
		l.milter = startHolding(t, holdSettings{boxes: l.boxes, rules: r})
		l.gateway, l.mta, l.world, l.server = l.milter.gateway, l.milter.mta, l.milter.world, l.milter.mta.smtp
	} else {
		s := startStack(t)
		l.gateway = startGateway(t, settings{upstream: plainUpstream(s.mta), rules: r})
		l.boxes, l.mta, l.world, l.server = s.boxes, s.mta, s.world, l.gateway.smtp
	}
	l.mta.setUsers(t, "alice", "bob", "carol", "dave", "erin", "frank", "grace", "postmaster")
	return l
}

// send gives a message to the gateway and gives the answer.
func (l *limited) send(t *testing.T, message []byte, from string, to ...string) (transcript string, status int) {
	t.Helper()
	return swaks(t, l.server, append(data(t, message), "--from", from, "--to", strings.Join(to, ","))...)
}

var heldText = regexp.MustCompile(`250 2\.0\.0 (Held|Waits for approval) as ([0-9A-Z]{26})`)

// take is send for a message that is taken and kept back; it gives our id. Postfix answers as always, so
// that it has to be asked whether it holds it.
func (l *limited) take(t *testing.T, message []byte, from string, to ...string) (id string) {
	t.Helper()
	transcript, status := l.send(t, message, from, to...)
	if status != 0 {
		t.Fatalf("swaks: %d\n%s", status, transcript)
	}
	if l.milter == nil {
		m := heldText.FindStringSubmatch(transcript)
		if m == nil {
			t.Fatalf("the message was not kept back:\n%s", transcript)
		}
		return m[2]
	}
	queueID := queuedAs(t, transcript)
	if q := l.mta.queue(t)[queueID]; q != "hold" {
		t.Fatalf("%s is in queue %q", queueID, q)
	}
	return l.milter.idOf(t, queueID)
}

// passes is send for a message that goes on at once.
func (l *limited) passes(t *testing.T, message []byte, from string, to ...string) {
	t.Helper()
	if transcript, status := l.send(t, message, from, to...); status != 0 || queuedText.FindString(transcript) == "" {
		t.Fatalf("swaks: %d\n%s", status, transcript)
	}
}

// refused holds that a message is refused with a text.
func (l *limited) refused(t *testing.T, want string, message []byte, from string, to ...string) {
	t.Helper()
	if transcript, status := l.send(t, message, from, to...); status == 0 || !strings.Contains(transcript, want) {
		t.Errorf("swaks: %d, without %q\n%s", status, want, transcript)
	}
}

// arrived gives what came to the world with a subject.
func (l *limited) arrived(subject string) (all []sunk) {
	for _, m := range l.world.messages() {
		if bytes.Contains(m.data, []byte("\r\nSubject: "+subject+"\r\n")) {
			all = append(all, m)
		}
	}
	return all
}

// arrives waits until a message comes to the world.
func (l *limited) arrives(t *testing.T, subject string) sunk {
	t.Helper()
	eventually(t, subject+" arrives", func() bool { return len(l.arrived(subject)) > 0 })
	return l.arrived(subject)[0]
}

// used is what has counted for everybody, by key and limit.
func (l *limited) used(t *testing.T) map[string]int64 {
	t.Helper()
	var list struct {
		Limits []struct {
			Key, Rule string
			Used      int64
		}
	}
	l.call(t, "GET", "/limits?near=0&limit=1000", nil, &list)
	used := map[string]int64{}
	for _, u := range list.Limits {
		used[u.Key+" "+u.Rule] = u.Used
	}
	return used
}

// recall takes a message back.
func (l *limited) recall(t *testing.T, id string) {
	t.Helper()
	var r recalled
	l.call(t, "POST", "/recalls", map[string]any{"message_ids": []string{id}, "reason": "wrong attachment"}, &r)
	l.awaitState(t, id, "canceled")
}

// alerts gives the kinds of the incidents with their subjects.
func (l *limited) alerts(t *testing.T) (all []string) {
	t.Helper()
	var list struct {
		Alerts []struct{ Kind, Subject string }
	}
	l.call(t, "GET", "/alerts?"+url.Values{"open": {"false"}}.Encode(), nil, &list)
	for _, a := range list.Alerts {
		all = append(all, a.Kind+" "+a.Subject)
	}
	slices.Sort(all)
	return all
}

// A notice is one of ours as its reader sees it.
type notice struct {
	subject, references, text string
}

// noticesOf gives those that have come to a mailbox.
func (l *limited) noticesOf(t *testing.T, user string) (all []notice) {
	t.Helper()
	for _, raw := range l.boxes.inbox(t, user) {
		m, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			t.Fatalf("%v\n%s", err, raw)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		if err != nil {
			t.Fatalf("%v\n%s", err, raw)
		}
		if strings.HasPrefix(subject, "[sendgate] ") {
			all = append(all, notice{subject, m.Header.Get("References"), plainText(t, m)})
		}
	}
	return all
}

// plainText reads the first part of a notice.
func plainText(t *testing.T, m *mail.Message) string {
	t.Helper()
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	part, err := multipart.NewReader(m.Body, params["boundary"]).NextRawPart()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(part))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// awaitNotice waits for a notice with these words in its subject, and gives it.
func (l *limited) awaitNotice(t *testing.T, user, words string) (found notice) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s is told %q", user, words), func() bool {
		for _, n := range l.noticesOf(t, user) {
			if strings.Contains(n.subject, words) {
				found = n
				return true
			}
		}
		return false
	})
	return found
}

// soon is when a test has waited too long for what comes at a time.
const soon = patience
