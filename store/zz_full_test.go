package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
	"golang.org/x/sys/unix"
)

func envInt(name string, def int) int {
	var v int
	if _, err := fmt.Sscan(os.Getenv(name), &v); err != nil {
		return def
	}
	return v
}

func TestExploreFull(t *testing.T) {
	dir := t.TempDir()
	size := envInt("TMPFS", 1500)
	if err := unix.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", size)); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	cfg := DefaultConfig()
	cfg.Dir, cfg.MinFree = dir, int64(envInt("MINFREE", 512))
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var lowest atomic.Int64
	lowest.Store(1 << 60)
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			f, _ := freeBytes(dir)
			if f < lowest.Load() {
				lowest.Store(f)
			}
			time.Sleep(200 * time.Microsecond)
		}
	}()
	mode := os.Getenv("MODE")
	var ok, full, other atomic.Int64
	start := time.Now()
	end := start.Add(time.Duration(envInt("SECONDS", 30)) * time.Second)
	var wg sync.WaitGroup
	rcpts := envInt("RCPTS", 1)
	for w := range envInt("WRITERS", 50) {
		wg.Go(func() {
			for i := 0; time.Now().Before(end); i++ {
				id := s.NewID()
				c := Change{Message: id, Envelope: &policy.Envelope{Received: time.Now(), Identity: "a", Sender: "alice@corp.example", Subject: fmt.Sprintf("hello world %d %d", w, i), MessageID: fmt.Sprintf("<%d.%d@x>", w, i)}, Events: []policy.Event{{Kind: policy.Accepted}, {Kind: policy.Held, Until: time.Now()}}}
				for k := range rcpts {
					c.Envelope.Recipients = append(c.Envelope.Recipients, policy.Recipient{Address: policy.Address(fmt.Sprintf("u%d.%d@example%d.org", i, k, i%77))})
				}
				n := 0
				switch {
				case mode == "spill":
					n = 3 << 20
				case mode == "mix" && w%5 == 0:
					n = 5 << 20
				case mode == "mix" && w%5 == 1:
					n = 200 << 10
				case mode == "body":
					n = 200 << 10
				}
				var err error
				if n > 0 {
					c.Body = s.NewBody(id)
					buf := make([]byte, 100<<10)
					for n > 0 && err == nil {
						_, err = c.Body.Write(buf)
						n -= len(buf)
					}
				}
				if err == nil {
					_, err = s.Commit(context.Background(), c)
				}
				if err != nil && c.Body != nil {
					c.Body.Discard()
				}
				switch {
				case err == nil:
					ok.Add(1)
				case errors.Is(err, ErrFull):
					full.Add(1)
					time.Sleep(time.Millisecond)
				default:
					other.Add(1)
					fmt.Println(err)
					time.Sleep(time.Second)
				}
			}
		})
	}
	tick := time.NewTicker(time.Duration(envInt("TICK", 5)) * time.Second)
	go func() {
		for range tick.C {
			f, _ := freeBytes(dir)
			fmt.Printf("%3.0fs ok %d full %d other %d free %d lowest %d under reserve %d\n", time.Since(start).Seconds(), ok.Load(), full.Load(), other.Load(), f>>20, lowest.Load()>>20, cfg.MinFree-lowest.Load()>>20)
		}
	}()
	wg.Wait()
	fmt.Println(s.db.LevelsToString())
	s.Close()
	close(stop)
	fmt.Printf("RESULT mode %s rcpts %d minfree %d tmpfs %d: ok %d full %d other %d lowest %d under reserve %d\n", mode, rcpts, cfg.MinFree, size, ok.Load(), full.Load(), other.Load(), lowest.Load()>>20, cfg.MinFree-lowest.Load()>>20)
}
