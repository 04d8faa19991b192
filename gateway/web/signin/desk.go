package signin

import (
	"context"
	"crypto/sha256"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

// Errors of a sign-in; their words are in the dashboard's texts as those of users.
var (
	ErrWrong    = errors.New("wrong_password") // name or password
	ErrTooOften = errors.New("too_often")      // try again later
	ErrBusy     = errors.New("unreachable")    // the mail server does not answer
)

// A Store keeps small values; [store.Store] is one.
type Store interface {
	Keep(name string, value []byte) error
	Kept(name string) ([]byte, error)
	KeptNames(prefix string) ([]string, error)
	Drop(name string) error
}

// A Checker knows about the logins of the mail server.
type Checker interface {
	// Check asks the mail server about a password. It gives ErrWrong for a wrong one, and any other error
	// when it could not be found out.
	Check(ctx context.Context, login, password string) error
	// Who says whose mail a login's is, and which role that identity has.
	Who(login string) (identity, role string)
}

// tries bounds how often one may try to sign in.
const (
	triesPause = 10 * time.Second // for one more try
	triesBurst = 6
	maxTries   = 20_000 // names and addresses that are remembered
)

// A Desk knows who is who. See the package comment.
type Desk struct {
	store   Store
	checker Checker // nil lets no mail users in
	now     func() time.Time
	log     *zap.Logger
	conf    atomic.Pointer[Config]
	signIns *prometheus.CounterVec

	users  sync.Mutex // changes of users
	linked sync.Mutex // the use of a set-up link

	mu       sync.Mutex
	sessions map[string]*Session
	ended    []Ending                 // since the last Sweep
	tries    map[string]*rate.Limiter // by name, and by address
}

// New reads the sessions of before.
func New(c Config, store Store, checker Checker, now func() time.Time, log *zap.Logger) (*Desk, error) {
	d := &Desk{store: store, checker: checker, now: now, log: log, signIns: newSignIns(), sessions: map[string]*Session{}, tries: map[string]*rate.Limiter{}}
	d.conf.Store(&c)
	return d, d.load()
}

// Reload takes over a configuration.
func (d *Desk) Reload(c Config) { d.conf.Store(&c) }

func (d *Desk) config() *Config { return d.conf.Load() }

// SignIn checks a name and a password, local users first, and begins a session.
func (d *Desk) SignIn(w http.ResponseWriter, r *http.Request, name, password string) (begun *Session, err error) {
	defer func() { d.count(byPassword, err) }()
	began := d.now().UTC()
	// The client first: else whoever has no more tries could still make us forget, by many names, who has none.
	if !d.mayTry("client "+network(clientOf(r))) || !d.mayTry(nameKey(d.login(name))) {
		d.log.Warn("sign-in refused: too many tries", zap.String("user", name), zap.String("client", clientOf(r)))
		return nil, ErrTooOften
	}
	s, err := d.check(r.Context(), name, password)
	if err != nil {
		d.log.Warn("sign-in failed", zap.String("user", name), zap.String("client", clientOf(r)), zap.Error(err))
		return nil, err
	}
	d.log.Info("signed in", zap.String("user", s.User), zap.String("kind", s.Kind), zap.String("role", s.Role), zap.String("client", clientOf(r)))
	s.Created = began // what has changed of the user since then ends the session, see stillHolds
	return d.begin(w, r, *s)
}

// nameKey is what tries of a name are counted for. A name can be as long as a request.
func nameKey(login string) string {
	sum := sha256.Sum256([]byte(fold(login)))
	return "name " + string(sum[:])
}

// check finds out whose name and password these are.
func (d *Desk) check(ctx context.Context, name, password string) (*Session, error) {
	if name = strings.TrimSpace(name); unfit(name, password) {
		return nil, ErrWrong
	}
	u, err := d.user(name)
	switch {
	case err == nil:
		if !verify(password, u.Hash) || u.Disabled {
			return nil, ErrWrong
		}
		return &Session{User: u.Name, Kind: Local, Role: u.Role, Domains: u.Domains}, nil
	case !errors.Is(err, ErrNoUser):
		return nil, err
	case d.checker == nil || !d.config().MailUsers:
		verify(password, decoy)
		return nil, ErrWrong
	}
	name = d.login(name)
	err = d.checker.Check(ctx, name, password)
	switch {
	case errors.Is(err, ErrWrong):
		return nil, ErrWrong
	case err != nil:
		return nil, errors.Join(ErrBusy, err)
	}
	identity, role := d.checker.Who(name)
	return &Session{User: fold(name), Kind: Mail, Role: role, Identity: identity}, nil
}

// login completes the name of a mail user who has left out the domain.
func (d *Desk) login(name string) string {
	if domain := d.config().DefaultDomain; domain != "" && !strings.Contains(name, "@") {
		return strings.TrimSpace(name) + "@" + domain
	}
	return name
}

// unfit reports what is nobody's name or password: nothing is hashed for it, and no server asked. The mail
// server gets both behind zero octets (RFC 4616 2), which they must not bring along.
func unfit(name, password string) bool {
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	return name == "" || password == "" || len(password) > maxPassword || len(name) > 320 || // an address is shorter (RFC 5321 4.5.3.1)
		strings.ContainsFunc(name, control) || strings.ContainsRune(password, 0)
}

// decoy is compared with where there is no user, so that it takes as long.
var decoy = hash("nobody's password")

// mayTry counts a try.
func (d *Desk) mayTry(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	l := d.tries[key]
	if l == nil {
		d.forgetTries(now)
		l = rate.NewLimiter(rate.Every(triesPause), triesBurst)
		d.tries[key] = l
	}
	return l.AllowN(now, 1)
}

// forgetTries makes room: first those who have all their tries again, then everybody.
func (d *Desk) forgetTries(now time.Time) {
	if len(d.tries) < maxTries {
		return
	}
	for k, l := range d.tries {
		if l.TokensAt(now) >= triesBurst {
			delete(d.tries, k)
		}
	}
	if len(d.tries) >= maxTries {
		clear(d.tries)
	}
}

// clientOf is the address of who makes a request.
func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return "local"
	}
	return host
}

// network is what tries are counted for: IPv6 clients have whole networks.
func network(client string) string {
	a, err := netip.ParseAddr(client)
	if err != nil {
		return client
	}
	if a = a.Unmap(); a.Is4() {
		return a.String()
	}
	p, _ := a.WithZone("").Prefix(64) // has that many bits
	return p.String()
}
