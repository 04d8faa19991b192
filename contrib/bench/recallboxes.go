package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// mailDir is the mailboxes of a private Dovecot.
type mailDir struct {
	dir           string
	imap, http    string // addresses
	password, key string // files
	unread, read  []string
}

func userName(i int) string { return fmt.Sprintf("u%d@corp.test", i) }

// fillMailboxes writes maildirs: the message, which the first owners have read, among others.
func fillMailboxes(dir string, id policy.ID, r *recallBench) (*mailDir, error) {
	d := &mailDir{dir: dir, password: filepath.Join(dir, "password"), key: filepath.Join(dir, "key")}
	now := time.Now()
	message := fmt.Sprintf("Received: from client by %s with ESMTP id %s; %s\r\nFrom: Ann <ann@corp.test>\r\nTo: all@corp.test\r\n"+
		"Subject: Figures\r\nDate: %[3]s\r\nMessage-ID: <figures@corp.test>\r\n\r\n%s", gatewayName, id, now.Format(time.RFC1123Z), filler[:3800])
	for i := range r.mailboxes {
		home := filepath.Join(dir, "mail", userName(i))
		for _, sub := range []string{"cur", "new", "tmp"} {
			if err := os.MkdirAll(filepath.Join(home, sub), 0o755); err != nil {
				return nil, err
			}
		}
		for k := range r.others {
			other := fmt.Sprintf("From: bob@corp.test\r\nTo: %s\r\nSubject: Other %d\r\nMessage-ID: <other%d.%d@corp.test>\r\n\r\n%s", userName(i), k, i, k, filler[:1000])
			if err := os.WriteFile(filepath.Join(home, "cur", fmt.Sprintf("%d.O%d.bench:2,S", now.Unix()-3600, k)), []byte(other), 0o644); err != nil {
				return nil, err
			}
		}
		name := filepath.Join(home, "new", fmt.Sprintf("%d.M.bench", now.Unix()))
		if i < r.read {
			name = filepath.Join(home, "cur", fmt.Sprintf("%d.M.bench:2,S", now.Unix()))
			d.read = append(d.read, name)
		} else {
			d.unread = append(d.unread, home)
		}
		if err := os.WriteFile(name, []byte(message), 0o644); err != nil {
			return nil, err
		}
	}
	for name, text := range map[string]string{d.password: "master-pw\n", d.key: "key\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	if out, err := exec.Command("/bin/chown", "-R", "nobody:nogroup", filepath.Join(dir, "mail")).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s (the bench needs root, as Dovecot does)", err, out)
	}
	return d, nil
}

// compare counts the mailboxes that still have the message unread, and those that had it read and do not have it
// as it was.
func (d *mailDir) compare() (unreadLeft, readTouched int) {
	for _, home := range d.unread {
		left, _ := filepath.Glob(filepath.Join(home, "*", "*.M.*"))
		if len(left) > 0 {
			unreadLeft++
		}
	}
	for _, name := range d.read {
		if _, err := os.Stat(name); err != nil {
			readTouched++
		}
	}
	return unreadLeft, readTouched
}

// serve runs Dovecot on the mailboxes until stop.
func (d *mailDir) serve(ctx context.Context) (stop func(), err error) {
	const dovecot = "/usr/sbin/dovecot"
	if _, err := os.Stat(dovecot); err != nil {
		return nil, fmt.Errorf("the bench needs Debian's Dovecot: %w", err)
	}
	for _, a := range []*string{&d.imap, &d.http} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		*a = l.Addr().String()
	}
	config := filepath.Join(d.dir, "dovecot.conf")
	if err := os.WriteFile(config, []byte(d.config()), 0o644); err != nil {
		return nil, err
	}
	var output bytes.Buffer
	cmd := exec.Command(dovecot, "-F", "-c", config)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.Env = append(os.Environ(), "TZ=UTC")
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
	for tries := 0; ; tries++ {
		conn, err := net.Dial("tcp", d.imap)
		if err == nil {
			return stop, conn.Close()
		}
		if tries == 100 || ctx.Err() != nil {
			stop()
			return nil, fmt.Errorf("no answer from Dovecot: %w: %s", err, output.Bytes())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (d *mailDir) config() string {
	_, imapPort, _ := net.SplitHostPort(d.imap)
	_, httpPort, _ := net.SplitHostPort(d.http)
	return strings.NewReplacer("DIR", d.dir, "IMAPPORT", imapPort, "HTTPPORT", httpPort).Replace(`base_dir = DIR/run
state_dir = DIR/run
log_path = DIR/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = maildir:DIR/mail/%u
mail_home = DIR/mail/%u
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
mail_max_userip_connections = 100
auth_master_user_separator = *
passdb {
  driver = static
  args = password=master-pw
  master = yes
  username_filter = master
  result_success = continue
}
passdb {
  driver = static
  args = password=pw
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=DIR/mail/%u allow_all_users=yes
}
namespace inbox {
  inbox = yes
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service imap {
  service_count = 0
}
service imap-login {
  service_count = 0
  inet_listener imap {
    port = IMAPPORT
  }
  inet_listener imaps {
    port = 0
  }
}
service doveadm {
  service_count = 0
  inet_listener http {
    port = HTTPPORT
    ssl = no
  }
}
doveadm_api_key = key
`)
}
