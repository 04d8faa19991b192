package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// tracked is a sendgate that follows the log of the Postfix behind or around it. The sink refuses
// and puts off some addresses; nobody listens for nowhere.test; mail of filtered@corp.test makes a
// loop through a content filter.
type tracked struct {
	*gateway
	boxes *dovecot
	mta   *postfix
	world *sink
	entry string // where mail goes in
	guest []string
}

// following is the track section for Postfix's own log.
func following(mta *postfix, filter string) string {
	return fmt.Sprintf(`track:
  sources:
    - {name: mail, file: %s/mail.log, start: beginning, poll: 50ms}
  upstreams: []
  our_relays: [%q]
  unknown_after: 1m
`, mta.dir, filter)
}

// Texts of the sink.
const (
	noSuchUser = "550 5.1.1 <gone@world.test>: no such user here"
	noSpam     = "554 5.7.1 looks like spam"
	tryLater   = "450 4.2.0 mailbox is busy"
)

// choosy is what the sink of these tests answers.
func choosy(verb string, m sunk) string {
	last := m.rcpt[len(m.rcpt)-1]
	switch {
	case verb == "RCPT" && strings.HasPrefix(last, "<gone@"):
		return noSuchUser
	case verb == "RCPT" && strings.HasPrefix(last, "<busy@"):
		return tryLater
	case verb == "DATA" && strings.HasPrefix(last, "<strict@"):
		return noSpam
	}
	return ""
}

var path = regexp.MustCompile(`^<([^>]*)>`)

// startFilter runs a content filter that gives mail back to Postfix at next, as amavis does.
func startFilter(t *testing.T, next func() string) *sink {
	t.Helper()
	f := startSink(t)
	f.answering(func(verb string, m sunk) string {
		if verb != "DATA" {
			return ""
		}
		text, err := forward(next(), m)
		if err != nil {
			return "451 4.3.0 " + err.Error()
		}
		return fmt.Sprintf("250 2.0.0 from MTA(smtp:[127.0.0.1]:%s): 250 %s", port(next()), text)
	})
	return f
}

// forward sends a message on and gives the last reply.
func forward(server string, m sunk) (string, error) {
	client, err := smtp.Dial(server)
	if err != nil {
		return "", err
	}
	defer client.Close()
	if err := client.Mail(path.FindStringSubmatch(m.mail)[1], nil); err != nil {
		return "", err
	}
	for _, r := range m.rcpt {
		if err := client.Rcpt(path.FindStringSubmatch(r)[1], nil); err != nil {
			return "", err
		}
	}
	w, err := client.Data()
	if err != nil {
		return "", err
	}
	if _, err := w.Write(m.data); err != nil {
		return "", err
	}
	response, err := w.CloseWithResponse()
	if err != nil {
		return "", err
	}
	return "2.0.0 " + response.StatusText, nil
}

// routes are the lines of main.cf for the loop and for nowhere.test.
func routes(filter, nowhere string) []string {
	return []string{
		fmt.Sprintf("smtpd_sender_restrictions = check_sender_access inline:{ { filtered@corp.test = FILTER smtp:%s } }", bracketed(filter)),
		fmt.Sprintf("transport_maps = inline:{ { nowhere.test = smtp:%s } }", bracketed(nowhere)),
	}
}

// startTrackedRelay is sendgate in front of Postfix.
func startTrackedRelay(t *testing.T) tracked {
	t.Helper()
	need(t, dovecotBin, postfixBin)
	f := tracked{boxes: startDovecot(t), world: startSink(t)}
	f.world.answering(choosy)
	filter := startFilter(t, func() string { return f.mta.reinject })
	f.mta = startPostfix(t, f.boxes, f.world.address, routes(filter.address, addresses(t, 1)[0])...)
	f.gateway = startGateway(t, settings{
		upstream: plainUpstream(f.mta), hold: 100 * time.Millisecond,
		track: strings.Replace(following(f.mta, filter.address), "upstreams: []", "upstreams: [mx]", 1),
	})
	f.entry = f.smtp
	return f
}

// startTrackedMilter is sendgate as Postfix's milter.
func startTrackedMilter(t *testing.T) tracked {
	t.Helper()
	need(t, dovecotBin, postfixBin)
	f := tracked{boxes: startDovecot(t), guest: []string{"--xclient-addr", "192.0.2.7"}}
	filter := startFilter(t, func() string { return f.mta.reinject })
	h := startHolding(t, holdSettings{
		hold: 100 * time.Millisecond, boxes: f.boxes,
		mainCf: routes(filter.address, addresses(t, 1)[0]),
		track:  func(mta *postfix) string { return following(mta, filter.address) },
	})
	h.world.answering(choosy)
	f.gateway, f.mta, f.world, f.entry = h.gateway, h.mta, h.world, h.mta.smtp
	return f
}

