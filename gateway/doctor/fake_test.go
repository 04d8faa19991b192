package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A fake is a Postfix that exists as the output of postconf alone, and a gateway in front of it.
type fake struct {
	t       *testing.T
	dir     string // its queue, and where sockets lie
	main    map[string]string
	fields  []string // postconf -F
	own     []string // postconf -P -x
	subject Subject
	tools   Tools
}

// newFake is a Postfix on which everything is right: smtp and submission ask the milter, and what
// sendgate gives back comes in on port 10025.
func newFake(t *testing.T) *fake {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, dir: t.TempDir()}
	f.main = map[string]string{
		"mail_version": "3.7.11", "queue_directory": f.dir, "mail_owner": me.Username, "enable_long_queue_ids": "yes",
		"smtpd_milters": "inet:127.0.0.1:7357", "non_smtpd_milters": "inet:127.0.0.1:7357", "milter_default_action": "tempfail",
		"milter_connect_timeout": "30s", "milter_command_timeout": "30s", "milter_content_timeout": "300s", "smtpd_timeout": "300s",
		"milter_mail_macros": "i {auth_type} {auth_authen}", "milter_end_of_data_macros": "i", "milter_protocol": "6",
		"default_process_limit": "100", "maximal_queue_lifetime": "5d", "smtputf8_enable": "yes", "maillog_file": "/dev/stdout",
		"mynetworks": "127.0.0.0/8 [::1]/128", "smtpd_relay_restrictions": "permit_mynetworks, reject",
		"message_size_limit": "10240000", "queue_minfree": "0", "smtpd_milter_maps": "", "content_filter": "",
	}
	f.service("smtp/inet", "smtpd", "n", "-")
	f.service("submission/inet", "smtpd", "n", "50")
	f.service("127.0.0.1:10025/inet", "smtpd", "n", "-")
	f.service("cleanup/unix", "cleanup", "n", "0")
	f.service("pickup/unix", "pickup", "n", "1")
	f.own = []string{"127.0.0.1:10025/inet/smtpd_milters =", "127.0.0.1:10025/inet/smtpd_authorized_xforward_hosts = 127.0.0.0/8"}
	f.subject = Subject{
		MilterListen: []string{startMilter(t, answerNegotiation)}, MilterNetworks: nil, MilterIdle: 2 * time.Hour, MilterConnections: 2000,
		LongestHold: 24 * time.Hour, Helper: f.dir + "/none.sock", StoreDir: f.dir, MinFreeMiB: 1,
		Upstreams: []Upstream{{Name: "postfix", Servers: []string{"127.0.0.1:10025"}, TrustedPath: "network"}},
	}
	f.main["smtpd_milters"] = "inet:" + f.subject.MilterListen[0]
	f.main["non_smtpd_milters"] = f.main["smtpd_milters"]
	works := func(context.Context) error { return nil }
	f.tools = Tools{Postconf: f.postconf, AskHelper: works, Upstreams: works, User: me.Username}
	return f
}

func (f *fake) service(name, command, chroot, limit string) {
	f.fields = append(f.fields, name+"/command = "+command+" -o x=y", name+"/chroot = "+chroot, name+"/process_limit = "+limit)
}

func (f *fake) postconf(_ context.Context, args ...string) (string, error) {
	switch strings.Join(args, " ") {
	case "-F":
		return strings.Join(f.fields, "\n") + "\n", nil
	case "-P -x":
		return strings.Join(f.own, "\n") + "\n", nil
	case "-x":
		return lines(f.main), nil
	}
	return "", fmt.Errorf("postconf %v", args)
}

func lines(values map[string]string) string {
	var b strings.Builder
	for name, value := range values {
		fmt.Fprintf(&b, "%s = %s\n", name, value)
	}
	return b.String()
}

// file makes an empty file in the fake's directory.
func (f *fake) file(name string, mode os.FileMode) string {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path, nil, mode); err != nil {
		f.t.Fatal(err)
	}
	return path
}

// of gives the findings of one check.
func (f *fake) of(check string) (found []Finding) {
	f.t.Helper()
	for _, finding := range Examine(f.t.Context(), f.subject, f.tools).Findings {
		if finding.Check == check {
			found = append(found, finding)
		}
	}
	if len(found) == 0 {
		f.t.Errorf("the check %s said nothing", check)
	}
	return found
}

// startMilter listens until the test ends and gives its address.
func startMilter(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, answer)
	return l.Addr().String()
}

// serve answers each connection until the test ends.
func serve(t *testing.T, l net.Listener, answer func(net.Conn)) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			answer(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
}

// answerNegotiation is a milter that wants nothing, and expects SMFIC_QUIT.
func answerNegotiation(c net.Conn) {
	offer := make([]byte, 17)
	if _, err := io.ReadFull(c, offer); err != nil || offer[4] != 'O' {
		return
	}
	_, _ = c.Write([]byte{0, 0, 0, 13, 'O', 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0})
	_, _ = io.Copy(io.Discard, c)
}

// answerSMTP is no milter.
func answerSMTP(c net.Conn) { _, _ = c.Write([]byte("220 mx.corp.test ESMTP\r\n")) }

var errAway = errors.New("upstream postfix: 127.0.0.1:10025: connection refused\nupstream other: no XCLIENT")
