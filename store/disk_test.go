package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"golang.org/x/sys/unix"
)

// smallDisk mounts a file system of that many MiB.
func smallDisk(t *testing.T, mib int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	err := unix.Mount("sendgate-test", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib))
	if err != nil && os.Getenv("SENDGATE_E2E") == "require" {
		t.Fatalf("mount a tmpfs: %v", err)
	}
	if err != nil {
		t.Skipf("a small file system cannot be mounted (%v): run as root", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func openSmall(t *testing.T, dir string) *Store {
	t.Helper()
	cfg := testConfig(t, filepath.Join(dir, "data"))
	cfg.MinFree = 64
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ballast takes space that somebody else may give back.
func ballast(t *testing.T, dir string, mib int) (remove func()) {
	t.Helper()
	name := filepath.Join(dir, "ballast")
	if err := os.WriteFile(name, make([]byte, mib<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// offer tries to keep a message with a body and some recipients.
func offer(s *Store, body, recipients int) (policy.ID, error) {
	id := s.NewID()
	e := &policy.Envelope{Received: time.Now(), Identity: "a", Sender: "alice@corp.example", Subject: "hello"}
	for i := range recipients {
		e.Recipients = append(e.Recipients, policy.Recipient{Address: policy.Address(fmt.Sprintf("r%d@example.org", i))})
	}
	c := Change{Message: id, Envelope: e, Events: []policy.Event{{Kind: policy.Accepted}, {Kind: policy.Held, Until: time.Now()}}}
	c.Body = s.NewBody(id)
	_, err := c.Body.Write(make([]byte, body))
	if err == nil {
		_, err = s.Commit(context.Background(), c)
	}
	if err != nil {
		c.Body.Discard()
	}
	return id, err
}

// Many writers push against the limit: what is refused leaves nothing, what is accepted is there,
// the process lives, and when space is back, mail is accepted again.
func TestFullDisk(t *testing.T) {
	dir := smallDisk(t, 450)
	giveBack := ballast(t, dir, 100)
	s := openSmall(t, dir)
	var accepted sync.Map
	var refused atomic.Int64
	shapes := []struct{ body, recipients int }{{100, 1}, {5_000, 200}, {100_000, 2}, {3_000_000, 1}, {1_000, 1_000}}
	push := func() {
		stop := refused.Load() + 200
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				shape := shapes[i%len(shapes)]
				for refused.Load() < stop {
					id, err := offer(s, shape.body, shape.recipients)
					switch {
					case err == nil:
						accepted.Store(id, shape.body)
					case errors.Is(err, ErrFull):
						refused.Add(1)
					default:
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	var ready, wrote error
	for range 50 { // what the engine tidies up may leave room again for a moment
		push()
		ready = s.Ready()
		w := s.NewBody(s.NewID())
		var n int
		n, wrote = w.Write(make([]byte, 2*chunkSize))
		if _, again := w.Write([]byte("x")); wrote != nil && (n != 0 || again != wrote) {
			t.Errorf("Write: %d, %v, then %v", n, wrote, again)
		}
		w.Discard()
		if ready != nil && wrote != nil {
			break
		}
	}
	if !errors.Is(ready, ErrFull) || !strings.Contains(ready.Error(), "are kept in reserve: delete something there") {
		t.Errorf("Ready: %v", ready)
	}
	if !errors.Is(wrote, ErrFull) {
		t.Errorf("Write: %v", wrote)
	}
	sound := func() {
		t.Helper()
		accepted.Range(func(id, body any) bool {
			if m, err := s.Message(id.(policy.ID)); err != nil || m.BodySize != int64(body.(int)) || !s.readable(m.ID) {
				t.Errorf("accepted and not there: %+v, %v", m, err)
			}
			return true
		})
		for _, kind := range []byte{keyMessage, keyBody, keyOpenBody, keyIntent} {
			keys, err := s.keys([]byte{kind})
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range keys {
				id := policy.ID(k[1:min(1+idSize, len(k))])
				if _, ok := accepted.Load(id); !ok {
					t.Errorf("refused and left behind: %q", k)
				}
			}
		}
	}
	sound()
	mustClose(t, s)
	s = openSmall(t, dir) // nearly full is no reason not to open
	sound()
	giveBack()
	if err := s.Ready(); err != nil {
		t.Errorf("with space again: %v", err)
	}
	push()
	sound()
	mustClose(t, s)
}

// Clients that go away in the middle of big messages fill the disk with what is deleted again: it
// comes back by itself.
func TestFullOfGarbage(t *testing.T) {
	s := openSmall(t, smallDisk(t, 700))
	defer s.Close()
	kept := keep(t, s, 100_000)
	for full := false; !full; {
		w := s.NewBody(s.NewID())
		_, err := w.Write(make([]byte, 10<<20))
		if full = errors.Is(err, ErrFull); err != nil && !full {
			t.Fatal(err)
		}
		w.Discard()
	}
	before := s.Stats().FreeMiB
	if err := s.collect(t.Context(), minGarbage); err != nil {
		t.Fatal(err)
	}
	if after := s.Stats().FreeMiB; after < before+200 || s.Ready() != nil {
		t.Errorf("%d MiB free before the collection, %d after it, %v", before, after, s.Ready())
	}
	if _, err := offer(s, 100_000, 1); err != nil || !s.readable(kept) {
		t.Error(err)
	}
}

func TestOpenOnAFullDisk(t *testing.T) {
	dir := smallDisk(t, 70)
	ballast(t, dir, 10)
	cfg := testConfig(t, dir)
	cfg.MinFree = 64
	if _, err := Open(cfg); !errors.Is(err, ErrFull) {
		t.Errorf("%v, want ErrFull", err)
	}
}
