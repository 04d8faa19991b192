package source

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// TestFileModel writes, rotates, compresses, stops and starts at random: every line comes once and in
// order, and there is no gap.
func TestFileModel(t *testing.T) {
	for range 4 {
		seed := uint64(time.Now().UnixNano())
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { newModel(t, seed).run() })
	}
}

// A model is a log file with its writer and its reader.
type model struct {
	disk
	random  *rand.Rand
	n       int      // lines written
	got     []string // lines read by those that were stopped
	r       *receiver
	rotated int // files beside the live one
}

func newModel(t *testing.T, seed uint64) *model {
	return &model{disk: newDisk(t), random: rand.New(rand.NewPCG(seed, 1))}
}

func (m *model) run() {
	m.write()
	m.r = follow(m.t, m.source(StartBeginning), "")
	m.r.caught(m.t, 1)
	for range 60 {
		switch m.random.IntN(6) {
		case 0:
			m.shift()
			m.rename("", ".1")
			m.write()
		case 1:
			m.r.caught(m.t, 0)
			m.shift()
			m.copytruncate(".1")
			m.write()
		case 2:
			m.restart()
		default:
			m.write()
		}
	}
	m.restart()
	m.r.until(m.t, "last line", func() bool {
		return len(m.r.batches) > 0 && len(m.got)+len(m.r.lines) >= m.n && m.r.batches[len(m.r.batches)-1].Caught
	})
	m.r.stop(m.t)
	m.r.gapless(m.t)
	if d := differ(append(m.got, m.r.lines...), want(0, m.n-1)); d != "" {
		m.t.Error(d)
	}
}

// write adds lines, in pieces.
func (m *model) write() {
	text := lines(m.n, m.n+m.random.IntN(300))
	m.n += len(text) / len(line(0)+"\n")
	at := m.random.IntN(len(text))
	m.add(text[:at])
	m.add(text[at:])
}

// shift makes room for a new .1 and compresses what becomes .2, as logrotate does with delaycompress.
func (m *model) shift() {
	for n := m.rotated; n >= 2; n-- {
		m.rename(fmt.Sprintf(".%d.gz", n), fmt.Sprintf(".%d.gz", n+1))
	}
	if m.rotated >= 1 {
		m.rename(".1", ".2")
		m.compress(".2")
	}
	m.rotated++
}

// restart stops the reader, and perhaps lets things happen before the next.
func (m *model) restart() {
	cursor := m.r.stop(m.t)
	m.r.gapless(m.t)
	m.got = append(m.got, m.r.lines...)
	for range m.random.IntN(4) {
		m.shift()
		m.rename("", ".1")
		m.write()
	}
	if _, err := os.Stat(m.path); err != nil {
		m.t.Fatal(err)
	}
	m.r = follow(m.t, m.source(StartEnd), cursor)
}
