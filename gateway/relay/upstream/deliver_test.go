package upstream

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sendgate/sendgate/policy"
)

const (
	begin = "C: MAIL FROM:<a@example>\n"
	toB   = "C: RCPT TO:<b@example>\n"
	toC   = "C: RCPT TO:<c@example>\n"
	toD   = "C: RCPT TO:<d@example>\n"
	body  = `B: Subject: x\n\n..hidden\n` + "\n"
)

// summary shows results in one line each.
func summary(results []Result) string {
	var lines []string
	for _, r := range results {
		s := r.Reply.String()
		if r.Err != nil {
			s = "error"
		}
		if r.MayBeDuplicate {
			s += " (may be a duplicate)"
		}
		if r.DSNDropped {
			s += " (without DSN)"
		}
		lines = append(lines, s)
	}
	return strings.Join(lines, "\n")
}

func TestDeliver(t *testing.T) {
	for _, test := range []struct {
		name    string
		scripts []string
		to      []policy.Address
		want    string
	}{
		{
			"pipelined in one group", []string{piped + begin + toB + toC + "C: DATA\nS: 250 2.1.0 Ok\nS: 250 2.1.5 Ok\nS: 250 2.1.5 Ok\nS: 354 go\n" +
				body + "S: 250 2.0.0 Ok: queued as 4X\nC: QUIT"},
			[]policy.Address{"b@example", "c@example"}, "250 2.0.0 Ok: queued as 4X\n250 2.0.0 Ok: queued as 4X",
		},
		{
			"one by one without PIPELINING", []string{plain + begin + "S: 250 ok\n" + toB + "S: 250 ok\nC: DATA\nS: 354 go\n" + body + "S: 250 done\nC: QUIT"},
			[]policy.Address{"b@example"}, "250 done",
		},
		{
			"refusals belong to their recipients", []string{piped + begin + toB + toC + toD + "C: DATA\nS: 250 ok\nS: 550 5.1.1 Unknown\nS: 250 ok\nS: 450 4.2.1 Later\nS: 354 go\n" +
				body + "S: 250 done\nC: QUIT"},
			[]policy.Address{"b@example", "c@example", "d@example"}, "550 5.1.1 Unknown\n250 done\n450 4.2.1 Later",
		},
		{
			"all refused and DATA refused", []string{piped + begin + toB + toC + "C: DATA\nS: 250 ok\nS: 550 no\nS: 551 no\nS: 554 5.5.1 no valid recipients\nC: QUIT"},
			[]policy.Address{"b@example", "c@example"}, "550 no\n551 no",
		},
		{
			"all refused and DATA taken: only the dot (RFC 2920 3.1)", []string{piped + begin + toB + "C: DATA\nS: 250 ok\nS: 550 no\nS: 354 go\nC: .\nS: 554 5.5.1 no valid recipients\nC: QUIT"},
			[]policy.Address{"b@example"}, "550 no",
		},
		{
			"all refused without PIPELINING: no DATA", []string{plain + begin + "S: 250 ok\n" + toB + "S: 550 no\nC: QUIT"},
			[]policy.Address{"b@example"}, "550 no",
		},
		{
			"MAIL refused is the answer to all", []string{piped + begin + toB + toC + "C: DATA\nS: 552 5.3.4 Too large\nS: 503 no\nS: 503 no\nS: 503 no\nC: QUIT"},
			[]policy.Address{"b@example", "c@example"}, "552 5.3.4 Too large\n552 5.3.4 Too large",
		},
		{
			"MAIL refused and DATA taken: closed", []string{piped + begin + toB + "C: DATA\nS: 550 no\nS: 250 what\nS: 354 go\nEND"},
			[]policy.Address{"b@example"}, "550 no",
		},
		{
			"DATA refused is the answer to the accepted", []string{piped + begin + toB + toC + "C: DATA\nS: 250 ok\nS: 550 no\nS: 250 ok\nS: 451 4.3.0 Busy\nC: QUIT"},
			[]policy.Address{"b@example", "c@example"}, "550 no\n451 4.3.0 Busy",
		},
		{
			"refused after the dot", []string{piped + begin + toB + "C: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\n" + body + "S: 554 5.7.1 Spam\nC: QUIT"},
			[]policy.Address{"b@example"}, "554 5.7.1 Spam",
		},
		{
			"lost after the dot", []string{piped + begin + toB + "C: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\n" + body + "CLOSE"},
			[]policy.Address{"b@example"}, "error (may be a duplicate)",
		},
		{
			"nonsense after the dot", []string{piped + begin + toB + "C: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\n" + body + "S: 354 once more\nEND"},
			[]policy.Address{"b@example"}, "error (may be a duplicate)",
		},
		{
			"out of step", []string{piped + begin + toB + "C: DATA\nS: 250 ok\nS: 354 what\nCLOSE"},
			[]policy.Address{"b@example"}, "error",
		},
		{
			"421 to the only server's MAIL", []string{piped + begin + toB + "C: DATA\nS: 421 4.3.2 Shutting down\nEND"},
			[]policy.Address{"b@example"}, "421 4.3.2 Shutting down",
		},
		{
			"greeting refused", []string{"S: 554 5.7.1 Go away\nEND"},
			[]policy.Address{"b@example"}, "error",
		},
		{
			"non-ASCII recipient without SMTPUTF8", []string{piped + begin + toB + "C: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\n" + body + "S: 250 done\nC: QUIT"},
			[]policy.Address{"ü@example", "b@example"}, "553 5.6.7 The next mail server does not accept internationalised addresses (SMTPUTF8)\n250 done",
		},
		{
			"unsafe recipient", []string{piped + begin + toB + "C: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\n" + body + "S: 250 done\nC: QUIT"},
			[]policy.Address{"b@example", "x> NOTIFY=NEVER@example"}, "250 done\n501 5.1.3 The address cannot be sent safely",
		},
		{
			"only unsafe recipients", []string{piped + begin + "S: 250 ok\nC: QUIT"},
			[]policy.Address{"x\r\nDATA@example"}, "501 5.1.3 The address cannot be sent safely",
		},
		{
			"too many recipients go into the next transaction", []string{piped + begin + toB + toC + toD + "C: DATA\nS: 250 ok\nS: 250 ok\nS: 452 4.5.3 Too many\nS: 452 4.5.3 Too many\nS: 354 go\n" + body + "S: 250 one\n" +
				begin + toC + toD + "C: DATA\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: 354 go\n" + body + "S: 250 two\nC: QUIT"},
			[]policy.Address{"b@example", "c@example", "d@example"}, "250 one\n250 two\n250 two",
		},
		{
			"LIMITS RCPTMAX", []string{greeting + "S: 250-sink\nS: 250-PIPELINING\nS: 250 LIMITS RCPTMAX=2\n" +
				begin + toB + toC + "C: DATA\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: 354 go\n" + body + "S: 250 one\n" +
				begin + toD + "C: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\n" + body + "S: 250 two\nC: QUIT"},
			[]policy.Address{"b@example", "c@example", "d@example"}, "250 one\n250 one\n250 two",
		},
		{
			"LIMITS MAILMAX", []string{greeting + "S: 250-sink\nS: 250-PIPELINING\nS: 250 LIMITS RCPTMAX=1 MAILMAX=1\n" +
				begin + toB + "C: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\n" + body + "S: 250 one\nC: QUIT",
				piped + begin + toC + "C: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\n" + body + "S: 250 two\nC: QUIT"},
			[]policy.Address{"b@example", "c@example"}, "250 one\n250 two",
		},
		{
			"DATA refused, then RSET before the next", []string{greeting + "S: 250-sink\nS: 250-PIPELINING\nS: 250 LIMITS RCPTMAX=1\n" +
				begin + toB + "C: DATA\nS: 250 ok\nS: 250 ok\nS: 451 no\n" +
				"C: RSET\n" + begin + toC + "C: DATA\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: 354 go\n" + body + "S: 250 two\nC: QUIT"},
			[]policy.Address{"b@example", "c@example"}, "451 no\n250 two",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := play(t, test.scripts...)
			u := newUpstream(t, testConfig(p.address()))
			results := deliver(t, u, message(test.to...))
			u.Close()
			if got := summary(results); got != test.want {
				t.Errorf("got\n%s\nwant\n%s\n%v", got, test.want, results[0].Err)
			}
		})
	}
}

