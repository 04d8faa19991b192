package milter

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/sendgate/sendgate/policy"
)

func keyFile(t testing.TB) IDHeader {
	t.Helper()
	name := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(name, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return IDHeader{Name: "X-Sendgate-ID", KeyFile: name}
}

func TestKeyedFind(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	k, err := keyFile(t).load()
	if err != nil {
		t.Fatal(err)
	}
	idOf := func(age time.Duration) policy.ID {
		return ulid.MustNew(ulid.Timestamp(now.Add(-age)), nil2{})
	}
	fresh, old := idOf(time.Hour), idOf(maxAge+time.Hour)
	other := &keyed{name: k.name, key: []byte("another key of 16")}
	for _, c := range []struct {
		name   string
		values []string
		found  bool
	}{
		{"own", []string{k.value(fresh)}, true},
		{"own after a foreign one", []string{"nonsense", other.value(fresh), " " + k.value(fresh) + " "}, true},
		{"none", nil, false},
		{"of another key", []string{other.value(fresh)}, false},
		{"too old", []string{k.value(old)}, false},
		{"no mac", []string{fresh.String(), fresh.String() + "."}, false},
		{"mac of another id", []string{fresh.String() + "." + k.mac(old)}, false},
		{"mac cut", []string{k.value(fresh)[:len(k.value(fresh))-1]}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, found := k.find(c.values, now)
			if found != c.found || found && id != fresh {
				t.Errorf("got %v %v, want %v", id, found, c.found)
			}
		})
	}
}

// nil2 is an entropy of twos.
type nil2 struct{}

func (nil2) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 2
	}
	return len(p), nil
}

func TestComesBack(t *testing.T) {
	l := newLab(t)
	l.settings.Config.IDHeader = keyFile(t)
	l.start()
	p := l.dial().client("192.0.2.7")
	answers := p.message("4ZGo1", "alice@corp.example", "bob@remote.example", "carol@remote.example")
	if len(answers) != 3 {
		t.Fatalf("answers %q", answers)
	}
	id := l.committed("4ZGo1").Message
	field, ok := strings.CutPrefix(answers[0], "h X-Sendgate-ID: ")
	if !ok || !strings.HasPrefix(field, id.String()+".") {
		t.Fatalf("answers %q", answers)
	}

	again := func(t *testing.T, p *peer, queueID, to string, macros ...string) []string {
		t.Helper()
		p.want("c", p.mail("alice@corp.example", macros...))
		p.want("c", p.rcpt(to))
		p.header("X-Sendgate-ID", "forged")
		p.header("x-sendgate-id", field)
		return p.end(queueID)
	}
	t.Run("some recipients: linked, neither held nor counted", func(t *testing.T) {
		if got := again(t, p, "4ZBack1", "Carol@remote.example"); !slices.Equal(got, []string{"c"}) {
			t.Errorf("answers %q", got)
		}
		c := l.committed("4ZBack1")
		if e := c.Events[0]; c.Message != id || c.Envelope != nil || e.Kind != policy.Queued || !slices.Equal(e.Recipients, []int{1}) ||
			e.Upstream != "mx.corp.example" || e.Evidence != "X-Sendgate-ID: "+field+" from client 192.0.2.7" {
			t.Errorf("change %+v", c)
		}
	})
	t.Run("other recipients: linked to all", func(t *testing.T) {
		if got := again(t, p, "4ZBack2", "team@remote.example"); !slices.Equal(got, []string{"c"}) {
			t.Errorf("answers %q", got)
		}
		if c := l.committed("4ZBack2"); c.Message != id || c.Events[0].Recipients != nil {
			t.Errorf("change %+v", c)
		}
	})
	t.Run("twice with one queue id: seen once", func(t *testing.T) {
		events := func() (n int) {
			timeline, err := journal.Timeline(id)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range timeline {
				n += len(r.Events)
			}
			return n
		}
		before := events()
		again(t, p, "4ZBack2", "team@remote.example")
		eventually(t, "a third note", func() bool { return len(l.journal.all()) == 4 })
		if n := events(); n != before {
			t.Errorf("%d events, before %d", n, before)
		}
	})
	t.Run("copied by a person: held as any other", func(t *testing.T) {
		got := again(t, l.dial().client("192.0.2.7"), "4ZCopy", "bob@remote.example", "{auth_authen}", "mallory")
		if len(got) != 3 || got[2] != "c" {
			t.Errorf("answers %q", got)
		}
		if c := l.committed("4ZCopy"); c.Message == id {
			t.Error("linked")
		}
	})
	t.Run("from a foreign client: inbound", func(t *testing.T) {
		if got := again(t, l.dial().client("198.51.100.1"), "4ZForeign", "bob@remote.example"); !slices.Equal(got, []string{"c"}) {
			t.Errorf("answers %q", got)
		}
	})
}

func TestFieldsAreAddedOnlyWhereTheyMay(t *testing.T) {
	for _, c := range []struct {
		name      string
		actions   uint32
		messageID string
		want      int // modifications
	}{
		{"both", postfixActions, "", 2},
		{"a Message-ID is there", postfixActions, "<x@y>", 1},
		{"the MTA does not offer it", 0x20, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t).passing()
			l.settings.Config.IDHeader = keyFile(t)
			l.settings.Config.AddMessageID = true
			l.start()
			p := l.connect()
			p.negotiate(c.actions, postfixProtocol)
			p.client("192.0.2.7")
			p.want("c", p.mail("alice@corp.example"))
			p.want("c", p.rcpt("bob@remote.example"))
			if c.messageID != "" {
				p.header("Message-Id", c.messageID)
			}
			queueID := "4ZAdd" + strings.ReplaceAll(c.name, " ", "")
			answers := p.end(strings.ReplaceAll(queueID, "-", ""))
			if len(answers) != c.want+1 {
				t.Errorf("answers %q", answers)
			}
			change := l.committed(strings.ReplaceAll(queueID, "-", ""))
			own := "<" + change.Message.String() + "@gate.test>"
			switch {
			case c.want == 2 && (answers[1] != "h Message-ID: "+own || change.Envelope.MessageID != own):
				t.Errorf("answers %q, noted %q", answers, change.Envelope.MessageID)
			case c.want != 2 && change.Envelope.MessageID != c.messageID:
				t.Errorf("noted %q", change.Envelope.MessageID)
			}
		})
	}
}
