package similar

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

func BenchmarkSignature(b *testing.B) {
	x := newIndex(b)
	for _, zh := range []bool{false, true} {
		for _, size := range []int{4 << 10, 40 << 10} {
			r := rand.New(rand.NewPCG(1, 2))
			text := ""
			for len(text) < size {
				text += businessText(r, zh, 2)
			}
			b.Run(fmt.Sprintf("Chinese=%v/%d", zh, size), func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					x.Signature(text, Hints{})
				}
			})
		}
	}
}

// BenchmarkTake tells what a text like no other costs, with as many campaigns of the sender as are
// compared.
func BenchmarkTake(b *testing.B) {
	x := newIndex(b)
	r := rand.New(rand.NewPCG(1, 2))
	signatures := make([]Signature, 20_000)
	for i := range signatures {
		signatures[i] = x.Signature(businessText(r, i%2 == 0, 2), Hints{})
		signatures[i].shingles = nil
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	n := 0
	for b.Loop() {
		if n < len(signatures) {
			x.Take(start, messageID(n), fmt.Sprint("s", n%50), signatures[n], people(n, n+1))
		} else {
			x.Look(start, fmt.Sprint("s", n%50), signatures[n%len(signatures)], nil)
		}
		n++
	}
	b.StopTimer()
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(min(n, len(signatures))), "B/text")
	runtime.KeepAlive(signatures)
	runtime.KeepAlive(x)
}