const delivered = begin + toB + "C: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\n" + body + "S: 250 done\n"

func TestStaleConnectionIsReplaced(t *testing.T) {
	for name, end := range map[string]string{
		"closed":               "CLOSE",
		"421 before closing":   "S: 421 4.4.2 Timeout\nCLOSE",
		"lost in the dialogue": begin + toB + "C: DATA\nS: 250 ok\nCLOSE",
		"421 to RCPT":          begin + toB + "C: DATA\nS: 250 ok\nS: 421 bye\nCLOSE",
	} {
		t.Run(name, func(t *testing.T) {
			p := play(t, piped+delivered+end, piped+delivered+"C: QUIT")
			u := newUpstream(t, testConfig(p.address()))
			for range 2 {
				if got := summary(deliver(t, u, message("b@example"))); got != "250 done" {
					t.Errorf("got %s", got)
				}
			}
			u.Close()
		})
	}
}

func TestFailover(t *testing.T) {
	for name, script := range map[string]string{
		"greeting":         "S: 421 4.3.2 Busy\nEND",
		"garbage":          "S: SSH-2.0-OpenSSH\nEND",
		"EHLO":             "S: 220 x\nC: EHLO gw.example\nS: 421 bye\nEND",
		"421 to MAIL":      piped + begin + toB + "C: DATA\nS: 421 4.3.2 Busy\nEND",
		"lost before DATA": piped + begin + toB + "C: DATA\nS: 250 ok\nCLOSE",
	} {
		t.Run(name, func(t *testing.T) {
			first, second := play(t, script), play(t, piped+delivered+delivered+"C: QUIT")
			u := newUpstream(t, testConfig(first.address(), second.address()))
			results := deliver(t, u, message("b@example"))
			if got := summary(results); got != "250 done" || results[0].Server != second.address() {
				t.Errorf("got %s from %s", got, results[0].Server)
			}
			if !u.servers[0].away(time.Now()) || u.servers[1].away(time.Now()) {
				t.Error("the first server is not known to be away")
			}
			deliver(t, u, message("b@example"))
			u.Close()
		})
	}
}

