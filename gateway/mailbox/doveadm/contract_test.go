package doveadm

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/gateway/mailbox/mailboxtest"
)

func TestContract(t *testing.T) { contract(t, stagingBox) }

// TestContractHidden stages in a namespace that is not listed, and that searches leave out.
func TestContractHidden(t *testing.T) { contract(t, hiddenBox) }

func contract(t *testing.T, staging string) {
	t.Helper()
	server := mailboxtest.StartDovecot(t)
	d := &dovecot{dir: filepath.Dir(server.Key), url: server.HTTP}
	wrong := filepath.Join(t.TempDir(), "wrong")
	must(t, os.WriteFile(wrong, []byte("wrong\n"), 0o600))
	mailboxtest.Run(t, mailboxtest.Server{
		Backend: stagingIn(staging, d.backend(t, "")),
		NewUser: server.NewUser,
		Owner:   server.Owner,
		Staging: staging,
		Trash:   "Papierkorb",
		Interpose: func(t testing.TB, before func()) mailbox.Backend {
			return stagingIn(staging, d.backend(t, d.proxied(t, once("move", before))))
		},
		Denied:      newBackend(t, mailbox.Doveadm{URL: server.HTTP, APIKeyFile: wrong, Connections: 1}),
		Unreachable: newBackend(t, mailbox.Doveadm{URL: "http://127.0.0.1:1/doveadm/v1", APIKeyFile: server.Key, Connections: 1}),
	})
}
