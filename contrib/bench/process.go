package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// quantile gives the value below which a part q of the series lies.
func (s series) quantile(q float64) float64 {
	if len(s) == 0 {
		return 0
	}
	c := slices.Sorted(slices.Values(s))
	return c[min(len(c)-1, int(q*float64(len(c))))]
}

func merge(parts []series) (all series) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// anonymousMB is the anonymous memory of this process: what the kernel cannot drop, without the
// mapped files of the store.
func anonymousMB() float64 { return anonymousMBOf("self") }

func anonymousMBOf(pid string) float64 {
	b, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "RssAnon: %f kB", &kb); n == 1 {
			return kb / 1024
		}
	}
	return 0
}

// machineLoad is what else the machine does: the load average of the last minute (proc(5)).
func machineLoad() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	load, _, _ := strings.Cut(string(b), " ")
	return load
}

// cpuOf is the processor time of a process so far, in seconds, from /proc/PID/stat (proc(5), fields
// utime and stime, in ticks of 10 ms).
func cpuOf(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	var user, system float64
	fmt.Sscan(fields[11], &user)
	fmt.Sscan(fields[12], &system)
	return (user + system) / 100
}
