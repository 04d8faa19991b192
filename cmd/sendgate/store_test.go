package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// kept makes a store with one held message, and gives its directory and a backup of it.
func kept(t *testing.T) (dir string, backup []byte) {
	t.Helper()
	cfg := store.DefaultConfig()
	cfg.Dir, cfg.Node = filepath.Join(t.TempDir(), "data"), "gw.corp.example"
	s, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	id := s.NewID()
	body := s.NewBody(id)
	if _, err := body.Write([]byte("Subject: offer\r\n\r\nhello\r\n")); err != nil {
		t.Fatal(err)
	}
	_, err = s.Commit(t.Context(), store.Change{Message: id, Body: body, Envelope: &policy.Envelope{
		Received: time.Now(), Front: policy.Relay, Identity: "ann", Sender: "ann@corp.example", Recipients: []policy.Recipient{{Address: "bob@example.org"}},
	}, Events: []policy.Event{{Kind: policy.Accepted}, {Kind: policy.Held, Until: time.Now().Add(time.Hour)}}})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := s.Backup(t.Context(), "1.2.3", &b); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return cfg.Dir, b.Bytes()
}

// serveBackup gives octets as the API gives a backup.
func serveBackup(t *testing.T, b []byte) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method+r.URL.Path != "POST/api/v1/backup" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		_, _ = w.Write(b)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func command(t *testing.T, stdin io.Reader, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	err = run(context.WithoutCancel(t.Context()), args, stdin, &out, &errs)
	return out.String(), errs.String(), err
}

