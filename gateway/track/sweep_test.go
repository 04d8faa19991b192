package track

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/track/source"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// gapped hands over a gap.
func (s *site) gapped(from, to string) {
	s.t.Helper()
	b := s.batch("")
	b.Gaps = []source.Gap{{From: at(from), To: at(to), Reason: "rotated twice"}}
	if err := s.tracker.take(context.Background(), s.feed, b); err != nil {
		s.t.Fatal(err)
	}
}

func TestUnknown(t *testing.T) {
	const day1 = 24 * time.Hour
	for _, c := range []struct {
		name   string
		letter letter
		log    string
		before time.Duration // after which nothing is said yet
		after  time.Duration // more, after which it is
		gap    [2]string
		want   policy.State
		reason string
	}{
		{"removed without a final line", letter{queueID: "A0B1C2D3E4"}, deferred("10:00:20", "A0B1C2D3E4", "x@far.example") + removed("10:00:29", "A0B1C2D3E4"),
			9 * time.Minute, 2 * time.Minute, [2]string{}, policy.StateUnknown, "the queue file was removed, and no line says what became of this recipient"},
		{"removed while lines are missing", letter{queueID: "A0B1C2D3E4"}, removed("10:00:29", "A0B1C2D3E4"),
			9 * time.Minute, 2 * time.Minute, [2]string{"10:00:10", "10:00:20"}, policy.StateUnknown, "lines of the log mail are missing from 2026-11-21T10:00:10Z to 2026-11-21T10:00:20Z: rotated twice"},
		{"lines were missing before", letter{queueID: "A0B1C2D3E4"}, removed("10:00:29", "A0B1C2D3E4"),
			9 * time.Minute, 2 * time.Minute, [2]string{"09:00:10", "09:00:20"}, policy.StateUnknown, "the queue file was removed, and no line says what became of this recipient"},
		{"deleted by hand", letter{queueID: "A0B1C2D3E4"}, "10:00:29 postfix/postsuper: A0B1C2D3E4: removed\n",
			9 * time.Minute, 2 * time.Minute, [2]string{}, policy.StateBlocked, reasonByHand},
		{"discarded by cleanup", letter{queueID: "A0B1C2D3E4"}, "10:00:29 postfix/cleanup: A0B1C2D3E4: removed (discarded)\n",
			9 * time.Minute, 2 * time.Minute, [2]string{}, policy.StateBlocked, reasonDropped},
		{"not accepted by Postfix", letter{queueID: "A0B1C2D3E4"}, "10:00:29 postfix/cleanup: A0B1C2D3E4: removed (canceled)\n",
			9 * time.Minute, 2 * time.Minute, [2]string{}, policy.StateNeverQueued, "Postfix did not accept the message; its client was not told so"},
		{"older than the queue lifetime", letter{queueID: "A0B1C2D3E4"}, deferred("10:00:20", "A0B1C2D3E4", "x@far.example"),
			5*day1 + 59*time.Minute, 2 * time.Minute, [2]string{}, policy.StateUnknown, "no end within the queue lifetime of 120h0m0s"},
		{"older than the queue lifetime while lines are missing", letter{queueID: "A0B1C2D3E4"}, "",
			5*day1 + 59*time.Minute, 2 * time.Minute, [2]string{"12:00:00", "12:00:01"}, policy.StateUnknown, "lines of the log mail are missing from 2026-11-21T12:00:00Z to 2026-11-21T12:00:01Z: rotated twice"},
		{"a hop that nobody follows", overRelay([]string{"x@far.example"}, policy.Event{QueueID: "AAAA1111"}), "",
			5 * day1, 2 * day1, [2]string{}, policy.StateHandedOver, ""},
		{"given to a program", letter{queueID: "A0B1C2D3E4"}, "10:00:20 postfix/pipe: A0B1C2D3E4: to=<x@far.example>, relay=ticket, " + delays + "dsn=2.0.0, status=sent (delivered via ticket service)\n" + removed("10:00:29", "A0B1C2D3E4"),
			time.Hour, 7 * day1, [2]string{}, policy.StateHandedOver, "given to the program ticket: what it does is not known"},
		{"what is ours to act on", overRelay([]string{"x@far.example"}, policy.Event{Kind: policy.Deferred, Until: at("23:00:00").Add(20 * day1)}), "",
			5 * day1, 2 * day1, [2]string{}, policy.StateDeferred, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			c.letter.to = []string{"x@far.example"}
			id := s.accept(c.letter)
			if c.gap[0] != "" {
				s.gapped(c.gap[0], c.gap[1])
			}
			s.read(c.log)
			early := s.row(id, 0).State
			s.pass(c.before)
			s.sweep()
			if got := s.row(id, 0).State; got != early {
				t.Errorf("%s already after %v", got, c.before)
			}
			s.pass(c.after)
			s.sweep()
			if r := s.row(id, 0); r.State != c.want || r.Reason != c.reason {
				t.Errorf("%s (%s), want %s (%s)", r.State, r.Reason, c.want, c.reason)
			}
		})
	}
}

