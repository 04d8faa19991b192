package relay

import (
	"strconv"
	"strings"
)

// splitCommand reads a command line as go-smtp does.
func splitCommand(line string) (verb, arg string) {
	line = strings.TrimRight(line, "\r\n")
	if len(line) >= 8 && strings.EqualFold(line[:8], "STARTTLS") {
		return "STARTTLS", ""
	}
	if len(line) < 6 || line[4] != ' ' {
		return strings.ToUpper(line), ""
	}
	return strings.ToUpper(line[:4]), strings.TrimSpace(line[5:])
}

// chunkSize reads the argument of BDAT exactly as go-smtp does: a size that one of the two does not
// see would put them out of step.
func chunkSize(arg string) (int64, bool) {
	args := strings.Fields(arg)
	if len(args) == 0 || len(args) > 2 || len(args) == 2 && !strings.EqualFold(args[1], "LAST") {
		return 0, false
	}
	n, err := strconv.ParseUint(args[0], 10, 32)
	return int64(n), err == nil
}

// cutPostmaster gives what follows TO:<postmaster>.
func cutPostmaster(arg string) (rest string, ok bool) {
	const path = "TO:<postmaster>"
	if len(arg) < 3 || !strings.EqualFold(arg[:3], path[:3]) {
		return "", false
	}
	arg = strings.TrimSpace(arg[3:])
	n := len(path) - 3
	if len(arg) < n || !strings.EqualFold(arg[:n], path[3:]) {
		return "", false
	}
	return arg[n:], true
}
