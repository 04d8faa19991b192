package milter

import (
	"strings"
	"testing"

	"github.com/sendgate/sendgate/policy"
)

func TestReplyTo(t *testing.T) {
	for _, c := range []struct {
		name string
		v    policy.Verdict
		want string
	}{
		{"as the rule says", policy.Verdict{Action: policy.Reject, Code: 554, Status: "5.7.0", Text: policy.Label{EN: "No"}}, "554 5.7.0 No"},
		{"reject without words", policy.Verdict{Action: policy.Reject}, "550 5.7.1 Message refused by policy"},
		{"defer without words", policy.Verdict{Action: policy.Defer}, "451 4.7.1 Message postponed by policy, try again later"},
		{"reject with a code for later", policy.Verdict{Action: policy.Reject, Code: 450, Status: "4.2.0"}, "550 5.7.1 Message refused by policy"},
		{"defer with a status for ever", policy.Verdict{Action: policy.Defer, Code: 450, Status: "5.2.0"}, "450 4.7.1 Message postponed by policy, try again later"},
		{"status that is none", policy.Verdict{Action: policy.Reject, Status: "5.7.1 x"}, "550 5.7.1 Message refused by policy"},
		{"status with a leading zero", policy.Verdict{Action: policy.Reject, Status: "5.07.0"}, "550 5.7.1 Message refused by policy"},
		{"status with two parts", policy.Verdict{Action: policy.Reject, Status: "5.2"}, "550 5.7.1 Message refused by policy"},
		{"text with line ends", policy.Verdict{Action: policy.Reject, Text: policy.Label{EN: "a\r\n250 ok\x00"}}, "550 5.7.1 a 250 ok"},
		{"text that is not ASCII", policy.Verdict{Action: policy.Reject, Text: policy.Label{EN: "né\x7f\xff"}}, "550 5.7.1 n? ?"},
		{"long text", policy.Verdict{Action: policy.Reject, Text: policy.Label{EN: strings.Repeat("x", 600)}}, "550 5.7.1 " + strings.Repeat("x", 400)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := replyTo(c.v).String(); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestResponse(t *testing.T) {
	if r := (reply{}).Response(); r.Code != 'c' || len(r.Data) != 0 || !(reply{}).Continue() {
		t.Errorf("continue is %c %q", r.Code, r.Data)
	}
	r := reply{550, "5.7.1", "100% %s"}
	if p := r.Response(); p.Code != 'y' || string(p.Data) != "550 5.7.1 100%% %%s\x00" || !r.Continue() {
		t.Errorf("a refusal is %c %q", p.Code, p.Data)
	}
}

func FuzzReplyText(f *testing.F) {
	f.Add("5.7.1", "100%\r\n250 ok\x00")
	f.Fuzz(func(t *testing.T, status, text string) {
		r := replyTo(policy.Verdict{Action: policy.Reject, Code: 550, Status: status, Text: policy.Label{EN: text}})
		data := string(r.Response().Data)
		line, ok := strings.CutSuffix(data, "\x00")
		if !ok || len(line) > 2*maxReplyText+20 || !strings.HasPrefix(line, "550 5.") {
			t.Fatalf("got %q", data)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("got %q", data)
		}
		if strings.Contains(strings.ReplaceAll(line, "%%", ""), "%") {
			t.Fatalf("a single percent sign in %q", data)
		}
	})
}
