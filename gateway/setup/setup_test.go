package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// need skips the test where Postfix or root is missing, or fails it where they are required.
func need(t *testing.T) {
	t.Helper()
	lack := t.Skipf
	if os.Getenv("SENDGATE_E2E") == "require" {
		lack = t.Fatalf
	}
	for _, program := range []string{"/usr/sbin/postfix", "/usr/sbin/postconf", "/usr/share/postfix/master.cf.dist"} {
		if _, err := os.Stat(program); err != nil {
			lack("%s is not installed", program)
		}
	}
	if os.Geteuid() != 0 {
		lack("Postfix looks at its files as root alone")
	}
}

// A machine has a private Postfix with Debian's master.cf, which does not run. Its users and units are not
// touched: those programs are written down instead.
type machine struct {
	t          *testing.T
	dir        string
	place      Place
	configured Configured
	tools      Tools
	ran        []string // what would change the real machine
	fails      string   // a command line that fails
	held       int
}

func newMachine(t *testing.T, mainCf, masterCf string) *machine {
	t.Helper()
	need(t)
	dir, err := os.MkdirTemp("", "sendgate-setup-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	m := &machine{t: t, dir: dir}
	for _, sub := range []string{"etc", "spool", "data", "log", "run/systemd/system", "sendgate"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dist, err := os.ReadFile("/usr/share/postfix/master.cf.dist")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	m.write("etc/main.cf", fmt.Sprintf("# ours\ncompatibility_level = 3.6\nqueue_directory = %[1]s/spool\ndata_directory = %[1]s/data\n"+
		"command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\nmyhostname = mx.corp.test\ninet_interfaces = 127.0.0.1\n"+
		"mydestination = corp.test, localhost\n%[2]s", dir, mainCf))
	m.write("etc/master.cf", string(dist)+masterCf)
	m.write("log/mail.log", "")
	m.place = Place{
		Config: dir + "/sendgate/sendgate.yaml", PostfixConfig: dir + "/etc", Postconf: "/usr/sbin/postconf", Postfix: "/usr/sbin/postfix",
		User: "nobody", Helper: "/run/sendgate-helper/postfix.sock", Store: dir + "/store", Logs: dir + "/log", Run: dir + "/run",
	}
	m.tools = Tools{
		Run: m.run, Check: func(string) error { return m.failing("check the configuration") },
		Held: func(context.Context) (int, error) { return m.held, nil },
		Free: func(string) bool { return true }, Now: time.Now,
	}
	return m
}

func (m *machine) failing(command string) error {
	if m.fails != "" && strings.Contains(command, m.fails) {
		return errors.New("it fails")
	}
	return nil
}

// run runs only what reads and edits the private Postfix.
func (m *machine) run(ctx context.Context, program string, args ...string) (string, error) {
	line := strings.Join(append([]string{filepath.Base(program)}, args...), " ")
	if err := m.failing(line); err != nil {
		return "", err
	}
	switch program {
	case usermod, gpasswd, systemctl:
		m.ran = append(m.ran, line)
		if strings.Contains(line, "is-active") {
			return "", errors.New("inactive")
		}
		return "", nil
	}
	return Run(ctx, program, args...)
}

func (m *machine) write(name, text string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) read(name string) string {
	m.t.Helper()
	b, err := os.ReadFile(filepath.Join(m.dir, name))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b)
}

func (m *machine) plan(mode Mode) *Plan {
	m.t.Helper()
	f, err := Look(m.t.Context(), m.place, m.configured, m.tools)
	if err != nil {
		m.t.Fatal(err)
	}
	return f.Propose(mode)
}

// inUse is the configuration that setup has written.
func (m *machine) inUse() {
	m.configured = Configured{Fronts: true, MilterListen: "unix:" + m.dir + "/spool/sendgate/milter.sock", Upstream: "127.0.0.1:10025"}
}

// tree lists all files with what is in them, owners, modes and times, but for the queue, which Postfix makes.
func (m *machine) tree() string {
	m.t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(m.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if filepath.Dir(path) == m.dir+"/spool" && d.Name() != "sendgate" {
			return filepath.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		uid, gid, _ := ownerOf(info)
		fmt.Fprintf(&b, "%s %v %d %d", path, info.Mode(), uid, gid)
		if !d.IsDir() {
			sum, err := digest(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %v %s", info.ModTime(), sum)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return b.String()
}

func has(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("no %q in\n%s", p, text)
		}
	}
}

// TestProposals looks at a stock Postfix and at some that are not.
func TestProposals(t *testing.T) {
	for name, c := range map[string]struct {
		mainCf, masterCf string
		mode             Mode
		want, not        []string
	}{
		"stock": {"", "", Milter, []string{
			"install -d -o nobody -g postfix -m 2710 'DIR/spool/sendgate'\n", "systemctl enable --now sendgate-postfix-helper.service sendgate.service\n",
			"postconf -e 'smtpd_milters = unix:sendgate/milter.sock'\n", "postconf -e 'non_smtpd_milters = $smtpd_milters'\n",
			"postconf -e 'enable_long_queue_ids = yes'\n", "postconf -M -e '127.0.0.1:10025/inet=127.0.0.1:10025 inet n - n - - smtpd'\n",
			"postfix check\n  postfix reload\n", `internal: ["@corp.test"]`, "file: DIR/log/mail.log", "hostname: mx.corp.test", "Nothing has been changed.",
		}, []string{"milter_default_action", "milter_protocol", "id_header", "usermod"}},
		"other milters and accept": {"smtpd_milters = inet:localhost:8891\nmilter_default_action = accept\n", "", Milter, []string{
			"postconf -e 'smtpd_milters = { unix:sendgate/milter.sock, default_action=tempfail }, inet:localhost:8891'\n",
		}, []string{"milter_default_action ="}},
		"accept alone, short times, an old protocol": {
			"milter_default_action = accept\nmilter_command_timeout = 10s\nmilter_connect_timeout = 5s\nmilter_content_timeout = 20s\nmilter_protocol = 2\n", "", Milter, []string{
				"postconf -e 'milter_default_action = tempfail'\n", "postconf -e 'milter_command_timeout = 30s'\n", "postconf -e 'milter_connect_timeout = 30s'\n",
				"postconf -e 'milter_content_timeout = 300s'\n", "postconf -e 'milter_protocol = 6'\n",
			}, nil},
		"submission has milters of its own": {"", "submission inet n - y - - smtpd\n  -o smtpd_milters=inet:localhost:8891\n", Milter, []string{
			"postconf -P -e 'submission/inet/smtpd_milters=unix:sendgate/milter.sock,inet:localhost:8891'\n",
		}, nil},
		"a content filter on our port": {"content_filter = amavis:[127.0.0.1]:10024\n", "127.0.0.1:10025 inet n - n - - smtpd\n  -o smtpd_milters=\n", Milter, []string{
			"content filters: amavis:[127.0.0.1]:10024", "127.0.0.1:10026/inet=127.0.0.1:10026 inet", "id_header: {key_file: DIR/sendgate/id-key}", "(openssl rand -hex 32)",
		}, []string{"10025/inet/"}},
		"a before-queue filter": {"smtpd_proxy_filter = 127.0.0.1:10024\n", "", Milter, []string{"What stands in the way", "smtp/inet has smtpd_proxy_filter = 127.0.0.1:10024"}, []string{"Nothing has been changed"}},
		"milters are passed by": {"smtpd_milter_maps = cidr:/etc/postfix/milters\n", "465 inet n - y - - smtpd\n  -o receive_override_options=no_milters\n", Milter, []string{
			"465/inet asks no milter", "smtpd_milter_maps = cidr:/etc/postfix/milters: clients in it",
		}, nil},
		"tables": {"mynetworks = 192.0.2.0/24, [2001:db8::]/32, [::ffff:127.0.0.0]/104, /etc/postfix/networks\nvirtual_mailbox_domains = hash:/etc/postfix/domains, other.test\n", "", Milter, []string{
			`networks: ["192.0.2.0/24", "2001:db8::/32", "127.0.0.0/8"]`, "mynetworks also has /etc/postfix/networks", `internal: ["@corp.test", "@other.test"]`, "virtual_mailbox_domains = hash:/etc/postfix/domains",
		}, nil},
		"no domain": {"mydestination =\nmydomain = localdomain\n", "", Milter, []string{"internal: []", "Postfix names no domain of yours"}, nil},
		"relay": {"", "", Relay, []string{
			"127.0.0.1:10026/inet/smtpd_relay_restrictions=permit_mynetworks,reject", "trusted_path: network", `address: "127.0.0.1:2525"`,
			"systemctl enable --now sendgate.service\n", "let clients and applications send to relay.listen",
		}, []string{"smtpd_milters =", "install -d", "sendgate-postfix-helper"}},
		"relay with logins": {"smtpd_sasl_auth_enable = yes\n", "", Relay, []string{
			"clients may log in", "127.0.0.1:10026/inet/smtpd_authorized_xclient_hosts=127.0.0.1", "trusted_path: xclient",
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, c.mainCf, c.masterCf)
			before := m.tree()
			p := m.plan(c.mode)
			text := strings.ReplaceAll(p.Text("en")+p.Closing("en"), m.dir, "DIR")
			has(t, text, c.want...)
			for _, part := range c.not {
				if strings.Contains(text, part) {
					t.Errorf("%q is in\n%s", part, text)
				}
			}
			if zh := p.Text("zh"); !strings.Contains(zh, "现状:") || strings.Contains(zh, "What is there") {
				t.Error(zh)
			}
			if now := m.tree(); now != before {
				t.Errorf("only to look has changed\n%s\nto\n%s", before, now)
			}
		})
	}
}

// TestLogs finds the mail log, and who may read it.
func TestLogs(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(m *machine)
		want    []string
	}{
		"a group's": {func(m *machine) {
			if err := errors.Join(os.Chmod(m.dir+"/log/mail.log", 0o640), os.Chown(m.dir+"/log/mail.log", 0, 4)); err != nil {
				t.Fatal(err)
			}
		}, []string{"usermod -aG 'adm' nobody"}},
		"root's": {func(m *machine) {
			if err := os.Chmod(m.dir+"/log/mail.log", 0o600); err != nil {
				t.Fatal(err)
			}
		}, []string{"only root may read DIR/log/mail.log"}},
		"Postfix's own": {func(m *machine) {
			m.write("etc/main.cf", m.read("etc/main.cf")+"maillog_file = "+m.dir+"/log/postfix.log\nmaillog_file_prefixes = "+m.dir+"\n")
			m.write("log/postfix.log", "")
		}, []string{"file: DIR/log/postfix.log"}},
		"the journal's": {func(m *machine) {
			if err := errors.Join(os.Remove(m.dir+"/log/mail.log"), os.MkdirAll(m.dir+"/run/systemd/journal", 0o755)); err != nil {
				t.Fatal(err)
			}
			m.write("run/systemd/journal/socket", "")
		}, []string{"the mail log is in the journal", "usermod -aG 'systemd-journal' nobody", "{name: journal, journald: true}"}},
		"the journal, and a file from before it": {func(m *machine) {
			old := time.Now().Add(-leftOver - time.Hour)
			if err := errors.Join(os.Chtimes(m.dir+"/log/mail.log", old, old), os.MkdirAll(m.dir+"/run/systemd/journal", 0o755)); err != nil {
				t.Fatal(err)
			}
			m.write("run/systemd/journal/socket", "")
		}, []string{"the mail log is in the journal"}},
		"nobody's": {func(m *machine) {
			if err := os.Remove(m.dir + "/log/mail.log"); err != nil {
				t.Fatal(err)
			}
		}, []string{"no mail log is seen", "postconf -e 'maillog_file = DIR/log/mail.log'", "create 640 root adm"}},
		"no systemd": {func(m *machine) {
			if err := os.RemoveAll(m.dir + "/run/systemd"); err != nil {
				t.Fatal(err)
			}
		}, []string{"systemd does not run here", "install -d -o nobody -m 711 DIR/run/sendgate; setpriv --reuid nobody "}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "", "")
			c.prepare(m)
			has(t, strings.ReplaceAll(m.plan(Milter).Text("en"), m.dir, "DIR"), c.want...)
		})
	}
}