func TestUnreachableServersAreNamed(t *testing.T) {
	gone := play(t)
	gone.listener.Close()
	u := newUpstream(t, testConfig(gone.address()))
	r := deliver(t, u, message("b@example"))
	if err := r[0].Err; err == nil || !strings.Contains(err.Error(), gone.address()+": connect: ") {
		t.Errorf("got %v", err)
	}
}

func TestServersOfEqualPriorityTakeTurns(t *testing.T) {
	c := testConfig("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3")
	c.Servers[1].Priority, c.Servers[2].Priority = 0, 1
	u := newUpstream(t, c)
	var got []string
	for range 3 {
		for _, s := range u.order() {
			got = append(got, s.Address[len(s.Address)-1:])
		}
	}
	if s := strings.Join(got, ""); s != "213123213" {
		t.Errorf("order %s", s)
	}
	u.servers[0].down.Store(time.Now().Add(time.Hour).UnixNano())
	if s := u.order(); s[2].Address != "127.0.0.1:1" {
		t.Errorf("the server that is away is not asked last")
	}
}

// A body that cannot be read to its end must never be committed: go-smtp's client does that.
func TestFailedCopyIsNeverCommitted(t *testing.T) {
	p := play(t, piped+begin+toB+"C: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nEND")
	u := newUpstream(t, testConfig(p.address()))
	d := message("b@example")
	broken := errors.New("disk")
	d.Open = func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("first half"), iotest.ErrReader(broken))), nil
	}
	r := deliver(t, u, d)
	if !errors.Is(r[0].Err, broken) || r[0].MayBeDuplicate {
		t.Errorf("got %+v", r[0])
	}
	if len(u.pool.idle) != 0 {
		t.Error("the connection went back to the pool")
	}
}

