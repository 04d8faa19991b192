// Package dovecot holds the guide for administrators of Dovecot against the programs that it is about.
package dovecot

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/gateway/config"
	"github.com/sendgate/sendgate/gateway/machinetest"
	"github.com/sendgate/sendgate/gateway/mailbox"
)

// TestDovecotTakesTheSnippets gives those for the version that is installed to doveconf, one by one and together.
func TestDovecotTakesTheSnippets(t *testing.T) {
	machinetest.Need(t, "/usr/sbin/dovecot", "/usr/bin/doveconf")
	version, err := exec.Command("/usr/sbin/dovecot", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	head := map[string]string{"2.3": "", "2.4": "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"}
	release := string(version[:min(3, len(version))])
	if _, known := head[release]; !known {
		machinetest.Lack(t, "the guide is about Dovecot 2.3 and 2.4, not about %s", version)
	}
	snippets := examples(t, func(above, _ string) bool { return above == "Dovecot "+release+":" })
	for i, snippet := range append(snippets, strings.Join(snippets, "")) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			file := machinetest.Write(t, head[release]+snippet, t.TempDir(), "dovecot.conf")
			if out, err := exec.Command("/usr/bin/doveconf", "-n", "-c", file).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s%s", err, snippet, out)
			}
		})
	}
}

// TestSendgateTakesTheLines reads those for sendgate.yaml.
func TestSendgateTakesTheLines(t *testing.T) {
	for _, lines := range examples(t, func(_, first string) bool { return first == "mailboxes:" }) {
		var c struct {
			Mailboxes []mailbox.Config `yaml:"mailboxes"`
		}
		if _, err := config.Decode("README.md", []byte(lines), &c); err != nil || len(c.Mailboxes) != 1 {
			t.Fatalf("%v\n%s", err, lines)
		}
		if err := c.Mailboxes[0].Validate(); err != nil {
			t.Errorf("%v\n%s", err, lines)
		}
	}
}

// examples are the three indented texts of the guide that are wanted, by the line above them and their first line.
func examples(t *testing.T, wanted func(above, first string) bool) (all []string) {
	t.Helper()
	guide, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	paragraphs := strings.Split(string(guide), "\n\n")
	for i, p := range paragraphs[1:] {
		text := strings.ReplaceAll("\n"+strings.TrimSuffix(p, "\n"), "\n    ", "\n")[1:] + "\n"
		if first, _, _ := strings.Cut(text, "\n"); strings.HasPrefix(p, "    ") && wanted(paragraphs[i], first) {
			all = append(all, text)
		}
	}
	if len(all) != 3 {
		t.Fatalf("the guide has %d such examples, want 3", len(all))
	}
	return all
}