// TestObstacles names what a person has to do first, and then does nothing.
func TestObstacles(t *testing.T) {
	for name, c := range map[string]struct {
		change func(m *machine)
		mode   Mode
		want   string
	}{
		"no user": {func(m *machine) { m.place.User = "none-such" }, Milter, "there is no user none-such"},
		"in use without milter": {func(m *machine) {
			m.configured = Configured{Fronts: true, RelayListen: true, Upstream: "127.0.0.1:10025"}
		}, Milter, "has no milter.listen"},
		"in use without relay": {func(m *machine) {
			m.configured = Configured{Fronts: true, MilterListen: "unix:/x", Upstream: "127.0.0.1:10025"}
		}, Relay, "has no relay.listen"},
		"in use without Postfix behind": {func(m *machine) { m.configured = Configured{Fronts: true, MilterListen: "unix:/x"} }, Milter, "names no listener of this Postfix"},
		"no port":                       {func(m *machine) { m.tools.Free = func(string) bool { return false } }, Milter, "no port from 10025 to 10074 is free"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "", "")
			c.change(m)
			p := m.plan(c.mode)
			has(t, p.Text("en"), c.want)
			before := m.tree()
			if err := Apply(t.Context(), p, m.tools); err == nil || !strings.Contains(err.Error(), "first see to what stands in the way") || !strings.Contains(Words(err, "zh"), "未执行任何操作：请先解决上述阻碍") {
				t.Error(err)
			}
			if m.tree() != before {
				t.Error("something was done")
			}
		})
	}
	m := newMachine(t, "", "")
	f, err := Look(t.Context(), m.place, m.configured, m.tools)
	if err != nil {
		t.Fatal(err)
	}
	f.mta.Values["mail_version"] = "3.4.14"
	has(t, f.Propose(Milter).Text("en"), "Postfix 3.4.14 is too old")
	m.place.Postconf = "/usr/sbin/none"
	if _, err := Look(t.Context(), m.place, m.configured, m.tools); err == nil || !strings.Contains(err.Error(), "is Postfix installed?") || !strings.Contains(Words(err, "zh"), "Postfix 是否已安装") {
		t.Error(err)
	}
}

