package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mirror is where the private Debian comes from; SENDGATE_MIRROR names a nearer one.
const mirror = "http://deb.debian.org/debian"

// installing is how long a step that fetches or builds may take.
const installing = 15 * time.Minute

// A debian is a private Debian: a root, a process namespace and a network of loopback alone. systemd does not
// run there, so the test starts what the units say.
type debian struct {
	t      *testing.T
	root   string
	inside string // the process id of its first process
}

// newDebian fetches Debian 12, or what SENDGATE_DEBIAN names, with a stock Postfix for corp.test, and starts nothing.
func newDebian(t *testing.T) *debian {
	t.Helper()
	dir := directory(t)
	d := &debian{t: t, root: filepath.Join(dir, "root")}
	from := os.Getenv("SENDGATE_MIRROR")
	if from == "" {
		from = mirror
	}
	long(t, "/usr/sbin/debootstrap", "--variant=minbase", cmp.Or(os.Getenv("SENDGATE_DEBIAN"), "bookworm"), d.root, from)
	write(t, "#!/bin/sh\nexit 101\n", d.root, "usr/sbin/policy-rc.d")
	if err := os.Chmod(filepath.Join(d.root, "usr/sbin/policy-rc.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if resolver, err := os.ReadFile("/etc/resolv.conf"); err == nil {
		write(t, string(resolver), d.root, "etc", "resolv.conf")
	}
	write(t, "127.0.0.1 mx.corp.test mx localhost\n", d.root, "etc", "hosts")
	write(t, "postfix postfix/main_mailer_type select Internet Site\npostfix postfix/mailname string corp.test\npostfix postfix/protocols select ipv4\n", d.root, "tmp", "answers")
	// With the machine's network, to fetch; with a name of its own, which Postfix's package looks at.
	long(t, "/usr/bin/unshare", "--uts", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", `hostname mx.corp.test && exec chroot "$0" /bin/sh -ec '
		export DEBIAN_FRONTEND=noninteractive
		apt-get -q update
		debconf-set-selections </tmp/answers
		apt-get -qy install --no-install-recommends postfix adduser ca-certificates man-db
		useradd --create-home alice
		useradd --create-home bob'`, d.root)
	d.enter()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the mail log:\n%s\nthe gateway's:\n%s", d.read("var/log/mail.log"), d.read("var/log/sendgate.service.log"))
		}
	})
	return d
}

// enter makes the namespaces, which end with the test, and everything in them.
func (d *debian) enter() {
	d.t.Helper()
	p := spawn(d.t, "/usr/bin/unshare", "--uts", "--ipc", "--net", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c",
		`hostname mx.corp.test && ip link set lo up && mount -t proc proc "$0/proc" && exec chroot "$0" /bin/sleep infinity`, d.root)
	d.t.Cleanup(func() {
		_ = p.command.Process.Kill()
		<-p.done
	})
	children := fmt.Sprintf("/proc/%d/task/%d/children", p.command.Process.Pid, p.command.Process.Pid)
	eventually(d.t, "the first process of the private Debian", func() bool {
		b, _ := os.ReadFile(children)
		d.inside = strings.TrimSpace(string(b))
		name, _ := os.ReadFile("/proc/" + d.inside + "/comm")
		return strings.TrimSpace(string(name)) == "sleep"
	})
}

// command is one that runs inside.
func (d *debian) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	args = append([]string{"--target", d.inside, "--uts", "--ipc", "--net", "--mount", "--pid", "--root", name}, args...)
	c := exec.CommandContext(ctx, "/usr/bin/nsenter", args...)
	c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "HOME=/root"}
	c.WaitDelay = 5 * time.Second // a daemon keeps the output open
	return c
}

// try runs a command line inside, and says how it ended.
func (d *debian) try(line string) (out string, code int) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), installing)
	defer cancel()
	// The shell itself complains that it does not know where it is: it came in from another root.
	c := d.command(ctx, "/bin/sh", "-c", "exec 2>&1; cd /; "+line)
	b, err := c.Output()
	if c.ProcessState == nil || ctx.Err() != nil {
		d.t.Fatalf("%s: %v\n%s", line, err, b)
	}
	return string(b), c.ProcessState.ExitCode()
}

// do runs a command line that has to work.
func (d *debian) do(line string) string {
	d.t.Helper()
	out, code := d.try(line)
	if code != 0 {
		d.t.Fatalf("%s: %d\n%s", line, code, out)
	}
	return out
}

// long runs a program that may take its time, outside.
func long(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), installing)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// A unit is a program that runs as its unit says, as far as that goes without systemd.
type unit struct {
	name string
	*process
}

