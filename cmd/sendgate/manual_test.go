package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestManual holds that every command has a page, with its flags, and every shell its completions.
func TestManual(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	if err := run(t.Context(), []string{"manual", "--date", "86400", dir}, nil, &out, &out); err != nil {
		t.Fatal(err)
	}
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		if cmd.Hidden || cmd.Name() == "help" {
			return
		}
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".8"
		b, err := os.ReadFile(filepath.Join(dir, "man", name))
		if err != nil {
			t.Error(err)
		}
		if page := string(b); !strings.Contains(page, ".SH SYNOPSIS") || !strings.Contains(page, `"Jan 1970"`) || strings.Contains(page, "Auto generated") {
			t.Errorf("%s begins with %q", name, page[:min(len(page), 200)])
		}
		for _, c := range cmd.Commands() {
			look(c)
		}
	}
	look(newRootCommand())
	for name, want := range map[string]string{"sendgate": "__start_sendgate", "_sendgate": "#compdef sendgate", "sendgate.fish": "complete -c sendgate"} {
		b, err := os.ReadFile(filepath.Join(dir, "completion", name))
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %v: no %q", name, err, want)
		}
	}
	if err := run(t.Context(), []string{"manual", filepath.Join(dir, "man", "sendgate.8")}, nil, &out, &out); err == nil {
		t.Error("a file is no directory")
	}
}
