package source

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestReadFile(t *testing.T) {
	d := newDisk(t)
	d.add(lines(0, 4999) + "and half a line")
	d.must(os.WriteFile(d.path+".plain", []byte(lines(0, 4999)+"and half a line"), 0o600))
	d.compress("")
	for _, name := range []string{d.path + ".gz", d.path + ".plain"} {
		var got []string
		caught := false
		err := ReadFile(t.Context(), name, func(_ context.Context, b Batch) error {
			for _, l := range b.Lines {
				got = append(got, string(l.Data))
			}
			caught = b.Caught
			return nil
		})
		if err != nil || !caught || !slices.Equal(got, append(want(0, 4999), "and half a line")) {
			t.Errorf("%s: %v, caught %v, %d lines", name, err, caught, len(got))
		}
	}
}

func TestReadFileErrors(t *testing.T) {
	d := newDisk(t)
	nothing := func(context.Context, Batch) error { return nil }
	if err := ReadFile(t.Context(), d.path, nothing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if err := ReadFile(t.Context(), t.TempDir(), nothing); err == nil || !strings.Contains(err.Error(), "it is not a plain file") {
		t.Errorf("directory: %v", err)
	}
	d.add(lines(0, 4))
	full := errors.New("disk full")
	if err := ReadFile(t.Context(), d.path, func(context.Context, Batch) error { return full }); !errors.Is(err, full) {
		t.Errorf("take: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ReadFile(ctx, d.path, nothing); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	d.compress("")
	text, err := os.ReadFile(d.path + ".gz")
	d.must(err)
	d.must(os.WriteFile(d.path+".gz", bytes.TrimSuffix(text, text[len(text)-8:]), 0o600))
	n := 0
	err = ReadFile(t.Context(), d.path+".gz", func(_ context.Context, b Batch) error { n += len(b.Lines); return nil })
	if err == nil || !strings.Contains(err.Error(), "unexpected EOF") || n != 5 {
		t.Errorf("cut off: %v after %d lines", err, n)
	}
}