// start does what systemd would: the directories, the user with all groups, ExecStartPre and ExecStart.
func (d *debian) start(name string) *unit {
	d.t.Helper()
	text := d.read("lib/systemd/system/" + name)
	value := func(key string) string {
		if m := regexp.MustCompile(`(?m)^` + key + `=(.*)$`).FindStringSubmatch(text); m != nil {
			return m[1]
		}
		return ""
	}
	user, prefix := value("User"), ""
	if user != "" {
		prefix = "setpriv --reuid " + user + " --regid " + user + " --init-groups "
	} else {
		user = "root"
	}
	if dir := value("RuntimeDirectory"); dir != "" {
		d.do("install -d -o " + user + " -m " + value("RuntimeDirectoryMode") + " /run/" + dir)
	}
	if dir := value("StateDirectory"); dir != "" {
		d.do("install -d -o " + user + " -m " + value("StateDirectoryMode") + " /var/lib/" + dir)
	}
	if check := value("ExecStartPre"); check != "" {
		d.do(prefix + check)
	}
	c := d.command(context.Background(), "/bin/sh", "-c", "cd / && exec "+prefix+value("ExecStart")+" >>/var/log/"+name+".log 2>&1")
	p := &process{command: c, done: make(chan error, 1)}
	if err := c.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func() { p.done <- c.Wait() }()
	return &unit{name, p}
}

