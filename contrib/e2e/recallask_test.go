package e2e

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// tenMembers is the group of the dry run: its alias goes to ten mailboxes, five of each backend.
func tenMembers(front string) string {
	var members []string
	for i := range 10 {
		members = append(members, fmt.Sprintf("ten%d@%s", i, domainOf(front, backends[i%2], "")))
	}
	return "ten@" + domainOf(front, "imap", "") + " " + strings.Join(members, ", ") + "\n"
}

// dryRun asks what would become of a message to a group of ten, two people outside and one who is not there, and
// does it then.
func (r *recalling) dryRun(t *testing.T) {
	group := "ten@" + domainOf(r.front, "imap", "")
	id := r.send(t, "alice@corp.test", "dryrun"+r.front, recallLetter("dryrun"+r.front, "", "<dryrun"+r.front+"@corp.test>"),
		group, "one@world.test", "two@world.test", "gone@world.test")
	r.awaitStates(t, id, "bounced"+strings.Repeat(" delivered_mailbox", 10)+" relayed_remote relayed_remote")
	var before detail
	eventually(t, "the log has said all", func() bool {
		before = r.message(t, id)
		return before.Timeline[len(before.Timeline)-1].Kind == "dequeued"
	})
	plan := r.takeBack(t, id, map[string]any{"dry_run": true})
	if after := r.message(t, id); len(after.Timeline) != len(before.Timeline) || after.states() != before.states() {
		t.Errorf("the dry run has changed the message: %+v", after)
	}
	if plan.ID != "" || plan.Success != 1 || plan.Failure != 2 || plan.Processing != 10 {
		t.Errorf("the plan is %+v", plan)
	}
	if out := r.sendgate(t, "recall", id, "--reason", "wrong attachment", "--dry-run"); strings.Count(out, "can be taken out of the mailbox now") != 10 {
		t.Errorf("sendgate recall --dry-run:\n%s", out)
	}
	done := r.awaitRecall(t, r.takeBack(t, id, nil).ID)
	became := map[string]string{"planned": "removed_from_mailbox"}
	for i, p := range plan.Recipients {
		want := p.Code
		if b, ok := became[want]; ok {
			want = b
		}
		if d := done.Recipients[i]; d.Address != p.Address || d.Code != want || d.Group != p.Group || p.Code != "planned" && d.Text != p.Text {
			t.Errorf("planned was %+v, and it came to %+v", p, d)
		}
	}
	if len(done.Recipients) != 13 || done.Overall != "partial" || done.Success != 11 || done.Failure != 2 {
		t.Errorf("it came to %+v", done)
	}
	for i := range 10 {
		if got := r.boxes.inbox(t, fmt.Sprintf("ten%d@%s", i, domainOf(r.front, backends[i%2], ""))); len(got) > 0 {
			t.Errorf("member %d has %d messages", i, len(got))
		}
	}
}

// awaitStates waits until the rows of a message that count are in these states, sorted.
func (r *recalling) awaitStates(t *testing.T, id, states string) {
	t.Helper()
	var got string
	defer func() {
		if t.Failed() {
			t.Logf("the states are %s", got)
		}
	}()
	eventually(t, "the states of "+id+" are "+states, func() bool {
		got = r.message(t, id).states()
		return got == states
	})
}

// refusals are of what the rules do not allow.
func (r *recalling) refusals(t *testing.T) {
	id := r.send(t, "alice@corp.test", "refused"+r.front, recallLetter("refused"+r.front, "X-Sendgate-Hold: 600\r\n", "<refused"+r.front+"@corp.test>"), "x@world.test")
	refused := func(code, id string, more map[string]any) {
		t.Helper()
		if a := r.takeBack(t, id, more); a.Status != "unavailable" || a.Restriction.Code != code {
			t.Errorf("%s: %+v", code, a)
		}
	}
	refused("reason_required", id, map[string]any{"reason": ""})
	first := r.takeBack(t, id, nil)
	r.awaitRecall(t, first.ID)
	if a := r.takeBack(t, id, nil); a.Restriction.Code != "already_recalled" || a.ID != first.ID {
		t.Errorf("asked once more: %+v", a)
	}
	if text, status := r.ask(t, "POST", "/recalls", map[string]any{"message_ids": []string{first.ID}, "reason": "x"}); status != http.StatusNotFound {
		t.Errorf("a recall taken for a message: %d %s", status, text)
	}
	notice := r.search(t, "to:alice@corp.test")
	if len(notice) == 0 {
		t.Fatal("alice has no report")
	}
	refused("channel_not_allowed", notice[0].ID, nil)
	slow := r.underWay(t)
	if a := r.takeBack(t, slow, nil); a.Status != "in_progress" {
		t.Fatalf("what is on its way: %+v", a)
	}
	refused("recall_in_progress", slow, nil)
}

// underWay sends a message that stays under way.
func (r *recalling) underWay(t *testing.T) (id string) {
	subject := "stuck" + r.front
	id = r.send(t, "alice@corp.test", subject, recallLetter(subject, "", "<"+subject+"@corp.test>"), "stuck@"+domainOf(r.front, "imap", "late"))
	eventually(t, "it is let go", func() bool { return r.message(t, id).has("released") || r.message(t, id).State != "held" })
	return id
}

// letters gives the mail in an inbox whose subject has a text.
func (r *recalling) letters(t *testing.T, user, subject string) (all []string) {
	t.Helper()
	for _, raw := range r.boxes.inbox(t, user) {
		m, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			t.Fatalf("%v\n%s", err, raw)
		}
		got, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		if err != nil {
			t.Fatalf("%v\n%s", err, raw)
		}
		if strings.Contains(got, subject) {
			all = append(all, got+"\n"+plainText(t, m))
		}
	}
	return all
}

