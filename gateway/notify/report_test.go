package notify

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset"
	"github.com/emersion/go-message/textproto"
	"github.com/oklog/ulid/v2"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

var accepted = time.Date(2026, 3, 2, 10, 30, 0, 0, time.UTC)

const original = "From: Ann <ann@corp.example>\r\nSubject: offer\r\nMessage-ID: <1@corp.example>\r\n\r\nbody with 8 bit: \xe4\xb8\xad\r\n"

// report is one about bob, whom the upstream did not know.
func report(change func(*Report)) *Report {
	r := &Report{
		ID: ulid.MustParse("01KJQW5E00REPQRT0000000000"), Hostname: "mail-gw.corp.example", Time: accepted.Add(time.Minute), Action: Failed,
		RetryUntil: accepted.Add(120 * time.Hour),
		Message: store.Message{
			ID: ulid.MustParse("01KJQW3JW0MESSAGE000000000"), BodySize: int64(len(original)),
			Envelope: policy.Envelope{
				Received: accepted, Sender: "ann@corp.example", Subject: "offer 报价", MessageID: "<1@corp.example>", EnvID: "QQ314159",
			},
		},
		Recipients: []store.Recipient{{
			Recipient: policy.Recipient{Address: "bob@partner.example", Original: "robert@partner.example", OriginalType: "rfc822"},
			Fate: policy.Fate{
				State: policy.StateBounced, Since: accepted.Add(time.Minute), Upstream: "hub 192.0.2.7:25",
				Reply: "550 5.1.1 <bob@partner.example>: Recipient address rejected: User unknown in virtual mailbox table",
			},
		}},
	}
	if change != nil {
		change(r)
	}
	return r
}

// cases are the reports with a golden file each.
var cases = []struct {
	name     string
	change   func(*Report)
	original string
}{
	{"failed", nil, original},
	{"stopped", func(r *Report) { r.Stopped, r.Reason = true, "last year's prices\r\nBcc: x@y 去年的价格" }, original},
	{"failed-full", func(r *Report) { r.Message.Envelope.Ret = "FULL" }, original},
	{"failed-full-too-large", func(r *Report) { r.Message.Envelope.Ret, r.Message.BodySize = "FULL", maxReturned+1 }, original},
	{"failed-without-original", nil, ""},
	{"expired", func(r *Report) {
		r.Recipients[0].Fate = policy.Fate{State: policy.StateExpired, Since: accepted.Add(120 * time.Hour), Reply: "dial tcp 192.0.2.7:25: connect: connection refused"}
	}, original},
	{"delayed", func(r *Report) {
		r.Action, r.Message.Envelope.Ret = Delayed, "FULL"
		r.Recipients[0].State, r.Recipients[0].Reply = policy.StateDeferred, "451-4.7.1 greylisted,\r\n451 4.7.1 come back later"
	}, original},
	{"relayed", func(r *Report) {
		r.Action = Relayed
		r.Recipients[0].State, r.Recipients[0].Reply = policy.StateHandedOver, "250 2.0.0 Ok: queued as 4XyZ"
		r.Recipients = append(r.Recipients, store.Recipient{Index: 1, Recipient: policy.Recipient{Address: "eve@corp.example"}, Fate: policy.Fate{
			State: policy.StateDeliveredMailbox, Since: accepted.Add(time.Minute), Reply: "250 2.1.5 Saved", Upstream: "dovecot ::1",
		}})
	}, original},
	{"utf8-recipient", func(r *Report) {
		r.Message.Envelope.UTF8, r.Message.Envelope.Ret = true, "FULL"
		r.Recipients[0].Address, r.Recipients[0].Original, r.Recipients[0].OriginalType = "李四@例子.example", "李四@例子.example", "utf-8"
	}, "Subject: 报价\r\n\r\nbody\r\n"},
	{"utf8-sender", func(r *Report) { r.Message.Envelope.UTF8, r.Message.Envelope.Sender = true, "张三@例子.example" }, "Subject: 报价\r\n\r\nbody\r\n"},
	{"header-in-an-old-charset", nil, "Subject: \xb1\xa8\xbc\xdb\r\n\r\nbody\r\n"},
}

func compose(t testing.TB, r *Report, original string) []byte {
	t.Helper()
	var b bytes.Buffer
	var from io.Reader
	if original != "" {
		from = strings.NewReader(original)
	}
	if err := Compose(&b, r, from); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReports(t *testing.T) {
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			r := report(tt.change)
			got := compose(t, r, tt.original)
			parts := parse(t, got)
			checkStatus(t, r, parts)
			golden := filepath.Join("testdata", tt.name+".eml")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("differs from %s:\n%s", golden, got)
			}
		})
	}
}

// A parsed part, decoded.
type parsed struct {
	kind string
	body string
}

