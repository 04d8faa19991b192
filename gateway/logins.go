package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
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
	// maxRefused and maxRefusedEach bound the refused sign-ins of an hour that are written down: of all, and of one
	// identity. Anybody can make them, and for names that do not exist.
	maxRefused     = 2000
	maxRefusedEach = 8
	// maxLoginName is how long the name of an identity is that has one; see [policy.ParseAddress].
	maxLoginName = 320
	// loginDays is how far back people see their sign-ins, loginsSeen how many.
	loginDays  = 30
	loginsSeen = 200
)

// logins writes down who signed in from where, or was refused: one event for each identity, network, hour and
// outcome. What there is of one identity on one day is one timeline, so that it can be found. Nothing waits for
// it; what there is no room for, or what the journal does not take, is written at the next time.
type logins struct {
	journal loginJournal
	now     func() time.Time
	log     *zap.Logger
	queue   chan signIn

	mu      sync.Mutex
	known   map[login]bool // of the hour
	refused map[string]int // of the hour, by identity
	hour    time.Time
}

// A loginJournal keeps what was written down.
type loginJournal interface {
	committer
	Timeline(id policy.ID) ([]store.Record, error)
}

// A committer writes to the journal.
type committer interface {
	Commit(ctx context.Context, c store.Change) (revision uint64, err error)
}

// A login is what is written once in an hour.
type login struct {
	identity, network string
	refused           bool
}

// A signIn is the first of a login.
type signIn struct {
	policy.SignIn
	login
	at time.Time
}

func newLogins(journal loginJournal, now func() time.Time, log *zap.Logger) *logins {
	return &logins{
		journal: journal, now: now, log: log, queue: make(chan signIn, maxSigned), known: map[login]bool{}, refused: map[string]int{},
	}
}

// note takes up that somebody has signed in, or was refused. It never waits.
func (l *logins) note(s policy.SignIn) {
	if !s.Client.IsValid() || s.Reply != "" && len(s.Identity) > maxLoginName {
		return
	}
	one := signIn{s, login{s.Identity, anomaly.Prefix(s.Client), s.Reply != ""}, l.now().UTC()}
	l.mu.Lock()
	defer l.mu.Unlock()
	if hour := one.at.Truncate(time.Hour); !hour.Equal(l.hour) || len(l.known) >= maxLogins {
		l.hour = hour
		clear(l.known)
		clear(l.refused)
	}
	if l.known[one.login] || one.refused && (l.refused[s.Identity] >= maxRefusedEach || len(l.refused) >= maxRefused) {
		return
	}
	select {
	case l.queue <- one:
		l.known[one.login] = true
		if one.refused {
			l.refused[s.Identity]++
		}
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
	_, err := l.journal.Commit(context.Background(), store.Change{Message: loginsOf(one.Identity, one.at), Patient: true, Events: []policy.Event{{
		Kind: policy.Login, Time: one.at, Actor: "smtp", Subject: one.Identity, Evidence: one.Client.String(), Key: one.key(),
		Mechanism: one.Mechanism, Program: one.Program, Reply: one.Reply,
	}}})
	if err == nil {
		return
	}
	l.log.Debug("a sign-in was not written down", zap.String("identity", one.Identity), zap.Error(err))
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.known, one.login)
}

// key is what makes the login one of its day.
func (one *signIn) key() string {
	key := "login " + one.at.Format("15") + " " + one.network
	if one.refused {
		key += " refused"
	}
	return key
}

// loginsOf is the id under which the journal has the sign-ins of an identity on a day (UTC); it is no message's.
func loginsOf(identity string, day time.Time) (id policy.ID) {
	sum := sha256.Sum256([]byte("logins\x00" + identity))
	_ = id.SetTime(uint64(day.UTC().Truncate(24 * time.Hour).UnixMilli())) // fails after the year 10889
	_ = id.SetEntropy(sum[:10])                                            // of the right length
	return id
}

// of gives the latest sign-ins of an identity, newest first.
func (l *logins) of(ctx context.Context, identity string) (all []policy.Event, err error) {
	for back := range loginDays {
		records, err := l.journal.Timeline(loginsOf(identity, l.now().AddDate(0, 0, -back)))
		switch {
		case errors.Is(err, store.ErrNotFound):
			continue
		case err != nil:
			return nil, err
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		var day []policy.Event
		for i := range records {
			for _, e := range records[i].Events {
				if e.Subject == identity { // else somebody of the name was erased
					day = append(day, e)
				}
			}
		}
		slices.SortStableFunc(day, func(a, b policy.Event) int { return b.Time.Compare(a.Time) })
		if all = append(all, day...); len(all) >= loginsSeen {
			return all[:loginsSeen], nil
		}
	}
	return all, nil
}

// notSignedIn is what somebody is told who must not sign in while suspended; ok is false when he may.
func (g *Gateway) notSignedIn(identity string) (text policy.Label, ok bool) {
	if !g.isSuspended(identity) {
		return text, false
	}
	text = policy.Label{EN: "This account is suspended from sending", ZH: "该账号已被暂停发送邮件"}
	if desk := g.loaded().Anomaly.Suspension.Always; len(desk) > 0 {
		text.EN += "; contact " + desk[0]
		text.ZH += "，请联系 " + desk[0]
	}
	return text, true
}
