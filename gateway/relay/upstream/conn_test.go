package upstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/sendgate/sendgate/policy"
)

func TestProbeDialogue(t *testing.T) {
	p := play(t, piped+begin+"S: 250 2.1.0 Ok\n"+toB+"S: 550 5.1.1 Unknown\n"+toC+"S: 250 2.1.5 Ok\nC: RSET\nS: 250 ok\n"+
		begin+"S: 250 ok\n"+toC+"S: 250 ok\nC: DATA\nS: 354 go\n"+`B: x\n`+"\nS: 250 2.0.0 Ok: queued as 4X\n"+
		"C: MAIL FROM:<>\nS: 550 no\nC: QUIT\nS: 221 bye")
	c := probe(t, newUpstream(t, testConfig(p.address())))
	ctx := t.Context()
	expect := func(want string) func(Reply, error) {
		return func(r Reply, err error) {
			t.Helper()
			if err != nil || r.String() != want {
				t.Errorf("got %v, %v; want %s", r, err, want)
			}
		}
	}
	expect("250 2.1.0 Ok")(c.Mail(ctx, "a@example", MailOptions{}))
	expect("550 5.1.1 Unknown")(c.Rcpt(ctx, policy.Recipient{Address: "b@example"}))
	expect(replyNoUTF8.String())(c.Rcpt(ctx, policy.Recipient{Address: "ü@example"}))
	if _, err := c.Rcpt(ctx, policy.Recipient{Address: "b\n@example"}); !errors.Is(err, ErrUnsafe) {
		t.Errorf("unsafe: %v", err)
	}
	if _, err := c.Mail(ctx, "b\n@example", MailOptions{}); !errors.Is(err, ErrUnsafe) {
		t.Errorf("unsafe: %v", err)
	}
	expect("250 2.1.5 Ok")(c.Rcpt(ctx, policy.Recipient{Address: "c@example"}))
	if err := c.Reset(ctx); err != nil {
		t.Error(err)
	}
	expect("250 ok")(c.Mail(ctx, "a@example", MailOptions{}))
	expect("250 ok")(c.Rcpt(ctx, policy.Recipient{Address: "c@example"}))
	d, _, err := c.Data(ctx)
	if err != nil {
		t.Fatal(err)
	}
	d.Write([]byte("x\r\n"))
	replies, err := d.Commit()
	if err != nil || replies[0].QueueID() != "4X" {
		t.Errorf("got %v, %v", replies, err)
	}
	expect("550 no")(c.Mail(ctx, "", MailOptions{}))
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
	if c.Server() != p.address() || !c.Capabilities().Pipelining {
		t.Error("the connection does not know its server")
	}
}

func TestMailRcptAnswersForEach(t *testing.T) {
	p := play(t, piped+begin+toB+toC+"S: 250 ok\nS: 250 ok\nS: 550 no\nEND")
	c := probe(t, newUpstream(t, testConfig(p.address())))
	r, rcpt, err := c.MailRcpt(t.Context(), "a@example", MailOptions{}, recipients("b@example", "c@example"))
	if err != nil || r.Code != 250 || rcpt[0].Code != 250 || rcpt[1].Code != 550 {
		t.Errorf("got %v %v %v", r, rcpt, err)
	}
	c.Close()
	for want, answers := range map[string]string{
		"250 550 421": "S: 250 ok\nS: 550 no\nS: 421 bye\nEND",
		"550 550 550": "S: 550 no\nS: 503 what\nS: 503 what\nEND",
	} {
		p := play(t, piped+begin+toB+toC+answers)
		c := probe(t, newUpstream(t, testConfig(p.address())))
		r, rcpt, err := c.MailRcpt(t.Context(), "a@example", MailOptions{}, recipients("b@example", "c@example"))
		if got := fmt.Sprint(r.Code, rcpt[0].Code, rcpt[1].Code); err != nil || got != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
		c.Close()
	}
}

func TestXForwardNamesOurID(t *testing.T) {
	p := play(t, greeting+"S: 250-sink\nS: 250 XFORWARD IDENT\nC: XFORWARD IDENT=01J\nS: 250 ok\n"+begin+"S: 250 ok\nEND")
	c := probe(t, newUpstream(t, testConfig(p.address())))
	if r, err := c.Mail(t.Context(), "a@example", MailOptions{ID: "01J"}); err != nil || r.Code != 250 {
		t.Errorf("got %v, %v", r, err)
	}
	c.Close()
}

