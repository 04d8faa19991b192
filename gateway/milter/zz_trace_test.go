package milter

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"
	"strings"
	"syscall"
)

func TestZZTrace(t *testing.T) {
	p := newPostfix(t)
	l := newLab(t).passing()
	l.settings.Config.Listen = []Listener{{Address: "unix:" + p.dir + "/milter.sock", Mode: "0666"}}
	l.settings.Config.Networks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	l.settings.Needs.Body = true
	l.start()
	p.start()
	src := func(n int) { exec.Command("/usr/sbin/smtp-source", "-d", "-s", "1", "-m", fmt.Sprint(n), "-l", "4096", "-f", "alice@corp.test", "-t", "bob@remote.test", p.address).Run() }
	src(3)
	go src(2000)
	time.Sleep(time.Second)
	o, _ := exec.Command("pgrep", "-f", "^(cleanup|smtpd) -").Output()
	fmt.Println(string(o))
	var args = []string{"-f", "-r", "-s", "60", "-yy", "-o", "/tmp/mtrace.txt"}
	for _, pid := range strings.Fields(string(o)) { 
		exe, _ := os.ReadFile("/proc/"+pid+"/cmdline"); fmt.Printf("%s %q\n", pid, exe)
		args = append(args, "-p", pid) }
	c := exec.Command("strace", args...)
	c.Start(); time.Sleep(2*time.Second); c.Process.Signal(syscall.SIGINT); c.Wait()
}
