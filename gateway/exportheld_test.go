package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// An exporting is a store whose mail is to be exported.
type exporting struct {
	t   *testing.T
	cfg store.Config
	s   *store.Store
}

func newExporting(t *testing.T) *exporting {
	t.Helper()
	x := &exporting{t: t, cfg: store.DefaultConfig()}
	x.cfg.Dir, x.cfg.MinFree = t.TempDir(), 0
	var err error
	if x.s, err = store.Open(x.cfg); err != nil {
		t.Fatal(err)
	}
	return x
}

// put keeps a message; body "" is none.
func (x *exporting) put(e *policy.Envelope, body string, events ...policy.Event) string {
	x.t.Helper()
	id := x.s.NewID()
	c := store.Change{Message: id, Envelope: e, Events: append([]policy.Event{{Kind: policy.Accepted}}, events...)}
	if body != "" {
		c.Body = x.s.NewBody(id)
		if _, err := c.Body.Write([]byte(body)); err != nil {
			x.t.Fatal(err)
		}
	}
	if _, err := x.s.Commit(context.Background(), c); err != nil {
		x.t.Fatal(err)
	}
	return id.String()
}

// export closes the store and exports what it has.
func (x *exporting) export() (string, ExportReport) {
	x.t.Helper()
	if err := x.s.Close(); err != nil {
		x.t.Fatal(err)
	}
	dir := filepath.Join(x.t.TempDir(), "mail")
	report, err := ExportHeld(x.cfg, dir)
	if err != nil {
		x.t.Fatal(err)
	}
	return dir, report
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestExportHeld(t *testing.T) {
	x := newExporting(t)
	later := time.Now().Add(time.Hour)
	held := policy.Event{Kind: policy.Held, Until: later}
	envelope := func(front policy.Front, sender policy.Address, to ...policy.Address) *policy.Envelope {
		e := &policy.Envelope{Received: time.Now(), Front: front, Direction: policy.Outbound, Sender: sender, Identity: "ann", MessageID: "<1@corp.example>"}
		for _, a := range to {
			e.Recipients = append(e.Recipients, policy.Recipient{Address: a, Notify: []string{"FAILURE"}, Original: "b@x.example", OriginalType: "rfc822"})
		}
		return e
	}
	body := "Received: from x\r\nSubject: it's\r\n\r\n.\r\n..two\r\n" + strings.Repeat("z", 300<<10) + "\r\n"
	plain := envelope(policy.Relay, "o'neil@corp.example", "bob@example.org", "carol@example.org")
	plain.EnvID, plain.Ret, plain.Body, plain.UTF8, plain.RequireTLS, plain.Route = "e1", "HDRS", "8BITMIME", true, true, "other"
	one := x.put(plain, body, held)
	id, err := policy.ParseID(one)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.s.Commit(t.Context(), store.Change{Message: id, Events: []policy.Event{{Kind: policy.DeliveredMailbox, Recipients: []int{1}}}}); err != nil {
		t.Fatal(err)
	}
	null := x.put(envelope(policy.Internal, "", "ann@corp.example"), "Subject: DSN\r\n\r\nx\r\n", policy.Event{Kind: policy.Released, Until: later})
	waits := x.put(envelope(policy.Relay, "ann@corp.example", "bob@example.org"), "Subject: w\r\n\r\nx\r\n", policy.Event{Kind: policy.ApprovalRequested, Until: later})
	atPostfix := envelope(policy.Milter, "ann@corp.example", "bob@example.org")
	atPostfix.QueueID = "4XyZQueue"
	x.put(atPostfix, "", held)
	x.put(envelope(policy.Relay, "ann@corp.example", "bob@example.org"), "Subject: gone\r\n\r\nx\r\n", policy.Event{Kind: policy.Released, Until: later}, policy.Event{Kind: policy.RelayedRemote})
	x.put(envelope(policy.Relay, "ann@corp.example", "bob@example.org"), "", policy.Event{Kind: policy.Offered, Until: time.Now()})

	dir, report := x.export()
	if report.Written != 3 || len(report.AtPostfix) != 1 || report.AtPostfix[0] != "4XyZQueue" || report.Offered != 1 || !report.Whole() {
		t.Errorf("%+v", report)
	}
	if got := read(t, dir, one+".eml"); got != body {
		t.Errorf("%d octets, want %d", len(got), len(body))
	}
	var e exportedEnvelope
	if err := json.Unmarshal([]byte(read(t, dir, one+".json")), &e); err != nil {
		t.Fatal(err)
	}
	if *e.Sender != "o'neil@corp.example" || len(e.Recipients) != 1 || e.Recipients[0].Address != "bob@example.org" || e.Recipients[0].Original != "rfc822;b@x.example" ||
		e.Recipients[0].Notify[0] != "FAILURE" || e.State != policy.StateHeld || e.MayBeDuplicate || e.EnvID != "e1" || e.Ret != "HDRS" || e.Body != "8BITMIME" ||
		!e.SMTPUTF8 || !e.RequireTLS || e.Upstream != "other" || e.Octets != int64(len(body)) || e.Identity != "ann" {
		t.Errorf("%+v", e)
	}
	if text := read(t, dir, one+".json"); !strings.Contains(text, `"<1@corp.example>"`) {
		t.Errorf("%s", text)
	}
	script := read(t, dir, exportScript)
	for _, want := range []string{
		"\nsend " + one + " -f 'o'\\''neil@corp.example' -- 'bob@example.org'\n",
		"\n# " + null + " may have been sent already: look into the log of the mail server.\nsend " + null + " -f '' -- 'ann@corp.example'\n",
		"\n# " + waits + " waits for approval: take away the # when it is to go.\n# send ",
	} {
		if !strings.Contains(script, want) {
			t.Errorf("the script lacks %q:\n%s", want, script)
		}
	}
	if out, err := exec.Command("sh", "-n", filepath.Join(dir, exportScript)).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	x.sends(dir, one, null)
	for _, want := range []string{
		"messages in " + dir + ": 3, each", "sh " + filepath.Join(dir, exportScript), "swaks --server HOST", "in Postfix's own hold queue, not here: 1; contrib/postfix/free-held lets them go. Queue ids: 4XyZQueue",
		"being handed through, with their clients still: 1",
	} {
		if text := read(t, dir, exportSummary); !strings.Contains(text, want) {
			t.Errorf("the summary lacks %q:\n%s", want, text)
		}
	}
	if _, err := ExportHeld(x.cfg, dir); err == nil || !strings.Contains(err.Error(), "is not empty: name a new directory") {
		t.Error(err)
	}
}

// sends runs the script, twice: the mail server refuses the second message at first, and gets nothing twice.
func (x *exporting) sends(dir, first, second string) {
	x.t.Helper()
	bin := x.t.TempDir()
	fake := "#!/bin/sh\necho \"$@\" >> " + bin + "/took\ncat > /dev/null\n[ \"$4\" != '' ] || [ -e " + bin + "/up ] || { touch " + bin + "/up; exit 75; }\n"
	if err := os.WriteFile(filepath.Join(bin, "sendmail"), []byte(fake), 0o700); err != nil {
		x.t.Fatal(err)
	}
	run := func() (string, error) {
		cmd := exec.Command("sh", filepath.Join(dir, exportScript))
		cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin"}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(); err == nil || out != first+" is with Postfix\n" {
		x.t.Errorf("%v: %s", err, out)
	}
	if out, err := run(); err != nil || out != first+" was sent before\n"+second+" is with Postfix\n" {
		x.t.Errorf("%v: %s", err, out)
	}
	const refused = "-G -i -f  -- ann@corp.example\n"
	if got := read(x.t, bin, "took"); got != "-G -i -f o'neil@corp.example -- bob@example.org\n"+refused+refused {
		x.t.Errorf("the mail server took\n%s", got)
	}
}

// What is damaged is named, and the rest is there.
func TestExportHeldFromADamagedStore(t *testing.T) {
	x := newExporting(t)
	var ids []string
	for range 3 {
		e := &policy.Envelope{Received: time.Now(), Front: policy.Relay, Direction: policy.Outbound, Sender: "ann@corp.example", Identity: "ann", Recipients: []policy.Recipient{{Address: "bob@example.org"}}}
		ids = append(ids, x.put(e, "Subject: x\r\n\r\n"+strings.Repeat("y", 9000), policy.Event{Kind: policy.Held, Until: time.Now().Add(time.Hour)}))
	}
	if err := x.s.Close(); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(x.cfg.Dir, "journal", "*.vlog"))
	if err != nil || len(logs) == 0 {
		t.Fatal(logs, err)
	}
	f, err := os.OpenFile(logs[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("\xff\xfe\xfd"), 4000); err != nil { // in the first body
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), os.Remove(filepath.Join(x.cfg.Dir, "journal", "MANIFEST"))); err != nil {
		t.Fatal(err)
	}
	dir, report := x.export()
	if report.Written != 2 || len(report.Broken) != 1 || report.Broken[0] != ids[0] || len(report.Faults) != 1 || report.Whole() {
		t.Errorf("%+v", report)
	}
	summary := read(t, dir, exportSummary)
	for _, want := range []string{"not whole: " + ids[0] + ", see " + ids[0] + ".json", "damaged: MANIFEST: the file is missing", "everything is marked may_be_duplicate"} {
		if !strings.Contains(summary, want) {
			t.Errorf("the summary lacks %q:\n%s", want, summary)
		}
	}
	if text := read(t, dir, ids[0]+".json"); !strings.Contains(text, `"lost": "a part of its octets"`) {
		t.Error(text)
	}
	if text := read(t, dir, ids[1]+".json"); !strings.Contains(text, `"may_be_duplicate": true`) {
		t.Error(text)
	}
}
