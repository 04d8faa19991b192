package maillog

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/machinetest"
)

const rsyslogd = "/usr/sbin/rsyslogd"

// A daemon is a real rsyslog with three inputs.
type daemon struct {
	dir, port string
	cmd       *exec.Cmd
}

// newDaemon starts rsyslog, or skips the test where there is none.
func newDaemon(t *testing.T) *daemon {
	t.Helper()
	if _, err := os.Stat(rsyslogd); err != nil {
		if os.Getenv("SENDGATE_E2E") != "" {
			t.Fatal("rsyslog is required here: apt-get install rsyslog")
		}
		t.Skip("no rsyslog here: apt-get install rsyslog")
	}
	d := &daemon{dir: t.TempDir()}
	d.port = machinetest.Port(machinetest.Addresses(t, 1)[0])
	config := fmt.Sprintf(`global(workDirectory="%[1]s")
module(load="imuxsock" SysSock.Use="off")
module(load="imudp")
module(load="imtcp")
input(type="imuxsock" Socket="%[1]s/log")
input(type="imudp" address="127.0.0.1" port="%[2]s")
input(type="imtcp" address="127.0.0.1" port="%[2]s")
template(name="parts" type="string" string="%%pri%%|%%timestamp:::date-rfc3339%%|%%hostname%%|%%app-name%%|%%procid%%|%%msgid%%|%%structured-data%%|%%msg%%\n")
action(type="omfile" file="%[1]s/out" template="parts")
`, d.dir, d.port)
	if err := os.WriteFile(d.path("conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	d.start(t)
	t.Cleanup(func() { d.stop(t) })
	return d
}

func (d *daemon) path(name string) string { return filepath.Join(d.dir, name) }

func (d *daemon) start(t *testing.T) {
	t.Helper()
	d.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), rsyslogd, "-n", "-f", d.path("conf"), "-i", d.path("pid"))
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "rsyslog listens", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+d.port)
		if err != nil {
			return false
		}
		_, gone := os.Stat(d.path("log"))
		return c.Close() == nil && gone == nil
	})
}

func (d *daemon) stop(t *testing.T) {
	t.Helper()
	if err := d.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = d.cmd.Wait() // it was killed
}

// lines is what the daemon has written.
func (d *daemon) lines() []string {
	data, _ := os.ReadFile(d.path("out")) // not there yet
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// outputTo makes an output as a configuration says.
func outputTo(t *testing.T, server string) *syslogOutput {
	t.Helper()
	cfg := Config{To: ToSyslog, Syslog: server}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	o := newOutput(cfg, "mail-gw", nil).(*syslogOutput)
	o.origin.process = "7"
	t.Cleanup(func() { _ = o.close() })
	return o
}

func TestRsyslogReadsEveryPart(t *testing.T) {
	d := newDaemon(t)
	line := Line{Time: at, Verb: "unknown", ID: "01M7", Sender: "<张@corp.example>", Rule: "a rule", More: []Field{{"reply", "x\ny\x00 \"z\""}}}
	text := `id=01M7 queue_id=- sender="<张@corp.example>" rule="a rule" reply="x\ny\x00 \"z\""`
	for _, tt := range []struct{ server, want string }{
		{"udp://127.0.0.1:" + d.port, "20|" + stamp(at) + "|mail-gw|sendgate|7|unknown|-|unknown " + text},
		{"tcp://127.0.0.1:" + d.port, "20|" + stamp(at) + "|mail-gw|sendgate|7|unknown|-|unknown " + text},
		{"unix://" + d.path("log"), "|sendgate|7|-|-| unknown " + text},
	} {
		network, _, _ := strings.Cut(tt.server, ":")
		t.Run(network, func(t *testing.T) {
			o, before := outputTo(t, tt.server), len(d.lines())
			for range 2 {
				if err := o.write(line); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "two lines are there", func() bool {
				n := 0
				for _, l := range d.lines() {
					if strings.HasSuffix(normal(l), tt.want) && strings.HasPrefix(l, "20|") {
						n++
					}
				}
				return n >= 2 && len(d.lines()) >= before+1
			})
			if err := o.close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// normal is a line of rsyslog with its time in the form of ours.
func normal(l string) string {
	parts := strings.SplitN(l, "|", 3)
	if len(parts) < 3 {
		return l
	}
	if at, err := time.Parse(time.RFC3339Nano, parts[1]); err == nil {
		parts[1] = stamp(at)
	}
	return strings.Join(parts, "|")
}

func TestTheServerIsAwayForAWhile(t *testing.T) {
	d := newDaemon(t)
	o := outputTo(t, "tcp://127.0.0.1:"+d.port)
	write(t, o, "1")
	eventually(t, "the first line is there", func() bool { return strings.Contains(strings.Join(d.lines(), ""), "id=1 ") })
	d.stop(t)
	eventually(t, "its end is noticed", func() bool { return o.write(held("2")) != nil })
	if err := o.write(held("2")); err == nil || !strings.HasPrefix(err.Error(), "reach the syslog server: ") {
		t.Errorf("while it is away: %v", err)
	}
	d.start(t)
	write(t, o, "3")
	eventually(t, "the third line is there", func() bool { return strings.Contains(strings.Join(d.lines(), ""), "id=3 ") })
}

func TestADatagramIsBounded(t *testing.T) {
	long := Line{Time: at, Verb: "held"}
	for range 20 {
		long.add("reason", strings.Repeat("é", maxValue))
	}
	o := &syslogOutput{network: "udp", origin: origin{"mx", "7"}}
	if got := o.frame(long); len(got) > maxDatagram {
		t.Errorf("%d octets", len(got))
	}
	o.network = "tcp"
	if got := o.frame(long); len(got) < maxLine/2 {
		t.Errorf("%d octets over TCP", len(got))
	}
}

func TestTheHeaderIsPrintable(t *testing.T) {
	for in, want := range map[string]string{"": "-", "a b\x00é": "a?b???", strings.Repeat("h", 300): strings.Repeat("h", 255)} {
		if got := printable(in, maxHost); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
