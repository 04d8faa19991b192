package e2e

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

const logrotateBin = "/usr/sbin/logrotate"

// TestMailLog has a sendgate under load write its mail log, which the real logrotate takes away again and again as the
// package has it, and as those do who send SIGHUP. Each event of each message has one line, in its order, whichever file
// it is in; and a kill loses none.
func TestMailLog(t *testing.T) {
	t.Parallel()
	need(t, logrotateBin)
	l := startMailLogged(t)

	t.Run("one line for each decision, also of what is refused", func(t *testing.T) {
		transcript, _ := swaks(t, l.smtp, append(data(t, letter("maillog")), "--from", "alice@corp.test", "--to", "bob@world.test")...)
		id := heldAs(t, transcript)
		l.awaitState(t, id, "relayed_remote")
		if transcript, status := swaks(t, l.smtp, "--from", "alice@corp.test", "--to", "gone@world.test"); status != 24 {
			t.Fatalf("swaks: %d\n%s", status, transcript)
		}
		eventually(t, "the refusal has its line", func() bool { return l.has(t, ": refused id=- ", `reply="550 5.1.1 no such user"`) })
		l.complete(t, nil)
		if text := l.text(t); strings.Contains(text, "Subject") || strings.Contains(text, "trailing") {
			t.Errorf("what mail says is in its log:\n%s", text)
		}
	})

	t.Run("rotated under load", func(t *testing.T) {
		over := l.load(t)
		for n := range 6 {
			switch n {
			case 2: // the configuration cannot be read: the file is opened again all the same
				l.configure(t, func(text string) string { return text + "\nnonsense: true\n" })
			case 4:
				l.configure(t, func(text string) string { return strings.Replace(text, "\nnonsense: true\n", "", 1) })
			}
			l.rotate(t, n%2 == 0)
			l.goesOn(t)
		}
		over()
		if n := len(l.files(t)); n != 7 {
			t.Errorf("%d files: %q", n, l.files(t))
		}
		l.complete(t, nil)
	})

	t.Run("nothing is lost by a kill", func(t *testing.T) {
		over := l.load(t)
		l.passes(t, 60)
		l.kill(t)
		l.rotate(t, false) // while nobody writes
		l.start(t)
		l.passes(t, 30)
		over()
		l.complete(t, func(line string) bool { // the place is kept every five seconds
			at, err := time.Parse("2006-01-02T15:04:05.000000Z07:00", strings.Fields(line)[0])
			return err == nil && at.After(l.killed.Add(-30*time.Second)) && at.Before(l.killed.Add(5*time.Second))
		})
	})

	t.Run("its directory is away for a while", func(t *testing.T) {
		away := l.dir + "/logs.away"
		check(t, os.Rename(filepath.Dir(l.file), away))
		over := l.load(t)
		l.passes(t, 30)
		over()
		eventually(t, "it is said that the log cannot be written", func() bool {
			return strings.Contains(l.ready(t), `"mail log"`)
		})
		check(t, os.Rename(away, filepath.Dir(l.file)))
		l.complete(t, func(line string) bool { // what of the kill came twice lies there still
			return l.twice[line]
		})
	})
}

// A mailLogged is a gateway with a mail log in a file.
type mailLogged struct {
	*gateway
	file   string
	taken  atomic.Int64
	killed time.Time
	twice  map[string]bool // lines that may stand there twice
	plain  string          // the configuration of logrotate, and with a postrotate
	hup    string
}

// startMailLogged runs it in front of a sink that refuses one recipient.
func startMailLogged(t *testing.T) *mailLogged {
	t.Helper()
	world := startSink(t)
	world.answering(func(verb string, m sunk) string {
		if verb == "RCPT" && strings.Contains(m.rcpt[len(m.rcpt)-1], "gone@") {
			return "550 5.1.1 no such user"
		}
		return ""
	})
	dir := directory(t)
	l := &mailLogged{file: filepath.Join(dir, "logs", "mail.log"), twice: map[string]bool{}}
	check(t, os.Mkdir(filepath.Join(dir, "logs"), 0o755))
	l.gateway = startGateway(t, settings{
		upstream: fmt.Sprintf("servers: [{address: %q}]\ntls: none\naccepts_for: remote\n", world.address),
		hold:     200 * time.Millisecond, delivery: "catch_up: 1000",
		rules: rules{sections: fmt.Sprintf("log:\n  mail: {to: file, file: %q}\n", l.file)},
	})
	l.configureLogrotate(t)
	return l
}

