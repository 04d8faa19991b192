package web

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

const backupURL = "/api/v1/backup"

// What the API gives is a backup that can be restored, and whoever took it is in the audit.
func TestBackupOverTheAPI(t *testing.T) {
	r := newRig(t)
	id := r.accept("ann@corp.example", "offer", "bob@example.org")
	w := r.ask(r.server, "secret-admin", http.MethodPost, backupURL, "")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != backupType {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	cfg := store.DefaultConfig()
	cfg.Dir = t.TempDir()
	report, err := store.Restore(t.Context(), cfg, w.Body, true)
	if err != nil || report.Messages != 1 || report.Version != r.server.version {
		t.Fatalf("%+v, %v", report, err)
	}
	restored, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	mid, err := policy.ParseID(id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := restored.Message(mid); err != nil {
		t.Error(err)
	}
	if all := r.audited("backup"); len(all) != 1 || all[0].Actor != "api:admin" {
		t.Errorf("%+v", all)
	}
}

// A cutJournal fails in the middle of a backup.
type cutJournal struct{ *store.Store }

func (cutJournal) Backup(_ context.Context, _ string, to io.Writer) (store.BackupEnd, error) {
	_, err := io.WriteString(to, "sendgate backup 1\n{\"schema\":2}\n"+strings.Repeat("x", 100<<10))
	return store.BackupEnd{}, errors.Join(err, errors.New("the disk is gone"))
}

// A backup that fails on the way is cut, and is not taken for a whole one; the next may begin.
func TestBackupThatFailsIsCut(t *testing.T) {
	r := newRig(t)
	s := r.serverFor(cutJournal{r.store})
	live := httptest.NewServer(s.Handler())
	defer live.Close()
	for range 2 {
		req, err := http.NewRequest(http.MethodPost, live.URL+backupURL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer secret-admin")
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		if err == nil {
			t.Errorf("it ended as if it were whole: %s", resp.Status)
		}
	}
}

func TestOneBackupAtATime(t *testing.T) {
	r := newRig(t)
	r.server.backups.Lock()
	defer r.server.backups.Unlock()
	w := r.ask(r.server, "secret-admin", http.MethodPost, backupURL, "")
	if w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "another backup is being made: wait until it has ended") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A bounded journal has deleted something before its time.
type boundedJournal struct{ *store.Store }

func (b boundedJournal) Usage() (store.Usage, error) {
	return store.Usage{
		Total: 600 << 20, Bodies: 300 << 20, Free: 9 << 30, Reserve: 512 << 20, MaxSize: 512 << 20, EventsFor: 90 * 24 * time.Hour, BodiesFor: 72 * time.Hour,
		Oldest: rigTime, Early: store.Early{Bodies: 40, Messages: 3, Last: rigTime, UpTo: rigTime},
	}, nil
}

func TestStoreUsage(t *testing.T) {
	r := newRig(t)
	var u Storage
	if r.do(http.MethodGet, "/api/v1/store", "", &u); u.Total == 0 || u.Free == 0 || u.Early != nil || u.EventsFor != Span(90*24*time.Hour) {
		t.Errorf("%+v", u)
	}
	r.server = r.serverFor(boundedJournal{r.store})
	if r.do(http.MethodGet, "/api/v1/store", "", &u); u.Early == nil || u.Early.Bodies != 40 || u.Early.Messages != 3 || u.MaxSize != 512<<20 {
		t.Errorf("%+v", u)
	}
}

// The page shows it to those who may see all mail, in both languages.
func TestAboutShowsTheStore(t *testing.T) {
	d := newDash(t)
	b := d.as("operator")
	b.sees("/settings/about", "On disk", "until 3 d after the last delivery", "for 90 d", "below ", "sendgate backup FILE")
	b.language = "zh-CN"
	b.sees("/settings/about", "磁盘占用", "最后一次投递后保留 3 天", "邮件原文", "不停机备份")
	d.server = d.serverFor(boundedJournal{d.store})
	d.handler = d.server.Handler()
	b = d.as("admin")
	b.sees("/settings/about", "40 messages lost their content and 3 were removed earlier than configured", "of 537 MB")
}

// What was restored from a backup is one batch of nobody in particular.
func TestRestoredMailIsOneBatch(t *testing.T) {
	d := newDash(t)
	d.accept("ann@corp.example", "offer", "bob@example.org")
	d.accept("eve@corp.example", "plan", "bob@example.org")
	var b bytes.Buffer
	if _, err := d.store.Backup(t.Context(), "1", &b); err != nil {
		t.Fatal(err)
	}
	cfg := store.DefaultConfig()
	cfg.Dir, cfg.Now = t.TempDir(), func() time.Time { return d.now }
	report, err := store.Restore(t.Context(), cfg, &b, false)
	if err != nil || report.Waiting != 2 {
		t.Fatalf("%+v, %v", report, err)
	}
	restored, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	d.server = d.serverFor(restored)
	var list BatchList
	if d.do(http.MethodGet, "/api/v1/approvals/batches", "", &list); len(list.Batches) != 1 || list.Batches[0].Identity != "" || list.Batches[0].Messages != 2 || list.Batches[0].ID != report.Review.String() {
		t.Errorf("%+v", list)
	}
	d.handler = d.server.Handler()
	p := d.as("operator")
	p.sees("/approvals", "Restored from a backup", "it may have been sent since", "Messages: 2")
	p.language = "zh-CN"
	p.sees("/approvals?batch="+report.Review.String(), "由备份恢复的邮件", "此后可能已经发出")
}
