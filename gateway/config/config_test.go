package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// colour is a type with a text form of its own.
type colour string

func (c *colour) UnmarshalText(text []byte) error {
	if s := string(text); s != "red" && s != "blue" {
		return fmt.Errorf("not a colour: use red or blue")
	}
	*c = colour(text)
	return nil
}

type listen struct {
	Address netip.AddrPort `yaml:"address"`
	TLS     string         `yaml:"tls"`
}

func (l *listen) SetDefaults() { l.TLS = "none" }

type relay struct {
	Listen     []listen       `yaml:"listen"`
	Networks   []netip.Prefix `yaml:"networks"`
	Source     netip.Addr     `yaml:"source"`
	Recipients int            `yaml:"max_recipients"`
	Received   bool           `yaml:"received_header"`
}

type tree struct {
	Hostname string            `yaml:"hostname"`
	Relay    relay             `yaml:"relay"`
	Hold     time.Duration     `yaml:"hold"`
	Small    uint8             `yaml:"small"`
	Level    int8              `yaml:"level"`
	Ratio    float64           `yaml:"ratio"`
	Headers  map[string]string `yaml:"headers"`
	Colour   colour            `yaml:"colour"`
	Nothing  struct{}          `yaml:"nothing"`
	Clock    func() time.Time  `yaml:"-"`
}

func defaults() tree {
	return tree{
		Hostname: "localhost", Hold: time.Minute, Small: 7, Ratio: 0.5, Colour: "red",
		Relay: relay{Recipients: 1000, Received: true, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	}
}

// TestFaults decodes each file of testdata. The file after it with the ending .want holds the
// whole report; a file without one must be good.
func TestFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in testdata: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(strings.TrimSuffix(name, ".yaml") + ".want")
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			got := defaults()
			_, err = Decode(filepath.Base(name), data, &got)
			if report := lines(err); report != string(want) {
				t.Errorf("report:\n%swant:\n%s", report, want)
			}
		})
	}
}

func lines(err error) string {
	if err == nil {
		return ""
	}
	return err.Error() + "\n"
}

