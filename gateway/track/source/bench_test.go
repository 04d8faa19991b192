package source

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkReadFile reads a log of 100,000 lines.
func BenchmarkReadFile(b *testing.B) {
	path := filepath.Join(b.TempDir(), "mail.log")
	text := lines(0, 99999)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if err := ReadFile(b.Context(), path, func(context.Context, Batch) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
