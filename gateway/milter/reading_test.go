package milter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/content"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// newReader makes a lab whose rules are told about content.
func newReader(t *testing.T, engine policy.Engine) *lab {
	t.Helper()
	l := newLab(t)
	l.settings.Engine, l.settings.Needs.Content = engine, true
	return l
}

// TestTheRulesSeeTheContent: in the one question at the end, put together from fields and chunks.
func TestTheRulesSeeTheContent(t *testing.T) {
	engine := &spy{}
	l := newReader(t, engine).start()
	p := l.dial().client("192.0.2.7")
	for i, chunks := range [][]string{
		{"--b\r\nContent-Type: text/plain\r\n\r\nHello <b>", "</b>\r\n--b\r\nContent-Type: text/html\r\n\r\nHello <", "b>World</b>\r\n--b--\r\n"},
		{"", "--b\r\n\r\nHello World\r\n--b--\r\n"},
	} {
		p.want("c", p.mail("alice@corp.example"))
		p.want("c", p.rcpt("bob@remote.example"))
		p.header("Subject", "=?utf-8?B?5L2g5aW9?= and\n more")
		p.header("Content-Type", "multipart/alternative;\n boundary=b")
		for _, c := range chunks {
			p.body(c)
		}
		p.want("c", p.end(fmt.Sprintf("4ZRead%d", i))[0])
		asked := engine.questions()
		if len(asked) != i+1 || asked[i].Stage != policy.StageEnd || asked[i].Content == nil {
			t.Fatalf("asked %+v", asked)
		}
		got := asked[i].Content
		if got.Text != "Hello World" || got.Header.Get("Subject") != "你好 and more" || len(got.Problems) != 0 {
			t.Errorf("content %+v", got)
		}
	}
}

// TestMessageWithoutABody is read, too.
func TestMessageWithoutABody(t *testing.T) {
	engine := &spy{}
	l := newReader(t, engine).start()
	p := l.dial().client("192.0.2.7")
	p.want("c", p.mail("alice@corp.example"))
	p.want("c", p.rcpt("bob@remote.example"))
	p.header("Subject", "all is said here")
	p.want("c", p.end("4ZEmpty")[0])
	if c := engine.questions()[0].Content; c == nil || c.Header.Get("Subject") != "all is said here" || c.Text != "" {
		t.Errorf("content %+v", c)
	}
}

func TestWhatTheContentDecides(t *testing.T) {
	until := time.Now().Add(time.Hour)
	for i, tt := range []struct {
		name    string
		verdict policy.Verdict
		want    string // the beginning of the first answer
	}{
		{"refused", policy.Verdict{Action: policy.Reject, Code: 550, Status: "5.7.28", Text: policy.Label{EN: "Bulk mail is not sent from here"}}, "550 5.7.28 Bulk mail is not sent from here"},
		{"put off", policy.Verdict{Action: policy.Defer, Code: 451, Status: "4.7.28", Text: policy.Label{EN: "Too much of the same mail, try again at 14:32"}}, "451 4.7.28 Too much of the same mail, try again at 14:32"},
		{"held", policy.Verdict{Action: policy.Hold, Until: until}, "q sendgate "},
		{"approval", policy.Verdict{Action: policy.Approval, Until: until}, "q sendgate "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.verdict.Charge = &policy.Charge{Signature: []byte{1, 2, 3}}
			l := newReader(t, fixed(func(s policy.Submission) policy.Verdict {
				if s.Content == nil || s.Content.Text != "text" {
					return policy.Verdict{}
				}
				return tt.verdict
			})).start()
			queueID := fmt.Sprintf("4ZJudged%d", i)
			if got := l.dial().client("192.0.2.7").message(queueID, "alice@corp.example", "bob@remote.example"); !strings.HasPrefix(got[0], tt.want) {
				t.Errorf("answers %q", got)
			}
			kept := tt.verdict.Action == policy.Hold || tt.verdict.Action == policy.Approval
			first := l.committed(queueID).Events[0]
			if got := first.Charge != nil && string(first.Charge.Signature) == "\x01\x02\x03"; got != kept {
				t.Errorf("first event %+v", first)
			}
		})
	}
}

func TestWhatIsNotRead(t *testing.T) {
	for i, tt := range []struct {
		name   string
		needs  Needs
		later  Needs // by a reload, after the connection began
		client string
		sender string
		read   bool
	}{
		{"read", Needs{Content: true}, Needs{Content: true}, "192.0.2.7", "alice@corp.example", true},
		{"switched off", Needs{Body: true}, Needs{Body: true}, "192.0.2.7", "alice@corp.example", false},
		{"switched on where the body was not agreed upon", Needs{}, Needs{Content: true}, "192.0.2.7", "alice@corp.example", false},
		{"switched on where it was", Needs{Body: true}, Needs{Content: true}, "192.0.2.7", "alice@corp.example", true},
		{"switched off by a reload", Needs{Content: true}, Needs{}, "192.0.2.7", "alice@corp.example", false},
		{"inbound", Needs{Content: true}, Needs{Content: true}, "203.0.113.9", "alice@corp.example", false},
		{"the null sender", Needs{Content: true}, Needs{Content: true}, "192.0.2.7", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			engine := &spy{}
			l := newReader(t, engine)
			l.settings.Needs = tt.needs
			l.start()
			read := false
			extract := l.milter.extract
			l.milter.extract = func() extractor { read = true; return extract() }
			p := l.dial().client(tt.client)
			settings := l.settings
			settings.Needs = tt.later
			l.milter.Reload(settings)
			p.want("c", p.message(fmt.Sprintf("4ZUnread%d", i), tt.sender, "bob@remote.example")[0])
			if read != tt.read {
				t.Errorf("read: %v", read)
			}
			for _, q := range engine.questions() {
				if (q.Content != nil) != tt.read {
					t.Errorf("asked %+v", q)
				}
			}
		})
	}
}

