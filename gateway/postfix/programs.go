package postfix

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// runLimit is how long a program of Postfix may take. postsuper needs 13 us a message and more on a
// slow disk.
const runLimit = 2 * time.Minute

// maxSaid bounds what is kept of a program's messages: a line for each of MaxMessages, and a lot of
// warnings.
const maxSaid = 4 << 20

// programs are Postfix's own, with the configuration they are to use.
type programs struct {
	postsuper string
	postqueue string
	config    string
}

// layout is what the configuration of a Postfix says about where things are.
type layout struct {
	commands string // command_directory
	queue    string // queue_directory
	hashed   []string
	depth    int
}

// askLayout runs postconf.
func askLayout(ctx context.Context, postconf, config string) (layout, error) {
	p := programs{config: config}
	var out bytes.Buffer
	// -x expands what refers to other parameters.
	said, err := p.run(ctx, nil, &out, postconf, "-x",
		"command_directory", "queue_directory", "hash_queue_names", "hash_queue_depth")
	if err != nil {
		return layout{}, fmt.Errorf("ask Postfix where things are: %w: %s", err, brief(said))
	}
	return parseLayout(out.String())
}

func parseLayout(text string) (layout, error) {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, "=")
		values[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	l := layout{
		commands: values["command_directory"],
		queue:    values["queue_directory"],
		hashed:   strings.FieldsFunc(values["hash_queue_names"], func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }),
	}
	for _, dir := range []string{l.commands, l.queue} {
		if !filepath.IsAbs(dir) {
			return layout{}, fmt.Errorf("directory %q of Postfix is not an absolute path", dir)
		}
	}
	depth, err := strconv.Atoi(values["hash_queue_depth"])
	if err != nil || depth < 1 {
		return layout{}, fmt.Errorf("hash_queue_depth %q of Postfix is not a number", values["hash_queue_depth"])
	}
	l.depth = depth
	return l, nil
}

// run runs a program without a shell and in a clean environment, and gives what it said on its
// standard error.
func (p *programs) run(ctx context.Context, in io.Reader, out io.Writer, name string, args ...string) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	var messages limited
	c := exec.CommandContext(ctx, name, append([]string{"-c", p.config}, args...)...)
	c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TZ=UTC"}
	c.Dir = "/"
	c.Stdin, c.Stdout, c.Stderr = in, out, &messages
	c.WaitDelay = 5 * time.Second
	if err = c.Run(); err != nil {
		err = fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return messages.kept.String(), err
}

// superintend runs postsuper on queue ids with one option, and gives those that it reports to have
// dealt with. queues narrows where it looks.
func (p *programs) superintend(ctx context.Context, option string, ids []string, queues ...string) (map[string]bool, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	// One id a line: a line with spaces is refused as one invalid id.
	in := strings.NewReader(strings.Join(ids, "\n") + "\n")
	said, err := p.run(ctx, in, nil, p.postsuper, append([]string{option, "-"}, queues...)...)
	done := dealtWith(said, option)
	if err != nil {
		return done, fmt.Errorf("%w: %s", err, brief(said))
	}
	return done, nil
}

// reports is what postsuper says about a message for each option (postsuper/postsuper.c).
var reports = map[string]string{
	"-h": "placed on hold",
	"-H": "released from hold",
	"-d": "removed",
	"-f": "expired",
}

// dealtWith reads postsuper's messages: "postsuper: QUEUEID: removed". What it did not find it does
// not mention.
func dealtWith(said, option string) map[string]bool {
	done := map[string]bool{}
	for line := range strings.Lines(said) {
		fields := strings.SplitN(strings.TrimSpace(line), ": ", 3)
		if len(fields) == 3 && fields[2] == reports[option] && ValidID(fields[1]) {
			done[fields[1]] = true
		}
	}
	return done
}

// brief is the beginning of a program's messages on one line, for an error.
func brief(said string) string {
	said = strings.Join(strings.Fields(said), " ")
	return said[:min(len(said), 300)]
}

// limited keeps the beginning of what is written. It has no other methods of a Buffer, because
// io.Copy would use its ReadFrom.
type limited struct{ kept bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := maxSaid - l.kept.Len(); room > 0 {
		l.kept.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
