package relay

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/policy"
	contents "github.com/sendgate/sendgate/policy/content"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// newReader makes a lab whose rules are told about content.
func newReader(t *testing.T, engine *spy) *lab {
	t.Helper()
	l := newLab(t, newBackend(t, nil))
	l.settings.Engine, l.settings.Content = engine, true
	return l
}

// stages lists how far it was at each question about a whole message.
func (s *spy) stages() (all []policy.Stage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.asked {
		if a.Stage == policy.StageEnd || a.Stage == policy.StageContent {
			all = append(all, a.Stage)
		}
	}
	return all
}

var (
	similar     = policy.Finding{Rule: "bulk", Kind: "similar", Asked: 1, Used: 80, Limit: 50, Exceeded: true, Decided: true}
	signature   = []byte{1, 2, 3, 4}
	readCharge  = &policy.Charge{Signature: signature, Strangers: []int{0}}
	takenCharge = &policy.Charge{At: charge.At, Amounts: charge.Amounts, Signature: signature, Strangers: []int{0}}
)

// What the rules say about the content counts together with what they said at the header.
func TestTheStricterVerdictCounts(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	soon, late := now.Add(time.Minute), now.Add(time.Hour)
	hold := policy.Verdict{Action: policy.Hold, Until: soon, Shown: soon, Rule: "hold"}
	approval := policy.Verdict{Action: policy.Approval, Until: late, Rule: "large"}
	longer := policy.Verdict{Action: policy.Hold, Until: late, Shown: late, Rule: "bulk"}
	review := policy.Verdict{Action: policy.Approval, Until: late, Rule: "bulk", Expiry: policy.Reject, Reason: "campaign"}
	reject := policy.Verdict{Action: policy.Reject, Rule: "bulk", Code: 550, Status: "5.7.28", Text: policy.Label{EN: "Bulk mail is not sent from here"}}
	deferred := policy.Verdict{Action: policy.Defer, Rule: "bulk", Code: 451, Status: "4.7.28", Text: policy.Label{EN: "Too much of the same mail, try again at 14:32"}}
	explained := longer
	explained.Text = policy.Label{EN: "80 people were sent this within an hour"}
	routed := policy.Verdict{Upstream: "bulk"}
	const unexplained = "451 4.7.28 The message needs to be looked at before it may leave, try again later"
	for _, tt := range []struct {
		name     string
		header   policy.Verdict
		content  policy.Verdict
		answer   string
		kinds    []policy.Kind
		rule     string // of the last event
		until    time.Time
		route    string
		upstream int // letters there
	}{
		{"held, nothing to say", hold, policy.Verdict{}, "250 2.0.0 Held as", []policy.Kind{policy.Accepted, policy.Held}, "hold", soon, "", 0},
		{"held, then longer", hold, longer, "250 2.0.0 Held as", []policy.Kind{policy.Accepted, policy.Held}, "bulk", late, "", 0},
		{"held longer, then shorter", longer, hold, "250 2.0.0 Held as", []policy.Kind{policy.Accepted, policy.Held}, "bulk", late, "", 0},
		{"held, then approval", hold, review, "250 2.0.0 Waits for approval as", []policy.Kind{policy.Accepted, policy.ApprovalRequested}, "bulk", late, "", 0},
		{"held, then another way", hold, routed, "250 2.0.0 Held as", []policy.Kind{policy.Accepted, policy.Held}, "hold", soon, "bulk", 0},
		{"held, then refused", hold, reject, "550 5.7.28 Bulk mail is not sent from here", []policy.Kind{policy.Refused}, "bulk", time.Time{}, "", 0},
		{"held, then put off", hold, deferred, "451 4.7.28 Too much of the same mail, try again at 14:32", []policy.Kind{policy.Refused}, "bulk", time.Time{}, "", 0},
		{"approval, then held", approval, longer, "250 2.0.0 Waits for approval as", []policy.Kind{policy.Accepted, policy.ApprovalRequested}, "large", late, "", 0},
		{"approval, then refused", approval, reject, "550 5.7.28 Bulk mail is not sent from here", []policy.Kind{policy.Refused}, "bulk", time.Time{}, "", 0},
		{"queued, then held", routed, longer, "250 2.0.0 Held as", []policy.Kind{policy.Accepted, policy.Held}, "bulk", late, "bulk", 0},
		{"queued, nothing to say", routed, policy.Verdict{}, "250 2.0.0 Queued as", []policy.Kind{policy.Accepted, policy.Released}, "", time.Time{}, "bulk", 0},
		{"passed, nothing to say", policy.Verdict{}, policy.Verdict{}, "250 2.0.0 Ok", []policy.Kind{policy.Offered, policy.HandedOver}, "", time.Time{}, "", 1},
		{"passed, another way comes too late", policy.Verdict{}, routed, "250 2.0.0 Ok", []policy.Kind{policy.Offered, policy.HandedOver}, "", time.Time{}, "", 1},
		{"passed, then refused", policy.Verdict{}, reject, "550 5.7.28 Bulk mail is not sent from here", []policy.Kind{policy.Refused}, "bulk", time.Time{}, "", 0},
		{"passed, then put off", policy.Verdict{}, deferred, "451 4.7.28 Too much of the same mail, try again at 14:32", []policy.Kind{policy.Refused}, "bulk", time.Time{}, "", 0},
		{"passed, a hold comes too late", policy.Verdict{}, explained, "451 4.7.28 80 people were sent this within an hour", []policy.Kind{policy.Refused}, "bulk", time.Time{}, "", 0},
		{"passed, an approval comes too late", policy.Verdict{}, review, unexplained, []policy.Kind{policy.Refused}, "bulk", time.Time{}, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.header.Charge, tt.header.Findings = charge, findings
			tt.content.Charge, tt.content.Findings = readCharge, []policy.Finding{similar}
			engine := &spy{end: always(tt.header), content: always(tt.content)}
			l := newReader(t, engine).start()
			c := l.hello()
			c.mail("alice@corp.example", "bob@remote.example")
			answer := c.sendLetter(tt.answer)
			id := engine.last()
			got := events(t, id)
			if !slices.Equal(kinds(t, id), tt.kinds) || !reflect.DeepEqual(got[0].Findings, tt.header.And(tt.content).Findings) {
				t.Fatalf("%+v", got)
			}
			refused := tt.kinds[0] == policy.Refused
			if refused && (got[0].Charge != nil || got[0].Reply != answer || got[0].Reason != tt.content.Reason) {
				t.Errorf("refused by %+v", got[0])
			}
			if !refused && !reflect.DeepEqual(got[0].Charge, takenCharge) {
				t.Errorf("charge %+v", got[0].Charge)
			}
			last := got[len(got)-1]
			if off := last.Until.Sub(tt.until); last.Rule != tt.rule || !tt.until.IsZero() && (off < 0 || off > patience) {
				t.Errorf("last %+v, want until %v", last, tt.until)
			}
			if want := map[bool][]policy.ID{true: {id}}[refused]; !slices.Equal(engine.forgot(), want) {
				t.Errorf("forgot %v, want %v", engine.forgot(), want)
			}
			m, err := journal.Message(id)
			if err != nil || m.Envelope.Route != tt.route || m.Envelope.Size <= int64(len(letterText)) {
				t.Errorf("route %q, size %d, %v", m.Envelope.Route, m.Envelope.Size, err)
			}
			if _, err := journal.Body(id); (err == nil) != (tt.kinds[0] == policy.Accepted) {
				t.Errorf("body: %v", err)
			}
			c.say("NOOP", "250")
			if n := len(l.backend.received()); n != tt.upstream {
				t.Errorf("%d letters at the upstream", n)
			}
		})
	}
}

