package gateway

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/anomaly"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

const (
	// maxLogins bounds what is remembered of an hour, and maxSigned what waits to be written.
	maxLogins = 100_000
	maxSigned = 4096
	// loginCommits is how many are committed at the same time: the journal batches them.
	loginCommits = 16
)

// logins writes down who signed in from where: one event for each identity, network and hour. Nothing waits
// for it; what there is no room for, or what the journal does not take, is written at the next time.
type logins struct {
	journal committer
	now     func() time.Time
	log     *zap.Logger
	queue   chan signIn

	mu    sync.Mutex
	known map[login]bool // of the hour
	hour  time.Time
}

// A committer writes to the journal.
type committer interface {
	Commit(ctx context.Context, c store.Change) (revision uint64, err error)
}

// A login is what is written once in an hour.
type login struct{ identity, network string }

// A signIn is the first of a login.
type signIn struct {
	login
	client netip.Addr
	at     time.Time
}

func newLogins(journal committer, now func() time.Time, log *zap.Logger) *logins {
	return &logins{journal: journal, now: now, log: log, queue: make(chan signIn, maxSigned), known: map[login]bool{}}
}

// note takes up that somebody has signed in. It never waits.
func (l *logins) note(identity string, client netip.Addr) {
	if !client.IsValid() {
		return
	}
	one := signIn{login{identity, anomaly.Prefix(client)}, client, l.now().UTC()}
	l.mu.Lock()
	defer l.mu.Unlock()
	if hour := one.at.Truncate(time.Hour); !hour.Equal(l.hour) || len(l.known) >= maxLogins {
		l.hour = hour
		clear(l.known)
	}
	if l.known[one.login] {
		return
	}
	select {
	case l.queue <- one:
		l.known[one.login] = true
	default:
	}
}

// run writes until ctx ends, and then what is left.
func (l *logins) run(ctx context.Context) error {
	var group errgroup.Group
	group.SetLimit(loginCommits)
	write := func(one signIn) { group.Go(func() error { l.write(one); return nil }) }
	for {
		select {
		case one := <-l.queue:
			write(one)
			continue
		case <-ctx.Done():
		}
		for len(l.queue) > 0 {
			write(<-l.queue)
		}
		return group.Wait()
	}
}

// write commits one. The journal drops what it has from before a restart.
func (l *logins) write(one signIn) {
	_, err := l.journal.Commit(context.Background(), store.Change{Message: one.id(), Patient: true, Events: []policy.Event{{
		Kind: policy.Login, Time: one.at, Actor: "smtp", Subject: one.identity, Evidence: one.client.String(), Key: "login",
	}}})
	if err == nil {
		return
	}
	l.log.Debug("a sign-in was not written down", zap.String("identity", one.identity), zap.Error(err))
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.known, one.login)
}

// id is the one under which the journal has the login of an hour; it is no message's.
func (one *signIn) id() (id policy.ID) {
	sum := sha256.Sum256([]byte("login\x00" + one.identity + "\x00" + one.network))
	_ = id.SetTime(uint64(one.at.Truncate(time.Hour).UnixMilli())) // fails after the year 10889
	_ = id.SetEntropy(sum[:10])                                    // of the right length
	return id
}

// notSignedIn is what somebody is told who must not sign in while suspended; ok is false when he may.
func (g *Gateway) notSignedIn(identity string) (text policy.Label, ok bool) {
	if _, ok = g.limits.Suspended(time.Now(), identity); !ok {
		return text, false
	}
	text = policy.Label{EN: "This account is suspended from sending", ZH: "该账号已被暂停发送邮件"}
	if desk := g.loaded().Anomaly.Suspension.Always; len(desk) > 0 {
		text.EN += "; contact " + desk[0]
		text.ZH += "，请联系 " + desk[0]
	}
	return text, true
}
