package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

func diskUse(dir string) (vlog, sst, mem, total int64) {
	filepath.Walk(dir, func(p string, fi os.FileInfo, err error) error {
		if err != nil || fi.IsDir() {
			return nil
		}
		n := fi.Sys().(*syscall.Stat_t).Blocks * 512
		switch filepath.Ext(p) {
		case ".vlog":
			vlog += n
		case ".sst":
			sst += n
		case ".mem":
			mem += n
		}
		total += n
		return nil
	})
	return vlog >> 20, sst >> 20, mem >> 20, total >> 20
}

func env(name string, def int) int {
	if v, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return v
	}
	return def
}

func TestScratchGC(t *testing.T) {
	n, size := env("N", 40000), env("SIZE", 10000)
	dir, _ := os.MkdirTemp(os.Getenv("BASE"), "scratch")
	defer os.RemoveAll(dir)
	cfg := DefaultConfig()
	cfg.Dir = dir
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	show := func(what string) {
		v, ss, m, tot := diskUse(dir)
		fmt.Printf("%-40s vlog %5d sst %5d mem %4d total %5d MiB\n", what, v, ss, m, tot)
	}
	start := time.Now()
	fill := func(n int) {
	var wg sync.WaitGroup
	for w := range 50 {
		wg.Go(func() {
			body := make([]byte, size)
			for i := range n / 50 {
				id := s.NewID()
				b := s.NewBody(id)
				b.Write(body)
				_, err := s.Commit(context.Background(), Change{Message: id, Body: b, Envelope: &policy.Envelope{Received: time.Now(), Identity: "a", Sender: "alice@corp.example", Subject: fmt.Sprintf("hello world %d %d", w, i), MessageID: fmt.Sprintf("<%d.%d@x>", w, i), Recipients: []policy.Recipient{{Address: policy.Address(fmt.Sprintf("u%d@example.org", i))}}},
					Events: []policy.Event{{Kind: policy.Accepted}, {Kind: policy.Held, Until: time.Now()}}})
				if err != nil {
					t.Error(err)
					return
				}
				s.Commit(context.Background(), Change{Message: id, Events: []policy.Event{{Kind: policy.RelayedRemote, Reply: "250 ok"}}})
			}
		})
	}
	wg.Wait()
	}
	fill(n)
	show(fmt.Sprintf("filled %d x %d in %v", n, size, time.Since(start)))
	start = time.Now()
	if err := s.pruneBodies(context.Background(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	show(fmt.Sprintf("pruned in %v", time.Since(start)))
	if k := env("MORE", 0); k > 0 {
		fill(k)
		show(fmt.Sprintf("filled %d more", k))
	}
	gc := func(what string) {
		start := time.Now()
		k := 0
		var err error
		for ; ; k++ {
			if err = s.db.RunValueLogGC(0.4); err != nil {
				break
			}
		}
		show(fmt.Sprintf("%s: gc %d files in %v, %v", what, k, time.Since(start), err))
	}
	gc("plain")
	start = time.Now()
	switch os.Getenv("HOW") {
	case "flatten":
		fmt.Println(s.db.Flatten(1))
	case "drop":
		s.db.DropPrefix([]byte{keyOpenBody})
	}
	show(fmt.Sprintf("%s in %v", os.Getenv("HOW"), time.Since(start)))
	gc("after"); fmt.Println("garbage", s.garbage.Load()>>20, s.collect(context.Background(), 1<<20)); show("collected")
	s.Close()
	show("closed")
	s, _ = Open(cfg)
	time.Sleep(2*time.Second)
	gc("reopened")
	start = time.Now()
	fmt.Println(s.db.Flatten(1))
	show(fmt.Sprintf("flatten again in %v", time.Since(start)))
	gc("after flatten again")
	s.Close()
}