// A message that cannot be handed through for another reason can still be held.
func TestAHoldIsNotTooLateInTheJournal(t *testing.T) {
	b := newBackend(t, func(b *backend) { b.server.LMTP = true })
	l := newLab(t, b)
	l.settings.Router = routes{first: newUpstream(t, b.address(), func(c *upstream.Config) { c.Protocol = upstream.LMTP })}
	l.settings.Content = true
	l.settings.Engine = &spy{content: always(policy.Verdict{Action: policy.Hold, Until: time.Now().Add(time.Hour)})}
	c := l.start().hello()
	c.mail("alice@corp.example", "bob@remote.example")
	if got := kinds(t, idIn(t, c.sendLetter("250 2.0.0 Held as"))); !slices.Equal(got, []policy.Kind{policy.Accepted, policy.Held}) {
		t.Errorf("%v", got)
	}
}

// The rules see what the client sent and nothing that we put on top, in one question more.
func TestTheRulesSeeTheContent(t *testing.T) {
	tags := []policy.Field{{Name: "X-Sendgate-Limit", Value: "many"}}
	for name, action := range map[string]policy.Action{"held": policy.Hold, "handed through": policy.Pass} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, chunked %v", name, chunked), func(t *testing.T) {
				engine := &spy{end: always(policy.Verdict{Action: action, Until: time.Now().Add(time.Hour), Tags: tags})}
				c := newReader(t, engine).start().hello()
				c.say("MAIL FROM:<alice@corp.example>", "250")
				c.say("RCPT TO:<bob@remote.example>", "250")
				if chunked {
					half := len(letterText) - 3
					c.send(fmt.Sprintf("BDAT %d\r\n%s", half, letterText[:half]))
					c.expect("250")
					c.send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(letterText)-half, letterText[half:]))
					c.expect("250 2.0.0")
				} else {
					c.say("DATA", "354")
					c.sendLetter("250 2.0.0")
				}
				if got := engine.stages(); !slices.Equal(got, []policy.Stage{policy.StageEnd, policy.StageContent}) {
					t.Fatalf("stages %v", got)
				}
				first, second := engine.asked[len(engine.asked)-2], engine.asked[len(engine.asked)-1]
				if first.Content != nil || second.ID != first.ID || second.Envelope != first.Envelope || !second.Trusted ||
					second.Time.Before(first.Time) || !slices.Equal(second.Header("subject"), []string{"test"}) {
					t.Errorf("asked %+v", second)
				}
				got := second.Content
				if got == nil || got.Text != "Hello" || got.Header.Get("Subject") != "test" || got.Header.Get("Received") != "" ||
					got.Header.Get("X-Sendgate-Limit") != "" {
					t.Errorf("content %+v", got)
				}
			})
		}
	}
}

