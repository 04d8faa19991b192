package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// A recallCase is a message that is taken back, and what is to come of it. It is tried with both fronts and both
// ways to mailboxes. Names without a domain are people whom no other case knows.
type recallCase struct {
	outcome string
	front   string   // with this one only
	kind    string   // of mailboxes
	to      []string // recipients; none is one whom the case calls x
	user    string   // whose mailbox it is whatever the case; for x
	alias   string   // members of the alias "team"
	header  string   // further fields
	noID    bool     // without a Message-ID
	before  func(s *scene, t *testing.T)
	ready   string // states of the rows that count, sorted, before it is taken back; empty: all are in mailboxes
	arrange func(s *scene, t *testing.T)
	ask     map[string]any
	during  func(s *scene, t *testing.T) // after it was asked for
	first   []string                     // what the request was answered with
	want    []string                     // "who code"
	last    bool                         // sent after the others: its window is short
	check   func(s *scene, t *testing.T, a recallAnswer)
}

// anywhere is wherever it is once it has left us.
const anywhere = "anywhere"

// A scene is a case with one front and one backend.
type scene struct {
	*recallCase
	*recalling
	backend string
	name    string
	id      string // of the message
	asked   recallAnswer
}

// address of somebody of the case.
func (s *scene) address(who string) string {
	if strings.Contains(who, "@") {
		return who
	}
	if s.user != "" && who == "x" {
		return s.user + "@" + s.domain()
	}
	who, extension, _ := strings.Cut(who, "+")
	if extension != "" {
		extension = "+" + extension
	}
	return who + "." + s.name + extension + "@" + s.domain()
}

func (s *scene) domain() string { return domainOf(s.front(), s.backend, s.kind) }

func (s *scene) front() string { return s.recalling.front }

// one is who gets it when the case names nobody.
func (s *scene) one() string { return s.address("x") }

func (s *scene) recipients() (all []string) {
	for _, who := range s.to {
		all = append(all, s.address(who))
	}
	if len(all) == 0 {
		return []string{s.one()}
	}
	return all
}

// wanted is what is to come of it, with whole addresses.
func (s *scene) wanted(short []string) (all []string) {
	for _, w := range short {
		who, code, ok := strings.Cut(w, " ")
		if !ok {
			who, code = "x", w
		}
		all = append(all, s.address(who)+" "+code)
	}
	slices.Sort(all)
	return all
}

// recallLetter is a message of alice's.
func recallLetter(subject, more, messageID string) []byte {
	if messageID != "" {
		messageID = "Message-ID: " + messageID + "\r\n"
	}
	return []byte(more + "From: Alice <alice@corp.test>\r\nTo: undisclosed-recipients:;\r\nSubject: " + subject + "\r\nDate: " +
		time.Now().UTC().Format(time.RFC1123Z) + "\r\n" + messageID + "\r\nThe wrong attachment of " + subject + ".\r\n")
}

func (s *scene) messageID() string {
	if s.noID {
		return ""
	}
	return "<" + s.name + "@corp.test>"
}

// post sends the message.
func (s *scene) post(t *testing.T) {
	t.Helper()
	if s.before != nil {
		s.before(s, t)
	}
	s.id = s.send(t, "alice@corp.test", s.name, recallLetter(s.name, s.header, s.messageID()), s.recipients()...)
}

// send gives a message to the front and gives our id.
func (r *recalling) send(t *testing.T, from, subject string, message []byte, to ...string) (id string) {
	t.Helper()
	if _, err := submit(t, r.entry, from, nil, to, &smtp.RcptOptions{}, message); err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	eventually(t, subject+" is noted", func() bool {
		if found := r.search(t, "subject:"+subject); len(found) == 1 {
			id = found[0].ID
		}
		return id != ""
	})
	return id
}

