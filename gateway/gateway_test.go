package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/gateway/relay"
	"go.uber.org/zap"
)

func TestWhatIsNoYAMLHasNoOtherFault(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sendgate.yaml")
	for _, text := range []string{"relay: {listen: [\n", "hostname: \xff\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(name); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := os.WriteFile(name, []byte("colour: blue\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(name); err == nil || !strings.Contains(err.Error(), "upstreams: name the mail server behind the gateway") {
		t.Errorf("the faults of the parts are not reported beside an unknown key: %v", err)
	}
}

// What a reload does not take over is named each time until it is as it was at the start.
func TestReloadNamesWhatNeedsARestart(t *testing.T) {
	cfg := DemoConfig(t.TempDir(), "127.0.0.1:1")
	cfg.Milter.Listen, cfg.API.Socket = nil, ""
	g, err := New(cfg, "test", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	changed := cfg
	changed.Delivery.Workers++
	changed.Relay.Connections++
	changed.API.Certificate, changed.API.Key = "cert.pem", "key.pem"
	soft := cfg
	soft.Relay.Senders = relay.SendersOwn
	soft.Recall.ReasonRequired = !cfg.Recall.ReasonRequired
	const want = "not as they were at the start, and taken over only by a restart: api, delivery, relay"
	for _, step := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"changed", changed, want}, {"the same again", changed, want}, {"changed back", cfg, ""}, {"nothing fixed", soft, ""},
	} {
		got := ""
		if err := g.Reload(step.cfg); err != nil {
			got = err.Error()
		}
		if got != step.want {
			t.Errorf("%s: %q, want %q", step.name, got, step.want)
		}
	}
}