// TestApplyAndUndo does it, finds nothing more to do, and puts back exactly what was there.
func TestApplyAndUndo(t *testing.T) {
	m := newMachine(t, "smtpd_milters = inet:localhost:8891\ncontent_filter = amavis:[127.0.0.1]:10024\n",
		"submission inet n - y - - smtpd\n  -o smtpd_milters=inet:localhost:8891\n")
	if err := os.Chmod(m.dir+"/etc/main.cf", 0o640); err != nil {
		t.Fatal(err)
	}
	before := m.tree()
	if err := Apply(t.Context(), m.plan(Milter), m.tools); err != nil {
		t.Fatal(err)
	}
	if want := []string{"systemctl is-active --quiet sendgate.service", "systemctl enable --now sendgate-postfix-helper.service sendgate.service"}; !slices.Equal(m.ran, want) {
		t.Errorf("%q", m.ran)
	}
	text, err := m.tools.postconf(t.Context(), m.place, "-n")
	if err != nil {
		t.Fatal(err)
	}
	has(t, text, "smtpd_milters = unix:sendgate/milter.sock, inet:localhost:8891\n", "enable_long_queue_ids = yes\n")
	text, err = m.tools.postconf(t.Context(), m.place, "-P", "submission/inet/smtpd_milters", "127.0.0.1:10025/inet/smtpd_milters")
	if err != nil {
		t.Fatal(err)
	}
	has(t, text, "submission/inet/smtpd_milters = unix:sendgate/milter.sock,inet:localhost:8891\n", "127.0.0.1:10025/inet/smtpd_milters =")
	if info, err := os.Stat(m.dir + "/spool/sendgate"); err != nil || info.Mode() != fs.ModeDir|fs.ModeSetgid|0o710 {
		t.Error(info, err)
	}
	if info, err := os.Stat(m.dir + "/sendgate/id-key"); err != nil || info.Size() != 65 || info.Mode() != 0o640 {
		t.Error(info, err)
	}
	m.inUse()
	m.run0(t, "is-active")
	if p := m.plan(Milter); !p.Empty() {
		t.Errorf("there is more to do: %s", p.Text("en"))
	} else if err := Apply(t.Context(), p, m.tools); err != nil {
		t.Error(err)
	} else {
		has(t, p.Text("en"), "there is nothing to change")
	}
	said, err := Undo(t.Context(), m.place, m.tools, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(said) != 1 || !strings.Contains(said[0].EN, "asks sendgate no more") {
		t.Errorf("%v", said)
	}
	if now := m.tree(); now != before {
		t.Errorf("was\n%s\nis\n%s", before, now)
	}
	if !strings.HasPrefix(m.ran[len(m.ran)-1], "systemctl disable --now") {
		t.Errorf("%q", m.ran)
	}
	if _, err := Undo(t.Context(), m.place, m.tools, false); !errors.Is(err, ErrNotSetUp) {
		t.Error(err)
	}
}

// run0 lets a command succeed from now on.
func (m *machine) run0(t *testing.T, part string) {
	t.Helper()
	run := m.tools.Run
	m.tools.Run = func(ctx context.Context, program string, args ...string) (string, error) {
		if strings.Contains(strings.Join(args, " "), part) {
			return "", nil
		}
		return run(ctx, program, args...)
	}
}

// TestFailurePutsBack lets each step fail.
func TestFailurePutsBack(t *testing.T) {
	for _, command := range []string{"check the configuration", "systemctl enable", "postconf -c DIR/etc -e smtpd_milters", "-P -e 127.0.0.1:10025", "etc check", "usermod"} {
		t.Run(strings.ReplaceAll(command, "/", "-"), func(t *testing.T) {
			m := newMachine(t, "", "")
			if err := errors.Join(os.Chmod(m.dir+"/log/mail.log", 0o640), os.Chown(m.dir+"/log/mail.log", 0, 4)); err != nil {
				t.Fatal(err)
			}
			m.write("sendgate/sendgate.yaml", "# a stub\n")
			before := m.tree()
			p := m.plan(Milter)
			m.fails = strings.ReplaceAll(command, "DIR", m.dir)
			err := Apply(t.Context(), p, m.tools)
			if err == nil || !strings.HasPrefix(err.Error(), "everything was put back as it was: ") || !strings.Contains(err.Error(), "it fails") || !strings.Contains(Words(err, "zh"), "已全部恢复原状：") {
				t.Error(err)
			}
			if now := m.tree(); now != before {
				t.Errorf("was\n%s\nis\n%s", before, now)
			}
			m.fails = ""
			if err := Apply(t.Context(), p, m.tools); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// TestUndoRefuses while mail is held, and what somebody has changed; what was begun and cut off is undone.
func TestUndoRefuses(t *testing.T) {
	m := newMachine(t, "", "")
	before := m.tree()
	apply := func() {
		t.Helper()
		m.configured = Configured{}
		if err := Apply(t.Context(), m.plan(Milter), m.tools); err != nil {
			t.Fatal(err)
		}
	}
	apply()
	applied := m.tree()
	m.held = 3
	_, err := Undo(t.Context(), m.place, m.tools, false)
	if held := new(HeldError); !errors.As(err, &held) || held.Messages != 3 || !strings.Contains(err.Error(), "sendgate drain") || !strings.Contains(Words(err, "zh"), "未执行任何操作：sendgate 仍暂存 3 封邮件") {
		t.Error(err)
	}
	if m.tree() != applied {
		t.Error("something was undone")
	}
	if _, err = Undo(t.Context(), m.place, m.tools, true); err != nil || m.tree() != before {
		t.Errorf("--leave-held: %v", err)
	}
	m.held = 0

	apply()
	if err := Apply(t.Context(), m.plan(Relay), m.tools); err == nil || !strings.Contains(err.Error(), "setup was applied before") || !strings.Contains(Words(err, "zh"), "此前已执行过 setup，之后又有改动") {
		t.Error(err)
	}
	main := m.read("etc/main.cf")
	m.write("etc/main.cf", main+"delay_warning_time = 4h\n")
	_, err = Undo(t.Context(), m.place, m.tools, false)
	if changed := new(ChangedError); !errors.As(err, &changed) || !slices.Equal(changed.Names, []string{m.dir + "/etc/main.cf"}) {
		t.Fatal(err)
	}
	has(t, Words(err, "zh"), "/etc/main.cf 在 setup 之后被改动过", "\n  postfix reload")
	has(t, err.Error(), "postconf -X 'smtpd_milters'\n", "postconf -MX '127.0.0.1:10025/inet'\n", "postfix reload")
	m.write("etc/main.cf", main)
	m.write("sendgate/sendgate.yaml", "edited: yes\n")
	said, err := Undo(t.Context(), m.place, m.tools, false)
	if err != nil || len(said) != 2 || !strings.Contains(said[1].EN, "sendgate.yaml was edited since and stays") || m.read("sendgate/sendgate.yaml") != "edited: yes\n" {
		t.Errorf("%v: %v", said, err)
	}
	if err := os.Remove(m.dir + "/sendgate/sendgate.yaml"); err != nil {
		t.Fatal(err)
	}
	if m.tree() != before {
		t.Errorf("was\n%s\nis\n%s", before, m.tree())
	}

	apply()
	r, err := readRecord(m.place)
	if err != nil {
		t.Fatal(err)
	}
	r.Done = false // as if the power had failed before the end
	if err := r.write(m.place); err != nil {
		t.Fatal(err)
	}
	m.configured = Configured{}
	if err := Apply(t.Context(), m.plan(Relay), m.tools); err == nil || !strings.Contains(err.Error(), "an earlier run was cut off") || !strings.Contains(Words(err, "zh"), "上一次运行被中断") {
		t.Error(err)
	}
	if _, err := Undo(t.Context(), m.place, m.tools, false); err != nil || m.tree() != before {
		t.Errorf("after a crash: %v", err)
	}
	if err := os.Mkdir(m.place.copies(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Apply(t.Context(), m.plan(Milter), m.tools); err == nil || !strings.Contains(err.Error(), "is another setup running?") || !strings.Contains(Words(err, "zh"), "是否有另一个 setup 正在运行") {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(m.place.copies(), recordName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Undo(t.Context(), m.place, m.tools, false); err == nil || !strings.Contains(err.Error(), "record.json is damaged") || !strings.Contains(Words(err, "zh"), "已损坏；同一目录下的副本是 main.cf 与 master.cf 的原件") {
		t.Error(err)
	}
}

// TestMailArrivesMeanwhile lets mail come in between the first look and Postfix's reload: the units stay, and a
// second undo ends it.
func TestMailArrivesMeanwhile(t *testing.T) {
	m := newMachine(t, "", "")
	before := m.tree()
	if err := Apply(t.Context(), m.plan(Milter), m.tools); err != nil {
		t.Fatal(err)
	}
	looks := 0
	m.tools.Held = func(context.Context) (int, error) {
		looks++
		return looks - 1, nil
	}
	_, err := Undo(t.Context(), m.place, m.tools, false)
	if err == nil || !strings.Contains(err.Error(), "the units go on until its mail has gone") || !strings.Contains(Words(err, "zh"), "服务单元会继续运行，直到其中的邮件全部发出；之后请再次运行：未执行任何操作：sendgate 仍暂存 1 封邮件") || slices.ContainsFunc(m.ran, func(s string) bool { return strings.Contains(s, "disable") }) {
		t.Errorf("%v, %q", err, m.ran)
	}
	m.tools.Held = func(context.Context) (int, error) { return 0, errors.New("it does not run") }
	if _, err := Undo(t.Context(), m.place, m.tools, false); err != nil || m.tree() != before {
		t.Error(err)
	}
}