// post sends a message with a subject that is its name, and gives our id.
func (f *tracked) post(t *testing.T, name, from string, to ...string) (id string) {
	t.Helper()
	if _, err := submit(t, f.entry, from, nil, to, nil, letter(name)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the message is noted", func() bool {
		found := f.search(t, "subject:"+name)
		if len(found) == 1 {
			id = found[0].ID
		}
		return id != ""
	})
	return id
}

// awaitLabels waits until the rows of a message that count have these labels, in order.
func (f *tracked) awaitLabels(t *testing.T, id string, labels ...string) detail {
	t.Helper()
	var d detail
	defer func() {
		if t.Failed() {
			t.Logf("the message is %+v", d)
		}
	}()
	eventually(t, fmt.Sprintf("the labels of %s are %q", id, labels), func() bool {
		d = f.message(t, id)
		return slices.Equal(d.labels(), labels)
	})
	return d
}

// labels are those of the rows that count.
func (d detail) labels() (labels []string) {
	for _, r := range d.Recipients {
		if !r.Superseded && r.Members == 0 {
			labels = append(labels, r.Label.EN)
		}
	}
	return labels
}

// The labels that people are shown.
const (
	delivering = "Delivering"
	inMailbox  = "Delivered to mailbox"
	atRemote   = "Delivered to remote server"
	returned   = "Failed, returned"
)

// TestTracking follows mail through Postfix to its ends, with each of the fronts.
func TestTracking(t *testing.T) {
	t.Parallel()
	t.Run("relay", func(t *testing.T) {
		t.Parallel()
		f := startTrackedRelay(t)
		f.ends(t)
		t.Run("a late bounce with our ENVID", f.lateBounceWithENVID)
		t.Run("a late bounce", f.lateBounce)
		t.Run("sent again after a bounce", f.sentAgain)
		t.Run("a log read afterwards", f.readAfterwards)
	})
	t.Run("milter", func(t *testing.T) {
		t.Parallel()
		f := startTrackedMilter(t)
		f.ends(t)
		t.Run("a late bounce", f.lateBounce)
		t.Run("nothing is there to be sent again", f.nothingToSend)
	})
}

// ends are those that a log tells of.
func (f *tracked) ends(t *testing.T) {
	t.Run("an alias is a group of three", func(t *testing.T) {
		id := f.post(t, "trackalias", "alice@corp.test", "everyone@corp.test")
		d := f.awaitLabels(t, id, inMailbox, inMailbox, inMailbox)
		if g := d.Recipients[0]; g.Address != "everyone@corp.test" || g.Members != 3 || g.State != "delivered_mailbox" {
			t.Errorf("the group is %+v", g)
		}
		var members []string
		for _, m := range d.Recipients[1:] {
			members = append(members, m.Address)
			if m.Group != "everyone@corp.test" || m.OriginalAddress != "everyone@corp.test" || !strings.Contains(m.Evidence, "status=sent") {
				t.Errorf("a member is %+v", m)
			}
		}
		slices.Sort(members)
		if !slices.Equal(members, []string{"alice@corp.test", "bob@corp.test", "carol@corp.test"}) {
			t.Errorf("the members are %q", members)
		}
		for _, m := range members {
			if got := f.boxes.inbox(t, m); !strings.Contains(string(got[len(got)-1]), "trackalias") {
				t.Errorf("the mailbox of %s has it not", m)
			}
		}
		if out := f.sendgate(t, "show", id); strings.Count(out, inMailbox) < 4 {
			t.Errorf("sendgate show:\n%s", out)
		}
	})

	t.Run("a remote server's reply", func(t *testing.T) {
		d := f.awaitLabels(t, f.post(t, "trackremote", "alice@corp.test", "someone@world.test"), atRemote)
		if r := d.Recipients[0]; !strings.Contains(r.Reply, "250 2.0.0 Ok: queued as SINK") {
			t.Errorf("the recipient is %+v", r)
		}
	})

	t.Run("what was refused says why", func(t *testing.T) {
		d := f.awaitLabels(t, f.post(t, "trackrefused", "alice@corp.test", "gone@world.test", "someone@world.test"), returned, atRemote)
		if r := d.Recipients[0]; r.State != "bounced" || !strings.Contains(r.Reply, noSuchUser) {
			t.Errorf("the recipient is %+v", r)
		}
		d = f.awaitLabels(t, f.post(t, "trackspam", "alice@corp.test", "strict@world.test"), returned)
		if r := d.Recipients[0]; r.State != "bounced" || !strings.Contains(r.Reply, noSpam) {
			t.Errorf("the recipient is %+v", r)
		}
	})

	t.Run("what is tried again says when", func(t *testing.T) {
		for name, c := range map[string]struct{ to, reply string }{
			"tracknowhere": {"someone@nowhere.test", "Connection refused"},
			"trackbusy":    {"busy@world.test", tryLater},
		} {
			id := f.post(t, name, "alice@corp.test", c.to)
			d := f.awaitState(t, id, "deferred")
			r := d.Recipients[0]
			if r.Label.EN != delivering || !strings.Contains(r.Reply, c.reply) || time.Until(r.NextTry) < time.Minute {
				t.Errorf("%s: the recipient is %+v", name, r)
			}
		}
	})

	t.Run("a loop through a content filter counts once", func(t *testing.T) {
		id := f.post(t, "trackloop", "filtered@corp.test", "bob@corp.test", "someone@world.test")
		d := f.awaitLabels(t, id, inMailbox, atRemote)
		queues := map[string]bool{}
		for _, e := range d.Timeline {
			if e.QueueID != "" {
				queues[e.QueueID] = true
			}
		}
		if len(d.Recipients) != 2 || len(queues) != 2 {
			t.Errorf("%d rows, queue ids %v", len(d.Recipients), queues)
		}
		if found := f.search(t, "subject:trackloop"); len(found) != 1 {
			t.Errorf("%d messages are recorded", len(found))
		}
		for queueID := range queues {
			if found := f.search(t, "queue:"+queueID); len(found) != 1 || found[0].ID != id {
				t.Errorf("queue:%s finds %v", queueID, found)
			}
		}
	})
}

