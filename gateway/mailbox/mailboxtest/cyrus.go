package mailboxtest

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/sendgate/sendgate/gateway/machinetest"
)

// Cyrus is a running one. Master is one of its proxyservers: it names the user as authzid (RFC 4616). Users
// have no domain.
type Cyrus struct {
	IMAP     string // address
	Password string // file with the master's password
	pile     pile
	admin    *imapclient.Client
}

// The programs of Debian's cyrus-common. Its cyrus-imapd conflicts with dovecot-imapd; contrib/test unpacks it
// below /usr/local/lib/cyrus without installing it.
const (
	cyrusMaster = "/usr/lib/cyrus/bin/master"
	cyrusDB     = "/usr/lib/cyrus/bin/ctl_cyrusdb"
	saslPasswd  = "/usr/sbin/saslpasswd2"
	cyrusIMAP   = "/usr/local/lib/cyrus/usr/lib/cyrus/bin/imapd"
)

// StartCyrus runs a Cyrus until the test ends.
func StartCyrus(t testing.TB) *Cyrus {
	t.Helper()
	machinetest.Need(t, cyrusMaster, cyrusDB, saslPasswd, cyrusIMAP)
	dir := machinetest.Directory(t)
	c := &Cyrus{IMAP: machinetest.Addresses(t, 1)[0], Password: machinetest.Write(t, MasterPassword+"\n", dir, "password")}
	for _, sub := range []string{"conf", "spool"} {
		must(t, os.Mkdir(filepath.Join(dir, sub), 0o755))
	}
	conf := machinetest.Write(t, fmt.Sprintf(cyrusConf, dir), dir, "imapd.conf")
	machinetest.Write(t, fmt.Sprintf(cyrusServices, conf, cyrusDB, cyrusIMAP, c.IMAP), dir, "cyrus.conf")
	for name, password := range map[string]string{Master: MasterPassword, "cyrus": "adminpw"} {
		run(t, password, saslPasswd, "-p", "-c", "-f", filepath.Join(dir, "sasldb2"), "-u", "corp.test", name)
	}
	own(t, dir, "cyrus")
	spawn(t, cyrusMaster, "-C", conf, "-M", filepath.Join(dir, "cyrus.conf"), "-p", filepath.Join(dir, "pid"))
	machinetest.Eventually(t, "Cyrus answers", func() bool { return answers(c.IMAP) })
	admin, err := imapclient.DialInsecure(c.IMAP, nil)
	must(t, err)
	t.Cleanup(func() { _ = admin.Close() })
	must(t, authenticate(admin, "", "cyrus", "adminpw"))
	c.admin = admin
	return c
}

// own gives a directory with all that is in it to a user.
func own(t testing.TB, dir, name string) {
	t.Helper()
	u, err := user.Lookup(name)
	must(t, err)
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	must(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, uid, gid)
	}))
}

// NewUser makes the mailbox of a user whom nobody else has. One connection makes all of them: see cyrusServices.
func (c *Cyrus) NewUser(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("u%d", c.pile.take(t))
	must(t, c.admin.Create("user/"+name, nil).Wait())
	return name
}

// Owner opens a mailbox with a program of its owner's.
func (c *Cyrus) Owner(t testing.TB, user string) *Owner {
	t.Helper()
	client, err := imapclient.DialInsecure(c.IMAP, nil)
	must(t, err)
	must(t, authenticate(client, user, Master, MasterPassword))
	return NewOwner(t, client)
}

const cyrusConf = `configdirectory: %[1]s/conf
partition-default: %[1]s/spool
servername: corp.test
admins: cyrus
proxyservers: ` + Master + `
allowplaintext: yes
sasl_mech_list: PLAIN
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: %[1]s/sasldb2
altnamespace: yes
unixhierarchysep: yes
munge8bit: no
skiplist_unsafe: yes
reject8bit: no
`

// cyrusServices starts all processes at once. Each makes the identities of new mailboxes out of a random number
// that it begins with its process id and the second of its start: among processes that start one after the
// other two mailboxes get the same identity now and then, and are then one.
const cyrusServices = `START {
  recover cmd="%[2]s -C %[1]s -r"
}
SERVICES {
  imap cmd="%[3]s -C %[1]s -U 1000000 -T 3600" listen="%[4]s" prefork=80 maxchild=80
}
EVENTS {
}
`
