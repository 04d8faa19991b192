package doctor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/machinetest"
	"github.com/sendgate/sendgate/gateway/postconf"
)

const contrib = "../../contrib/postfix"

// TestExampleAndCommands holds the files for main.cf and master.cf and the commands of their README
// together.
func TestExampleAndCommands(t *testing.T) {
	commands := map[string][]string{}
	command := regexp.MustCompile(`^    postconf (-e|-P -e|-M -e) '(.*)'$`)
	for line := range strings.Lines(read(t, "README.md")) {
		if m := command.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
			commands[m[1]] = append(commands[m[1]], m[2])
		}
	}
	var written []string
	for _, name := range []string{"milter.cf", "relay.cf"} {
		written = append(written, settingsIn(read(t, name))...)
	}
	// The last one takes sendgate out again.
	if last := len(commands["-e"]) - 1; last < 0 || commands["-e"][last] != "smtpd_milters =" {
		t.Fatalf("%q", commands["-e"])
	} else if got := commands["-e"][:last]; !sameSet(got, written) {
		t.Errorf("README sets %q, the files %q", got, written)
	}
	services, options := listenersIn(read(t, "master.cf"))
	if !sameSet(commands["-M -e"], services) || !sameSet(commands["-P -e"], options) {
		t.Errorf("README has %q and %q, master.cf %q and %q", commands["-M -e"], commands["-P -e"], services, options)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(contrib, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// settingsIn gives the lines that are no comments.
func settingsIn(text string) (all []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	return all
}

// listenersIn gives services and their options as postconf -M and -P take them.
func listenersIn(text string) (services, options []string) {
	var service string
	for _, line := range settingsIn(text) {
		if option, ok := strings.CutPrefix(line, "-o "); ok {
			options = append(options, service+"/"+option)
			continue
		}
		address, _, _ := strings.Cut(line, " ")
		service = address + "/inet"
		services = append(services, service+"="+line)
	}
	return services, options
}

// sameSet compares without order and repeats.
func sameSet(a, b []string) bool {
	return slices.Equal(slices.Compact(slices.Sorted(slices.Values(a))), slices.Compact(slices.Sorted(slices.Values(b))))
}

// need skips the test where Postfix or root is missing, or fails it where they are required.
func need(t *testing.T) {
	t.Helper()
	lack := t.Skipf
	if os.Getenv("SENDGATE_E2E") == "require" {
		lack = t.Fatalf
	}
	for _, program := range []string{"/usr/sbin/postfix", "/usr/sbin/postconf", "/usr/sbin/postsuper", "/usr/share/postfix/master.cf.dist"} {
		if _, err := os.Stat(program); err != nil {
			lack("%s is not installed", program)
		}
	}
	if os.Geteuid() != 0 {
		lack("Postfix starts only as root")
	}
}

// A machine is a private Postfix with Debian's master.cf, chroots included, set up by our examples. It
// need not run.
type machine struct {
	t         *testing.T
	dir       string
	reception string // where mail comes in
	back      string // where sendgate gives mail back
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	need(t)
	dir, err := os.MkdirTemp("", "sendgate-doctor-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	m := &machine{t: t, dir: dir, reception: freeAddress(t), back: freeAddress(t)}
	m.run("", "/bin/chmod", "755", dir)
	for _, sub := range []string{"etc", "spool", "data", "log"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "log", "mail.log"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	m.run("", "/bin/chown", "-R", "postfix", filepath.Join(dir, "data"), filepath.Join(dir, "log"))
	m.run("", "/usr/bin/install", "-d", "-g", "postfix", "-m", "2710", filepath.Join(dir, "spool", "sendgate"))
	m.write("main.cf", fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
myhostname = mx.corp.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
default_transport = discard
alias_maps =
alias_database =
maillog_file = %[1]s/log/mail.log
maillog_file_prefixes = %[1]s
smtpd_peername_lookup = no
`, dir)+strings.Join(settingsIn(read(t, "milter.cf")), "\n")+"\n")
	m.writeMaster()
	return m
}

// writeMaster puts our listener behind Debian's services.
func (m *machine) writeMaster() {
	dist, err := os.ReadFile("/usr/share/postfix/master.cf.dist")
	if err != nil {
		m.t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^smtp +inet .*$`).ReplaceAllString(string(dist), m.reception+" inet n - y - - smtpd")
	if !regexp.MustCompile(`(?m)^postlog `).MatchString(text) {
		text += "postlog unix-dgram n - n - 1 postlogd\n"
	}
	ours, _, ok := strings.Cut(read(m.t, "master.cf"), "\n\n# Relay mode.")
	if !ok {
		m.t.Fatal("master.cf has no part for the relay mode")
	}
	m.write("master.cf", text+strings.ReplaceAll(ours, "127.0.0.1:10025", m.back)+"\n")
}

func (m *machine) etc() string { return filepath.Join(m.dir, "etc") }

func (m *machine) write(name, text string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.etc(), name), []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// run gives the output of a program that must succeed.
func (m *machine) run(stdin, name string, args ...string) string {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Env = append(os.Environ(), "MAIL_CONFIG="+m.etc())
	c.Stdin, c.WaitDelay = strings.NewReader(stdin), 5*time.Second // a daemon keeps the output open
	out, err := c.CombinedOutput()
	if err != nil {
		m.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func (m *machine) start() {
	m.t.Helper()
	m.run("", "/usr/sbin/postfix", "-c", m.etc(), "start")
	m.t.Cleanup(func() { m.run("", "/usr/sbin/postfix", "-c", m.etc(), "stop") })
}

// subject is the configuration of a gateway that fits.
func (m *machine) subject() Subject {
	return Subject{
		MilterListen: []string{"unix:" + filepath.Join(m.dir, "spool", "sendgate", "milter.sock")},
		MilterIdle:   2 * time.Hour, MilterConnections: 2000, LongestHold: 24 * time.Hour,
		Helper: filepath.Join(m.dir, "none"), StoreDir: m.dir, MinFreeMiB: 1,
		Upstreams: []Upstream{{Name: "postfix", Servers: []string{m.back}, TrustedPath: "network"}},
	}
}

func (m *machine) examine(s Subject) *Report {
	m.t.Helper()
	// Postfix waits until a file that was just written is two seconds old.
	for _, name := range []string{"main.cf", "master.cf"} {
		old := time.Now().Add(-time.Minute)
		if err := os.Chtimes(filepath.Join(m.etc(), name), old, old); err != nil {
			m.t.Fatal(err)
		}
	}
	works := func(context.Context) error { return nil }
	return Examine(m.t.Context(), s, Tools{
		Postconf: postconf.Program("/usr/sbin/postconf", m.etc()), AskHelper: works, Upstreams: works, User: "postfix",
	})
}

// bad gives what is wrong beyond the helper, which is not there, and the clock and the disk, which are not
// ours.
func bad(r *Report) (all []Finding) {
	for _, f := range r.Findings {
		if f.Status != OK && f.Check != "helper" && f.Check != "clock" && f.Check != "disk-space" {
			all = append(all, f)
		}
	}
	return all
}

// listen opens the milter's socket, as the gateway does.
func (m *machine) listen() {
	m.t.Helper()
	path := filepath.Join(m.dir, "spool", "sendgate", "milter.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		m.t.Fatal(err)
	}
	serve(m.t, l, answerNegotiation)
	if err := os.Chmod(path, 0o660); err != nil {
		m.t.Fatal(err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		// Below the range from which the kernel serves everybody who asks for port 0 (ip(7)): it would
		// give the port away again before the program that it is for has started.
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))); err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port")
	return ""
}

// TestExamplesAreInOrder examines a real Postfix that is set up by our examples.
func TestExamplesAreInOrder(t *testing.T) {
	m := newMachine(t)
	m.listen()
	for _, f := range bad(m.examine(m.subject())) {
		t.Errorf("%+v", f)
	}
}

// TestChangesHelp breaks a real Postfix, does what the findings say, and looks again.
func TestChangesHelp(t *testing.T) {
	for name, c := range map[string]struct {
		commands []string // arguments of postconf, split at |
		wrong    []string // the checks that complain
	}{
		"everything in main.cf": {[]string{
			"-e|smtpd_milters = inet:localhost:8891", "-e|non_smtpd_milters =", "-e|milter_default_action = accept",
			"-e|enable_long_queue_ids = no", "-e|milter_command_timeout = 5s", "-e|milter_mail_macros = i", "-e|milter_protocol = 2",
			"-e|smtputf8_enable = no", "-e|maximal_queue_lifetime = 12h",
		}, []string{"long-queue-ids", "milter-asked", "milter-macros", "hold-and-lifetime", "smtputf8"}},
		"the order":               {[]string{"-e|smtpd_milters = { inet:localhost:8891, default_action=accept }, unix:sendgate/milter.sock"}, []string{"milter-order"}},
		"a full path in a chroot": {[]string{"-e|smtpd_milters = unix:DIR/spool/sendgate/milter.sock"}, []string{"milter-socket"}},
		"a service has milters of its own": {[]string{
			"-M|-e|submission/inet=submission inet n - y - - smtpd", "-P|-e|submission/inet/smtpd_milters=inet:localhost:8891",
		}, []string{"milter-asked"}},
		"the listener for mail given back": {[]string{
			"-P|BACK/inet/smtpd_milters=unix:sendgate/milter.sock", "-P|BACK/inet/smtpd_authorized_xforward_hosts=192.0.2.1",
			"-P|BACK/inet/mynetworks=192.0.2.0/24", "-P|BACK/inet/smtpd_relay_restrictions=reject",
		}, []string{"upstream-listeners"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.listen()
			replace := strings.NewReplacer("DIR", m.dir, "BACK", m.back)
			for _, args := range c.commands {
				m.run("", "/usr/sbin/postconf", strings.Split(replace.Replace(args), "|")...)
			}
			found := bad(m.examine(m.subject()))
			for _, check := range c.wrong {
				if !slices.ContainsFunc(found, func(f Finding) bool { return f.Check == check && f.Status != Skipped }) {
					t.Errorf("%s does not complain: %+v", check, found)
				}
			}
			// One thing may hide another: what asks us is looked at only when it asks.
			for range 4 {
				if found = bad(m.examine(m.subject())); len(found) == 0 {
					return
				}
				for _, f := range found {
					if len(f.Change) > 0 {
						m.run("", "/bin/sh", "-c", f.Change[0])
					}
				}
			}
			t.Errorf("still wrong: %+v", found)
		})
	}
}

// TestPostconfFails gives what postconf says, and skips the rest.
func TestPostconfFails(t *testing.T) {
	need(t)
	if _, err := postconf.Program("/usr/sbin/postconf", t.TempDir())(t.Context(), "-x"); err == nil || !strings.Contains(err.Error(), "main.cf: No such file") {
		t.Error(err)
	}
	if _, err := postconf.Program("/usr/sbin/none", t.TempDir())(t.Context(), "-x"); !os.IsNotExist(err) && !strings.Contains(fmt.Sprint(err), "no such file") {
		t.Error(err)
	}
}

// TestFreeHeld lets go what sendgate's log names, and leaves what somebody else holds.
func TestFreeHeld(t *testing.T) {
	m := newMachine(t)
	m.run("", "/usr/sbin/postconf", "-e", "smtpd_milters =", "non_smtpd_milters =", "header_checks = static:HOLD")
	m.start()
	send := func() {
		m.run("To: a@x.test\n\nhello\n", "/usr/sbin/sendmail", "-C", m.etc(), "-f", "a@corp.test", "-t")
	}
	send()
	send()
	var held []string
	machinetest.Eventually(t, "two messages on hold", func() bool {
		held = regexp.MustCompile(`"queue_name": "hold", "queue_id": "(\w+)"`).FindAllString(m.run("", "/usr/sbin/postqueue", "-c", m.etc(), "-j"), -1)
		return len(held) == 2
	})
	ids := make([]string, 2)
	for i := range held {
		ids[i] = held[i][strings.LastIndex(held[i], ` "`)+2 : len(held[i])-1]
	}
	log := fmt.Sprintf(`{"level":"info","msg":"held","id":"01","queue_id":"%s","sender":"a@corp.test"}
{"level":"info","msg":"passed","id":"02","queue_id":"%s"}
{"level":"info","msg":"held","id":"03","queue_id":"GONE12345"}
`, ids[0], ids[1])
	if out := m.run(log, filepath.Join(contrib, "free-held"), "-n", m.etc()); !strings.Contains(out, "2 on hold, 1 of them for sendgate\n"+ids[0]+"\n") {
		t.Errorf("would do %q", out)
	}
	exported := fmt.Sprintf("{\n  \"id\": \"03\",\n  \"queue_id\": \"%s\",\n  \"faults\": []\n}\n{\n  \"id\": \"04\",\n  \"queue_id\": \"GONE12345\"\n}\n", ids[1])
	if out := m.run(exported, filepath.Join(contrib, "free-held"), "-n", m.etc()); !strings.Contains(out, "2 on hold, 1 of them for sendgate\n"+ids[1]+"\n") {
		t.Errorf("of what export-held has written it would do %q", out)
	}
	m.run(log, filepath.Join(contrib, "free-held"), m.etc())
	machinetest.Eventually(t, "one message goes on", func() bool {
		text, _ := os.ReadFile(filepath.Join(m.dir, "log", "mail.log"))
		return strings.Contains(string(text), ids[0]+": to=<a@x.test>, relay=none")
	})
	if queue := m.run("", "/usr/sbin/postqueue", "-c", m.etc(), "-j"); !strings.Contains(queue, ids[1]) || strings.Contains(queue, ids[0]) {
		t.Errorf("the queue is %s", queue)
	}
}