func TestDecodeReadsEveryType(t *testing.T) {
	data, err := os.ReadFile("testdata/good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := defaults()
	if _, err := Decode("good.yaml", data, &got); err != nil {
		t.Fatal(err)
	}
	want := tree{
		Hostname: "12345", Hold: 36 * time.Hour, Small: 255, Level: -128, Ratio: 1, Colour: "blue",
		Headers: map[string]string{"X-Class": "two\nlines\n", "X-Name": "王芳"},
		Relay: relay{
			Listen: []listen{
				{Address: netip.MustParseAddrPort("127.0.0.1:2525"), TLS: "none"},
				{Address: netip.MustParseAddrPort("[::1]:465"), TLS: "implicit"},
			},
			Networks:   []netip.Prefix{},
			Source:     netip.MustParseAddr("192.0.2.1"),
			Recipients: 1000,
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDefaultsStayWhereTheFileIsSilent(t *testing.T) {
	for name, file := range map[string]string{
		"empty":             "",
		"only a comment":    "# nothing\n",
		"empty section":     "relay:\n  # listen: []\nhold:\n",
		"explicit null":     "hostname: ~\nheaders: null\n",
		"byte order mark":   "\ufeff",
		"only a separator":  "---\n",
		"unreadable values": "hold: soon\nsmall: 300\nratio: much\nrelay: {received_header: no}\ncolour: green\n",
	} {
		t.Run(name, func(t *testing.T) {
			got := defaults()
			_, err := Decode("a.yaml", []byte(file), &got)
			if (err != nil) != (name == "unreadable values") {
				t.Errorf("error: %v", err)
			}
			if !reflect.DeepEqual(got, defaults()) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestByteOrderMarkIsNoPartOfTheFirstKey(t *testing.T) {
	var got tree
	if _, err := Decode("a.yaml", []byte("\ufeffhostname: a"), &got); err != nil || got.Hostname != "a" {
		t.Errorf("hostname %q, %v", got.Hostname, err)
	}
}

func TestRefusesWhatCannotBeAFile(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"too long":  {strings.Repeat("#", maxFile+1), "a.yaml:1:1: the file has 4194305 octets, more than 4194304"},
		"not UTF-8": {"hostname: \xff", "a.yaml:1:1: the file is not UTF-8: save it in that encoding"},
	} {
		t.Run(name, func(t *testing.T) {
			var got tree
			if _, err := Decode("a.yaml", []byte(c.file), &got); err == nil || err.Error() != c.want {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTypeWithoutFormPanics(t *testing.T) {
	defer func() {
		if r := recover(); r != "config: the type chan int has no form in YAML" {
			t.Errorf("recovered %v", r)
		}
	}()
	var wrong struct {
		C chan int `yaml:"c"`
	}
	_, _ = Decode("a.yaml", []byte("c: 1"), &wrong)
}

func TestLocate(t *testing.T) {
	const text = "hostname: mail\nrelay:\n  networks: [10.0.0.0/8]\n  listen:\n    - address: 127.0.0.1:25\n      tls: maybe\n    - {}\nsmall: 999\n"
	got := defaults()
	file, _ := Decode("a.yaml", []byte(text), &got)
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"nothing wrong":    {nil, ""},
		"value":            {&policy.Fault{Path: "relay.listen[0].tls", Value: "maybe", Text: "use none"}, "a.yaml:6:12: relay.listen[0].tls: maybe: use none"},
		"entry":            {&policy.Fault{Path: "relay.networks[0]", Text: "too wide"}, "a.yaml:3:14: relay.networks[0]: too wide"},
		"absent key":       {&policy.Fault{Path: "relay.listen[0].key", Text: "missing"}, "a.yaml:5:7: relay.listen[0].key: missing"},
		"absent in empty":  {&policy.Fault{Path: "relay.listen[1].tls", Text: "missing"}, "a.yaml:7:7: relay.listen[1].tls: missing"},
		"absent entry":     {&policy.Fault{Path: "relay.listen[7].tls", Text: "missing"}, "a.yaml:4:3: relay.listen[7].tls: missing"},
		"section":          {&policy.Fault{Path: "relay", Text: "no"}, "a.yaml:2:1: relay: no"},
		"absent section":   {&policy.Fault{Path: "upstreams[0].name", Text: "missing"}, "a.yaml:1:1: upstreams[0].name: missing"},
		"already reported": {&policy.Fault{Path: "small", Text: "out of range"}, ""},
		"other error":      {errors.New("no such user"), "a.yaml:1:1: no such user"},
		"wrapped":          {fmt.Errorf("check: %w", &policy.Fault{Path: "hostname", Text: "short"}), "a.yaml:1:11: hostname: short"},
		"empty value":      {&policy.Fault{Path: "hostname", Value: "", Text: "short"}, "a.yaml:1:11: hostname: short"},
		"control letters":  {&policy.Fault{Path: "hostname", Value: "\x1b[2J\n", Text: "short"}, `a.yaml:1:11: hostname: \x1b[2J\n: short`},
		"in order of file": {
			errors.Join(&policy.Fault{Path: "relay", Text: "second"}, errors.Join(&policy.Fault{Path: "hostname", Text: "first"})),
			"a.yaml:1:11: hostname: first\na.yaml:2:1: relay: second",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.TrimSuffix(lines(file.Locate(c.err)), "\n"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "60s": time.Minute, "90s": 90 * time.Second, "2m": 2 * time.Minute, "15m": 15 * time.Minute,
		"1h": time.Hour, "5d": 5 * day, "36h": 36 * time.Hour, "1.5s": 1500 * time.Millisecond, "250ms": 250 * time.Millisecond,
		"-1.5s": -1500 * time.Millisecond, "106751d": 106751 * day,
	} {
		if got := formatDuration(want); got != text {
			t.Errorf("formatDuration(%v) = %s, want %s", want, got, text)
		}
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("parseDuration(%s) = %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]time.Duration{"0": 0, "1d12h": 36 * time.Hour, "0d": 0} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("parseDuration(%s) = %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "60", "d", "-1d", "1.5d", "1d-1h", "106752d", "106751d24h", "5days", "12h1d"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("parseDuration(%s) = %v, want an error", text, got)
		}
	}
}

func TestPrintIsReadBack(t *testing.T) {
	want := defaults()
	want.Relay.Listen = []listen{{Address: netip.MustParseAddrPort("[::1]:25"), TLS: "#"}, {TLS: "yes: no"}}
	want.Headers = map[string]string{"X-A": "1", "X-B": "null", "X-C": "王\n芳", "X-D": "<>", "X-E": ""}
	want.Relay.Source = netip.MustParseAddr("fe80::1%eth0")
	var text strings.Builder
	if err := Print(&text, want); err != nil {
		t.Fatal(err)
	}
	want.Relay.Listen[1].Address = netip.AddrPort{}
	var got tree
	if _, err := Decode("printed.yaml", []byte(text.String()), &got); err != nil {
		t.Fatalf("%v in\n%s", err, text.String())
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v\nprinted\n%s", got, want, text.String())
	}
	if !strings.Contains(text.String(), "\nhold: 60s\n") {
		t.Errorf("the hold is not printed as 60s:\n%s", text.String())
	}
}

func TestPrintReportsItsWriter(t *testing.T) {
	if err := Print(broken{}, defaults()); err == nil || err.Error() != "print configuration: no space" {
		t.Errorf("got %v", err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("no space") }

// FuzzDecode holds that no file crashes the decoder, that every fault has a place in the file and
// is one line, and that what was read without a fault is the same after Print and Decode.
func FuzzDecode(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			t.Skip("the parser is quadratic")
		}
		got := defaults()
		file, err := Decode("a.yaml", []byte(text), &got)
		for _, e := range flatten(err) {
			var fault *Fault
			if !errors.As(e, &fault) || fault.Line < 1 || fault.Column < 1 || strings.ContainsAny(e.Error(), "\n\x1b") {
				t.Fatalf("bad fault %#v", e)
			}
		}
		_ = file.Locate(&policy.Fault{Path: text, Text: text})
		if err != nil {
			return
		}
		var printed strings.Builder
		if err := Print(&printed, got); err != nil {
			t.Fatal(err)
		}
		again := defaults()
		if _, err := Decode("b.yaml", []byte(printed.String()), &again); err != nil {
			t.Fatalf("printed:\n%s\n%v", printed.String(), err)
		}
	})
}
