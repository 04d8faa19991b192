package signin

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"
)

// SetUpFor is how long a set-up link holds; a restart makes a new one.
const SetUpFor = 24 * time.Hour

// ErrSetUp is what a set-up link gives that is used, over or wrong.
var ErrSetUp = errors.New("setup_over")

const setupName = "setup"

// SetUp gives the token of a link by which the first administrator is made, empty when there is one, or single
// sign-on.
func (d *Desk) SetUp() (token string, err error) {
	switch err := d.otherAdmin(""); {
	case d.Offered():
		return "", nil
	case !errors.Is(err, ErrLast):
		return "", err
	}
	return d.SetUpAgain()
}

// SetUpAgain gives the token of a link that makes an administrator, whoever there is already: for those who
// have lost their passwords. A link from before ends.
func (d *Desk) SetUpAgain() (token string, err error) {
	raw := make([]byte, tokenSize)
	rand.Read(raw) // never fails (crypto/rand)
	token = base64.RawURLEncoding.EncodeToString(raw)
	value := append([]byte(d.now().UTC().Add(SetUpFor).Format(time.RFC3339)+" "), sessionID(token)...)
	return token, d.store.Keep(setupName, value)
}

// Empty reports whether nobody is there who could let others in.
func (d *Desk) Empty() bool { return errors.Is(d.otherAdmin(""), ErrLast) && !d.Offered() }

// SetUpHolds reports whether a link still holds.
func (d *Desk) SetUpHolds(token string) bool {
	value, err := d.store.Kept(setupName)
	if err != nil || len(value) < len(time.RFC3339)-5 {
		return false
	}
	at := len(value) - 33
	if at < 0 || value[at] != ' ' {
		return false
	}
	until, err := time.Parse(time.RFC3339, string(value[:at]))
	return err == nil && d.now().Before(until) && subtle.ConstantTimeCompare(value[at+1:], []byte(sessionID(token))) == 1
}

// FinishSetUp makes the first administrator, signed in, and ends the link.
func (d *Desk) FinishSetUp(w http.ResponseWriter, r *http.Request, token, name, password string) (*Session, error) {
	if !d.mayTry("client " + network(clientOf(r))) {
		return nil, ErrTooOften
	}
	d.linked.Lock() // a link makes one administrator, however many ask at once
	defer d.linked.Unlock()
	if !d.SetUpHolds(token) {
		return nil, ErrSetUp
	}
	name = strings.TrimSpace(name)
	if err := d.AddUser(name, password, "admin", nil); err != nil {
		return nil, err
	}
	if err := d.store.Drop(setupName); err != nil {
		return nil, err
	}
	d.log.Info("the set-up link was used", zap.String("user", name), zap.String("client", clientOf(r)))
	return d.begin(w, r, Session{User: name, Kind: Local, Role: "admin"})
}