// Servers say 552 and close when a message grows too large, without waiting for its end.
func TestEarlyRefusalIsTheAnswer(t *testing.T) {
	p := play(t, piped+begin+toB+toC+"C: DATA\nS: 250 ok\nS: 550 no\nS: 250 ok\nS: 354 go\nS: 552 5.3.4 Too big\nCLOSE")
	u := newUpstream(t, testConfig(p.address()))
	d := message("b@example", "c@example")
	d.Open = func() (io.ReadCloser, error) { return io.NopCloser(endless{}), nil }
	if got := summary(deliver(t, u, d)); got != "550 no\n552 5.3.4 Too big" {
		t.Errorf("got\n%s", got)
	}
}

func TestMissingBodyIsNoTransaction(t *testing.T) {
	p := play(t, piped+"C: QUIT")
	u := newUpstream(t, testConfig(p.address()))
	d := message("b@example")
	d.Open = func() (io.ReadCloser, error) { return nil, io.ErrUnexpectedEOF }
	if r := deliver(t, u, d); !errors.Is(r[0].Err, io.ErrUnexpectedEOF) {
		t.Errorf("got %+v", r[0])
	}
	u.Close()
}

func TestDSNParametersAreDroppedAloud(t *testing.T) {
	p := play(t, piped+"C: MAIL FROM:<a@example>\n"+toB+toC+"C: DATA\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: 354 go\n"+body+"S: 250 done\nC: QUIT")
	u := newUpstream(t, testConfig(p.address()))
	d := message("b@example", "c@example")
	d.Recipients[1].Notify = []string{"SUCCESS"}
	if got := summary(deliver(t, u, d)); got != "250 done\n250 done (without DSN)" {
		t.Errorf("got\n%s", got)
	}
	u.Close()
}

func TestParametersGoThrough(t *testing.T) {
	p := play(t, greeting+"S: 250-sink\nS: 250-PIPELINING\nS: 250-SIZE 1000000\nS: 250-8BITMIME\nS: 250-SMTPUTF8\nS: 250 DSN\n"+
		"C: MAIL FROM:<ä@example> SIZE=1234 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb\n"+
		"C: RCPT TO:<b@example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+3Dy@example\n"+
		`C: RCPT TO:<c@example> ORCPT=utf-8;\x{F6}@example`+"\n"+
		"C: DATA\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: 354 go\n"+body+"S: 250 done\nC: QUIT")
	u := newUpstream(t, testConfig(p.address()))
	d := message("b@example", "c@example")
	d.Envelope = &policy.Envelope{Sender: "ä@example", Size: 1234, Body: "8BITMIME", Ret: "HDRS", EnvID: "a+b"}
	d.Recipients[0].Notify, d.Recipients[0].Original = []string{"SUCCESS", "DELAY"}, "x=y@example"
	d.Recipients[1].Original, d.Recipients[1].OriginalType = "ö@example", "utf-8"
	if got := summary(deliver(t, u, d)); got != "250 done\n250 done" {
		t.Errorf("got\n%s", got)
	}
	u.Close()
}

