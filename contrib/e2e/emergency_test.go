package e2e

import (
	"strings"
	"testing"
	"time"
)

// TestMilterEmergency bypasses the rules and empties the gateway before a real Postfix.
func TestMilterEmergency(t *testing.T) {
	t.Parallel()
	h := startHolding(t, holdSettings{hold: 10 * time.Minute})
	_, id := h.sendHeld(t, letter("held before"), "someone@world.test")

	if out := h.sendgate(t, "bypass", "--reason", "limits misfire", "--for", "10m"); !strings.Contains(out, "limits misfire") {
		t.Errorf("bypass: %s", out)
	}
	transcript, _ := swaks(t, h.mta.smtp, append(data(t, letter("at once")), "--from", "alice@corp.test", "--to", "someone@world.test")...)
	queuedAs(t, transcript)
	untouched(t, h.world.await(t, 1)[0].data, letter("at once"))
	if h.message(t, id).State != "held" {
		t.Error("what was held before went with the bypass")
	}
	h.kill(t) // it is in the journal
	h.start(t)
	if out := h.sendgate(t, "bypass", "status"); !strings.Contains(out, "the rules are bypassed until ") {
		t.Errorf("after a restart: %s", out)
	}
	h.sendgate(t, "bypass", "--end")
	h.sendHeld(t, letter("held again"), "someone@world.test")

	if out := h.sendgate(t, "drain", "--timeout", "2m"); !strings.Contains(out, "drained; the process ends: 2 let go, 0 left, 0 stay") {
		t.Errorf("drain: %s", out)
	}
	h.world.await(t, 3)
	transcript, status := swaks(t, h.mta.smtp, append(data(t, letter("too late")), "--from", "alice@corp.test", "--to", "someone@world.test")...)
	if status == 0 || !strings.Contains(transcript, " 4.3.2 ") && !strings.Contains(transcript, "451 4.7.1 Service unavailable") {
		t.Errorf("swaks: %d\n%s", status, transcript)
	}
	select {
	case err := <-h.process.done:
		if err != nil { // systemd would start it again
			t.Errorf("the process ended with %v", err)
		}
		h.process.done <- err // for the end of the test
	case <-time.After(patience):
		t.Error("the process does not end by itself")
	}
}
