package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sendgate/sendgate/gateway/alert"
	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/gateway/mailbox/doveadm"
	"github.com/sendgate/sendgate/gateway/mailbox/imap"
	"github.com/sendgate/sendgate/gateway/recall"
	"github.com/sendgate/sendgate/gateway/track"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/content"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

const (
	// recallPause is before the recalls are taken up again when the journal could not be read.
	recallPause = 5 * time.Second
	// trackLag is how far behind a log can be that counts as read to its end.
	trackLag = 30 * time.Second
	// maxFormat bounds how much of a message is read for its format, in octets: an invitation stands before
	// the attachments.
	maxFormat = 1 << 20
)

// recalls takes mail back.
type recalls struct {
	*recall.Engine
	router *mailbox.Router
	people atomic.Pointer[organisation]
	log    *zap.Logger
}

// openRecalls builds the engine on the queue, the mailboxes and the logs. Reports may be nil: nobody is told then.
func (g *Gateway) openRecalls(cfg *Config, directory *policy.Directory, queue holder, reports recall.Reporter) error {
	router, err := openMailboxes(cfg.Mailboxes, g.meters.mailboxes)
	if err != nil {
		return err
	}
	g.recalls = &recalls{router: router, log: g.log.Named("recall")}
	g.recalls.Reload(cfg, directory)
	needs := recall.Needs{
		Journal: g.store, Feed: g.store.Subscribe(0), Queue: recallQueue{queue}, Mailboxes: router, Directory: g.recalls,
		Reporter: reporter{reports}, Alarm: g.massRecall, Tracked: g.tracked, Formats: g.format,
		Now: time.Now, Log: g.recalls.log,
	}
	if cfg.Relay.ReceivedHeader {
		needs.Gateway = cfg.Hostname
	}
	if cfg.Milter.IDHeader.KeyFile != "" {
		needs.IDHeader = cfg.Milter.IDHeader.Name
	}
	g.recalls.Engine = recall.New(cfg.Recall, needs)
	return nil
}

// openMailboxes builds a backend for each entry. It does not connect.
func openMailboxes(configs []mailbox.Config, meter *mailboxMeter) (*mailbox.Router, error) {
	var backends []mailbox.Backend
	for i := range configs {
		c := &configs[i]
		b, err := openMailbox(c)
		if err != nil {
			err = fmt.Errorf("mailboxes %s: %w", c.Name, err)
			return nil, errors.Join(err, mailbox.NewRouter(configs[:i], backends).Close())
		}
		backends = append(backends, meter.measured(b, c.Name))
	}
	return mailbox.NewRouter(configs, backends), nil
}

func openMailbox(c *mailbox.Config) (mailbox.Backend, error) {
	if c.IMAP.Address != "" {
		return imap.New(*c)
	}
	return doveadm.New(*c, nil)
}

// run carries recalls out until ctx ends. Whatever happens here, mail goes on.
func (r *recalls) run(ctx context.Context) error {
	for {
		err := r.Run(ctx)
		if ctx.Err() != nil {
			return nil
		}
		r.log.Error("recalls are interrupted, and go on where they were", zap.Error(err), zap.Duration("pause", recallPause))
		select {
		case <-time.After(recallPause):
		case <-ctx.Done():
		}
	}
}

// Reload takes over who belongs to the organisation, and the rules of recalls.
func (r *recalls) Reload(cfg *Config, directory *policy.Directory) {
	r.people.Store(&organisation{cfg.Policy, directory, cfg.Recall})
	if r.Engine != nil {
		r.Engine.Reload(cfg.Recall)
	}
}

// An organisation is what recalls know of people.
type organisation struct {
	rules     policy.Config
	directory *policy.Directory
	recall    recall.Config
}

// Internal reports whether an address is the organisation's own: named so, or in a mailbox that is reached.
func (r *recalls) Internal(a policy.Address) bool {
	_, _, _, reached := r.router.For(a)
	return reached || r.people.Load().rules.IsInternal(a)
}

// Owns reports whether an address belongs to an identity.
func (r *recalls) Owns(identity string, a policy.Address) bool {
	return r.people.Load().directory.Owns(identity, a)
}

// mailboxOf is where an identity reads mail, or the null address.
func (r *recalls) mailboxOf(identity string) policy.Address {
	o := r.people.Load()
	return alert.People{Config: o.rules, Directory: o.directory}.MailboxOf(identity)
}

// window is for how long a role may have a message taken out of mailboxes; not ok when recalls are switched off.
func (r *recalls) window(role string) (window time.Duration, ok bool) {
	c := &r.people.Load().recall
	window = c.AdminWindow
	if role == "user" {
		window = c.SenderWindow
	}
	if slices.Contains(c.ExtendedFor.Roles, role) {
		window = max(window, c.ExtendedWindow)
	}
	return window, c.Enabled
}

