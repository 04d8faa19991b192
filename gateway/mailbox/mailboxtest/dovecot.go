package mailboxtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/sendgate/sendgate/gateway/machinetest"
)

// Dovecot is a running one. Master logs in as user*master, or names the user as authzid.
type Dovecot struct {
	IMAP string // address, clear text and STARTTLS
	TLS  string // address, implicit TLS
	HTTP string // URL of the doveadm API
	Key  string // file with its key
	CA   string // file with the certificate, for 127.0.0.1
	// Password is the file with the master's password.
	Password string
	dir      string
	pile     pile
}

const dovecotBin = "/usr/sbin/dovecot"

// StartDovecot runs a Dovecot until the test ends. What is below "hidden/" is in a namespace of its own that
// is not listed.
func StartDovecot(t testing.TB) *Dovecot {
	t.Helper()
	machinetest.Need(t, dovecotBin, "/usr/lib/dovecot/imap")
	configuration := (*Dovecot).config
	switch version, _ := exec.Command(dovecotBin, "--version").Output(); {
	case strings.HasPrefix(string(version), "2.4."):
		configuration = (*Dovecot).config24
	case !strings.HasPrefix(string(version), "2.3."):
		machinetest.Lack(t, "the tests write the configurations of Dovecot 2.3 and 2.4, not of %s", version)
	}
	dir, free := machinetest.Directory(t), machinetest.Addresses(t, 3)
	d := &Dovecot{
		IMAP: free[0], TLS: free[1], HTTP: "http://" + free[2] + "/doveadm/v1", dir: dir,
		Key: machinetest.Write(t, "doveadm-key\n", dir, "key"), Password: machinetest.Write(t, MasterPassword+"\n", dir, "password"),
	}
	for _, sub := range []string{"run", "mail"} {
		must(t, os.Mkdir(filepath.Join(dir, sub), 0o755))
	}
	must(t, os.Chown(filepath.Join(dir, "mail"), 65534, 65534))
	var users strings.Builder
	for i := range Users {
		fmt.Fprintf(&users, "u%d@corp.test:{PLAIN}%s:65534:65534\n", i, Password)
	}
	machinetest.Write(t, users.String(), dir, "users")
	d.CA = certificate(t, dir)
	spawn(t, dovecotBin, "-F", "-c", machinetest.Write(t, configuration(d), dir, "dovecot.conf"))
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "dovecot.log"))
			t.Logf("dovecot.log, its end:\n%s", log[max(0, len(log)-4_000):])
		}
	})
	machinetest.Eventually(t, "Dovecot answers", func() bool { return answers(d.IMAP) })
	return d
}

// NewUser gives a user whom nobody else has.
func (d *Dovecot) NewUser(t testing.TB) string {
	return fmt.Sprintf("u%d@corp.test", d.pile.take(t))
}

// Owner opens a mailbox with a program of its owner's.
func (d *Dovecot) Owner(t testing.TB, user string) *Owner {
	t.Helper()
	client, err := imapclient.DialInsecure(d.IMAP, nil)
	must(t, err)
	must(t, client.Login(user, Password).Wait())
	return NewOwner(t, client)
}

// api is the address of HTTP.
func (d *Dovecot) api() string {
	return strings.TrimSuffix(strings.TrimPrefix(d.HTTP, "http://"), "/doveadm/v1")
}

// config is for Dovecot 2.3.
func (d *Dovecot) config() string {
	return fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/run
log_path = %[1]s/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <%[1]s/certificate.pem
ssl_key = <%[1]s/key.pem
disable_plaintext_auth = no
mail_location = mdbox:%[1]s/mail/%%n
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
mail_max_userip_connections = 50
auth_username_format = %%Lu
auth_mechanisms = plain login
auth_master_user_separator = *
auth_failure_delay = 0
passdb {
  driver = static
  args = password=%[2]s
  master = yes
  username_filter = %[3]s
  result_success = continue
}
passdb {
  driver = passwd-file
  args = username_format=%%u %[1]s/users
}
userdb {
  driver = passwd-file
  args = username_format=%%u %[1]s/users
  override_fields = home=%[1]s/mail/%%n
}
`+inboxNamespace+`namespace hidden {
  prefix = hidden/
  separator = /
  location = mdbox:%[1]s/mail/%%n-hidden
  hidden = yes
  list = no
  subscriptions = no
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service imap {
  service_count = 100
}
service imap-login {
  service_count = 0
  inet_listener imap {
    port = %[4]s
  }
  inet_listener imaps {
    port = %[5]s
  }
}
service doveadm {
  inet_listener http {
    port = %[6]s
    ssl = no
  }
}
doveadm_api_key = doveadm-key
`, d.dir, MasterPassword, Master, machinetest.Port(d.IMAP), machinetest.Port(d.TLS), machinetest.Port(d.api()))
}