// A broken extractor panics where it is told to.
type broken struct{ inWrite, inClose bool }

func (b broken) Write(p []byte) (int, error) {
	if b.inWrite {
		panic("broken reader")
	}
	return len(p), nil
}

func (b broken) Close() content.Content {
	if b.inClose {
		panic("broken reader")
	}
	return content.Content{}
}

// TestAPanicInReadingLosesNothing: the rules decide without the content.
func TestAPanicInReadingLosesNothing(t *testing.T) {
	for name, how := range map[string]broken{"write": {inWrite: true}, "close": {inClose: true}} {
		t.Run(name, func(t *testing.T) {
			engine := &spy{end: always(policy.Verdict{Action: policy.Hold, Until: time.Now().Add(time.Hour)})}
			l := newReader(t, engine).start()
			l.milter.extract = func() extractor { return how }
			if got := l.dial().client("192.0.2.7").message("4ZPanic"+name, "alice@corp.example", "bob@remote.example"); len(got) != 2 || got[1] != "c" {
				t.Errorf("answers %q", got)
			}
			if asked := engine.questions(); len(asked) != 1 || asked[0].Content != nil {
				t.Errorf("asked %+v", asked)
			}
			lines := l.log.FilterMessage("panic while reading a message; the rules do not see its content").All()
			if len(lines) != 1 || lines[0].Level != zap.ErrorLevel || lines[0].ContextMap()["value"] != "broken reader" {
				t.Errorf("log %v", lines)
			}
		})
	}
}

// TestAPanicInRulesAboutContent: it is undecided like any other, and nothing is taken.
func TestAPanicInRulesAboutContent(t *testing.T) {
	for way, want := range map[OnError]string{OnErrorTempfail: "451 4.3.0 Local error in processing, try again later", OnErrorAccept: "c"} {
		engine := &spy{end: func(s policy.Submission) policy.Verdict {
			if s.Content != nil {
				panic("broken rule")
			}
			return policy.Verdict{}
		}}
		l := newReader(t, engine)
		l.settings.Config.OnError = way
		l.start()
		if got := l.dial().client("192.0.2.7").message("4ZBad", "alice@corp.example", "bob@remote.example"); !slices.Equal(got, []string{want}) {
			t.Errorf("answers %q", got)
		}
		if got := engine.forgot(); len(got) != 1 || got[0] != engine.questions()[0].ID {
			t.Errorf("forgot %v", got)
		}
	}
}

// TestABrokenOffMessageIsNotJudged: neither ABORT nor the end of the connection asks the rules, and the
// next message has nothing of the last one.
func TestABrokenOffMessageIsNotJudged(t *testing.T) {
	engine := &spy{}
	l := newReader(t, engine).start()
	p := l.dial().client("192.0.2.7")
	begin := func() {
		p.want("c", p.mail("alice@corp.example"))
		p.want("c", p.rcpt("bob@remote.example"))
		p.header("Subject", "half")
		p.body("half of it\r\n")
	}
	begin()
	p.abort()
	p.want("c", p.message("4ZWhole", "alice@corp.example", "bob@remote.example")[0])
	begin()
	p.Conn.Close()
	eventually(t, "the connection has gone", func() bool { return l.milter.shell.Open() == 0 })
	asked := engine.questions()
	if len(asked) != 1 || asked[0].Content.Text != "text" || asked[0].Content.Header.Get("Subject") != "hello" {
		t.Errorf("asked %+v", asked)
	}
}

// TestALargeAttachmentIsReadInLittleMemory, as it passes by.
func TestALargeAttachmentIsReadInLittleMemory(t *testing.T) {
	const megabytes = 50
	var size int64
	l := newReader(t, fixed(func(s policy.Submission) policy.Verdict {
		size = s.Content.Attachments[0].Size
		return policy.Verdict{}
	}))
	l.journal = &recording{Journal: forgetful{}, fail: func(store.Change) error { return errors.New("not kept") }}
	l.start()
	p := l.dial().client("192.0.2.7")
	p.want("c", p.mail("alice@corp.example"))
	p.want("c", p.rcpt("bob@remote.example"))
	p.header("Content-Type", "application/zip; name=big.zip")
	p.header("Content-Transfer-Encoding", "base64")
	line := strings.Repeat("QUJD", 19) + "\r\n"
	block := strings.Repeat(line, 60<<10/len(line))
	before, most := memory(), int64(0)
	chunks := megabytes << 20 / len(block)
	for i := range chunks {
		p.body(block)
		if i%64 == 63 {
			most = max(most, memory())
		}
	}
	p.want("c", p.end("4ZLarge")[0])
	t.Logf("%d MB: memory grew by %d KB", megabytes, (most-before)>>10)
	if most-before > 8<<20 {
		t.Errorf("memory grew by %d octets", most-before)
	}
	if want := int64(chunks * len(block) / len(line) * 57); size != want {
		t.Errorf("attachment of %d octets, want %d", size, want)
	}
}