// states are those of the rows that count, sorted.
func (d detail) states() string {
	var all []string
	for _, r := range d.Recipients {
		if !r.Superseded && r.Members == 0 {
			all = append(all, r.State)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// prepare waits until the message is where it is to be, and makes what happens to it there.
func (s *scene) prepare(t *testing.T) {
	t.Helper()
	members := max(0, len(strings.Fields(s.alias))-1)
	want := s.ready
	if want == "" {
		want = strings.TrimSpace(strings.Repeat("delivered_mailbox ", len(s.recipients())+members))
	}
	var d detail
	defer func() {
		if t.Failed() {
			t.Logf("%s: the message is %+v", s.name, d)
		}
	}()
	eventually(t, fmt.Sprintf("%s is %s", s.name, want), func() bool {
		d = s.message(t, s.id)
		if want == anywhere { // but no longer with us
			return d.has("handed_over") || d.has("queued")
		}
		return d.states() == want
	})
	if s.arrange != nil {
		s.arrange(s, t)
	}
}

// takeItBack asks for the recall.
func (s *scene) takeItBack(t *testing.T) {
	t.Helper()
	s.asked = s.takeBack(t, s.id, s.ask)
	if s.asked.Status == "unavailable" {
		t.Errorf("%s is refused: %+v", s.name, s.asked)
		return
	}
	if got := s.asked.results(); s.first != nil && !slices.Equal(got, s.wanted(s.first)) {
		t.Errorf("%s begins with %q, not %q", s.name, got, s.wanted(s.first))
	}
	if s.during != nil {
		s.during(s, t)
	}
}

// judge holds that it came to what was wanted.
func (s *scene) judge(t *testing.T) {
	t.Logf("asked %v", s.asked.results())
	if s.asked.ID == "" {
		t.Fatal("there is no recall")
	}
	a := s.awaitRecall(t, s.asked.ID)
	if got := a.results(); !slices.Equal(got, s.wanted(s.want)) {
		t.Errorf("it came to %q, not %q", got, s.wanted(s.want))
	}
	for _, r := range a.Recipients {
		s.holds(t, r.Address, r.Code)
	}
	if s.check != nil {
		s.check(s, t, a)
	}
	if t.Failed() {
		t.Logf("the recall is %+v\nthe message is %+v", a, s.message(t, s.id))
	}
}

// holds compares what is claimed with what the mailbox has: who is said not to have it has it nowhere, whose
// copy is left alone has it where it was.
func (s *scene) holds(t *testing.T, address, code string) {
	t.Helper()
	if !strings.HasSuffix(address, s.domain()) || s.noID {
		return
	}
	local, domain, _ := strings.Cut(address, "@")
	local, _, _ = strings.Cut(local, "+")
	o := s.boxes.owner(t, local+"@"+domain)
	has := false
	folders, _ := o.Folders()
	for _, f := range folders {
		for _, m := range o.All(f) {
			has = has || f != staging && f != "Sent" && strings.Contains(m.Raw, "The wrong attachment of "+s.name+".")
		}
	}
	switch code {
	case "removed_from_hold", "removed_from_queue", "removed_from_mailbox", "not_found", "message_id_missing", "window_expired_while_pending":
		if has {
			t.Errorf("%s has it: %s", address, s.boxes.mailboxFiles(address))
		}
	default:
		if !has {
			t.Errorf("%s (%s) has lost it: %s", address, code, s.boxes.mailboxFiles(address))
		}
	}
}

// flag sets a flag of the message as its reader's program does.
func flag(name string) func(*scene, *testing.T) {
	return func(s *scene, t *testing.T) {
		o := s.boxes.owner(t, s.one())
		o.Flag("INBOX", o.All("INBOX")[0].UID, name)
	}
}

// recallCases are the hard ones. "read" and "unread" of a group are members.
var recallCases = []recallCase{
	{outcome: "unread", want: []string{"removed_from_mailbox"}, check: (*scene).restored},
	{outcome: "held", header: "X-Sendgate-Hold: 600\r\n", ready: "held", want: []string{"removed_from_hold"}},
	{outcome: "put off in Postfix", front: "milter", to: []string{"busy@world.test"}, ready: "deferred",
		want: []string{"busy@world.test removed_from_queue"}},
	{outcome: "put off in our queue", front: "relay", to: []string{"x@wait.test"}, ready: "deferred",
		want: []string{"x@wait.test removed_from_queue"}},
	{outcome: "bounced", to: []string{"gone@world.test"}, ready: "bounced", want: []string{"gone@world.test never_delivered"},
		check: wantText("was never delivered", "550 5.1.1 <gone@world.test>: no such user here")},
	{outcome: "gone to the world", to: []string{"x@world.test", "x"}, ready: "delivered_mailbox relayed_remote",
		want:  []string{"x@world.test external_recipient", "removed_from_mailbox"},
		check: wantText("has left for another organisation's server", "250 2.0.0 Ok: queued as SINK")},
	{outcome: "read", arrange: flag(`\Seen`), want: []string{"already_read"}},
	{outcome: "read, and an administrator takes it", arrange: flag(`\Seen`), ask: map[string]any{"unread_only": false}, want: []string{"removed_from_mailbox"}},
	{outcome: "answered", arrange: flag(`\Answered`), want: []string{"replied"}},
	{outcome: "forwarded", arrange: flag("$Forwarded"), want: []string{"forwarded"}},
	{outcome: "forwarded through us", arrange: (*scene).passedOn, want: []string{"forwarded"}, check: (*scene).related},
	{outcome: "fetched by POP3", arrange: func(s *scene, t *testing.T) { s.boxes.fetchByPOP3(t, s.one()) }, want: []string{"already_read"}},
	{outcome: "read meanwhile", kind: "race", user: "reader", want: []string{"read_during_recall"}},
	{outcome: "moved by a Sieve rule", before: func(s *scene, t *testing.T) {
		s.boxes.sieve(t, s.one(), "require [\"fileinto\", \"mailbox\"];\nfileinto :create \"Projects\";\n")
	}, arrange: (*scene).inProjects, want: []string{"removed_from_mailbox"}, check: (*scene).fromProjects},
	{outcome: "in the folder for deleted mail", arrange: func(s *scene, t *testing.T) {
		o := s.boxes.owner(t, s.one())
		m := o.All("INBOX")[0]
		o.Put("Trash", m.Raw, m.Internal)
		o.Remove("INBOX", m.UID)
	}, want: []string{"removed_from_mailbox"}},
	{outcome: "deleted", arrange: (*scene).deleted, want: []string{"not_found"}},
	{outcome: "another one with its Message-ID", front: "relay", arrange: (*scene).another, want: []string{"removed_from_mailbox"},
		check: func(s *scene, t *testing.T, _ recallAnswer) { s.onlyOther(t) }},
	{outcome: "another one with its Message-ID, and none has our id", front: "milter", arrange: (*scene).another, want: []string{"ambiguous_match"}},
	{outcome: "no Message-ID", noID: true, want: []string{"removed_from_mailbox"}, check: func(s *scene, t *testing.T, _ recallAnswer) {
		if all := s.boxes.owner(t, s.one()).All("INBOX"); len(all) > 0 {
			t.Errorf("the mailbox has %q", all[0].Raw)
		}
	}},
	{outcome: "no Message-ID, and deleted", front: "relay", noID: true, arrange: (*scene).deleted, want: []string{"message_id_missing"}},
	{outcome: "to a plus address", to: []string{"x+shop"}, want: []string{"x+shop removed_from_mailbox"}},
	{outcome: "a group with a reader", to: []string{"team"}, alias: "read unread other", arrange: (*scene).oneReads,
		want:  []string{"read already_read", "unread group_member_blocked", "other group_member_blocked"},
		check: (*scene).blocked},
	{outcome: "a group with a reader, each alone", to: []string{"team"}, alias: "read unread", arrange: (*scene).oneReads,
		ask:  map[string]any{"group_mode": "best_effort"},
		want: []string{"read already_read", "unread removed_from_mailbox"}},
	{outcome: "a group with somebody outside", to: []string{"team"}, alias: "unread x@world.test", ready: "delivered_mailbox relayed_remote",
		want: []string{"unread group_member_blocked", "x@world.test forwarded_external"}},
	{outcome: "the recipients asked for, and a stranger", to: []string{"x", "y@world.test"}, ready: "delivered_mailbox relayed_remote",
		ask:  map[string]any{"recipients": []string{"y@world.test", "stranger@corp.test"}},
		want: []string{"y@world.test external_recipient", "stranger@corp.test invalid_address"}},
	{outcome: "no backend", kind: "nowhere", want: []string{"no_backend"}},
	{outcome: "locked out", kind: "locked", want: []string{"permission_denied"}},
	{outcome: "under legal hold", user: "held", want: []string{"hold_policy_forbids"}},
	{outcome: "opted out", user: "robot", want: []string{"recipient_opt_out"}},
	{outcome: "a meeting", header: "MIME-Version: 1.0\r\nContent-Type: text/calendar; method=REQUEST\r\n", front: "relay", want: []string{"protected_format"}},
	{outcome: "removed when it arrives", front: "relay", kind: "slow", ready: anywhere, first: []string{"waiting_arrival"},
		during: (*scene).arrives, want: []string{"removed_from_mailbox"}},
	{outcome: "under delivery, and removed when it has arrived", front: "milter", kind: "slow", ready: anywhere, first: []string{"waiting_in_flight"},
		during: (*scene).arrives, want: []string{"removed_from_mailbox"}},
	{outcome: "nobody answers", kind: "down", last: true, want: []string{"mailbox_unreachable"}},
	{outcome: "never arrives", front: "relay", kind: "late", last: true, ready: anywhere, want: []string{"window_expired_while_pending"}},
}

// TestRecall takes mail back from everywhere, with each of the fronts.
func TestRecall(t *testing.T) {
	t.Parallel()
	boxes := startRecallBoxes(t)
	for _, front := range []string{"relay", "milter"} {
		t.Run(front, func(t *testing.T) {
			t.Parallel()
			scenes := scenesOf(front)
			r := startRecalling(t, front, boxes, aliasesOf(scenes)+tenMembers(front))
			play(t, r, scenes)
			t.Run("a dry run", r.dryRun)
			t.Run("refusals", r.refusals)
			t.Run("by mail", r.byMail)
			t.Run("against release", r.againstRelease)
			t.Run("against delivery", r.againstDelivery)
			t.Run("against reading", r.againstReading)
		})
	}
}

// scenesOf lays out the cases of a front.
func scenesOf(front string) (scenes []*scene) {
	for i := range recallCases {
		c := &recallCases[i]
		if c.front != "" && c.front != front {
			continue
		}
		for _, b := range backends {
			scenes = append(scenes, &scene{recallCase: c, recalling: &recalling{front: front}, backend: b, name: fmt.Sprintf("case%d%s%s", i, b, front)})
		}
	}
	return scenes
}

// aliasesOf are the groups of the scenes.
func aliasesOf(scenes []*scene) string {
	var b strings.Builder
	for _, s := range scenes {
		var members []string
		for _, m := range strings.Fields(s.alias) {
			members = append(members, s.address(m))
		}
		if len(members) > 0 {
			fmt.Fprintf(&b, "%s %s\n", s.address("team"), strings.Join(members, ", "))
		}
	}
	return b.String()
}

// play carries scenes out side by side: what one waits for the others wait for, too. They are not too many at a time,
// or the window of the first would be over before the last was posted.
func play(t *testing.T, r *recalling, scenes []*scene) {
	last := slices.DeleteFunc(slices.Clone(scenes), func(s *scene) bool { return !s.last })
	others := slices.DeleteFunc(slices.Clone(scenes), func(s *scene) bool { return s.last })
	for now := range slices.Chunk(append(others, last...), 12) {
		for _, s := range now {
			s.recalling = r
			s.post(t)
		}
		for _, s := range now {
			s.prepare(t)
			s.takeItBack(t)
		}
	}
	for _, s := range scenes {
		t.Run(s.outcome+"/"+s.backend, s.judge)
	}
}

// wantText wants words in the text of a recipient.
func wantText(words ...string) func(*scene, *testing.T, recallAnswer) {
	return func(_ *scene, t *testing.T, a recallAnswer) {
		for _, r := range a.Recipients {
			if strings.Contains(r.Address, "@world.test") {
				wantWords(t, "the text", r.Text.EN, words...)
			}
		}
	}
}
