package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A peer is a relay that runs for a measurement.
type peer struct {
	addr    string
	process *os.Process // sendgate
	config  string      // Postfix: its configuration directory
	done    chan error
	dir     string
}

func (p *peer) pid() string { return strconv.Itoa(p.process.Pid) }

// stop ends the peer and removes its directory.
func (p *peer) stop() error {
	defer os.RemoveAll(p.dir)
	if p.config != "" {
		return exec.Command("postfix", "-c", p.config, "stop").Run()
	}
	if err := p.process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-p.done:
		return err
	case <-time.After(time.Minute):
		return errors.Join(errors.New("sendgate did not end within a minute"), p.process.Kill())
	}
}

func freePort() (int, error) {
	for range 100 {
		// Below the range from which the kernel takes ports by itself (ip(7)).
		port := 10_000 + rand.IntN(20_000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port")
}

// startSendgate runs the binary with a configuration for the sink, in a directory of its own.
func startSendgate(ctx context.Context, binary, dir, sinkAddr string, hold time.Duration, v variant) (*peer, error) {
	return startGateway(ctx, binary, dir, sinkAddr, hold, v, "")
}

// startGateway is startSendgate with more sections of configuration.
func startGateway(ctx context.Context, binary, dir, sinkAddr string, hold time.Duration, v variant, more string) (*peer, error) {
	dir, err := os.MkdirTemp(dir, "gate-")
	if err != nil {
		return nil, err
	}
	smtp, err := freePort()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "sendgate.yaml")
	text := fmt.Sprintf(`hostname: gate.bench.example
store: {dir: %s/data}
relay:
  listen: [{address: "127.0.0.1:%d"}]
  networks: [127.0.0.0/8]
upstreams:
- {name: sink, servers: [{address: "%s"}], tls: none, accepts_for: remote}
policy:
  hold: {default: %s, margin: 0s}
%sapi: {listen: "", socket: %s/api.sock}
log: {level: error}
%s%s`, dir, smtp, sinkAddr, hold, v.rules, dir, v.domains, more)
	p, err := serve(ctx, binary, file, text, smtp)
	if err != nil {
		return nil, err
	}
	p.dir = dir
	return p, awaitGreeting(ctx, p.addr)
}

// serve runs the binary with a configuration, which it writes into a file. It greets on the port some time later.
func serve(ctx context.Context, binary, file, configuration string, port int) (*peer, error) {
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary, "serve", "--config", file)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &peer{addr: "127.0.0.1:" + strconv.Itoa(port), process: cmd.Process, done: make(chan error, 1)}
	go func() { p.done <- cmd.Wait() }()
	return p, nil
}

// startPostfix runs Debian's Postfix as it is delivered, in a private directory on loopback, with
// everything relayed to the sink. It needs root.
func startPostfix(ctx context.Context, dir string, sinkPort int, milter string) (*peer, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	for _, d := range []string{"etc", "spool", "data"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	if out, err := exec.Command("chown", "postfix", filepath.Join(dir, "data")).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("this needs root and an installed Postfix: %s", out)
	}
	if err := masterCf(dir, port); err != nil {
		return nil, err
	}
	main := fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.bench.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relayhost = [127.0.0.1]:%[2]d
smtp_dns_support_level = disabled
smtp_host_lookup = native
alias_maps =
alias_database =
smtpd_milters = %[3]s
maillog_file = %[1]s/mail.log
maillog_file_prefixes = %[4]s
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
`, dir, sinkPort, milter, filepath.Dir(dir))
	if err := os.WriteFile(filepath.Join(dir, "etc", "main.cf"), []byte(main), 0o644); err != nil {
		return nil, err
	}
	p := &peer{addr: "127.0.0.1:" + strconv.Itoa(port), config: filepath.Join(dir, "etc"), dir: dir}
	if out, err := exec.CommandContext(ctx, "postfix", "-c", p.config, "start").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("start Postfix: %w: %s", err, out)
	}
	return p, awaitGreeting(ctx, p.addr)
}

var (
	chrooted = regexp.MustCompile(`(?m)^([a-z0-9-]+ +(?:unix|inet|fifo|unix-dgram) +[-yn] +[-yn] +)[y-] `)
	smtpInet = regexp.MustCompile(`(?m)^smtp +inet`)
)

// masterCf is Debian's, with nothing in a chroot and the SMTP server on our port.
func masterCf(dir string, port int) error {
	b, err := os.ReadFile("/usr/share/postfix/master.cf.dist")
	if err != nil {
		return err
	}
	text := chrooted.ReplaceAllString(string(b), "${1}n ")
	text = smtpInet.ReplaceAllString(text, fmt.Sprintf("127.0.0.1:%d inet", port))
	if !strings.Contains(text, "\npostlog") {
		text += "postlog unix-dgram n - n - 1 postlogd\n"
	}
	return os.WriteFile(filepath.Join(dir, "etc", "master.cf"), []byte(text), 0o644)
}

func awaitGreeting(ctx context.Context, addr string) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		c, err := dial(addr)
		if err == nil {
			c.close()
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("%s does not answer: %w", addr, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// countFlushes runs a short load under strace and counts the calls that wait for the disk.
func (b *relayBench) countFlushes(ctx context.Context) (float64, error) {
	gate, err := startSendgate(ctx, b.binary, b.dir, b.sink.addr(), time.Second, b.variants[0])
	if err != nil {
		return 0, err
	}
	defer gate.stop()
	out := filepath.Join(b.dir, "strace")
	trace := exec.CommandContext(ctx, "strace", "-f", "-c", "-o", out, "-e", "trace=msync,fsync,fdatasync,sync_file_range", "-p", gate.pid())
	if err := trace.Start(); err != nil {
		return 0, fmt.Errorf("strace: %w", err)
	}
	time.Sleep(time.Second) // until it has attached to every thread
	const n = 5000
	goal := b.sink.taken.Load() + n
	if _, err := (load{addr: gate.addr, sessions: 50, messages: n, reuse: true, body: 4 << 10}).send(ctx); err != nil {
		return 0, err
	}
	if err := b.sink.wait(ctx, goal, time.Minute); err != nil {
		return 0, err
	}
	if err := trace.Process.Signal(os.Interrupt); err != nil {
		return 0, err
	}
	_ = trace.Wait() // it ends by our signal
	report, err := os.ReadFile(out)
	if err != nil {
		return 0, err
	}
	calls := 0
	for _, m := range regexp.MustCompile(`(?m)^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+).*sync`).FindAllStringSubmatch(string(report), -1) {
		c, _ := strconv.Atoi(m[1])
		calls += c
	}
	if calls == 0 {
		return 0, fmt.Errorf("strace saw none: %s", report)
	}
	return float64(calls) / n, nil
}