func TestWhatIsNotRead(t *testing.T) {
	for _, tt := range []struct {
		name    string
		content bool
		sender  string
		end     policy.Verdict
		answer  string
		read    bool
	}{
		{"read", true, "alice@corp.example", policy.Verdict{}, "250", true},
		{"switched off", false, "alice@corp.example", policy.Verdict{}, "250", false},
		{"the null sender", true, "", policy.Verdict{}, "250", false},
		{"refused at the header", true, "alice@corp.example", policy.Verdict{Action: policy.Reject}, "550", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			engine := &spy{end: always(tt.end), content: always(policy.Verdict{})}
			l := newReader(t, engine)
			l.settings.Content = tt.content
			l.start()
			read := false
			extract := l.relay.extract
			l.relay.extract = func() extractor { read = true; return extract() }
			c := l.hello()
			c.mail(tt.sender, "bob@remote.example")
			c.sendLetter(tt.answer)
			if asked := slices.Contains(engine.stages(), policy.StageContent); read != tt.read || asked != tt.read {
				t.Errorf("read %v, asked %v", read, asked)
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

func (b broken) Close() contents.Content {
	if b.inClose {
		panic("broken reader")
	}
	return contents.Content{}
}

// A panic in the extractor costs the message its second look and nothing else.
func TestAPanicInReadingLosesNothing(t *testing.T) {
	for name, how := range map[string]broken{"in a write": {inWrite: true}, "at the end": {inClose: true}} {
		for _, action := range []policy.Action{policy.Hold, policy.Pass} {
			t.Run(name+" "+string(action), func(t *testing.T) {
				engine := &spy{
					end:     always(policy.Verdict{Action: action, Until: time.Now().Add(time.Hour)}),
					content: always(policy.Verdict{Action: policy.Reject}),
				}
				l := newReader(t, engine).start()
				l.relay.extract = func() extractor { return how }
				c := l.hello()
				c.mail("alice@corp.example", "bob@remote.example")
				c.sendLetter("250 2.0.0")
				if got := engine.stages(); !slices.Equal(got, []policy.Stage{policy.StageEnd}) {
					t.Errorf("stages %v", got)
				}
				if action == policy.Hold {
					if _, body := stored(t, engine.last()); !strings.HasSuffix(body, letterText) {
						t.Errorf("%q", body)
					}
				} else if got := l.backend.received(); len(got) != 1 || !strings.HasSuffix(got[0].body, letterText) {
					t.Errorf("%+v", got)
				}
				lines := l.log.FilterMessage("panic while reading a message; the rules do not see its content").All()
				if len(lines) != 1 || lines[0].Level != zap.ErrorLevel || lines[0].ContextMap()["value"] != "broken reader" {
					t.Errorf("log %v", lines)
				}
			})
		}
	}
}

// A panic in the rules leaves the message with the client and the connection as it is.
func TestAPanicInRulesAboutContentIsTemporary(t *testing.T) {
	for name, action := range map[string]policy.Action{"held": policy.Hold, "handed through": policy.Pass} {
		t.Run(name, func(t *testing.T) {
			engine := &spy{
				end:     always(policy.Verdict{Action: action, Until: time.Now().Add(time.Hour), Charge: charge}),
				content: func(policy.Submission) policy.Verdict { panic("broken rule") },
			}
			l := newReader(t, engine).start()
			c := l.hello()
			c.mail("alice@corp.example", "bob@remote.example")
			c.sendLetter("451 4.3.0 Local error in processing, try again later")
			c.say("NOOP", "250")
			if got := engine.forgot(); !slices.Equal(got, []policy.ID{engine.last()}) {
				t.Errorf("forgot %v", got)
			}
			if _, err := journal.Message(engine.last()); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("the journal says %v", err)
			}
			if len(l.backend.received()) != 0 {
				t.Error("it has left")
			}
			lines := l.log.FilterMessage("panic in a rule about content").All()
			if len(lines) != 1 || !strings.HasPrefix(fmt.Sprint(lines[0].ContextMap()["error"]), "broken rule\n") {
				t.Errorf("log %v", lines)
			}
		})
	}
}

// Half a message is nothing that the rules could judge.
func TestABrokenOffMessageIsNotJudged(t *testing.T) {
	for name, action := range map[string]policy.Action{"held": policy.Hold, "handed through": policy.Pass} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan bool, 1)
			engine := &spy{end: func(policy.Submission) policy.Verdict {
				asked <- true
				return policy.Verdict{Action: action, Until: time.Now().Add(time.Hour)}
			}}
			l := newReader(t, engine).start()
			c := l.hello()
			c.mail("alice@corp.example", "bob@remote.example")
			c.send(letterText + strings.Repeat(strings.Repeat("x", 78)+"\r\n", 2*bodyBuffer/80))
			<-asked
			c.Conn.(*net.TCPConn).CloseWrite()
			c.closed()
			waitFor(t, func() bool { return l.relay.shell.Open() == 0 })
			if got := engine.stages(); !slices.Equal(got, []policy.Stage{policy.StageEnd}) {
				t.Errorf("stages %v", got)
			}
			if got := engine.forgot(); !slices.Equal(got, []policy.ID{engine.last()}) {
				t.Errorf("forgot %v", got)
			}
			if len(l.backend.received()) != 0 {
				t.Error("it has left")
			}
		})
	}
}