// configureLogrotate adapts what the Debian package brings: the file, and its owner.
func (l *mailLogged) configureLogrotate(t *testing.T) {
	t.Helper()
	packaged, err := os.ReadFile("../debian/sendgate.logrotate")
	check(t, err)
	text := string(packaged)
	for from, to := range map[string]string{"/var/log/sendgate/mail.log": l.file, "su sendgate sendgate": "su root root"} {
		if strings.Count(text, from) != 1 {
			t.Fatalf("not once %q in\n%s", from, text)
		}
		text = strings.Replace(text, from, to, 1)
	}
	l.plain = write(t, text, l.dir, "plain.logrotate")
	check(t, os.Chmod(l.plain, 0o600))
	pid := filepath.Join(l.dir, "pid")
	l.hup = write(t, strings.Replace(text, "\n}", "\n\tpostrotate\n\t\tkill -HUP \"$(cat "+pid+")\"\n\tendscript\n}", 1), l.dir, "hup.logrotate")
	check(t, os.Chmod(l.hup, 0o600))
}

// rotate renames the file as logrotate does at night; with a signal as other programs want it.
func (l *mailLogged) rotate(t *testing.T, signal bool) {
	t.Helper()
	file := l.plain
	if signal {
		file = l.hup
	}
	write(t, fmt.Sprint(l.process.command.Process.Pid), l.dir, "pid")
	if out, code := run(t, logrotateBin, "-f", "-s", filepath.Join(l.dir, "logrotate.state"), file); code != 0 {
		t.Fatalf("logrotate: %d\n%s", code, out)
	}
}

// configure changes the configuration file, and nobody is told.
func (l *mailLogged) configure(t *testing.T, change func(string) string) {
	t.Helper()
	name := filepath.Join(l.dir, "sendgate.yaml")
	text, err := os.ReadFile(name)
	check(t, err)
	write(t, change(string(text)), name)
}

// kill notes when it was.
func (l *mailLogged) kill(t *testing.T) {
	t.Helper()
	l.killed = time.Now()
	l.gateway.kill(t)
}

// load sends until it is told to end, and waits until all of it has gone.
func (l *mailLogged) load(t *testing.T) (over func()) {
	t.Helper()
	end := make(chan struct{})
	var clients sync.WaitGroup
	for range 3 {
		clients.Go(func() {
			for {
				pause := 20 * time.Millisecond
				if _, err := submitted(l.smtp, []byte("Subject: log\r\n\r\nx\r\n")); err == nil {
					l.taken.Add(1)
				} else { // it is away
					pause = 200 * time.Millisecond
				}
				select {
				case <-end:
					return
				case <-time.After(pause):
				}
			}
		})
	}
	return func() {
		t.Helper()
		close(end)
		clients.Wait()
		eventually(t, "nothing is left to be sent", func() bool { return l.waiting(t) == 0 })
	}
}

// passes waits until so many messages more were taken.
func (l *mailLogged) passes(t *testing.T, n int64) {
	t.Helper()
	before := l.taken.Load()
	eventually(t, fmt.Sprintf("%d more messages", n), func() bool { return l.taken.Load() >= before+n })
}

// submitted sends one message to the world, if the gateway is there, and gives its answer.
func submitted(server string, message []byte) (answer string, err error) {
	client, err := smtp.Dial(server)
	if err != nil {
		return "", err
	}
	defer client.Close()
	return transmit(client, "alice@corp.test", nil, []string{"bob@world.test"}, nil, message)
}

// files are those of the log, the oldest first; those behind the last two are compressed.
func (l *mailLogged) files(t *testing.T) (all []string) {
	t.Helper()
	for n := 40; n > 0; n-- {
		for _, name := range []string{fmt.Sprintf("%s.%d.gz", l.file, n), fmt.Sprintf("%s.%d", l.file, n)} {
			if _, err := os.Stat(name); err == nil {
				all = append(all, name)
			}
		}
	}
	return append(all, l.file)
}

