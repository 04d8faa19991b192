package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

func TestValidate(t *testing.T) {
	set := func(change func(*Config)) []Config {
		c := DefaultConfig()
		c.Name, c.URL = "ops", "https://hooks.example/0123456789abcdef"
		change(&c)
		return []Config{c}
	}
	url := func(url string) []Config { return set(func(c *Config) { c.URL = Secret(url) }) }
	for _, c := range []struct {
		outcome string
		hooks   []Config
		want    string // paths and texts, or parts of them
	}{
		{"none", nil, ""},
		{"a good one", url("https://hooks.example/0123456789abcdef"), ""},
		{"defaults alone", []Config{DefaultConfig()}, "[0].name: a hook needs a name, [0].url: say where to post"},
		{"unknown values", set(func(c *Config) { c.Kind, c.Language, c.MinSeverity = "fax", "fr", "mild" }),
			"[0].kind: fax: must be one of json, wecom, [0].language: fr: must be one of zh, en, both, [0].min_severity: mild: must be one of info"},
		{"two URLs", set(func(c *Config) { c.URLFile = "/etc/url" }), "[0].url_file: /etc/url: url and url_file exclude each other"},
		{"a secret that nobody uses", set(func(c *Config) { c.Kind, c.SecretFile = Slack, "/etc/s" }), "[0].secret_file: /etc/s: is used with kind: json"},
		{"an empty kind", set(func(c *Config) { c.Kinds = []string{"limit", ""} }), "[0].kinds: a kind of notice is not empty"},
		{"no time", set(func(c *Config) { c.Timeout = 0 }), "[0].timeout: 0s: must be between 1s and 60s"},
		{"the same name", append(set(func(*Config) {}), set(func(*Config) {})...), "[1].name: ops: there is another hook of this name"},
		{"no URL", url("0123456789abcdef"), "[0].url: is no URL"},
		{"a URL that cannot be read", url("https://a/%zz0123456789abcdef"), "[0].url: is no URL"},
		{"no host", url("https:///0123456789abcdef"), "[0].url: is no URL"},
		{"another scheme", url("ftp://a.example/0123456789abcdef"), "[0].url: is no URL"},
		{"no TLS", url("http://hooks.example/0123456789abcdef"), "[0].url: use https"},
		{"no TLS in a private network", set(func(c *Config) { c.URL, c.Private = "http://10.0.0.1/0123456789abcdef", true }), "[0].url: use https"},
		{"a password before the host", url("https://a:0123456789abcdef@hooks.example/"), "[0].url: must hold no name"},
		{"this machine", url("https://127.0.0.1/0123456789abcdef"), "[0].url: leads to this machine"},
		{"this machine by name", url("http://localhost:8080/0123456789abcdef"), "[0].url: leads to this machine"},
		{"a private network", url("https://[fd00::1]/0123456789abcdef"), "[0].url: leads to this machine or to a private network"},
		{"this machine, as meant", set(func(c *Config) { c.URL, c.Private = "http://[::1]:8080/0123456789abcdef", true }), ""},
		{"a private network, as meant", set(func(c *Config) { c.URL, c.Private = "https://192.168.1.1/0123456789abcdef", true }), ""},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			err := Validate(c.hooks)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			lines := strings.Split(fmt.Sprint(err), "\n")
			var f *policy.Fault
			if !errors.As(err, &f) {
				t.Fatalf("%v", err)
			}
			if strings.Contains(fmt.Sprint(err), "0123456789abcdef") {
				t.Errorf("the URL is repeated: %v", err)
			}
			wants := strings.Split(c.want, ", [")
			for i := range wants {
				if i > 0 {
					wants[i] = "[" + wants[i]
				}
			}
			if !slices.EqualFunc(lines, wants, strings.HasPrefix) {
				t.Errorf("%q, want %q", lines, wants)
			}
		})
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	c := Config{Name: "ops", URL: "https://hooks.example/0123456789abcdef"}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%v %+v %#v %s %s", c, c, c, c.URL, text)
	if strings.Contains(all, "0123456789abcdef") || !strings.Contains(all, "<secret>") {
		t.Errorf("%s", all)
	}
	if s := Secret("").String(); s != "" {
		t.Errorf("an empty one is %q", s)
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	good := write("good", " https://hooks.example/0123456789abcdef \r\n# made on Monday\n")
	empty := write("empty", "\n")
	plain := write("plain", "http://hooks.example/0123456789abcdef")
	for _, c := range []struct{ outcome, url, secret, want string }{
		{"both are read", good, good, ""},
		{"no file with a URL", filepath.Join(dir, "none"), "", "webhook ops: read url_file: open "},
		{"an empty one", empty, "", "webhook ops: read url_file: " + empty + ": its first line is empty"},
		{"a URL that would be refused in the configuration", plain, "", "webhook ops: url in " + plain + ": use https"},
		{"no file with a secret", good, filepath.Join(dir, "none"), "webhook ops: read secret_file: open "},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			log, _ := observed()
			s, err := New([]Config{{Name: "ops", Kind: JSON, URLFile: c.url, SecretFile: c.secret, Timeout: time.Second}}, log)
			if c.want == "" {
				if err != nil || s.hooks[0].target.url != "https://hooks.example/0123456789abcdef" || s.hooks[0].target.secret != s.hooks[0].target.url {
					t.Errorf("%v", err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "0123456789abcdef") {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
