package mailboxtest

import (
	"fmt"

	"github.com/sendgate/sendgate/gateway/machinetest"
)

// config24 says the same as config in the language of Dovecot 2.4.
func (d *Dovecot) config24() string {
	return fmt.Sprintf(`dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
base_dir = %[1]s/run
state_dir = %[1]s/run
log_path = %[1]s/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_server_cert_file = %[1]s/certificate.pem
ssl_server_key_file = %[1]s/key.pem
auth_allow_cleartext = yes
mail_driver = mdbox
mail_home = %[1]s/mail/%%{user | username}
mail_path = %[1]s/mail/%%{user | username}
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
mail_max_userip_connections = 50
auth_mechanisms = plain login
auth_master_user_separator = *
auth_failure_delay = 0
passdb static {
  password = %[2]s
  master = yes
  username_filter = %[3]s
  result_success = continue
}
passdb passwd-file {
  passwd_file_path = %[1]s/users
}
userdb passwd-file {
  passwd_file_path = %[1]s/users
}
`+inboxNamespace+`namespace hidden {
  prefix = hidden/
  separator = /
  mail_path = %[1]s/mail/%%{user | username}-hidden
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
  restart_request_count = 100
}
service imap-login {
  restart_request_count = unlimited
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

// inboxNamespace stands in the configurations of both versions.
const inboxNamespace = `namespace inbox {
  inbox = yes
  separator = /
  mailbox Sent {
    special_use = \Sent
    auto = create
  }
  mailbox Drafts {
    special_use = \Drafts
    auto = create
  }
  mailbox Junk {
    special_use = \Junk
    auto = create
  }
  mailbox Papierkorb {
    special_use = \Trash
    auto = create
  }
}
`