// byMail asks for recalls by mail, in all forms, as somebody whom nothing else is about.
func (r *recalling) byMail(t *testing.T) {
	user := func(name string) string { return name + "@" + domainOf(r.front, "imap", "") }
	sender := user("sender")
	original := func(name string) []byte {
		return []byte(strings.ReplaceAll(string(recallLetter(name+r.front, "", "<"+name+r.front+"@corp.test>")), "Alice <alice@corp.test>", sender))
	}
	send := func(name string) (id string) {
		return r.send(t, sender, name+r.front, original(name), user("reader1"), user("reader2"))
	}
	asked := func(from, subject, more, body string) {
		t.Helper()
		message := "From: " + from + "\r\nTo: recall@corp.test\r\nSubject: " + subject + "\r\nDate: " + time.Now().UTC().Format(time.RFC1123Z) +
			"\r\nMessage-ID: <" + fmt.Sprint(time.Now().UnixNano()) + "@client.test>\r\n" + more + "\r\n" + body
		if _, err := submit(t, r.entry, from, nil, []string{"recall@corp.test"}, nil, []byte(message)); err != nil {
			t.Fatalf("%s: %v", subject, err)
		}
	}
	first, second, last := send("firstof"), send("secondof"), send("lastof")
	for _, id := range []string{first, second, last} {
		r.awaitState(t, id, "delivered_mailbox")
	}
	asked(user("thief"), "RECALL <firstof"+r.front+"@corp.test>", "", "")
	eventually(t, "the thief is refused", func() bool { return len(r.letters(t, user("thief"), "not taken back")) == 1 })

	asked(sender, "RECALL <firstof"+r.front+"@corp.test>", "", "")
	asked(sender, "Fwd: wrong", "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n",
		"--b\r\n\r\nplease\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"+string(original("secondof"))+"\r\n--b--\r\n")
	asked(sender, "RECALL", "", "")
	for _, id := range []string{first, second, last} {
		r.awaitState(t, id, "recalled")
	}
	for _, name := range []string{"firstof", "secondof", "lastof"} {
		eventually(t, "the report about "+name+" arrives", func() bool { return len(r.letters(t, sender, "all taken back: "+name)) == 1 })
	}
	for _, who := range []string{"reader1", "reader2"} {
		if got := r.boxes.inbox(t, user(who)); len(got) > 0 {
			t.Errorf("%s has %d messages", who, len(got))
		}
	}
	r.statusPage(t, r.letters(t, sender, "all taken back: firstof")[0], "firstof"+r.front)
	asked(sender, "RECALL <none@corp.test>", "", "")
	eventually(t, "there is no such message", func() bool { return len(r.letters(t, sender, "not taken back")) == 1 })
	if got := r.world.messages(); slices.ContainsFunc(got, func(m sunk) bool { return strings.Contains(string(m.data), "recall@corp.test") }) {
		t.Error("an instruction went out")
	}
	if got := r.boxes.inbox(t, "recall@corp.test"); len(got) > 0 {
		t.Error("an instruction was delivered")
	}
	r.veiled(t, sender, original("veiledof"))
}

var statusLink = regexp.MustCompile(`http://status\.corp\.test(/s/[A-Za-z0-9_-]+)`)

// statusPage follows the signed link of a report, without a login.
func (r *recalling) statusPage(t *testing.T, report, subject string) {
	t.Helper()
	m := statusLink.FindStringSubmatch(report)
	if m == nil {
		t.Fatalf("the report has no link:\n%s", report)
	}
	page, status := r.page(t, m[1])
	wantWords(t, "the status page", page, subject, "Taken back from everyone", "reader1@"+domainOf(r.front, "imap", ""))
	if status != http.StatusOK {
		t.Errorf("the status page: %d", status)
	}
	if _, status := r.page(t, m[1][:len(m[1])-2]+"AA"); status != http.StatusNotFound {
		t.Errorf("a forged link: %d", status)
	}
}

func (r *recalling) page(t *testing.T, path string) (text string, status int) {
	t.Helper()
	response, err := http.Get("http://" + r.api + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), response.StatusCode
}

// veiled holds that a sender learns how many members of a group have read a message, and not who.
func (r *recalling) veiled(t *testing.T, sender string, message []byte) {
	group := "ten@" + domainOf(r.front, "imap", "")
	id := r.send(t, sender, "veiledof"+r.front, message, group)
	r.awaitStates(t, id, strings.TrimSpace(strings.Repeat("delivered_mailbox ", 10)))
	r.boxes.readAll(t, "ten3@"+domainOf(r.front, "http", ""))
	a := r.awaitRecall(t, r.takeBack(t, id, nil).ID)
	codes := map[string]int{}
	for _, p := range a.Recipients {
		codes[p.Code]++
	}
	if !maps.Equal(codes, map[string]int{"already_read": 1, "group_member_blocked": 9}) {
		t.Errorf("it came to %v", codes)
	}
	eventually(t, "the report arrives", func() bool { return len(r.letters(t, sender, "nothing could be taken back: veiledof")) == 1 })
	report := r.letters(t, sender, "nothing could be taken back: veiledof")[0]
	wantWords(t, "the report", report, "1 of them kept it from being taken back")
	page, _ := r.page(t, statusLink.FindStringSubmatch(report)[1])
	wantWords(t, "the status page", page, "1 of them kept it from being taken back")
	if strings.Contains(report, "ten3@") || strings.Contains(page, "ten3@") {
		t.Errorf("the reader is named:\n%s\n%s", report, page)
	}
}
