package source

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

// TestFileModel writes, rotates, compresses, copies and truncates, stops and starts at random and without
// any pause: every line comes and in order, and there is no gap.
func TestFileModel(t *testing.T) {
	for range 3 {
		seed := uint64(time.Now().UnixNano())
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { newModel(t, seed).run() })
	}
}

// TestFileModelLosing removes rotated files as well, perhaps before they were read, and truncates without
// a copy: whatever does not come has a gap at its place, and everything that is still there comes.
func TestFileModelLosing(t *testing.T) {
	for range 3 {
		seed := uint64(time.Now().UnixNano())
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			m := newModel(t, seed)
			m.losing = true
			m.run()
		})
	}
}

// A model is a log file with its writer and its reader.
type model struct {
	disk
	random  *rand.Rand
	losing  bool
	n       int     // lines written
	got     []Batch // those of the readers that were stopped
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
		m.act()
	}
	m.restart()
	m.write()
	m.settle()
	m.r.stop(m.t)
	m.check(append(m.got, m.r.batches...))
}

// act does something to the log or to the reader.
func (m *model) act() {
	switch m.random.IntN(7) {
	case 0:
		m.rotate()
	case 1:
		// A copy is of use only if nothing is written between copying and truncating, as here.
		m.shift()
		m.copytruncate(".1")
		m.write()
	case 2:
		m.restart()
	case 3:
		m.lose()
	default:
		m.write()
	}
}

// write adds lines, in pieces.
func (m *model) write() {
	n := 1 + m.random.IntN(300)
	text := lines(m.n, m.n+n-1)
	m.n += n
	at := m.random.IntN(len(text))
	m.add(text[:at])
	m.add(text[at:])
}

// rotate renames, and perhaps makes the new file before anything is written to it.
func (m *model) rotate() {
	m.shift()
	m.rename("", ".1")
	if m.random.IntN(2) == 0 {
		m.add("")
	}
	m.write()
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

// lose removes the oldest file or empties the live one.
func (m *model) lose() {
	switch {
	case !m.losing:
	case m.rotated > 2:
		m.remove()
	default:
		m.write()  // the reader of before may have had all there was
		m.settle() // what is emptied before it was seen leaves no trace
		m.write()
		m.must(os.Truncate(m.path, 0))
		m.write()
	}
}

// remove leaves two rotated files.
func (m *model) remove() {
	for ; m.losing && m.rotated > 2; m.rotated-- {
		m.must(os.Remove(fmt.Sprintf("%s.%d.gz", m.path, m.rotated)))
	}
}

// restart stops the reader, and perhaps lets things happen before the next.
func (m *model) restart() {
	cursor := m.r.stop(m.t)
	m.got = append(m.got, m.r.batches...)
	for range m.random.IntN(4) {
		m.rotate()
		m.remove()
	}
	m.r = follow(m.t, m.source(StartEnd), cursor)
}

// settle waits until the last line has come and nothing else is there.
func (m *model) settle() {
	last := line(m.n - 1)
	m.r.until(m.t, "last line", func() bool {
		return slices.Contains(m.r.lines, last) && m.r.batches[len(m.r.batches)-1].Caught
	})
}

// check compares what came with what was written.
func (m *model) check(all []Batch) {
	number := map[string]int{}
	for n := range m.n {
		number[line(n)] = n
	}
	next, again, gaps := 0, 0, 0
	gap := false // since the line before next
	for _, b := range all {
		gap = gap || len(b.Gaps) > 0
		gaps += len(b.Gaps)
		for _, raw := range b.Lines {
			n, whole := number[string(raw.Data)]
			switch {
			case !whole && !m.losing:
				m.t.Errorf("%q was never written", raw.Data)
			case !whole: // cut off by a truncation
			case n < next:
				again++
			case n > next && !gap:
				m.t.Errorf("lines %d to %d are missing without a gap", next, n-1)
				fallthrough
			default:
				next, gap = n+1, false
			}
		}
	}
	switch {
	case next != m.n:
		m.t.Errorf("the last line is %d of %d", next, m.n)
	case !m.losing && (gaps > 0 || again > 0):
		m.t.Errorf("%d gaps and %d lines twice, although nothing was lost", gaps, again)
	}
	m.t.Logf("%d lines, %d gaps, %d lines twice", m.n, gaps, again)
}