func TestFollowedUpstream(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Upstreams = []string{"default"} })
	id := s.accept(overRelay([]string{"x@far.example"}, policy.Event{QueueID: "AAAA1111"}))
	s.pass(5*24*time.Hour + 2*time.Hour)
	s.sweep()
	s.want(id, "x@far.example=unknown")
}

// While the log is not read, nothing is missing from it.
func TestUnreadLogMakesNothingUnknown(t *testing.T) {
	s := newSite(t)
	id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
	s.read(removed("10:00:29", "A0B1C2D3E4"))
	s.clock = s.clock.Add(30 * time.Minute)
	s.sweep()
	s.want(id, "x@far.example=queued")
	s.clock = s.clock.Add(2 * time.Hour)
	s.sweep()
	if r := s.row(id, 0); r.State != policy.StateUnknown || r.Rule != "no_evidence" {
		t.Errorf("%s by rule %s after the log was away for long", r.State, r.Rule)
	}
}

func TestLogAwayIsAGap(t *testing.T) {
	s := newSite(t)
	id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
	s.read("10:00:10 postfix/qmgr: A0B1C2D3E4: from=<sender@corp.example>, size=500, nrcpt=1 (queue active)")
	s.clock = s.clock.Add(5*24*time.Hour + 3*time.Hour)
	s.sweep()
	if r := s.row(id, 0); r.State != policy.StateUnknown || r.Rule != "gap" || !strings.Contains(r.Reason, "the log could not be read up to now") {
		t.Errorf("%s by rule %s: %s", r.State, r.Rule, r.Reason)
	}
}

// listing is what Postfix has.
type listing map[string]bool

func (l listing) QueueIDs(context.Context) (map[string]bool, error) { return l, nil }

func TestAbsentFromTheQueue(t *testing.T) {
	s := newSite(t)
	gone := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
	there := s.accept(letter{queueID: "B0B1C2D3E4", to: []string{"x@far.example"}})
	elsewhere := s.accept(letter{queueID: "C0B1C2D3E4", to: []string{"x@far.example"}})
	s.read(hop("10:00:01", "C0B1C2D3E4", "x@far.example", "D0B1C2D3E4"))
	s.tracker.lister = listing{"B0B1C2D3E4": true}
	for range 3 {
		s.pass(10 * time.Minute)
		s.sweep()
	}
	s.want(gone, "x@far.example=unknown")
	s.want(there, "x@far.example=queued")
	s.want(elsewhere, "x@far.example=queued")
	if r := s.row(gone, 0); r.Evidence != "queue listing without A0B1C2D3E4" || r.Reason != "the message is not in the queue, and no line says what became of this recipient" {
		t.Errorf("evidence %q, reason %q", r.Evidence, r.Reason)
	}
}

func TestUnknownAlert(t *testing.T) {
	s := newSite(t)
	core, logs := observer.New(zap.WarnLevel)
	s.tracker.log = zap.New(core)
	s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example", "y@far.example"}})
	s.read(sent("10:00:20", "A0B1C2D3E4", "y@far.example") + removed("10:00:29", "A0B1C2D3E4"))
	s.pass(15 * time.Minute)
	s.sweep()
	s.sweep()
	if r := s.tracker.Status().UnknownRatio; r != 0.5 {
		t.Errorf("ratio %v, want 0.5", r)
	}
	if n := logs.FilterMessage("too many recipients are unknown: look for gaps in the logs").Len(); n != 1 {
		t.Errorf("%d alerts within an hour, want 1", n)
	}
}