// stop ends a unit by SIGTERM to the program itself: nsenter does not hand signals on.
func (d *debian) stop(u *unit) {
	d.t.Helper()
	child, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", u.command.Process.Pid, u.command.Process.Pid))
	pid, err := strconv.Atoi(strings.TrimSpace(string(child)))
	if err != nil {
		d.t.Fatalf("%s does not run: %s", u.name, d.read("var/log/"+u.name+".log"))
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	d.ended(u)
}

// ended waits for a unit that ends by itself.
func (d *debian) ended(u *unit) {
	d.t.Helper()
	select {
	case err := <-u.done:
		if err != nil {
			d.t.Errorf("%s: %v\n%s", u.name, err, d.read("var/log/"+u.name+".log"))
		}
	case <-time.After(patience):
		d.t.Fatalf("%s does not end", u.name)
	}
}

func (d *debian) read(name string) string {
	b, err := os.ReadFile(filepath.Join(d.root, name))
	if err != nil {
		return ""
	}
	return string(b)
}

// serve starts both units and waits until they answer.
func (d *debian) serve() (helper, gateway *unit) {
	d.t.Helper()
	helper, gateway = d.start("sendgate-postfix-helper.service"), d.start("sendgate.service")
	eventually(d.t, "the gateway and the helper", func() bool {
		_, code := d.try("test -S /run/sendgate-helper/postfix.sock && sendgate messages")
		return code == 0
	})
	return helper, gateway
}

// send has a message submitted over SMTP, as a program of that machine would.
func (d *debian) send(subject string) {
	d.t.Helper()
	args := []string{"--target", d.inside, "--net", swaksBin, "--server", "127.0.0.1:25", "--ehlo", "mx.corp.test", "--from", "alice@corp.test",
		"--to", "bob@corp.test", "--header", "Subject: " + subject, "--body", "hello"}
	if out, code := run(d.t, "/usr/bin/nsenter", args...); code != 0 {
		d.t.Fatalf("swaks: %d\n%s", code, out)
	}
}

// held is the id of the one message that is held.
func (d *debian) held(subject string) string {
	d.t.Helper()
	var id string
	eventually(d.t, "one message on hold: "+subject, func() bool {
		var list struct {
			Messages []struct{ ID, Subject string }
		}
		out, code := d.try("sendgate messages --json state:held")
		if code != 0 || json.Unmarshal([]byte(out), &list) != nil || len(list.Messages) != 1 || list.Messages[0].Subject != subject {
			return false
		}
		id = list.Messages[0].ID
		queue, _ := d.try("postqueue -p")
		return regexp.MustCompile(`(?m)^\w+!`).MatchString(queue)
	})
	return id
}

func (d *debian) arrived(subject string) bool {
	return strings.Contains(d.read("var/mail/bob"), "Subject: "+subject+"\n")
}

func (d *debian) arrives(subject string) {
	d.t.Helper()
	eventually(d.t, subject+" is in bob's mailbox", func() bool { return d.arrived(subject) })
}

// install puts a package into /tmp of the private Debian, and installs it as an administrator would.
func (d *debian) install(deb string) string {
	d.t.Helper()
	b, err := os.ReadFile(deb)
	if err != nil {
		d.t.Fatal(err)
	}
	write(d.t, string(b), d.root, "tmp", filepath.Base(deb))
	return d.do("apt-get install -qy /tmp/" + filepath.Base(deb))
}

// etc lists everything of Postfix's configuration, with modes, owners and sums.
func (d *debian) etc() string {
	d.t.Helper()
	return d.do("cd /etc/postfix && find . -type f -printf '%p %m %u %g ' -exec md5sum {} \\;")
}

// TestInstall installs the package on a Debian with a stock Postfix, sets it up, sends, holds, recalls, upgrades
// with mail on hold, undoes, removes and purges, each by the documented command.
func TestInstall(t *testing.T) {
	if os.Getenv("SENDGATE_LONG") == "" {
		t.Skip("a Debian is fetched with -long only")
	}
	need(t, "/usr/sbin/debootstrap", "/usr/bin/unshare", "/usr/bin/nsenter", swaksBin)
	first, second := packaged(t, "1.0.0"), packaged(t, "1.0.1")
	d := newDebian(t)

	if out := d.install(first); !strings.Contains(out, `"sendgate setup" looks at Postfix`) {
		t.Errorf("the package does not say what to do:\n%s", out)
	}
	if got := d.do("stat -c '%a %U %G' /etc/sendgate/sendgate.yaml /var/lib/sendgate; man -w sendgate-setup; sendgate version"); !strings.Contains(got, "640 root sendgate\n700 sendgate sendgate\n/usr/share/man/man8/sendgate-setup.8.gz") {
		t.Error(got)
	}
	if got := d.do("sendgate version; cd /usr/share/doc/sendgate; ls contrib/README.zh-CN.md contrib/reference/api.md; test -x contrib/postfix/free-held"); !strings.HasPrefix(got, "sendgate 1.0.0 (") {
		t.Error(got)
	}
	d.do("postfix start")
	before := d.etc()
	if out := d.do("sendgate setup --lang en"); !strings.Contains(out, "smtpd_milters = unix:sendgate/milter.sock") || d.etc() != before {
		t.Errorf("setup without --apply:\n%s", out)
	}
	t.Log(d.do("sendgate setup --apply --lang en"))
	if out := d.do("sendgate setup --lang en"); !strings.Contains(out, "there is nothing to change") {
		t.Errorf("a second setup:\n%s", out)
	}
	helper, gateway := d.serve()
	if out, code := d.try("sendgate doctor --lang en"); code != 0 || strings.Contains(out, "[error]") {
		t.Errorf("doctor:\n%s", out)
	}

	d.send("released")
	d.do("sendgate release " + d.held("released"))
	d.arrives("released")
	d.send("recalled")
	d.do("sendgate recall " + d.held("recalled") + ` --reason "wrong attachment"`)
	eventually(t, "the recalled message has left the queue", func() bool { return strings.Contains(d.do("postqueue -p"), "Mail queue is empty") })

	d.send("upgraded")
	id := d.held("upgraded")
	d.do("sendgate hold " + id + " --for 30m")
	d.install(second)
	if got := d.do("dpkg-query -W -f '${Version}' sendgate"); got != "1.0.1" {
		t.Errorf("version %s", got)
	}
	d.stop(gateway) // systemd's try-restart
	d.stop(helper)
	helper, gateway = d.serve()
	if again := d.held("upgraded"); again != id {
		t.Errorf("held %s before the upgrade, %s after it", id, again)
	}

	if out, code := d.try("apt-get remove -qy sendgate"); code == 0 || !strings.Contains(out, "sendgate holds 1 message,") {
		t.Errorf("removed while mail is held: %d\n%s", code, out)
	}
	d.stop(gateway)
	d.stop(helper)
	if out, code := d.try("apt-get remove -qy sendgate"); code == 0 || !strings.Contains(out, "it does not run, and holds mail (messages: 1)") {
		t.Errorf("removed while mail is held and nobody runs: %d\n%s", code, out)
	}
	helper, gateway = d.serve() // on a journal that root has read
	d.do("sendgate drain")
	d.arrives("upgraded")
	d.ended(gateway)
	d.do("sendgate setup --undo")
	d.stop(helper)
	if after := d.etc(); after != before {
		t.Errorf("Postfix was\n%s\nis\n%s", before, after)
	}
	d.send("without sendgate")
	d.arrives("without sendgate")
	if d.arrived("recalled") {
		t.Error("what was recalled has arrived")
	}
	d.do("apt-get remove -qy sendgate")
	if out := d.do("ls /var/lib/sendgate /etc/sendgate/sendgate.yaml"); !strings.Contains(out, "journal\n") {
		t.Errorf("the removal has left %s", out)
	}
	d.do("install -D -o sendgate /dev/null /var/log/sendgate/mail.log")
	if out := d.do("apt-get purge -qy sendgate"); !strings.Contains(out, "is now /var/backups/sendgate/") {
		t.Error(out)
	}
	if out, _ := d.try("ls -d /etc/sendgate /var/lib/sendgate /var/log/sendgate /usr/bin/sendgate 2>/dev/null; ls /var/backups/sendgate/*"); !strings.Contains(out, "journal\n") || strings.Contains(out, "bin/sendgate\n") || strings.Contains(out, "/etc/sendgate\n") || strings.Contains(out, "/var/log/sendgate\n") {
		t.Errorf("the purge has left %s", out)
	}
}

// packaged builds the package of a version.
func packaged(t *testing.T, version string) string {
	t.Helper()
	out := strings.TrimSpace(long(t, "../package", "-v", version, directory(t)))
	return out[strings.LastIndex(out, "\n")+1:]
}
