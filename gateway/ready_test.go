package gateway

import (
	"errors"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/alert"
	"github.com/sendgate/sendgate/gateway/notify/webhook"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

func TestParts(t *testing.T) {
	log := func(state string, lag int64) web.Part {
		return logPart(&web.Source{Name: "mail", State: state, LagSeconds: lag, Error: "permission denied"})
	}
	hook := func(state string, lag time.Duration) web.Part {
		return hookPart(&webhook.Status{Name: "crm", State: state, Lag: lag, Error: "HTTP status 410"})
	}
	for _, tt := range []struct {
		outcome   string
		got, want web.Part
	}{
		{"all is well", part("postfix helper", nil), web.Part{Name: "postfix helper", OK: true}},
		{"it fails", part("mail log", errors.New("no space left on device")), web.Part{Name: "mail log", Detail: "no space left on device"}},
		{"a log that is followed", log(web.SourceFollowing, 20), web.Part{Name: "log mail", OK: true}},
		{"one without anything new for long", log(web.SourceCaughtUp, 4000), web.Part{Name: "log mail", OK: true}},
		{"one that is read late", log(web.SourceFollowing, 301), web.Part{Name: "log mail", Detail: "it is read 5m1s late"}},
		{"one that cannot be read", log(web.SourceError, 0), web.Part{Name: "log mail", Detail: "permission denied"}},
		{"a webhook that fails for a while", hook(webhook.Failing, 15*time.Minute), web.Part{Name: "webhook crm", OK: true}},
		{"one that fails for long", hook(webhook.Failing, 16*time.Minute), web.Part{Name: "webhook crm", Detail: "its oldest event waits since 16m0s"}},
		{"one that is gone", hook(webhook.Disabled, 0), web.Part{Name: "webhook crm", Detail: "disabled: HTTP status 410"}},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %+v", tt.outcome, tt.got)
		}
	}
}

// TestWhatDecides has a gateway whose upstream is away.
func TestWhatDecides(t *testing.T) {
	for _, tt := range []struct {
		outcome  string
		networks bool // there are clients without a login
		decides  bool
	}{
		{"mail of networks waits for the upstream", true, false},
		{"nobody can sign in without it", false, true},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			cfg := DemoConfig(t.TempDir(), "127.0.0.1:1")
			cfg.Milter.Listen, cfg.API.Socket = nil, ""
			if !tt.networks {
				cfg.Relay.Networks = nil
			}
			g, err := New(cfg, "test", zap.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			front, up := web.Part{}, web.Part{OK: true}
			for _, p := range g.parts() {
				switch {
				case p.Name == "relay":
					front = p
				case len(p.Name) > 9 && p.Name[:9] == "upstream ":
					up = p
				case p.Decides:
					t.Errorf("%+v decides", p)
				}
			}
			if !front.Decides {
				t.Errorf("the front: %+v", front)
			}
			if up.OK || up.Decides != tt.decides {
				t.Errorf("the upstream: %+v", up)
			}
		})
	}
}

func TestTroubleOfWebhooks(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		state string
		text  policy.Label
		ends  bool
	}{
		{webhook.Well, policy.Label{}, true},
		{webhook.Failing, policy.Label{
			EN: "crm.example has taken no event for 15 minutes (HTTP status 502): they wait in the journal",
			ZH: "crm.example 已超过 15 分钟未接收事件（HTTP status 502），事件保留在日志库中等待推送",
		}, false},
		{webhook.Disabled, policy.Label{
			EN: "crm.example says that it is gone for good (HTTP status 502): nothing more is posted to it",
			ZH: "crm.example 表示已永久失效（HTTP status 502），已停止推送",
		}, false},
	} {
		o := troubleOf(webhook.Condition{Webhook: "crm", Host: "crm.example", State: tt.state, Detail: "HTTP status 502"}, now)
		if o.Kind != alert.WebhookFailing || o.Subject != "crm" || !o.Time.Equal(now) || o.Ends != tt.ends || o.Text != tt.text {
			t.Errorf("%s: %+v", tt.state, o)
		}
	}
	if !errors.Is(unknownHook(webhook.ErrNoSubscriber), store.ErrNotFound) || unknownHook(nil) != nil {
		t.Error("a name that there is not")
	}
}
