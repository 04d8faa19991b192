package e2e

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// holdFor sets the hold of a message in seconds.
func holdFor(seconds int, message []byte) []byte {
	return append(fmt.Appendf(nil, "X-Sendgate-Hold: %d\r\n", seconds), message...)
}

// withoutTrace takes the lines away that differ from one delivery to the next.
func withoutTrace(delivered []byte) string {
	var kept strings.Builder
	header, skipping := true, false
	for line := range strings.Lines(string(delivered)) {
		header = header && line != "\r\n"
		if header && line[0] != ' ' && line[0] != '\t' {
			skipping = strings.HasPrefix(line, "Received:")
		}
		if !header || !skipping {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// TestMilter holds mail in Postfix's own hold queue, with its two forms of queue ids.
func TestMilter(t *testing.T) {
	t.Parallel()
	for _, long := range []string{"yes", "no"} {
		t.Run("long queue ids "+long, func(t *testing.T) {
			t.Parallel()
			boxes := startDovecot(t)
			h := startHolding(t, holdSettings{hold: 10 * time.Minute, boxes: boxes, mainCf: []string{"enable_long_queue_ids = " + long}})
			h.lettingGo(t, boxes)
			h.takingBack(t, boxes)
			h.whatIsHeld(t, boxes)
		})
	}
}

func (h *holding) lettingGo(t *testing.T, boxes *dovecot) {
	t.Run("held, visible, let go on time, as without us", func(t *testing.T) {
		const hold = 10 // it is looked at meanwhile
		message := holdFor(hold, letter("held"))
		begun := time.Now()
		queueID, id := h.sendHeld(t, message, "bob@corp.test")
		d := h.message(t, id)
		if d.State != "held" && time.Since(begun) < hold*time.Second || d.Identity != "alice@corp.test" || !d.has("held") {
			t.Errorf("the message is %+v", d)
		}
		if out := h.sendgate(t, "show", id); !strings.Contains(out, queueID) || !strings.Contains(out, "alice@corp.test") {
			t.Errorf("sendgate show:\n%s", out)
		}
		delivered := boxes.await(t, "bob@corp.test", 1)[0]
		if early := hold*time.Second - time.Since(begun); early > 0 {
			t.Errorf("delivered %v before the hold ended", early)
		}
		untouched(t, delivered, message)
		if d := h.awaitState(t, id, "queued"); !d.has("released") || d.Recipients[0].QueueID != queueID || d.Recipients[0].MayBeDuplicate {
			t.Errorf("the message is %+v", d)
		}
		args := append(data(t, message), "--from", "alice@corp.test", "--to", "bob@corp.test")
		if transcript, status := swaks(t, h.mta.reinject, args...); status != 0 {
			t.Fatalf("swaks: %d\n%s", status, transcript)
		}
		if direct := boxes.await(t, "bob@corp.test", 2)[1]; withoutTrace(delivered) != withoutTrace(direct) {
			t.Errorf("held:\n%q\nwithout us:\n%q", withoutTrace(delivered), withoutTrace(direct))
		}
	})

	t.Run("let go by a person", func(t *testing.T) {
		before := len(h.world.messages())
		_, id := h.sendHeld(t, letter("by a person"), "someone@world.test")
		h.sendgate(t, "release", id)
		untouched(t, h.world.await(t, before+1)[before].data, letter("by a person"))
	})

	t.Run("held longer", func(t *testing.T) {
		before := len(h.world.messages())
		queueID, id := h.sendHeld(t, holdFor(15, letter("longer")), "someone@world.test")
		if out := h.sendgate(t, "hold", id, "--for", "20m"); !strings.Contains(out, "held until") {
			t.Errorf("sendgate hold: %s", out)
		}
		_, other := h.sendHeld(t, holdFor(15, letter("not longer")), "someone@world.test")
		h.awaitState(t, other, "queued")
		h.world.await(t, before+1)
		if q := h.mta.queue(t)[queueID]; q != "hold" || h.message(t, id).State != "held" {
			t.Errorf("%s is in queue %q and %s", queueID, q, h.message(t, id).State)
		}
		h.recall(t, id)
	})

	t.Run("hold 0 passes at once", func(t *testing.T) {
		before := len(h.world.messages())
		queueID := h.send(t, holdFor(0, letter("urgent")), "someone@world.test")
		untouched(t, h.world.await(t, before+1)[before].data, holdFor(0, letter("urgent")))
		var id string
		eventually(t, "the message is noted", func() bool {
			if found := h.search(t, "queue:"+queueID); len(found) == 1 {
				id = found[0].ID
			}
			return id != ""
		})
		if d := h.message(t, id); d.State != "queued" || d.has("held") {
			t.Errorf("the message is %+v", d)
		}
	})
}

func (h *holding) takingBack(t *testing.T, boxes *dovecot) {
	t.Run("taken back while held", func(t *testing.T) {
		queueID, id := h.sendHeld(t, letter("wrong"), "carol@corp.test,someone@world.test")
		if r := h.recall(t, id); r.Overall != "all_success" || r.codes() != "removed_from_hold removed_from_hold" {
			t.Errorf("the recall is %+v", r)
		}
		if q, ok := h.mta.queue(t)[queueID]; ok {
			t.Errorf("%s is still in queue %q", queueID, q)
		}
		d := h.awaitState(t, id, "canceled")
		if !slices.ContainsFunc(d.Timeline, func(e event) bool {
			return e.Kind == "recall_outcome" && e.Evidence == "postsuper -d "+queueID+": removed from the hold queue"
		}) {
			t.Errorf("the timeline has no evidence: %+v", d.Timeline)
		}
		if r := h.recall(t, id); r.Overall != "all_success" || r.codes() != "removed_from_hold removed_from_hold" {
			t.Errorf("the second recall is %+v", r)
		}
	})

	t.Run("taken back from some, sent to the others with their parameters", func(t *testing.T) {
		before := len(h.world.messages())
		message := letter("not for her")
		text, err := submit(t, h.mta.smtp, "alice@corp.test", &smtp.MailOptions{Return: smtp.DSNReturnHeaders, EnvelopeID: "env+1"},
			[]string{"carol@corp.test", "someone@world.test", "other@world.test"},
			&smtp.RcptOptions{
				Notify:                []smtp.DSNNotify{smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed},
				OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "first@elsewhere.test",
			}, message)
		if err != nil {
			t.Fatal(err)
		}
		queueID := queuedAs(t, text)
		id := h.idOf(t, queueID)
		if r := h.recall(t, id, "carol@corp.test"); r.Overall != "all_success" || r.codes() != "removed_from_hold" {
			t.Errorf("the recall is %+v", r)
		}
		if q := h.mta.queue(t)[queueID]; q != "hold" {
			t.Errorf("%s is in queue %q", queueID, q)
		}
		h.sendgate(t, "release", id)
		got := h.world.await(t, before+1)[before]
		untouched(t, got.data, message)
		wantParameters(t, got.mail, "<alice@corp.test>", "RET=HDRS", "ENVID=env+2B1")
		if len(got.rcpt) != 2 {
			t.Fatalf("recipients %q", got.rcpt)
		}
		for _, r := range got.rcpt {
			wantParameters(t, r, "ORCPT=rfc822;first@elsewhere.test", "NOTIFY=")
			if !strings.Contains(r, "FAILURE") || !strings.Contains(r, "DELAY") {
				t.Errorf("RCPT TO:%s", r)
			}
		}
		eventually(t, "the queue file is gone", func() bool { return h.mta.queue(t)[queueID] == "" })
		for i, state := range []string{"canceled", "handed_over", "handed_over"} {
			eventually(t, "the states are right", func() bool { return h.message(t, id).Recipients[i].State == state })
		}
		if got := boxes.inbox(t, "carol@corp.test"); len(got) != 0 {
			t.Errorf("carol has %q", got)
		}
	})

	t.Run("twenty recalls", func(t *testing.T) {
		var took []time.Duration
		for i := range 20 {
			_, id := h.sendHeld(t, letter(fmt.Sprint("recall", i)), "someone@world.test")
			begun := time.Now()
			if r := h.recall(t, id); r.Overall != "all_success" {
				t.Errorf("the recall is %+v", r)
			}
			took = append(took, time.Since(begun))
		}
		slices.Sort(took)
		t.Logf("recall of one held message: p50 %v, longest %v", took[10], took[19])
	})
}

func (h *holding) whatIsHeld(t *testing.T, boxes *dovecot) {
	t.Run("two messages on one connection", func(t *testing.T) {
		client, err := smtp.Dial(h.mta.smtp)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		for i := range 2 {
			sender := fmt.Sprintf("alice+%d@corp.test", i)
			id := h.idOf(t, queuedAs(t, sendOver(t, client, sender, "someone@world.test", letter(fmt.Sprint("shared", i)))))
			if d := h.message(t, id); d.State != "held" || d.Identity != "alice@corp.test" { // whatever the detail
				t.Errorf("message %d is %+v", i, d)
			}
			h.recall(t, id)
		}
	})

	t.Run("one rejected recipient among three", func(t *testing.T) {
		before := len(h.world.messages())
		args := append(data(t, holdFor(1, letter("three"))), "--from", "alice@corp.test", "--to", "dave@corp.test,nobody@corp.test,someone@world.test")
		transcript, status := swaks(t, h.mta.smtp, args...)
		if status != 0 || !strings.Contains(transcript, "550 5.1.1 <nobody@corp.test>") {
			t.Fatalf("swaks: %d\n%s", status, transcript)
		}
		d := h.awaitState(t, h.idOf(t, queuedAs(t, transcript)), "queued")
		if len(d.Recipients) != 2 || d.Recipients[0].Address != "dave@corp.test" || d.Recipients[1].Address != "someone@world.test" {
			t.Errorf("the recipients are %+v", d.Recipients)
		}
		h.world.await(t, before+1)
		boxes.await(t, "dave@corp.test", 1)
	})

	t.Run("inbound mail is left alone", func(t *testing.T) {
		had := len(boxes.inbox(t, "dave@corp.test"))
		args := append(data(t, letter("inbound")), "--from", "stranger@world.test", "--to", "dave@corp.test", "--xclient-addr", "192.0.2.7")
		transcript, status := swaks(t, h.mta.smtp, args...)
		if status != 0 {
			t.Fatalf("swaks: %d\n%s", status, transcript)
		}
		untouched(t, boxes.await(t, "dave@corp.test", had+1)[had], letter("inbound"))
		if found := h.search(t, "queue:"+queuedAs(t, transcript)); len(found) != 0 {
			t.Errorf("%d messages are recorded", len(found))
		}
	})

	t.Run("authenticated mail is outbound from anywhere", func(t *testing.T) {
		args := append(data(t, letter("login")), "--from", "sales@corp.test", "--to", "someone@world.test", "--xclient-addr", "192.0.2.7",
			"--tls", "--auth", "PLAIN", "--auth-user", "alice@corp.test", "--auth-password", mailboxPassword)
		transcript, status := swaks(t, h.mta.submission, args...)
		if status != 0 {
			t.Fatalf("swaks: %d\n%s", status, transcript)
		}
		id := h.idOf(t, queuedAs(t, transcript))
		if d := h.message(t, id); d.State != "held" || d.Login != "alice@corp.test" || d.Identity != "alice@corp.test" {
			t.Errorf("the message is %+v", d)
		}
		h.recall(t, id)
	})
}

// sendOver sends a message over an open connection and gives the text of the last reply.
func sendOver(t *testing.T, client *smtp.Client, from, to string, message []byte) string {
	t.Helper()
	if err := client.Mail(from, nil); err != nil {
		t.Fatal(err)
	}
	if err := client.Rcpt(to, nil); err != nil {
		t.Fatal(err)
	}
	w, err := client.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(message); err != nil {
		t.Fatal(err)
	}
	response, err := w.CloseWithResponse()
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusText
}

// TestMilterOutages takes each part away in turn while mail is held.
func TestMilterOutages(t *testing.T) {
	t.Parallel()
	h := startHolding(t, holdSettings{hold: 10 * time.Minute})

	t.Run("Postfix and the gateway restart", func(t *testing.T) {
		message := letter("restarts")
		queueID, id := h.sendHeld(t, message, "someone@world.test")
		h.mta.stop(t)
		h.mta.start(t)
		h.kill(t)
		h.start(t)
		if q := h.mta.queue(t)[queueID]; q != "hold" || h.message(t, id).State != "held" {
			t.Errorf("%s is in queue %q and %s", queueID, q, h.message(t, id).State)
		}
		h.sendgate(t, "hold", id, "--for", "1s")
		untouched(t, h.world.await(t, 1)[0].data, message)
		if d := h.awaitState(t, id, "queued"); d.Recipients[0].MayBeDuplicate {
			t.Error("marked as a possible duplicate, although it was released once")
		}
	})

	t.Run("the hold ends while the gateway is away", func(t *testing.T) {
		before := len(h.world.messages())
		const hold = 10 // it is killed within that time
		begun := time.Now()
		queueID, id := h.sendHeld(t, holdFor(hold, letter("overdue")), "someone@world.test")
		h.kill(t)
		eventually(t, "the hold is over", func() bool { return time.Since(begun) > (hold+2)*time.Second })
		if q := h.mta.queue(t)[queueID]; q != "hold" && len(h.world.messages()) == before {
			t.Errorf("%s is in queue %q", queueID, q)
		}
		h.start(t)
		untouched(t, h.world.await(t, before+1)[before].data, holdFor(hold, letter("overdue")))
		h.awaitState(t, id, "queued")
	})

	t.Run("without the gateway Postfix answers 451", func(t *testing.T) {
		h.kill(t)
		transcript, status := swaks(t, h.mta.smtp, append(data(t, letter("away")), "--from", "alice@corp.test", "--to", "someone@world.test")...)
		if status == 0 || !strings.Contains(transcript, "451 4.7.1 Service unavailable") {
			t.Errorf("swaks: %d\n%s", status, transcript)
		}
		h.start(t)
		h.sendHeld(t, letter("back"), "someone@world.test")
	})

	t.Run("without the helper releases and recalls wait", func(t *testing.T) {
		before := len(h.world.messages())
		eventually(t, "/readyz says that the helper is there", func() bool { return h.helperReady(t) })
		_, release := h.sendHeld(t, letter("release waits"), "someone@world.test")
		queueID, recall := h.sendHeld(t, letter("recall waits"), "someone@world.test")
		h.stopHelper(t)
		h.sendgate(t, "release", release)
		eventually(t, "/readyz says that the helper is away", func() bool { return !h.helperReady(t) })
		if d := h.message(t, release); d.State != "queued" || !d.has("released") || d.has("queued") {
			t.Errorf("the released message is %+v", d)
		}
		r := h.recall(t, recall)
		if r.Overall != "in_progress" || r.codes() != "retrying" || h.message(t, recall).State != "held" {
			t.Errorf("the recall is %+v", r)
		}
		h.startHelper(t)
		untouched(t, h.world.await(t, before+1)[before].data, letter("release waits"))
		eventually(t, "/readyz says that the helper is back", func() bool { return h.helperReady(t) })
		eventually(t, "the recall is done", func() bool {
			h.call(t, "GET", "/recalls/"+r.ID, nil, &r)
			return r.Overall == "all_success"
		})
		if q, ok := h.mta.queue(t)[queueID]; ok {
			t.Errorf("%s is still in queue %q", queueID, q)
		}
		if got := h.world.messages(); len(got) != before+1 {
			t.Errorf("%d messages arrived", len(got)-before)
		}
	})
}

// TestMilterByHand lets an administrator do with postsuper what is ours to do.
func TestMilterByHand(t *testing.T) {
	t.Parallel()
	nowhere := addresses(t, 1)[0] // what is let go stays in the deferred queue
	h := startHolding(t, holdSettings{hold: 10 * time.Minute, world: nowhere})
	deleted, deletedID := h.sendHeld(t, letter("deleted"), "someone@world.test")
	released, releasedID := h.sendHeld(t, letter("released"), "someone@world.test")
	kept, keptID := h.sendHeld(t, letter("kept"), "someone@world.test")
	h.mta.byHand(t, "-H", released)
	d := h.awaitState(t, releasedID, "queued")
	if !slices.ContainsFunc(d.Timeline, func(e event) bool {
		return e.Kind == "released" && e.Actor == "postfix" && e.Reason == "released by hand in Postfix" && strings.Contains(e.Evidence, "deferred")
	}) {
		t.Errorf("the timeline is %+v", d.Timeline)
	}
	// That round has seen the other two in the hold queue.
	h.mta.byHand(t, "-d", deleted)
	d = h.awaitState(t, deletedID, "unknown")
	if !slices.ContainsFunc(d.Timeline, func(e event) bool {
		return e.Kind == "unknown" && e.Reason == "the message has left Postfix's hold queue: released or deleted there by hand"
	}) {
		t.Errorf("the timeline is %+v", d.Timeline)
	}
	if q := h.mta.queue(t)[kept]; q != "hold" || h.message(t, keptID).State != "held" {
		t.Errorf("%s is in queue %q and %s", kept, q, h.message(t, keptID).State)
	}
}

// TestMilterRecallFromTheQueue takes back what was let go and lies in Postfix's deferred queue.
func TestMilterRecallFromTheQueue(t *testing.T) {
	t.Parallel()
	nowhere := addresses(t, 1)[0]
	h := startHolding(t, holdSettings{hold: 10 * time.Minute, world: nowhere})
	deferred := func(subject string) (queueID, id string) {
		queueID, id = h.sendHeld(t, letter(subject), "someone@world.test,other@world.test")
		h.sendgate(t, "release", id)
		eventually(t, "the release is recorded", func() bool { return h.message(t, id).has("queued") })
		eventually(t, "the message is deferred", func() bool { return h.mta.queue(t)[queueID] == "deferred" })
		return queueID, id
	}

	t.Run("all", func(t *testing.T) {
		queueID, id := deferred("all")
		if r := h.recall(t, id); r.Overall != "all_success" || r.codes() != "removed_from_queue removed_from_queue" {
			t.Errorf("the recall is %+v", r)
		}
		if q, ok := h.mta.queue(t)[queueID]; ok {
			t.Errorf("%s is still in queue %q", queueID, q)
		}
		d := h.awaitState(t, id, "canceled")
		if !slices.ContainsFunc(d.Timeline, func(e event) bool {
			return e.Kind == "recall_outcome" && strings.HasPrefix(e.Evidence, "postsuper -d "+queueID+": removed from the ")
		}) {
			t.Errorf("the timeline has no evidence: %+v", d.Timeline)
		}
	})

	t.Run("chosen recipients", func(t *testing.T) {
		queueID, id := deferred("chosen")
		if r := h.recall(t, id, "other@world.test"); r.codes() != "whole_message_only" || r.Overall == "in_progress" {
			t.Errorf("the recall is %+v", r)
		}
		if h.mta.queue(t)[queueID] == "" || h.message(t, id).State != "queued" {
			t.Errorf("%s is not in the queue, or %s", queueID, h.message(t, id).State)
		}
	})

	t.Run("what has left by then", func(t *testing.T) {
		queueID, id := deferred("left")
		h.mta.byHand(t, "-d", queueID)
		if r := h.recall(t, id); r.codes() != "delivered_before_recall delivered_before_recall" || r.Overall == "in_progress" {
			t.Errorf("the recall is %+v", r)
		}
	})
}

// TestMilterKilledBeforeTheAnswer kills the gateway when it has committed a held message and Postfix
// has not heard of it: the client gets a 451 and owns the message, and the journal finds out.
func TestMilterKilledBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	c := &cut{done: make(chan struct{}, 1)}
	h := startHolding(t, holdSettings{hold: 10 * time.Minute, between: func(socket string) string {
		c.listen(t, socket+".cut", socket)
		return socket + ".cut"
	}})
	h.sendHeld(t, letter("before"), "someone@world.test")
	c.armed.Store(true)
	transcript, status := swaks(t, h.mta.smtp, append(data(t, letter("killed")), "--from", "alice@corp.test", "--to", "someone@world.test")...)
	if status == 0 || !strings.Contains(transcript, "451 4.7.1 Service unavailable") {
		t.Fatalf("swaks: %d\n%s", status, transcript)
	}
	<-c.done
	h.kill(t)
	h.start(t)
	found := h.search(t, "subject:killed")
	if len(found) != 1 || h.message(t, found[0].ID).State != "held" {
		t.Fatalf("found %+v", found)
	}
	h.sendHeld(t, letter("retried"), "someone@world.test")
	begun := time.Now()
	// A minute, and the time between two rounds.
	within(t, 2*patience, "the message was never queued", func() bool { return h.message(t, found[0].ID).State == "never_queued" })
	t.Logf("never_queued after %v", time.Since(begun))
	if n := len(h.mta.queue(t)); n != 2 {
		t.Errorf("Postfix has %d messages", n)
	}
}

// TestMilterManyAtOnce lets go many messages at the same moment.
func TestMilterManyAtOnce(t *testing.T) {
	messages := 500
	if os.Getenv("SENDGATE_LONG") != "" {
		messages = 5000
	}
	h := startHolding(t, holdSettings{hold: 15 * time.Minute})
	begun := time.Now()
	smtpSource(t, h.mta.smtp, "alice@corp.test", "someone@world.test", messages, 10, 4096)
	t.Logf("%d messages held in %v", messages, time.Since(begun))
	ids := h.all(t, "state:held")
	if len(ids) != messages {
		t.Fatalf("%d of %d messages are held", len(ids), messages)
	}
	holdAll := func(ids []string, until time.Time) (took time.Duration) {
		begun := time.Now()
		for _, id := range ids {
			h.call(t, "POST", "/messages/"+id+"/hold", map[string]any{"until": until.UTC()}, &struct{}{})
		}
		return time.Since(begun)
	}
	// The moment has to lie behind the last call, on a slow machine, too: some calls say how long that takes.
	took := holdAll(ids[:50], time.Now().Add(14*time.Minute)) * time.Duration(messages/50)
	until := time.Now().Add(4*took + 5*time.Second)
	holdAll(ids, until)
	if late := time.Since(until); late > 0 {
		t.Fatalf("%v too late", late)
	}
	if n := len(h.world.messages()); n != 0 {
		t.Fatalf("%d messages came before their time", n)
	}
	<-time.After(time.Until(until))
	h.world.await(t, messages)
	t.Logf("%d messages delivered %v after the end of their hold", messages, time.Since(until))
	eventually(t, "the journal says so", func() bool { return len(h.all(t, "state:queued")) == messages && h.waitingHeld(t) == 0 })
	seen := map[string]bool{}
	for _, m := range h.world.messages() {
		head, _, _ := bytes.Cut(m.data, []byte("\r\n\r\n"))
		for line := range strings.Lines(string(head)) {
			if id, ok := strings.CutPrefix(line, "Message-Id: "); ok {
				seen[id] = true
			}
		}
	}
	if len(seen) != messages || len(h.world.messages()) != messages {
		t.Errorf("%d different messages in %d", len(seen), len(h.world.messages()))
	}
	if left := h.mta.queue(t); len(left) != 0 {
		eventually(t, "Postfix's queue is empty", func() bool { return len(h.mta.queue(t)) == 0 })
	}
}

// waitingHeld counts what is held, up to 100.
func (h *holding) waitingHeld(t *testing.T) int { return len(h.search(t, "state:held")) }
