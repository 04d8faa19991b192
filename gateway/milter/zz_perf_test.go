package milter

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"
	"path/filepath"

	gomilter "github.com/emersion/go-milter"
	"go.uber.org/zap"
)

func TestZZPerf(t *testing.T) {
	p := newPostfix(t)
	l := newLab(t).passing()
	l.settings.Config.Listen = []Listener{{Address: "unix:" + p.dir + "/milter.sock", Mode: "0666"}}
	l.settings.Config.Networks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	l.settings.Needs.Body = true
	l.make()
	cfg := zap.NewProductionConfig(); cfg.OutputPaths = []string{p.dir + "/gate.log"}; cfg.Sampling = nil
	lg, _ := cfg.Build()
	l.milter.log = lg
	if err := l.milter.Listen(); err != nil { t.Fatal(err) }
	go l.milter.Serve(t.Context())
	nl, err := net.Listen("unix", p.dir+"/noop.sock"); if err != nil { t.Fatal(err) }
	os.Chmod(p.dir+"/noop.sock", 0o666)
	noop := gomilter.Server{NewMilter: func() gomilter.Milter { return gomilter.NoOpMilter{} }}
	go noop.Serve(nl)
	sock := func(name string) net.Listener { x, err := net.Listen("unix", p.dir+"/"+name); if err != nil { t.Fatal(err) }; os.Chmod(p.dir+"/"+name, 0o666); return x }
	mini := gomilter.Server{NewMilter: func() gomilter.Milter { return miniMilter{} }, Protocol: gomilter.OptNoUnknown|gomilter.OptNoData|gomilter.OptNoEOH|gomilter.OptNoBody|gomilter.OptNoHeaders|gomilter.OptNoConnReply|gomilter.OptNoHeloReply|gomilter.OptNoMailReply|gomilter.OptNoRcptReply}
	go mini.Serve(sock("mini.sock"))
	full := gomilter.Server{NewMilter: func() gomilter.Milter { return miniMilter{} }, Protocol: gomilter.OptNoUnknown|gomilter.OptNoData|gomilter.OptNoEOH|gomilter.OptNoConnReply|gomilter.OptNoHeloReply|gomilter.OptNoMailReply|gomilter.OptNoRcptReply|gomilter.OptNoHeaderReply|gomilter.OptNoBodyReply}
	go full.Serve(sock("full.sock"))
	mk := func(name string, body bool, j Journal) {
		x := newLab(t).passing()
		x.settings = l.settings
		x.settings.Needs.Body = body
		x.settings.Config.Listen = []Listener{{Address: "unix:" + p.dir + "/" + name, Mode: "0666"}}
		x.make()
		x.milter.log = lg
		x.milter.journal, x.milter.notes.journal = j, j
		if err := x.milter.Listen(); err != nil { t.Fatal(err) }
		go x.milter.Serve(t.Context())
	}
	mk("nobody.sock", false, journal)
	mk("forget.sock", true, forgetful{})
	l.milter.journal, l.milter.notes.journal = journal, journal
	f, _ := os.OpenFile(filepath.Join(p.etc(), "master.cf"), os.O_APPEND|os.O_WRONLY, 0)
	var ports []string
	for _, m := range []string{"", "unix:" + p.dir + "/noop.sock", "unix:" + p.dir + "/milter.sock", "unix:" + p.dir + "/nobody.sock", "unix:" + p.dir + "/forget.sock", "unix:" + p.dir + "/mini.sock", "unix:" + p.dir + "/full.sock"} {
		ln, _ := net.Listen("tcp", "127.0.0.1:0"); a := ln.Addr().String(); ln.Close()
		fmt.Fprintf(f, "%s inet n - n - - smtpd\n  -o smtpd_milters=%s\n", a, m)
		ports = append(ports, a)
	}
	f.Close()
	p.start()
	names := []string{"none", "noop", "sendgate", "nobody", "forgetful", "mini", "full"}
	runOne := func(addr string, n, s int, reuse bool) float64 {
		args := []string{"-s", fmt.Sprint(s), "-m", fmt.Sprint(n), "-l", "4096", "-f", "alice@corp.test", "-t", "bob@remote.test", addr}
		if reuse { args = append([]string{"-d"}, args...) }
		start := time.Now()
		out, err := exec.Command("/usr/sbin/smtp-source", args...).CombinedOutput()
		if err != nil { t.Fatalf("%v %s", err, out) }
		d := time.Since(start)
		for end := time.Now().Add(30*time.Second); time.Now().Before(end); time.Sleep(50*time.Millisecond) {
			o, _ := exec.Command("/usr/sbin/postqueue", "-c", p.etc(), "-j").Output()
			if len(o) == 0 { break }
		}
		return float64(n) / d.Seconds()
	}
	for _, a := range ports { runOne(a, 100, 10, true) }
	for _, mode := range []struct{ s int; reuse bool; n int }{{1, true, 300}, {10, true, 1000}} {
		sum := make([]float64, 7)
		for rep := 0; rep < 3; rep++ {
			for i, a := range ports { sum[i] += runOne(a, mode.n, mode.s, mode.reuse) / 3 }
		}
		for i := range names { fmt.Printf("s=%d reuse=%v %s: %.0f/s keep %.2f\n", mode.s, mode.reuse, names[i], sum[i], sum[i]/sum[0]) }
	}
}

type miniMilter struct{ gomilter.NoOpMilter }
func (miniMilter) Connect(string, string, uint16, net.IP, *gomilter.Modifier) (gomilter.Response, error) { return nil, nil }
func (miniMilter) Helo(string, *gomilter.Modifier) (gomilter.Response, error) { return nil, nil }
func (miniMilter) MailFrom(string, *gomilter.Modifier) (gomilter.Response, error) { return nil, nil }
func (miniMilter) RcptTo(string, *gomilter.Modifier) (gomilter.Response, error) { return nil, nil }
func (miniMilter) Header(string, string, *gomilter.Modifier) (gomilter.Response, error) { return nil, nil }
func (miniMilter) BodyChunk([]byte, *gomilter.Modifier) (gomilter.Response, error) { return nil, nil }
func (miniMilter) Body(*gomilter.Modifier) (gomilter.Response, error) { return reply{}, nil }