// lateBounce comes as a delivery report after the remote server had taken the message. It names the
// message by its Message-ID.
func (f *tracked) lateBounce(t *testing.T) {
	id := f.post(t, "tracklate", "alice@corp.test", "late@world.test")
	f.awaitLabels(t, id, atRemote)
	forged, foreign := f.reports(t, "forged"), f.reports(t, "foreign")
	f.notify(t, notification("", "tracklate@corp.test", "nobody@world.test"))
	f.notify(t, notification("", "other@corp.test", "late@world.test"))
	f.stays(t, id, forged+1, foreign+1)
	f.notify(t, notification("", "tracklate@corp.test", "late@world.test"))
	f.failedLate(t, id)
}

// lateBounceWithENVID comes with the id that sendgate gave to the message as its ENVID.
func (f *tracked) lateBounceWithENVID(t *testing.T) {
	id := f.post(t, "trackenvid", "alice@corp.test", "late@world.test")
	f.awaitLabels(t, id, atRemote)
	envID := f.envelopeID(t, "trackenvid")
	forged, foreign := f.reports(t, "forged"), f.reports(t, "foreign")
	f.notify(t, notification(envID, "other@corp.test", "late@world.test"))
	f.notify(t, notification(envID, "trackenvid@corp.test", "nobody@world.test"))
	f.stays(t, id, forged+2, foreign)
	f.notify(t, notification(envID, "trackenvid@corp.test", "late@world.test"))
	f.failedLate(t, id)
}

// stays waits until so many reports were seen and believed in nothing.
func (f *tracked) stays(t *testing.T, id string, forged, foreign int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d forged and %d foreign reports", forged, foreign), func() bool {
		return f.reports(t, "forged") == forged && f.reports(t, "foreign") == foreign
	})
	if d := f.message(t, id); d.Recipients[0].State != "relayed_remote" {
		t.Errorf("after forged reports the recipient is %+v", d.Recipients[0])
	}
}

func (f *tracked) failedLate(t *testing.T, id string) {
	t.Helper()
	r := f.awaitLabels(t, id, returned).Recipients[0]
	if r.State != "async_bounced" || !strings.Contains(r.Reply, "550 5.7.1 refused by a later filter") {
		t.Errorf("the recipient is %+v", r)
	}
}

// envelopeID is the ENVID with which a message came to the sink; "" without one.
func (f *tracked) envelopeID(t *testing.T, name string) string {
	t.Helper()
	for _, m := range f.world.messages() {
		if strings.Contains(string(m.data), "\r\nSubject: "+name+"\r\n") {
			if _, id, ok := strings.Cut(m.mail, "ENVID="); ok {
				return strings.Fields(id)[0]
			}
		}
	}
	return ""
}

// notify has the world send a delivery report to alice.
func (f *tracked) notify(t *testing.T, report []byte) {
	t.Helper()
	args := append(data(t, report), "--from", "<>", "--to", "alice@corp.test")
	if transcript, status := swaks(t, f.entry, append(args, f.guest...)...); status != 0 {
		t.Fatalf("swaks: %d\n%s", status, transcript)
	}
}