// text is all of them, one after the other.
func (l *mailLogged) text(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, name := range l.files(t) {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) && name == l.file { // just rotated
			continue
		}
		check(t, err)
		var from io.Reader = f
		if strings.HasSuffix(name, ".gz") {
			from, err = gzip.NewReader(f)
			check(t, err)
		}
		_, err = io.Copy(&all, from)
		check(t, errors.Join(err, f.Close()))
	}
	return all.String()
}

// has reports whether there is a line with all of the words.
func (l *mailLogged) has(t *testing.T, words ...string) bool {
	t.Helper()
	for line := range strings.Lines(l.text(t)) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			return true
		}
	}
	return false
}

// goesOn waits for lines in the new file, and holds that nobody writes to the one before it any more.
func (l *mailLogged) goesOn(t *testing.T) {
	t.Helper()
	size := func(name string) int64 {
		info, err := os.Stat(name)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	eventually(t, "the new file gets lines", func() bool { return size(l.file) > 0 })
	before, now := size(l.file+".1"), size(l.file)
	eventually(t, "it gets more", func() bool { return size(l.file) > now })
	if after := size(l.file + ".1"); after != before {
		t.Errorf("the file that was renamed grew from %d to %d octets when there was a new one", before, after)
	}
}

// ready is the answer of /readyz.
func (l *mailLogged) ready(t *testing.T) string {
	t.Helper()
	response, err := http.Get("http://" + l.api + "/readyz")
	check(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	check(t, err)
	return string(text)
}

var logLine = regexp.MustCompile(`^(\S+) gw\.corp\.test sendgate\[\d+\]: ([a-z_]+) id=([0-9A-Z]{26}|-) queue_id=`)

// complete waits until each event of each message has its line, and holds that there is no other, but for those that
// may be there twice.
func (l *mailLogged) complete(t *testing.T, twice func(line string) bool) {
	t.Helper()
	want := map[string][]string{}
	for _, id := range l.all(t) {
		for _, e := range l.message(t, id).Timeline {
			want[id] = append(want[id], e.Kind)
		}
	}
	var lines map[string][]string
	eventually(t, "every event has its line", func() bool {
		lines = l.lines(t, twice)
		for id, kinds := range want {
			if len(lines[id]) < len(kinds) {
				return false
			}
		}
		return true
	})
	for id, got := range lines {
		if !slices.Equal(got, want[id]) {
			t.Errorf("%s: the log has %q, the journal %q", id, got, want[id])
		}
	}
	t.Logf("%d messages, %d files, %d lines twice", len(want), len(l.files(t)), len(l.twice))
}

// lines are the verbs of each message in their order. A line that may stand there twice counts once.
func (l *mailLogged) lines(t *testing.T, twice func(line string) bool) map[string][]string {
	t.Helper()
	all, seen := map[string][]string{}, map[string]bool{}
	text := bufio.NewScanner(strings.NewReader(l.text(t)))
	for text.Scan() {
		m := logLine.FindStringSubmatch(text.Text())
		if m == nil {
			t.Fatalf("this is no line of the mail log: %q", text.Text())
		}
		// The same line of another process differs in its number alone.
		line := regexp.MustCompile(`sendgate\[\d+\]`).ReplaceAllString(text.Text(), "sendgate")
		if twice != nil && seen[line] && (l.twice[line] || twice(line)) {
			l.twice[line] = true
			continue
		}
		if seen[line] = true; m[3] != "-" {
			all[m[3]] = append(all[m[3]], m[2])
		}
	}
	check(t, text.Err())
	return all
}

// all are the ids of all messages.
func (l *mailLogged) all(t *testing.T) (ids []string) {
	t.Helper()
	var page struct {
		Messages []listed
		Next     string
	}
	for first := true; first || page.Next != ""; first = false {
		path := "/messages?limit=100&cursor=" + page.Next
		page.Messages, page.Next = nil, ""
		l.call(t, "GET", path, nil, &page)
		for _, m := range page.Messages {
			ids = append(ids, m.ID)
		}
	}
	return ids
}
