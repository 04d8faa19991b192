package maillog

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// journalRemote reads the serialisation that the native protocol shares with the export format.
const journalRemote = "/lib/systemd/systemd-journal-remote"

// catch takes what is sent to journald's socket.
func catch(t *testing.T) (*journaldOutput, *net.UnixConn) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "socket")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	o := &journaldOutput{socket: socket}
	t.Cleanup(func() { _ = o.close(); _ = c.Close() })
	return o, c
}

func receive(t *testing.T, c *net.UnixConn) []byte {
	t.Helper()
	b := make([]byte, 64<<10)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

func TestSystemdStoresEachField(t *testing.T) {
	if _, err := os.Stat(journalRemote); err != nil {
		if os.Getenv("SENDGATE_E2E") != "" {
			t.Fatal("systemd-journal-remote is required here: apt-get install systemd-journal-remote")
		}
		t.Skip("no systemd-journal-remote here: apt-get install systemd-journal-remote")
	}
	o, c := catch(t)
	line := Line{Time: at, Verb: "deferred", ID: "01M7", Sender: "<张@corp.example>", More: []Field{{"reply", "450 x\r\nMESSAGE=forged\n\nPRIORITY=0"}}}
	if err := o.write(line); err != nil {
		t.Fatal(err)
	}
	export := append([]byte("__REALTIME_TIMESTAMP=1700000000000000\n"), receive(t, c)...)
	file := filepath.Join(t.TempDir(), "x.journal")
	remote := exec.CommandContext(t.Context(), journalRemote, "-o", file, "-")
	remote.Stdin = bytes.NewReader(append(export, '\n'))
	if out, err := remote.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), "journalctl", "--file", file, "-o", "json", "SENDGATE_ID=01M7").Output()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any // what is not printable is an array of octets
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, want := range map[string]string{
		"MESSAGE": line.Text(), "PRIORITY": "5", "SYSLOG_FACILITY": "2", "SYSLOG_IDENTIFIER": "sendgate", "SENDGATE_VERB": "deferred",
		"SENDGATE_TIME": stamp(at), "SENDGATE_SENDER": "<张@corp.example>",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	octets, _ := got["SENDGATE_REPLY"].([]any)
	var reply []byte
	for _, o := range octets {
		reply = append(reply, byte(o.(float64)))
	}
	if string(reply) != line.More[0].Value {
		t.Errorf("the reply is %q", reply)
	}
}

func TestJournaldComesBack(t *testing.T) {
	o, c := catch(t)
	write(t, o, "1")
	receive(t, c)
	_ = c.Close()
	if err := os.Remove(o.socket); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := o.write(held("2")); err == nil || !strings.HasPrefix(err.Error(), "send the mail log to systemd-journald: ") {
		t.Errorf("the first write: %v", err)
	}
	if err := o.write(held("2")); err == nil || !strings.HasPrefix(err.Error(), "reach systemd-journald: ") {
		t.Errorf("the second: %v", err)
	}
	again, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: o.socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	write(t, o, "3")
	if got := receive(t, again); !bytes.Contains(got, []byte("\nSENDGATE_ID=3\n")) {
		t.Errorf("%q", got)
	}
}

// TestAJournaldThatHangs has a daemon that takes nothing any more: the log waits, and can be ended.
func TestAJournaldThatHangs(t *testing.T) {
	t.Parallel()
	o, _ := catch(t)
	begun := time.Now()
	for n := range 10_000 { // what the socket takes before it is full
		err := o.write(held("1"))
		if err == nil {
			continue
		}
		if !strings.HasPrefix(err.Error(), "send the mail log to systemd-journald: ") || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) < writeTimeout {
			t.Errorf("after %d lines and %v: %v", n, time.Since(begun), err)
		}
		return
	}
	t.Error("everything was taken, and nobody reads it")
}