// A large attachment is read as it passes by: it needs about as much memory as with nobody reading.
func TestALargeAttachmentIsReadInLittleMemory(t *testing.T) {
	const megabytes = attachmentMegabytes
	head := "Subject: big\r\nContent-Type: application/zip; name=big.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
	block := strings.Repeat(strings.Repeat("QUJD", 19)+"\r\n", 1<<20/78)
	for name, action := range map[string]policy.Action{"held": policy.Hold, "handed through": policy.Pass} {
		t.Run(name, func(t *testing.T) {
			var size int64
			engine := &spy{
				end: always(policy.Verdict{Action: action, Until: time.Now().Add(time.Hour)}),
				content: func(s policy.Submission) policy.Verdict {
					size = s.Content.Attachments[0].Size
					return policy.Verdict{}
				},
			}
			l := newReader(t, engine)
			l.settings.Config.MaxMessageBytes = 1 << 30
			l.settings.Router = routes{first: newUpstream(t, newSink(t), nil)}
			c := l.start().hello()
			c.mail("alice@corp.example", "bob@remote.example")
			c.send(head)
			before := live()
			most := before
			for i := range megabytes {
				if c.send(block); i%8 == 7 {
					most = max(most, live())
				}
			}
			c.say(".", "250")
			grown := most - before
			t.Logf("%d MB: heap grew by %d MB", megabytes, grown>>20)
			if grown > 20<<20 {
				t.Errorf("heap grew by %d MB", grown>>20)
			}
			if want := int64(megabytes * (1 << 20 / 78) * 57); size != want {
				t.Errorf("attachment of %d octets, want %d", size, want)
			}
		})
	}
}
