package maillog

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

func TestEveryKindOfEventHasAVerb(t *testing.T) {
	for _, k := range policy.Kinds {
		if _, ok := severities[Verb(k)]; !ok && k != policy.Refused {
			t.Errorf("%s has no verb in verbs.go", k)
		}
	}
	if got := Verb("from a newer sendgate").severity(); got != Info {
		t.Errorf("an unknown verb is %d", got)
	}
}

// TestEveryLineOfTheFrontsIsKnown reads what fronts and timers say to the mail log: a verb that is in no
// table would stay among the other lines.
func TestEveryLineOfTheFrontsIsKnown(t *testing.T) {
	found := 0
	for _, name := range []string{"../relay/maillog.go", "../milter/maillog.go", "../hold/log.go"} {
		file, err := parser.ParseFile(gotoken.NewFileSet(), filepath.FromSlash(name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			text, literal := call.Args[0].(*ast.BasicLit)
			if !ok || !literal || method.Sel.Name != "Info" {
				return true
			}
			verb, err := strconv.Unquote(text.Value)
			if err != nil {
				t.Fatal(err)
			}
			found++
			if said[verb] == "" && !journaled[verb] {
				t.Errorf("%s says %q, which stands neither in said nor in journaled", name, verb)
			}
			return true
		})
	}
	if found < 12 {
		t.Errorf("found %d lines only", found)
	}
}

func TestText(t *testing.T) {
	long := strings.Repeat("é", maxValue)
	for _, tt := range []struct {
		outcome string
		line    Line
		want    string
	}{
		{"the four are always there", Line{Verb: "held"}, "held id=- queue_id=- sender=- rule=-"},
		{
			"in order, and then the others", Line{Verb: "deferred", ID: "01M7", QueueID: "4XyZ", Sender: "<>", Rule: "r", More: []Field{{"actor", "hold"}}},
			"deferred id=01M7 queue_id=4XyZ sender=<> rule=r actor=hold",
		},
		{
			"a rule with spaces is quoted", Line{Verb: "held", Rule: "one-time codes are not held"},
			`held id=- queue_id=- sender=- rule="one-time codes are not held"`,
		},
		{
			"a reply makes no line and no field", Line{Verb: "bounced", More: []Field{{"reply", "550 no\r\nheld id=1 \"x\" \x1b[31m\x00"}}},
			`bounced id=- queue_id=- sender=- rule=- reply="550 no\r\nheld id=1 \"x\" \x1b[31m\x00"`,
		},
		{
			"letters of other scripts are quoted and stay", Line{Verb: "held", Sender: "<张三@corp.example>"},
			`held id=- queue_id=- sender="<张三@corp.example>" rule=-`,
		},
		{"directions of writing are escaped", Line{Verb: "held", Rule: "a\u202eb"}, `held id=- queue_id=- sender=- rule="a\u202eb"`},
		{"a minus that was meant is quoted", Line{Verb: "held", Rule: "-"}, `held id=- queue_id=- sender=- rule="-"`},
		{
			"a long value is cut between letters", Line{Verb: "held", More: []Field{{"reason", long}}},
			`held id=- queue_id=- sender=- rule=- reason="` + long[:maxValue] + `…"`,
		},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			if got := tt.line.Text(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestALineIsBounded(t *testing.T) {
	l := Line{Verb: "held"}
	for range 100 {
		l.add("reason", strings.Repeat("\x01", maxValue))
	}
	if got := l.Text(); len(got) > maxLine+len(" ...") || !strings.HasSuffix(got, " ...") {
		t.Errorf("%d octets, the end is %q", len(got), got[len(got)-10:])
	}
}

func TestTimesHaveTheirZone(t *testing.T) {
	at := time.Date(2026, 3, 1, 9, 0, 0, 120394000, time.UTC)
	back, err := time.Parse(time.RFC3339Nano, stamp(at))
	if err != nil || !back.Equal(at) || !strings.Contains(stamp(at), ".120394") {
		t.Errorf("%s: %v", stamp(at), err)
	}
}

// FuzzText holds that whatever comes from outside, a line is one line, and can be read back into its fields.
func FuzzText(f *testing.F) {
	f.Add("a@b", "rule", "550 no\r\n x=\"y\"")
	f.Add("", "-", "\xff\xfe")
	f.Add("<x y>", "日本", "a=b c=d")
	f.Fuzz(func(t *testing.T, sender, rule, reason string) {
		l := Line{Verb: "held", Sender: sender, Rule: rule, More: []Field{{"reason", reason}}}
		text := l.Text()
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Fatalf("a control character in %q", text)
		}
		got := readLine(t, text)
		for i, want := range []Field{{"id", ""}, {"queue_id", ""}, {"sender", sender}, {"rule", rule}, {"reason", reason}} {
			if want.Value = cut(want.Value, maxValue); i >= len(got) || got[i] != want {
				t.Fatalf("field %d of %q: got %v, want %v", i, text, got, want)
			}
		}
		if len(got) != 5 {
			t.Fatalf("%d fields in %q", len(got), text)
		}
	})
}

// readLine reads a line back, as somebody would who has read the documentation.
func readLine(t *testing.T, text string) (fields []Field) {
	t.Helper()
	_, rest, _ := strings.Cut(text, " ")
	for rest != "" {
		name, after, ok := strings.Cut(rest, "=")
		if !ok {
			t.Fatalf("%q is no field", rest)
		}
		value, more, _ := strings.Cut(after, " ")
		if strings.HasPrefix(after, `"`) {
			quoted, err := strconv.QuotedPrefix(after)
			if err != nil {
				t.Fatalf("%q: %v", after, err)
			}
			value, more = must(strconv.Unquote(quoted)), strings.TrimPrefix(after[len(quoted):], " ")
		} else if value == "-" {
			value = ""
		}
		fields, rest = append(fields, Field{name, value}), more
	}
	return fields
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