func TestMissingExtensionsAreReplies(t *testing.T) {
	for name, test := range map[string]struct {
		envelope policy.Envelope
		want     string
	}{
		"SMTPUTF8 asked for": {policy.Envelope{Sender: "a@example", UTF8: true}, replyNoUTF8.String()},
		"non-ASCII sender":   {policy.Envelope{Sender: "ä@example"}, replyNoUTF8.String()},
		"REQUIRETLS":         {policy.Envelope{Sender: "a@example", RequireTLS: true}, "550 5.7.30 The next mail server does not offer REQUIRETLS over a verified connection"},
		"unsafe sender":      {policy.Envelope{Sender: "a> AUTH=<x@example"}, "501 5.1.7 The sender or a parameter cannot be sent safely"},
	} {
		t.Run(name, func(t *testing.T) {
			p := play(t, greeting+"S: 250-sink\nS: 250-PIPELINING\nS: 250 REQUIRETLS\nC: QUIT")
			u := newUpstream(t, testConfig(p.address()))
			d := message("b@example")
			d.Envelope = &test.envelope
			if got := summary(deliver(t, u, d)); got != test.want {
				t.Errorf("got %s", got)
			}
			u.Close()
		})
	}
}

func TestManyRecipientsGoInGroups(t *testing.T) {
	var to []policy.Address
	var script strings.Builder
	script.WriteString(piped)
	for i := range 1001 {
		to = append(to, policy.Address(fmt.Sprintf("%d@example", i)))
	}
	transaction := func(from, to int) {
		script.WriteString(begin)
		waiting := 1
		for i := from; i < to; i++ {
			fmt.Fprintf(&script, "C: RCPT TO:<%d@example>\n", i)
			if waiting++; waiting == maxGroup {
				script.WriteString(strings.Repeat("S: 250 ok\n", waiting))
				waiting = 0
			}
		}
		script.WriteString("C: DATA\n" + strings.Repeat("S: 250 ok\n", waiting) + "S: 354 go\n" + body + "S: 250 done\n")
	}
	transaction(0, 1000)
	transaction(1000, 1001)
	p := play(t, script.String()+"C: QUIT")
	u := newUpstream(t, testConfig(p.address()))
	for i, r := range deliver(t, u, message(to...)) {
		if r.Reply.String() != "250 done" {
			t.Fatalf("recipient %d: %+v", i, r)
		}
	}
	u.Close()
}

func TestLMTPAnswersForEachRecipient(t *testing.T) {
	hello := "S: 220 sink LMTP\nC: LHLO gw.example\nS: 250-sink\nS: 250 PIPELINING\n"
	for name, test := range map[string]struct{ script, want string }{
		"each its own": {
			begin + toB + toC + toD + "C: DATA\nS: 250 ok\nS: 250 ok\nS: 550 no\nS: 250 ok\nS: 354 go\n" + body +
				"S: 250 2.0.0 <b@example> kAbC12 Saved\nS: 452 4.2.2 Full\nC: QUIT",
			"250 2.0.0 <b@example> kAbC12 Saved\n550 no\n452 4.2.2 Full",
		},
		"lost in between": {
			begin + toB + toC + toD + "C: DATA\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: 354 go\n" + body + "S: 250 saved\nCLOSE",
			"250 saved\nerror (may be a duplicate)\nerror (may be a duplicate)",
		},
		"421 speaks for the rest": {
			begin + toB + toC + toD + "C: DATA\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: 354 go\n" + body + "S: 250 saved\nS: 421 bye\nEND",
			"250 saved\n421 bye\n421 bye",
		},
		"all refused and DATA taken: closed": {
			begin + toB + toC + toD + "C: DATA\nS: 250 ok\nS: 550 x\nS: 550 y\nS: 550 z\nS: 354 go\nEND",
			"550 x\n550 y\n550 z",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := play(t, hello+test.script)
			c := testConfig(p.address())
			c.Protocol = LMTP
			u := newUpstream(t, c)
			if got := summary(deliver(t, u, message("b@example", "c@example", "d@example"))); got != test.want {
				t.Errorf("got\n%s", got)
			}
			u.Close()
		})
	}
}