// parse reads a report back and checks what is true of every report.
func parse(t testing.TB, octets []byte) (parts []parsed) {
	t.Helper()
	e, err := message.Read(bytes.NewReader(octets))
	if err != nil {
		t.Fatalf("read back: %v\n%s", err, octets)
	}
	kind, params, err := e.Header.ContentType()
	if err != nil || kind != "multipart/report" || e.Header.Get("Auto-Submitted") != "auto-replied" || e.Header.Get("Mime-Version") != "1.0" {
		t.Fatalf("not a report: %v %s", err, octets)
	}
	mr := e.MultipartReader()
	for {
		p, err := mr.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("read part: %v\n%s", err, octets)
		}
		kind, _, _ := p.Header.ContentType()
		body, err := io.ReadAll(p.Body)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, parsed{kind, string(body)})
	}
	if len(parts) < 2 || parts[0].kind != "text/plain" || parts[1].kind != "message/"+params["report-type"] {
		t.Fatalf("parts %v, report-type %q", parts, params["report-type"])
	}
	if !isASCII(octets) && e.Header.Get("Content-Transfer-Encoding") != "8bit" {
		t.Error("8-bit octets under a header that says otherwise")
	}
	return parts
}

// checkStatus reads the fields of the second part as a program does.
func checkStatus(t testing.TB, r *Report, parts []parsed) {
	t.Helper()
	groups := statusGroups(t, parts[1].body)
	if len(groups) != 1+len(r.Recipients) {
		t.Fatalf("%d groups for %d recipients:\n%s", len(groups), len(r.Recipients), parts[1].body)
	}
	if got := groups[0].Get("Reporting-Mta"); got != "dns; "+r.Hostname {
		t.Errorf("Reporting-MTA %q", got)
	}
	for i, g := range groups[1:] {
		if got := g.Get("Final-Recipient"); !strings.HasSuffix(got, "; "+clean(string(r.Recipients[i].Address))) {
			t.Errorf("Final-Recipient %q", got)
		}
		for _, name := range []string{"Action", "Status", "Last-Attempt-Date"} {
			if len(g.Values(name)) != 1 {
				t.Errorf("%s: %q", name, g.Values(name))
			}
		}
	}
}

func statusGroups(t testing.TB, body string) (groups []textproto.Header) {
	t.Helper()
	for _, g := range strings.SplitAfter(strings.TrimSuffix(body, "\r\n\r\n"), "\r\n\r\n") {
		groups = append(groups, header(t, strings.TrimSuffix(g, "\r\n\r\n")+"\r\n\r\n"))
	}
	return groups
}

func header(t testing.TB, s string) textproto.Header {
	t.Helper()
	e, err := message.Read(strings.NewReader(s))
	if err != nil {
		t.Fatalf("read fields: %v\n%s", err, s)
	}
	return e.Header.Header
}

func TestStatusCodes(t *testing.T) {
	tests := []struct {
		action Action
		state  policy.State
		reply  string
		status string
	}{
		{Failed, policy.StateBounced, "550 5.1.1 unknown", "5.1.1"},
		{Failed, policy.StateBounced, "550-5.7.26 two\r\n550 5.7.26 lines", "5.7.26"},
		{Failed, policy.StateBounced, "550 5.1.1", "5.1.1"},
		{Failed, policy.StateBounced, "554 no enhanced code", "5.0.0"},
		{Failed, policy.StateBounced, "550 4.1.1 classes differ", "5.0.0"},
		{Failed, policy.StateBounced, "550 5.1.1.1 is not a code", "5.0.0"},
		{Failed, policy.StateBounced, "", "5.0.0"},
		{Failed, policy.StateExpired, "451 4.3.0 busy", "4.4.7"},
		{Delayed, policy.StateDeferred, "451 4.3.0 busy", "4.3.0"},
		{Delayed, policy.StateDeferred, "connection refused", "4.0.0"},
		{Relayed, policy.StateHandedOver, "250 2.6.0 ok", "2.6.0"},
		{Relayed, policy.StateHandedOver, "250 ok", "2.0.0"},
	}
	for _, tt := range tests {
		r := Report{Action: tt.action}
		rc := store.Recipient{Fate: policy.Fate{State: tt.state, Reply: tt.reply}}
		if got := r.status(&rc); got != tt.status {
			t.Errorf("%s %s %q: %s, want %s", tt.action, tt.state, tt.reply, got, tt.status)
		}
	}
}

