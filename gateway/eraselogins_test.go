package gateway

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"testing"

	"github.com/sendgate/sendgate/gateway/machinetest"
	"github.com/sendgate/sendgate/gateway/relay"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/guard"
	"github.com/sendgate/sendgate/store"
)

// Who is erased by address is erased by login, too: sign-ins, limits and accounts go by that.
func TestTheLoginOfAnErasedPersonIsNowhere(t *testing.T) {
	const login = "zquill"
	cfg := DemoConfig(t.TempDir(), startHop(t).listener.Addr().String())
	cfg.Milter.Listen, cfg.API.Socket, cfg.API.Listen = nil, "", "127.0.0.1:0"
	cfg.Relay.Listen = []relay.Listener{{Address: "127.0.0.1:0"}}
	g := startTraced(t, cfg)
	defer g.stop()
	e := envelope("bob@elsewhere.example")
	e.Front, e.QueueID, e.Sender, e.Identity, e.Login = policy.Relay, "", leaver, login, login
	charge := &policy.Charge{Amounts: []policy.Amount{{Rule: limitsAPI{g.limits, g.loaded}.Rules()[0].Name, Key: login, Window: 3600e9, Units: 3}}}
	commit(t, g.store, store.Change{Message: g.store.NewID(), Envelope: &e, Events: []policy.Event{
		{Kind: policy.Accepted, Time: e.Received, Charge: charge}, {Kind: policy.Canceled, Time: e.Received},
	}})
	g.logins.note(policy.SignIn{Identity: login, Client: netip.MustParseAddr("192.0.2.77"), Program: "zoes-laptop"})
	machinetest.Eventually(t, "the sign-in is written down", func() bool {
		all, err := g.logins.of(t.Context(), login)
		return err == nil && len(all) == 1
	})
	code, text := g.ask("POST", "/api/v1/people/"+leaver+"/erase", `{}`)
	var done web.Erasure
	if err := json.Unmarshal([]byte(text), &done); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s", code, text)
	}
	if !slices.Equal(done.Logins, []string{login}) || done.Elsewhere.SignIns != 1 || done.Messages.Erased != 1 || done.Elsewhere.Limits+done.Elsewhere.Accounts == 0 {
		t.Errorf("%+v", done)
	}
	if all, err := g.logins.of(t.Context(), login); err != nil || len(all) > 0 {
		t.Errorf("sign-ins: %+v, %v", all, err)
	}
	for _, word := range []string{login, "192.0.2.77", "zoes-laptop"} {
		if ids, err := g.store.Naming(t.Context(), word); err != nil || len(ids) > 0 {
			t.Errorf("the journal has %q: %v, %v", word, ids, err)
		}
	}
	var memory bytes.Buffer
	for _, part := range guard.Parts {
		if err := g.limits.Save(part, &memory, 1); err != nil {
			t.Fatal(err)
		}
	}
	if bytes.Contains(memory.Bytes(), []byte(login)) {
		t.Error("the memory names the login")
	}
}
