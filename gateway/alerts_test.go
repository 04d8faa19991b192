package gateway

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/alert"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// After a restore people are told that mail waits for them, also when nothing is known of what was told before.
func TestARestoreIsTold(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Store.Dir, cfg.Store.MinFree = t.TempDir(), 0
	journal, err := store.Open(cfg.Store)
	if err != nil {
		t.Fatal(err)
	}
	_, err = journal.Commit(t.Context(), store.Change{Message: journal.NewID(), Envelope: &policy.Envelope{
		Received: time.Now(), Front: policy.Relay, Identity: "ann", Sender: "ann@corp.example", Recipients: []policy.Recipient{{Address: "bob@example.org"}},
	}, Events: []policy.Event{{Kind: policy.Accepted}, {Kind: policy.Held, Until: time.Now().Add(time.Hour)}}})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := journal.Backup(t.Context(), "1.2.3", &b); err != nil {
		t.Fatal(err)
	}
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Store.Dir = t.TempDir()
	if _, err := store.Restore(t.Context(), cfg.Store, &b, false); err != nil {
		t.Fatal(err)
	}
	if journal, err = store.Open(cfg.Store); err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	directory, err := policy.NewDirectory(cfg.Identities)
	if err != nil {
		t.Fatal(err)
	}
	a, err := openAlerts(&cfg, alert.People{Config: cfg.Policy, Directory: directory}, journal, nil, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, a.feed) }()
	told := func(i alert.Incident) bool { return i.Kind == alert.Restored }
	for deadline := time.Now().Add(time.Minute); !slices.ContainsFunc(a.List(true), told); {
		if time.Now().After(deadline) {
			t.Fatalf("nobody is told: %+v", a.List(true))
		}
		select {
		case err := <-done:
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	end()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
