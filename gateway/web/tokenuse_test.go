package web

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// countedKeeps is a journal that counts what is kept of tokens.
type countedKeeps struct {
	Journal
	tokens int
	fault  error
}

func (j *countedKeeps) Keep(name string, value []byte) error {
	if !strings.HasPrefix(name, tokenPrefix) {
		return j.Journal.Keep(name, value)
	}
	if j.tokens++; j.fault != nil {
		return j.fault
	}
	return j.Journal.Keep(name, value)
}

// usedAt asks as the auditor when tokens were used.
func (r *rig) usedAt(name string) (used time.Time, client string) {
	r.t.Helper()
	w := r.ask(r.server, "secret-admin", "GET", "/api/v1/tokens", "")
	var got struct{ Tokens []KnownToken }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		r.t.Fatal(err)
	}
	for _, one := range got.Tokens {
		if one.Name == name {
			return one.Used, one.Client
		}
	}
	r.t.Fatalf("no token %s", name)
	return used, client
}

// The last use of a token is written down once an hour, and outlasts the process.
func TestTheLastUseOfATokenIsKept(t *testing.T) {
	r := newRig(t)
	j := &countedKeeps{Journal: r.store}
	r.server = r.serverFor(j)
	use := func() {
		t.Helper()
		if w := r.ask(r.server, "secret-operator", "GET", "/api/v1/messages", ""); w.Code != http.StatusOK {
			t.Fatal(w.Code)
		}
	}
	begun := r.now
	for range 10 {
		use()
		r.now = r.now.Add(5 * time.Minute)
	}
	if used, _ := r.usedAt("operator"); !used.Equal(begun.Add(45 * time.Minute)) {
		t.Errorf("used at %v", used)
	}
	if j.tokens != 2 { // the operator's and the administrator's who has asked
		t.Errorf("%d writes in an hour", j.tokens)
	}
	r.server = r.serverFor(j) // a restart
	if used, client := r.usedAt("operator"); !used.Equal(begun) || !strings.HasPrefix(client, "192.0.2.1:") {
		t.Errorf("after a restart: used at %v by %s", used, client)
	}
	use()
	if j.tokens != 2 {
		t.Errorf("the restart made it %d writes", j.tokens)
	}
	r.now = begun.Add(time.Hour)
	use()
	if j.tokens != 3 {
		t.Errorf("%d writes after an hour", j.tokens)
	}
	c := DefaultConfig()
	sum := sha256.Sum256([]byte("another"))
	admin := sha256.Sum256([]byte("secret-admin"))
	c.Tokens = []Token{{Name: "operator", Role: "operator", SHA256: hex.EncodeToString(sum[:])}, {Name: "admin", Role: "admin", SHA256: hex.EncodeToString(admin[:])}}
	r.server.Reload(c)
	if used, _ := r.usedAt("operator"); !used.IsZero() {
		t.Errorf("another token of the same name was used at %v", used)
	}
}

// A store that takes nothing keeps nobody out, and is not asked with every request.
func TestATokenWorksWhereItsUseCannotBeKept(t *testing.T) {
	r := newRig(t)
	j := &countedKeeps{Journal: r.store, fault: http.ErrAbortHandler}
	r.server = r.serverFor(j)
	for range 3 {
		if w := r.ask(r.server, "secret-operator", "GET", "/api/v1/messages", ""); w.Code != http.StatusOK {
			t.Fatal(w.Code)
		}
	}
	if j.tokens != 1 || r.logs.FilterMessage("when a token was used is not written down").Len() != 1 {
		t.Errorf("%d tries, %v", j.tokens, r.logs.All())
	}
}