// A backup goes to a file that only its owner reads, from there into a new store, and that verifies.
func TestBackupRestoreVerify(t *testing.T) {
	_, b := kept(t)
	file := filepath.Join(t.TempDir(), "sendgate.backup")
	if err := os.WriteFile(file, []byte("an older one"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, said, err := command(t, nil, "backup", file, "--server", serveBackup(t, b))
	if err != nil || out != "" || !strings.Contains(said, "has everything of gw.corp.example up to batch 1: 1 message, ") || !strings.Contains(said, "it is not encrypted: whoever has it can read all mail in it") {
		t.Errorf("%q %q %v", out, said, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if out, _, err := command(t, nil, "restore", file, "--check"); err != nil || !strings.Contains(out, "sendgate 1.2.3 on gw.corp.example") || !strings.HasSuffix(out, "is whole\n") {
		t.Errorf("%q, %v", out, err)
	}
	dir := filepath.Join(t.TempDir(), "new")
	out, _, err = command(t, nil, "restore", file, "--data", dir)
	if err != nil || !strings.Contains(out, "1 message may have been sent since the backup was made, and waits for you:") || !strings.Contains(out, "sendgate approvals approve ") {
		t.Errorf("%q, %v", out, err)
	}
	if out, _, err := command(t, nil, "store", "verify", "--data", dir); err != nil || !strings.Contains(out, "everything is in order") || !strings.Contains(out, "1, 1 of them wait") {
		t.Errorf("%q, %v", out, err)
	}
	if _, _, err := command(t, nil, "restore", file, "--data", dir); err == nil || !strings.Contains(err.Error(), "is not empty") || exitCode(err) != 1 {
		t.Errorf("%v", err)
	}
	if out, _, err := command(t, bytes.NewReader(b), "restore", "-", "--data", filepath.Join(dir, "more"), "--release"); err != nil || !strings.Contains(out, "1 message goes at its time, marked as a possible duplicate; it may have been sent since the backup was made") {
		t.Errorf("%q, %v", out, err)
	}
}

// A restore brings back no bypass, and says so.
func TestRestoreTellsOfABypass(t *testing.T) {
	var out bytes.Buffer
	if err := writeRestored(&out, "/data", &store.RestoreReport{Bypassed: time.Now().Add(time.Hour)}); err != nil || !strings.Contains(out.String(), "they apply again from the start on, unless you say\n  sendgate bypass --reason TEXT --for 1h\n") {
		t.Errorf("%q, %v", out.String(), err)
	}
}

// What does not come whole takes no older backup's place.
func TestTornBackupLeavesTheOlderOne(t *testing.T) {
	_, b := kept(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "sendgate.backup")
	if err := os.WriteFile(file, []byte("an older one"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := command(t, nil, "backup", file, "--server", serveBackup(t, b[:len(b)-20]))
	if err == nil || !strings.Contains(err.Error(), "there is no new backup in "+file) || !strings.Contains(err.Error(), "it ends too early") {
		t.Errorf("%v", err)
	}
	left, err := os.ReadDir(dir)
	if old, _ := os.ReadFile(file); err != nil || string(old) != "an older one" || len(left) != 1 {
		t.Errorf("%q, %d files, %v", old, len(left), err)
	}
	if out, _, err := command(t, nil, "backup", "-", "--server", serveBackup(t, b)); err != nil || out != string(b) {
		t.Errorf("%d octets of %d, %v", len(out), len(b), err)
	}
}

// A backup that lacks something is kept beside the older one, and the command fails.
func TestBackupThatLacksSomethingFails(t *testing.T) {
	_, b := kept(t)
	at := bytes.LastIndex(b, []byte(`{"entries":`))
	end := bytes.Index(b[at:], []byte("}\n")) + at
	b = append(bytes.Clone(b[:end]), `,"damaged":["a part of the body of message X"]}`+"\n"...)
	b = append(b, fmt.Sprintf("sha256 %x\n", sha256.Sum256(b))...)
	dir := t.TempDir()
	file, elsewhere := filepath.Join(dir, "sendgate.backup"), filepath.Join(t.TempDir(), "precious")
	for _, name := range []string{file, elsewhere} {
		if err := os.WriteFile(name, []byte("an older one"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(elsewhere, file+".new"); err != nil { // somebody else may write into the directory
		t.Fatal(err)
	}
	_, said, err := command(t, nil, "backup", file, "--server", serveBackup(t, b))
	if err == nil || !strings.Contains(err.Error(), "the gateway could not read everything") || !strings.Contains(err.Error(), file+".damaged has the rest, and "+file+" was left as it was") ||
		!strings.Contains(said, "could not be read: a part of the body of message X") || exitCode(err) != 1 {
		t.Errorf("%q %v", said, err)
	}
	for _, name := range []string{file, elsewhere} {
		if old, err := os.ReadFile(name); err != nil || string(old) != "an older one" {
			t.Errorf("%s: %d octets, %v", name, len(old), err)
		}
	}
	out, _, err := command(t, nil, "restore", file+".damaged", "--check")
	if err == nil || !strings.Contains(err.Error(), "what is named above is not in it") || !strings.Contains(out, "could not be read when it was made: a part of the body of message X") {
		t.Errorf("%q %v", out, err)
	}
	if out, _, err := command(t, nil, "backup", "-", "--server", serveBackup(t, b)); err == nil || out != string(b) {
		t.Errorf("%d octets of %d, %v", len(out), len(b), err)
	}
}

// Faults are named, and repair goes on with what is left.
func TestStoreVerifyAndRepair(t *testing.T) {
	dir, _ := kept(t)
	if err := os.WriteFile(filepath.Join(dir, "synced"), []byte("7\n"), 0o600); err != nil { // batches 2 to 7 were promised
		t.Fatal(err)
	}
	out, _, err := command(t, nil, "store", "verify", "--data", dir)
	if err == nil || !strings.Contains(err.Error(), `sendgate store repair --data `+dir) || !strings.Contains(out, "fault: batches 2 to 7: missing") {
		t.Errorf("%q, %v", out, err)
	}
	out, _, err = command(t, nil, "store", "repair", "--data", dir)
	if err != nil || !strings.Contains(out, "given up: batches 2 to 7") || !strings.Contains(out, "given up in all: 1; \"sendgate store verify --data "+dir) || !strings.Contains(out, "1 message is sound; the journal goes on after batch") {
		t.Errorf("%q, %v", out, err)
	}
	if out, _, err := command(t, nil, "store", "verify", "--data", dir, "--json"); err != nil || !strings.Contains(out, `"FaultCount":0`) || !strings.Contains(out, `"GivenUp":[{"What":"batches 2 to 7: missing","When":"`) {
		t.Errorf("%q, %v", out, err)
	}
	out, _, err = command(t, nil, "store", "verify", "--data", dir)
	if err != nil || !strings.Contains(out, "given up by the repair of ") || !strings.Contains(out, ": batches 2 to 7: missing\neverything else is in order\n") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestStoreUsageIsPrinted(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"total":629145600,"bodies":3221225472,"max_size":536870912,"events_for":"90d","bodies_for":"72h","reserve":2048,"free":1,"early":{"bodies":40,"messages":3,"over":true}}`)
	}))
	defer s.Close()
	for lang, want := range map[string][]string{
		"en": {"600.0 MiB", "of 512.0 MiB allowed", "3.00 GiB", "for 90d", "below 2.0 KiB no mail is accepted", "since the start 40 bodies and 3 messages were deleted before their time", "raise store.max_size_mib"},
		"zh": {"磁盘占用", "上限 512.0 MiB", "启动以来提前删除 40 封邮件的原文、3 封邮件的全部记录", "请调大 store.max_size_mib"},
	} {
		out, _, err := command(t, nil, "store", "usage", "--lang", lang, "--server", s.URL)
		for _, w := range want {
			if err != nil || !strings.Contains(out, w) {
				t.Errorf("%v, without %q:\n%s", err, w, out)
			}
		}
	}
}