// notification is a delivery report (RFC 3464) of a server behind the one that took the message.
func notification(envID, messageID, recipient string) []byte {
	if envID != "" {
		envID = "Original-Envelope-Id: " + envID + "\n"
	}
	text := fmt.Sprintf(`From: Mail Delivery System <MAILER-DAEMON@mx2.world.test>
To: alice@corp.test
Subject: Undelivered Mail Returned to Sender
Message-ID: <report-%d@mx2.world.test>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=B

--B
Content-Type: text/plain

It could not be delivered.
--B
Content-Type: message/delivery-status

%sReporting-MTA: dns; mx2.world.test

Final-Recipient: rfc822; %s
Action: failed
Status: 5.7.1
Diagnostic-Code: smtp; 550 5.7.1 refused by a later filter

--B
Content-Type: text/rfc822-headers

Message-ID: <%s>

--B--
`, time.Now().UnixNano(), envID, recipient, messageID)
	return []byte(strings.ReplaceAll(text, "\n", "\r\n"))
}

// reports reads how many delivery reports were seen to be something.
func (f *tracked) reports(t *testing.T, result string) int {
	t.Helper()
	response, err := http.Get("http://" + f.api + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), fmt.Sprintf("sendgate_track_reports_total{result=%q} ", result))
	n := 0
	_, _ = fmt.Sscan(rest, &n)
	return n
}

// sentAgain has the sink take what it refused first.
func (f *tracked) sentAgain(t *testing.T) {
	id := f.post(t, "trackagain", "alice@corp.test", "gone@world.test", "someone@world.test")
	f.awaitLabels(t, id, returned, atRemote)
	f.world.answering(nil)
	defer f.world.answering(choosy)
	before := len(f.world.messages())
	var answer detail
	f.call(t, "POST", "/messages/"+id+"/resend", map[string]any{"reason": "the mailbox is back"}, &answer)
	d := f.awaitLabels(t, id, atRemote, atRemote)
	if len(d.Recipients) != 3 {
		t.Fatalf("the recipients are %+v", d.Recipients)
	}
	first, second := d.Recipients[0], d.Recipients[1]
	if !first.Superseded || first.State != "bounced" || second.Attempt != 2 || second.Address != "gone@world.test" {
		t.Errorf("the attempts are %+v and %+v", first, second)
	}
	got := f.world.await(t, before+1)[before]
	if len(got.rcpt) != 1 || !strings.HasPrefix(got.rcpt[0], "<gone@world.test>") {
		t.Errorf("it was sent again to %q", got.rcpt)
	}
	untouched(t, got.data, letter("trackagain"))
}

// nothingToSend holds that the milter, which has no bodies, says so.
func (f *tracked) nothingToSend(t *testing.T) {
	id := f.post(t, "tracknobody", "alice@corp.test", "gone@world.test")
	f.awaitLabels(t, id, returned)
	text, status := f.ask(t, "POST", "/messages/"+id+"/resend", map[string]any{})
	var problem struct{ Code, Detail string }
	if err := json.Unmarshal(text, &problem); err != nil || status != http.StatusConflict || problem.Code != "no_body" {
		t.Errorf("%d %s (%v)", status, text, err)
	}
}

// readAfterwards has a gateway that follows no log, until a log is read into it.
func (f *tracked) readAfterwards(t *testing.T) {
	blind := tracked{gateway: startGateway(t, settings{upstream: plainUpstream(f.mta), hold: 100 * time.Millisecond})}
	blind.entry = blind.smtp
	id := blind.post(t, "trackblind", "alice@corp.test", "dave@corp.test", "gone@world.test", "busy@world.test")
	blind.awaitState(t, id, "handed_over")
	queueID := blind.message(t, id).Recipients[0].QueueID
	for _, to := range []string{"dave@corp.test", "gone@world.test", "busy@world.test"} {
		f.mta.awaitLog(t, queueID+": to=<"+to+">")
	}
	for range 2 { // the second time changes nothing
		out := blind.sendgate(t, "track", "--import", filepath.Join(f.mta.dir, "mail.log"))
		if !strings.Contains(out, "mail.log") {
			t.Errorf("sendgate track:\n%s", out)
		}
		d := blind.message(t, id)
		if got := d.labels(); !slices.Equal(got, []string{inMailbox, returned, delivering}) {
			t.Errorf("the labels are %q", got)
		}
		if !strings.Contains(d.Recipients[1].Reply, noSuchUser) || d.Recipients[2].State != "deferred" {
			t.Errorf("the recipients are %+v", d.Recipients)
		}
	}
}
