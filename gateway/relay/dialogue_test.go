package relay

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
	"github.com/sendgate/sendgate/policy"
)

// TestDialogues plays testdata/*.txt. A line "C:" is sent with CRLF, "R:" is a Go string sent as it
// is, "S:" is expected, where * stands for anything and "S: <closed>" for the end of the connection.
// Lines "@" set the stage (see stage); everything else is for the reader.
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogues", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			t.Parallel()
			play(t, strings.Split(string(text), "\n"))
		})
	}
}

func play(t *testing.T, lines []string) {
	l := newLab(t, newBackend(t, particular))
	for _, line := range lines {
		if what, ok := strings.CutPrefix(line, "@ "); ok {
			stage(t, l, what)
		}
	}
	c := l.start().dial()
	for n, line := range lines {
		switch text := strings.TrimPrefix(line[min(2, len(line)):], " "); {
		case strings.HasPrefix(line, "C:"):
			c.send(text + "\r\n")
		case strings.HasPrefix(line, "R:"):
			raw, err := strconv.Unquote(text)
			if err != nil {
				t.Fatalf("line %d: %v", n+1, err)
			}
			c.send(raw)
		case line == "S: <closed>":
			if rest := c.closed(); rest != "" {
				t.Fatalf("line %d: before the end came %q", n+1, rest)
			}
		case strings.HasPrefix(line, "S:"):
			got, err := c.in.ReadString('\n')
			pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(text), `\*`, ".*") + "\r\n$"
			if !regexp.MustCompile(pattern).MatchString(got) {
				t.Fatalf("line %d:\n got %q (%v)\nwant %q", n+1, got, err, text)
			}
		}
	}
}

// stage changes the lab before a dialogue.
func stage(t *testing.T, l *lab, what string) {
	t.Helper()
	switch what {
	case "untrusted":
		l.settings.Config.Networks = nobody
	case "senders own":
		l.settings.Config.Senders = SendersOwn
	case "hold 0":
		l.settings.Engine = passAll
	case "small":
		l.settings.Config.MaxMessageBytes = 1000
	case "shared":
		l.settings.Config.Shared = []Shared{{Networks: l.settings.Config.Networks, Field: "X-Tenant", Values: []string{"0ABC"}}}
	case "received 3":
		l.settings.Config.MaxReceived = 3
	case "plain upstream":
		l.backend.server.EnableDSN, l.backend.server.EnableSMTPUTF8 = false, false
	case "upstream away":
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.settings.Router = routes{first: newUpstream(t, ln.Addr().String(), nil)}
		ln.Close()
	case "rules refuse":
		l.settings.Engine = fixed(refusing)
	default:
		t.Fatalf("no such stage: %s", what)
	}
}

// particular makes an upstream that does not take everything.
func particular(b *backend) {
	b.rcpt = func(to string) error {
		switch local, _, _ := strings.Cut(to, "@"); local {
		case "unknown":
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user here"}
		case "later":
			return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 2, 1}, Message: "Mailbox busy\nask again"}
		}
		return nil
	}
	b.mailed = func(from string) error {
		if strings.HasPrefix(from, "spammer@") {
			return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Sender rejected"}
		}
		return nil
	}
}

// refusing refuses by what it finds.
func refusing(s policy.Submission) policy.Verdict {
	text := func(en string) policy.Label { return policy.Label{EN: en, ZH: en} }
	e := s.Envelope
	switch {
	case e.Sender == "blocked@corp.example":
		return policy.Verdict{Action: policy.Reject, Status: "5.7.1", Text: text("You are suspended"), Reason: "secret"}
	case len(e.Recipients) == 1 && e.Recipients[0].Address == "slow@remote.example":
		return policy.Verdict{Action: policy.Defer, Status: "4.7.1", Text: text("Too many recipients this hour"), Reason: "secret"}
	case s.Header != nil && len(s.Header("Subject")) > 0 && strings.Contains(s.Header("Subject")[0], "prize"):
		return policy.Verdict{Action: policy.Reject, Code: 554, Status: "5.7.1", Text: text("Not with this content"), Reason: "secret"}
	}
	return policy.Verdict{}
}