func TestRemoteNames(t *testing.T) {
	for upstream, want := range map[string]string{
		"":                        "",
		"hub":                     "dns; hub",
		"hub mx.example:25":       "dns; mx.example",
		"hub 192.0.2.7:25":        "dns; [192.0.2.7]",
		"hub [2001:db8::1]:25":    "dns; [IPv6:2001:db8::1]",
		"mx.example (192.0.2.7)":  "dns; [192.0.2.7]",
		"mx.example [192.0.2.7]":  "dns; [192.0.2.7]",
		"dovecot ::1":             "dns; [IPv6:::1]",
		"dovecot unix:/run/d.sok": "dns; unix",
	} {
		if got := remote(upstream); got != want {
			t.Errorf("%q: %q, want %q", upstream, got, want)
		}
	}
}

func TestFieldsCannotBeBrokenOutOf(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{"plain", "a b", "X: a b\r\n"},
		{"a line end", "a\r\nBcc: eve", "X: a Bcc: eve\r\n"},
		{"a separator of Unicode", "a\u2028b\u0085c", "X: a b c\r\n"},
		{"nothing", " \r\n ", ""},
		{"a broken sequence", "a\xff", "X: a?\r\n"},
		{"long text is folded", strings.Repeat("word ", 20), "X:" + strings.Repeat(" word", 14) + "\r\n" + strings.Repeat(" word", 6) + "\r\n"},
		{"a long word is cut", strings.Repeat("x", hardLine+1), "X: " + strings.Repeat("x", hardLine) + "\r\n x\r\n"},
		{"but not inside a character", strings.Repeat("x", hardLine-1) + "中", "X: " + strings.Repeat("x", hardLine-1) + "\r\n 中\r\n"},
	}
	for _, tt := range tests {
		var fs fields
		fs.add("X", tt.value)
		if got := strings.Join(fs, ""); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestReferences(t *testing.T) {
	for id, want := range map[string]string{
		"<1@corp.example>": "<1@corp.example>", "": "", "1@corp.example": "", "<a b@c>": "", "<a@b> <c@d>": "",
		"<中@c>": "", "<a@b": "", "<" + strings.Repeat("a", 500) + ">": "", "<a\r\nBcc:@c>": "",
	} {
		if got := reference(id); got != want {
			t.Errorf("%q: %q, want %q", id, got, want)
		}
	}
}

func TestManyRecipientsAreAllInTheFields(t *testing.T) {
	r := report(nil)
	one := r.Recipients[0]
	r.Recipients = nil
	for i := range 250 {
		one.Index, one.Address = i, policy.Address(fmt.Sprintf("user%d@partner.example", i))
		r.Recipients = append(r.Recipients, one)
	}
	parts := parse(t, compose(t, r, original))
	checkStatus(t, r, parts)
	if !strings.Contains(parts[0].body, "... +150\r\n") || strings.Contains(parts[0].body, "user100@") {
		t.Errorf("text:\n%s", parts[0].body)
	}
}

// TestGoMessageChangesFieldNames shows why fields are added raw.
func TestGoMessageChangesFieldNames(t *testing.T) {
	var h textproto.Header
	h.Add("Reporting-MTA", "dns; x")
	var b bytes.Buffer
	if err := textproto.WriteHeader(&b, h); err != nil {
		t.Fatal(err)
	}
	if b.String() != "Reporting-Mta: dns; x\r\n\r\n" {
		t.Errorf("go-message writes %q now: fields.add could use Add", b.String())
	}
}

func FuzzCompose(f *testing.F) {
	f.Add("550 5.1.1 no", "subject", "bob@x.example", "<1@x>", "env", original)
	f.Add("451 a\r\n\r\nFinal-Recipient: rfc822; eve@x", "a\r\nBcc: x", "\"a b\"@x", "<a\r\n@b>", "\x00", "X: \xff\r\n\r\n--report-\r\n")
	f.Fuzz(func(t *testing.T, reply, subject, address, messageID, envID, original string) {
		for _, action := range []Action{Failed, Delayed, Relayed} {
			r := report(func(r *Report) {
				r.Action = action
				r.Message.Envelope.Subject, r.Message.Envelope.MessageID, r.Message.Envelope.EnvID = subject, messageID, envID
				r.Recipients[0].Reply, r.Recipients[0].Original, r.Recipients[0].Upstream = reply, subject, reply
				if a, err := policy.ParseAddress(address); err == nil {
					r.Recipients[0].Address, r.Message.Envelope.Sender = a, a
				}
			})
			if strings.Contains(original, r.ID.String()) {
				t.Skip("nobody can know the boundary")
			}
			octets := compose(t, r, original)
			parts := parse(t, octets)
			if want := min(2+len(original), 3); len(parts) != want {
				t.Fatalf("%d parts, want %d", len(parts), want)
			}
			groups := statusGroups(t, parts[1].body)
			if len(groups) != 2 {
				t.Fatalf("%d groups:\n%s", len(groups), parts[1].body)
			}
			if e, _ := message.Read(bytes.NewReader(octets)); e.Header.Has("Bcc") {
				t.Fatal("a field was smuggled in")
			}
		}
	})
}
