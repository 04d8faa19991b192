package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A sample is what the process used at a moment: MB of memory and disk, and descriptors. Those of the journal's tables
// and value logs count apart, since they grow with what is kept.
type sample struct {
	memory, heap, disk        float64
	files, tables, goroutines float64
	messages                  int
}

// measure notes what the process uses.
func (s *soak) measure(t *testing.T) {
	pid := s.process.command.Process.Pid
	files, tables := openFiles(t, pid)
	response, err := http.Get("http://" + s.api + "/metrics")
	if err != nil {
		t.Error(err)
		return
	}
	defer response.Body.Close()
	one := sample{files: files, tables: tables, memory: anonymous(t, pid), disk: diskUse(filepath.Join(s.dir, "data"))}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			one.goroutines, err = strconv.ParseFloat(text, 64)
			check(t, err)
		}
		if text, ok := strings.CutPrefix(lines.Text(), "go_memstats_heap_alloc_bytes "); ok {
			one.heap, err = strconv.ParseFloat(text, 64)
			check(t, err)
			one.heap /= 1 << 20
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one.messages = len(s.ids)
	s.samples = append(s.samples, one)
	t.Logf("%+v", one)
}

// openFiles counts the descriptors of a process, those of the journal's tables and value logs apart.
func openFiles(t *testing.T, pid int) (files, tables float64) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	open, err := os.ReadDir(dir)
	check(t, err)
	for _, f := range open {
		name, _ := os.Readlink(filepath.Join(dir, f.Name())) // one that has just been closed counts
		if ext := filepath.Ext(name); ext == ".sst" || ext == ".vlog" {
			tables++
		} else {
			files++
		}
	}
	return files, tables
}

// anonymous is the memory of a process that no file backs, in MB.
func anonymous(t *testing.T, pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	check(t, err)
	found := regexp.MustCompile(`(?m)^Anonymous: +(\d+) kB$`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("no anonymous memory in\n%s", text)
	}
	kb, _ := strconv.ParseFloat(string(found[1]), 64)
	return kb / 1024
}

// diskUse is what the files of a directory take, in MB.
func diskUse(dir string) float64 {
	sum := 0.0
	_ = filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == filler {
			return nil // it has just been removed, or is not the gateway's
		}
		if info, err := e.Info(); err == nil {
			sum += float64(info.Sys().(*syscall.Stat_t).Blocks) * 512
		}
		return nil
	})
	return sum / (1 << 20)
}

// compare holds the last twelfth of the samples against the first, or against ten minutes where that is more: so long
// it takes until what is kept for some minutes is there.
func (s *soak) compare(t *testing.T) {
	part := len(s.samples) / 12
	if part == 0 {
		t.Fatalf("%d samples only", len(s.samples))
	}
	begin := max(part, min(int(10*time.Minute/(s.length/120)), len(s.samples)/2))
	first, last := middle(s.samples[:begin]), middle(s.samples[len(s.samples)-part:])
	t.Logf("in the beginning, median of %d: %+v", begin, first)
	t.Logf("last twelfth, median:  %+v", last)
	if last.files > 1.5*first.files+50 || last.goroutines > 1.5*first.goroutines+100 {
		t.Error("files or goroutines have grown")
	}
	if s.length > 10*time.Minute && last.memory > 2*first.memory+100 {
		t.Error("memory has grown")
	}
}

// middle takes the median of each figure.
func middle(all []sample) sample {
	of := func(figure func(sample) float64) float64 {
		values := make([]float64, len(all))
		for i := range all {
			values[i] = figure(all[i])
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return sample{
		memory: of(func(s sample) float64 { return s.memory }), heap: of(func(s sample) float64 { return s.heap }), disk: of(func(s sample) float64 { return s.disk }),
		files: of(func(s sample) float64 { return s.files }), tables: of(func(s sample) float64 { return s.tables }),
		goroutines: of(func(s sample) float64 { return s.goroutines }), messages: all[len(all)/2].messages,
	}
}