func Test421ClosesTheConnection(t *testing.T) {
	p := play(t, piped+begin+"S: 421 4.3.2 Bye\nEND", piped+toB+"S: 421 4.3.2 Bye\nEND")
	u := newUpstream(t, testConfig(p.address()))
	c := probe(t, u)
	if r, err := c.Mail(t.Context(), "a@example", MailOptions{}); err != nil || r.Code != 421 || !c.broken {
		t.Errorf("got %v, %v", r, err)
	}
	c = probe(t, u)
	if r, err := c.Rcpt(t.Context(), policy.Recipient{Address: "b@example"}); err != nil || r.Code != 421 {
		t.Errorf("got %v, %v", r, err)
	}
	if _, err := c.Rcpt(t.Context(), policy.Recipient{Address: "b@example"}); !errors.Is(err, errGone) {
		t.Errorf("got %v", err)
	}
}

func TestResetRefusedClosesTheConnection(t *testing.T) {
	p := play(t, piped+"C: RSET\nS: 500 what\nEND")
	c := probe(t, newUpstream(t, testConfig(p.address())))
	if err := c.Reset(t.Context()); err == nil || !c.broken {
		t.Errorf("got %v", err)
	}
}

func TestCancelEndsCommand(t *testing.T) {
	p := play(t, piped+begin+"NOW\nEND")
	c := probe(t, newUpstream(t, testConfig(p.address())))
	if _, err := c.Mail(p.context(), "a@example", MailOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// steps is a mechanism that answers with what it is given.
type steps struct {
	initial   []byte
	responses []string // "!" fails
	got       []string
}

func (s *steps) Start() (string, []byte, error) { return "X", s.initial, nil }

func (s *steps) Next(challenge []byte) ([]byte, error) {
	s.got = append(s.got, string(challenge))
	r := s.responses[0]
	s.responses = s.responses[1:]
	if r == "!" {
		return nil, errors.New("bad challenge")
	}
	return []byte(r), nil
}

func TestAuth(t *testing.T) {
	long := strings.Repeat("x", maxInitial+1)
	encoded := strings.Repeat("eHh4", (maxInitial+1)/3) + "eHg="
	for _, test := range []struct {
		name, script string
		client       *steps
		want, err    string
	}{
		{"several steps", "C: AUTH X aQ==\nS: 334 YQ==\nC: Yg==\nS: 334 \nC: \nS: 235 2.7.0 ok\nEND", &steps{[]byte("i"), []string{"b", ""}, nil}, "235 2.7.0 ok", ""},
		{"no initial response", "C: AUTH X\nS: 334 \nC: Yg==\nS: 235 ok\nEND", &steps{nil, []string{"b"}, nil}, "235 ok", ""},
		{"empty initial response", "C: AUTH X =\nS: 235 ok\nEND", &steps{[]byte{}, nil, nil}, "235 ok", ""},
		{"long initial response", "C: AUTH X\nS: 334 \nC: " + encoded + "\nS: 235 ok\nEND", &steps{[]byte(long), nil, nil}, "235 ok", ""},
		{"refused", "C: AUTH X aQ==\nS: 535 5.7.8 wrong\nEND", &steps{[]byte("i"), nil, nil}, "535 5.7.8 wrong", ""},
		{"the mechanism fails", "C: AUTH X aQ==\nS: 334 YQ==\nC: *\nS: 501 5.7.0 aborted\nEND", &steps{[]byte("i"), []string{"!"}, nil}, "501 5.7.0 aborted", "AUTH: bad challenge"},
		{"not base64", "C: AUTH X aQ==\nS: 334 ?\nC: *\nS: 501 aborted\nEND", &steps{[]byte("i"), nil, nil}, "501 aborted", "AUTH: the server's challenge: "},
		{"lost", "C: AUTH X aQ==\nCLOSE", &steps{[]byte("i"), nil, nil}, "", "AUTH: EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := play(t, piped+test.script)
			c := probe(t, newUpstream(t, testConfig(p.address())))
			r, err := c.Auth(t.Context(), "X", test.client)
			if r.String() != test.want || (err == nil) != (test.err == "") || err != nil && !strings.HasPrefix(err.Error(), test.err) {
				t.Errorf("got %v, %v", r, err)
			}
			if c.authed != (r.Code == 235) {
				t.Errorf("authenticated %v", c.authed)
			}
			c.Close()
		})
	}
}

func TestAuthRefusesUnsafeMechanism(t *testing.T) {
	p := play(t, piped+"END")
	c := probe(t, newUpstream(t, testConfig(p.address())))
	for _, m := range []string{"", "PLAIN x", "PLAIN\r\nRSET"} {
		if _, err := c.Auth(t.Context(), m, sasl.NewPlainClient("", "a", "b")); !errors.Is(err, ErrUnsafe) {
			t.Errorf("%q: %v", m, err)
		}
	}
	c.Close()
}
