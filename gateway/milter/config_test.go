package milter

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

func TestDefaultConfigIsValid(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, []byte("0123456789abcde\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no port":             {func(c *Config) { c.Listen = []Listener{{Address: "localhost"}} }, "listen[0].address: localhost: write host:port, such as 127.0.0.1:7357, or unix: and a path"},
		"relative path":       {func(c *Config) { c.Listen = []Listener{{Address: "unix:a"}} }, "listen[0].address: unix:a: the path of a socket is absolute and at most 107 octets long"},
		"mode of TCP":         {func(c *Config) { c.Listen = []Listener{{Address: "[::1]:7", Mode: "0600"}} }, "listen[0].mode: 0600: is for unix sockets"},
		"group of TCP":        {func(c *Config) { c.Listen = []Listener{{Address: "[::1]:7", Group: "root"}} }, "listen[0].group: root: is for unix sockets"},
		"mode not octal":      {func(c *Config) { c.Listen = []Listener{{Address: "unix:/a", Mode: "rw"}} }, "listen[0].mode: rw: write it in octal, such as 0660"},
		"unknown group":       {func(c *Config) { c.Listen = []Listener{{Address: "unix:/a", Group: "no such"}} }, "listen[0].group: no such: group: unknown group no such"},
		"the whole world":     {func(c *Config) { c.Networks = []netip.Prefix{netip.MustParsePrefix("::/0")} }, "networks: ::/0: would make all mail outbound"},
		"on_error":            {func(c *Config) { c.OnError = "reject" }, "on_error: reject: must be tempfail or accept"},
		"name of the field":   {func(c *Config) { c.IDHeader.Name = "X: y" }, "id_header.name: X: y: is not the name of a header field, such as X-Sendgate-ID"},
		"no key":              {func(c *Config) { c.IDHeader.KeyFile = "/nonexistent" }, "id_header.key_file: /nonexistent: read the key: open /nonexistent: no such file or directory"},
		"short key":           {func(c *Config) { c.IDHeader.KeyFile = short }, "id_header.key_file: " + short + ": the key needs at least 16 octets"},
		"too many recipients": {func(c *Config) { c.MaxRecipients = 20001 }, "max_recipients: 20001: must be between 100 (RFC 5321 4.5.3.1.8) and 20000"},
		"no connections":      {func(c *Config) { c.Connections = 0 }, "connections: 0: must be at least 1"},
		"short pause":         {func(c *Config) { c.IdleTimeout = time.Second }, "idle_timeout: 1s: must be between 1m and 24h"},
	} {
		t.Run(name, func(t *testing.T) {
			config := DefaultConfig()
			c.change(&config)
			var fault *policy.Fault
			if err := config.Validate(); !errors.As(err, &fault) || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestUnixSocket(t *testing.T) {
	group, err := user.LookupGroupId(strconv.Itoa(os.Getgid()))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "sub", "milter.sock")
	l := Listener{Address: "unix:" + path, Mode: "0666", Group: group.Name}
	if err := l.validate(); err != nil {
		t.Fatal(err)
	}
	first, err := l.open()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o666 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := l.open(); err == nil || !strings.Contains(err.Error(), "is in use by another process") {
		t.Errorf("a second time: %v", err)
	}
	// What a dead process leaves: a socket that nobody answers on.
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	first.Close()
	l.Mode = ""
	second, err := l.open()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	second.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.open(); err == nil || !strings.Contains(err.Error(), "is in the way: it is not a socket") {
		t.Errorf("over a file: %v", err)
	}
}