// readToo reports whether a role may take back what was read.
func (r *recalls) readToo(role string) bool {
	return slices.Contains(r.people.Load().recall.ReadToo, role)
}

// legalHold reports whether nothing of an address, or of an identity that reads mail there, may be destroyed.
func (r *recalls) legalHold(a policy.Address) bool {
	own := r.mailboxOf(string(a))
	return r.LegalHold(a) || own != "" && r.LegalHold(own)
}

// recallQueue takes back what has not left.
type recallQueue struct{ holder }

// Cancel asks the holder.
func (q recallQueue) Cancel(ctx context.Context, id policy.ID, recipients []int, reason, actor string) ([]recall.Outcome, error) {
	outcomes, err := q.holder.Cancel(ctx, id, recipients, reason, actor)
	all := make([]recall.Outcome, len(outcomes))
	for i, o := range outcomes {
		all[i] = recall.Outcome(o)
	}
	return all, err
}

// A reporter tells nobody when there is nobody to tell it.
type reporter struct{ recall.Reporter }

// Report writes the report of a recall.
func (p reporter) Report(ctx context.Context, r *policy.RecallReport) (policy.ID, error) {
	if p.Reporter == nil {
		return policy.ID{}, nil
	}
	return p.Reporter.Report(ctx, r)
}

// massRecall tells administrators of an account that takes back a lot.
func (g *Gateway) massRecall(a recall.Alarm) {
	who := a.Requester.Identity
	if who == "" {
		who = a.Requester.Actor
	}
	g.alerts.Raise(alert.Occurrence{
		Kind: alert.MassRecall, Subject: who, Time: time.Now(),
		Text: policy.Label{
			EN: fmt.Sprintf("Mail to %d recipients within an hour was asked back; the last recall is %s", a.Recipients, a.Recall),
			ZH: fmt.Sprintf("一小时内请求撤回发给 %d 个收件人的邮件，最近一次撤回为 %s", a.Recipients, a.Recall),
		},
	})
}

// tracked reports whether all logs were read up to a time.
func (g *Gateway) tracked(t time.Time) bool {
	return readUpTo(g.tracking.Status().Sources, t, time.Now())
}

// readUpTo reports whether each source has a line from after the second of t, or was read to its end since.
func readUpTo(sources []track.SourceStatus, t, now time.Time) bool {
	for i := range sources {
		s := &sources[i]
		later := s.LastLine.Truncate(time.Second).After(t)
		silent := s.CaughtUp && now.Sub(t) >= trackLag
		if !later && !silent {
			return false
		}
	}
	return true
}

// format reads the format of a message from its body, as long as it is kept. Postfix has that of mail that it
// holds for us: such mail counts as plain.
func (g *Gateway) format(m *store.Message) recall.Format {
	body, err := g.store.Body(m.ID)
	if err != nil {
		return recall.Plain
	}
	defer body.Close()
	return formatOf(io.LimitReader(body, maxFormat))
}

func formatOf(message io.Reader) recall.Format {
	c, err := content.Read(message, content.DefaultLimits(), time.Now)
	if err != nil {
		return recall.Plain
	}
	media := strings.ToLower(c.Header.Get("Content-Type"))
	kind, params, _ := strings.Cut(media, ";")
	switch kind = strings.TrimSpace(kind); {
	case kind == "multipart/encrypted", // RFC 3156 4
		strings.HasSuffix(kind, "pkcs7-mime") && !strings.Contains(params, "signed-data"): // RFC 8551 3.2.2
		return recall.Encrypted
	case kind == "text/calendar", // RFC 6047
		slices.ContainsFunc(c.Attachments, func(a content.Attachment) bool { return a.Type == "text/calendar" }):
		return recall.Meeting
	}
	return recall.Plain
}

// apiConfig is the API's section with what it takes from others.
func apiConfig(cfg *Config) web.Config {
	c := cfg.API
	c.ReasonRequired = cfg.Recall.ReasonRequired
	return c
}

// validateRecalls wants different names of mailboxes, and such as there are.
func (c *Config) validateRecalls(faults *policy.Faults) {
	faults.In("recall", c.Recall.Validate())
	names := map[string]bool{}
	for i := range c.Mailboxes {
		m, at := &c.Mailboxes[i], fmt.Sprintf("mailboxes[%d]", i)
		faults.In(at, m.Validate())
		if names[m.Name] {
			faults.Add(at+".name", m.Name, "there are other mailboxes of this name")
		}
		names[m.Name] = true
	}
	for i, name := range c.Recall.ExtendedFor.Backends {
		if !names[name] {
			faults.Add(fmt.Sprintf("recall.extended_for.backends[%d]", i), name, "there are no mailboxes of this name")
		}
	}
}