func TestImportHealsUnknown(t *testing.T) {
	s := newSite(t)
	id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"team@corp.example", "x@far.example"}})
	s.gapped("09:59:00", "10:00:28")
	s.read(removed("10:00:29", "A0B1C2D3E4"))
	s.pass(6 * 24 * time.Hour)
	s.sweep()
	s.want(id, "team@corp.example=unknown x@far.example=unknown")

	lines := []string{
		"09:58:00 postfix/smtpd: FFFF000011: client=pc[192.0.2.7]", "no log line",
		"10:00:00 postfix/smtpd: A0B1C2D3E4: client=pc[192.0.2.7]",
		// The second half of the content filter stands first, and the journal knows only the first.
		"10:00:03 postfix/lmtp: B0B1C2D3E4: to=<a@corp.example>, relay=mx1[private/lmtp], " + delays + "dsn=2.0.0, status=sent (250 2.0.0 <a> Saved)",
		"10:00:02 postfix/smtp: A0B1C2D3E4: to=<a@corp.example>, orig_to=<team@corp.example>, relay=127.0.0.1[127.0.0.1]:10024, " + delays + "dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as B0B1C2D3E4)",
		strings.TrimSpace(bounced("10:00:30", "A0B1C2D3E4", "x@far.example")),
	}
	for i, l := range lines {
		if strings.Contains(l, ": ") {
			lines[i] = rfc3339(l)
		}
	}
	name := filepath.Join(t.TempDir(), "mail.log.1")
	if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got Imported
	for range 2 {
		if err := s.tracker.Import(context.Background(), []string{name}, func(i Imported) { got = i }); err != nil {
			t.Fatal(err)
		}
		s.want(id, "team@corp.example=expanded x@far.example=bounced +a@corp.example=delivered_mailbox")
	}
	if got.File != name || got.Lines != 6 || got.Entries != 5 || got.Unreadable != 1 || !got.From.Equal(at("09:58:00")) || !got.To.Equal(at("10:00:30")) || got.Events == 0 {
		t.Errorf("import said %+v", got)
	}
	log := strings.NewReader(strings.Join(lines, "\n"))
	if i, err := s.tracker.ImportReader(context.Background(), "upload", log); err != nil || i.Lines != 6 || i.Events < 3 {
		t.Errorf("import of an upload: %+v, %v", i, err)
	}
	if g := s.tracker.Status().Gaps; len(g) != 0 {
		t.Errorf("gaps after the import: %v", g)
	}
	if s.kept() != "" && s.kept() != "2" {
		t.Errorf("the import has moved the cursor to %q", s.kept())
	}
	if err := s.tracker.Import(context.Background(), []string{name + ".none"}, func(Imported) {}); err == nil || !strings.Contains(err.Error(), "import "+name+".none: ") {
		t.Errorf("import of no file: %v", err)
	}
}

func TestGaps(t *testing.T) {
	gap := func(source, from, to string) Gap { return Gap{Source: source, From: at(from), To: at(to), Reason: "r"} }
	for _, c := range []struct {
		name string
		got  []Gap
		want []Gap
	}{
		{"overlapping ones are one", merged([]Gap{gap("a", "10:05:00", "10:10:00"), gap("a", "10:00:00", "10:06:00")}), []Gap{gap("a", "10:00:00", "10:10:00")}},
		{"one in another", merged([]Gap{gap("a", "10:00:00", "10:10:00"), gap("a", "10:01:00", "10:02:00")}), []Gap{gap("a", "10:00:00", "10:10:00")}},
		{"of two sources", merged([]Gap{gap("a", "10:00:00", "10:10:00"), gap("b", "10:01:00", "10:02:00")}), []Gap{gap("a", "10:00:00", "10:10:00"), gap("b", "10:01:00", "10:02:00")}},
		{"closed wholly", closed([]Gap{gap("a", "10:00:00", "10:10:00")}, at("09:00:00"), at("11:00:00")), nil},
		{"closed in the middle", closed([]Gap{gap("a", "10:00:00", "10:10:00")}, at("10:02:00"), at("10:03:00")), []Gap{gap("a", "10:00:00", "10:02:00"), gap("a", "10:03:00", "10:10:00")}},
		{"not touched", closed([]Gap{gap("a", "10:00:00", "10:10:00")}, at("10:10:00"), at("10:13:00")), []Gap{gap("a", "10:00:00", "10:10:00")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if len(c.got) != len(c.want) {
				t.Fatalf("got %v, want %v", c.got, c.want)
			}
			for i := range c.got {
				if c.got[i] != c.want[i] {
					t.Errorf("got %v, want %v", c.got, c.want)
				}
			}
		})
	}
	t.Run("only the newest are kept", func(t *testing.T) {
		var many []Gap
		for i := range maxGaps + 5 {
			from := at("00:00:00").Add(time.Duration(i) * time.Minute)
			many = append(many, Gap{Source: "a", From: from, To: from.Add(time.Second)})
		}
		if got := merged(many); len(got) != maxGaps || !got[0].From.Equal(at("00:05:00")) {
			t.Errorf("%d gaps from %v", len(got), got[0].From)
		}
	})
}

func TestGapsSurviveARestart(t *testing.T) {
	s := newSite(t)
	s.gapped("09:00:00", "09:05:00")
	s.restart()
	if g := s.tracker.Status().Gaps; len(g) != 1 || g[0].Reason != "rotated twice" {
		t.Errorf("gaps %v", g)
	}
}

func TestRemovedBeforeARestart(t *testing.T) {
	s := newSite(t)
	id := s.accept(letter{queueID: "A0B1C2D3E4", to: []string{"x@far.example"}})
	s.read(removed("10:00:29", "A0B1C2D3E4"))
	s.restart()
	s.pass(15 * time.Minute)
	s.sweep()
	s.want(id, "x@far.example=unknown")
	s.commit(store.Change{Message: id, Events: []policy.Event{{Kind: policy.RelayedRemote, Time: at("10:00:20"), Recipients: []int{0}}}})
	s.want(id, "x@far.example=relayed_remote")
}
