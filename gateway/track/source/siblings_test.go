package source

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestSiblings(t *testing.T) {
	for _, tt := range []struct {
		name  string
		live  string
		files []string // each written an hour after the one before
		want  []string
	}{
		{"numbers", "mail.log", []string{"mail.log", "mail.log.1", "mail.log.10.gz", "mail.log.2.gz"},
			[]string{"mail.log.10.gz", "mail.log.2.gz", "mail.log.1", "mail.log"}},
		{"dates", "maillog", []string{"maillog-20261121", "maillog-20261119.gz", "maillog-20261120", "maillog"},
			[]string{"maillog-20261119.gz", "maillog-20261120", "maillog-20261121", "maillog"}},
		{"dates with dashes", "maillog", []string{"maillog-2026-11-21", "maillog-2026-11-09", "maillog"},
			[]string{"maillog-2026-11-09", "maillog-2026-11-21", "maillog"}},
		{"postfix logrotate", "maillog", []string{"maillog.20261121-153000", "maillog.20261121-103000.gz", "maillog"},
			[]string{"maillog.20261121-103000.gz", "maillog.20261121-153000", "maillog"}},
		{"logrotate's extension", "mail.log", []string{"mail-20261121.log", "mail-20261120.log.gz", "mail.log"},
			[]string{"mail-20261120.log.gz", "mail-20261121.log", "mail.log"}},
		{"both schemes go by time", "mail.log", []string{"mail.log.1", "mail.log-20201121", "mail.log.2", "mail.log"},
			[]string{"mail.log.1", "mail.log-20201121", "mail.log.2", "mail.log"}},
		{"a file and its compressed form", "mail.log", []string{"mail.log.1", "mail.log.1.gz", "mail.log"},
			[]string{"mail.log.1", "mail.log"}},
		{"others", "mail.log", []string{"mail.log.bak", "mail.log.1.xz", "mail.err", "xmail.log.1", "mailxlog.1", "mail.log.", "mail.log"},
			[]string{"mail.log"}},
		{"nothing live", "mail.log", []string{"mail.log.1"}, []string{"mail.log.1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for i, name := range tt.files {
				path, at := filepath.Join(dir, name), start.Add(time.Duration(i)*time.Hour)
				if err := os.WriteFile(path, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(path, at, at); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Mkdir(filepath.Join(dir, tt.live+".7"), 0o700); err != nil {
				t.Fatal(err)
			}
			all, err := siblings(filepath.Join(dir, tt.live))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range all {
				got = append(got, filepath.Base(s.path))
				if s.live != (filepath.Base(s.path) == tt.live) {
					t.Errorf("%s: live %v", s.path, s.live)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
