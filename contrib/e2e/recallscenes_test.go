package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// restored puts back what was taken: in its folder, unread, with its date.
func (s *scene) restored(t *testing.T, a recallAnswer) {
	s.call(t, "POST", "/recalls/"+a.ID+"/restore", nil, &a)
	o := s.boxes.owner(t, s.one())
	all := o.All("INBOX")
	if len(all) != 1 || len(all[0].Flags) > 0 || !strings.Contains(all[0].Raw, s.name) {
		t.Fatalf("the mailbox has %+v", all)
	}
	if age := time.Since(all[0].Internal); age < 0 || age > 10*time.Minute {
		t.Errorf("its date is %v", all[0].Internal)
	}
	if staged := o.All(staging); len(staged) > 0 {
		t.Errorf("staging has %+v", staged)
	}
	if _, subscribed := o.Folders(); slices.Contains(subscribed, staging) {
		t.Error("staging is shown")
	}
	if d := s.message(t, s.id); d.State != "delivered_mailbox" || !d.has("restored") {
		t.Errorf("the message is %+v", d)
	}
}

// passedOn has the recipient forward the message through us.
func (s *scene) passedOn(t *testing.T) {
	s.send(t, s.one(), "fwd"+s.name, recallLetter("fwd"+s.name, "X-Sendgate-Hold: 600\r\nReferences: "+s.messageID()+"\r\n", "<fwd"+s.name+"@corp.test>"), "carol@corp.test")
}

// related holds that the forward is listed, and can still be cancelled.
func (s *scene) related(t *testing.T, a recallAnswer) {
	if len(a.Related) != 1 || !a.Related[0].Held {
		t.Errorf("related are %+v", a.Related)
	}
}

func (s *scene) inProjects(t *testing.T) {
	if all := s.boxes.owner(t, s.one()).All("Projects"); len(all) != 1 {
		t.Errorf("the rule has moved %d messages", len(all))
	}
}

// fromProjects holds that administrators see where it was.
func (s *scene) fromProjects(t *testing.T, a recallAnswer) {
	if !strings.Contains(a.Recipients[0].Detail, "Projects") {
		t.Errorf("the detail is %q", a.Recipients[0].Detail)
	}
}

// another puts a different message with the same Message-ID into the mailbox.
func (s *scene) another(t *testing.T) {
	s.boxes.owner(t, s.one()).Put("INBOX", string(recallLetter("another "+s.name, "", s.messageID())), time.Now())
}

// onlyOther holds that the other message alone is left.
func (s *scene) onlyOther(t *testing.T) {
	if all := s.boxes.owner(t, s.one()).All("INBOX"); len(all) != 1 || !strings.Contains(all[0].Raw, "Subject: another ") {
		t.Errorf("the mailbox has %+v", all)
	}
}

// oneReads has one member of the group read the message.
func (s *scene) oneReads(t *testing.T) {
	o := s.boxes.owner(t, s.address("read"))
	o.Flag("INBOX", o.All("INBOX")[0].UID, `\Seen`)
}

// blocked holds that administrators learn who keeps the others from being taken back, and that nobody's copy was
// even moved.
func (s *scene) blocked(t *testing.T, a recallAnswer) {
	if len(a.Groups) != 1 || a.Groups[0].BlockedBy != 1 || !slices.Equal(a.Groups[0].Blockers, []string{s.address("read")}) {
		t.Errorf("the groups are %+v", a.Groups)
	}
	for _, who := range []string{"unread", "other"} {
		if all := s.boxes.owner(t, s.address(who)).All("INBOX"); len(all) != 1 || all[0].UID != 1 || len(all[0].Flags) > 0 {
			t.Errorf("%s has %+v", who, all)
		}
	}
}

// deleted has the recipient delete the message for good.
func (s *scene) deleted(t *testing.T) {
	o := s.boxes.owner(t, s.one())
	o.Remove("INBOX", o.All("INBOX")[0].UID)
}

// arrives lets the message go on to its mailbox.
func (s *scene) arrives(*testing.T) { s.gates[s.domain()].open() }
