package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/sendgate/sendgate/gateway/alert"
	"github.com/sendgate/sendgate/gateway/notify"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"golang.org/x/sync/errgroup"
)

// lettersAtOnce is how many letters about one recall are committed at the same time.
const lettersAtOnce = 16

// A recallReporter tells people what a recall came to: who asked and the sender by one mail each, recipients
// only where the request says so, each by a letter of their own. Every letter has an id made of what it is
// about, so that to report again writes nothing twice.
type recallReporter struct {
	journal interface {
		Message(id policy.ID) (store.Message, error)
	}
	mailer *notify.Mailer
	people func() alert.People
	links  *notify.Links
	now    func() time.Time
}

// openReports builds a recallReporter, with the key of its links.
func (g *Gateway) openReports(cfg *Config) (*recallReporter, error) {
	links, err := notify.OpenLinks(g.store, func() string { return g.loaded().Recall.StatusURL }, time.Now)
	if err != nil {
		return nil, err
	}
	return &recallReporter{
		journal: g.store, mailer: notify.NewMailer(cfg.Hostname, cfg.Notices, g.store, time.Now), links: links, now: time.Now,
		people: func() alert.People {
			o := g.recalls.people.Load()
			return alert.People{Config: o.rules, Directory: o.directory}
		},
	}, nil
}

// Report writes the letters about a recall that has ended, or whose result has turned out to be another one. It
// gives the id of the report, zero when nobody is told.
func (p *recallReporter) Report(ctx context.Context, r *policy.RecallReport) (policy.ID, error) {
	if r.DryRun || r.ID == (policy.ID{}) {
		return policy.ID{}, nil
	}
	messages, err := p.messages(r)
	if err != nil {
		return policy.ID{}, err
	}
	id, err := p.tellAskers(ctx, r, messages)
	return id, errors.Join(err, p.tellRecipients(ctx, r, messages))
}

// messages reads those of the request that are still stored.
func (p *recallReporter) messages(r *policy.RecallReport) (all []store.Message, err error) {
	for _, id := range r.Request.Messages {
		m, err := p.journal.Message(id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("report recall: %w", err)
		}
		all = append(all, m)
	}
	return all, nil
}

// An asker is somebody who is told how a recall went.
type asker struct {
	address policy.Address
	names   bool // may see which members of a group have read it
}

func (p *recallReporter) tellAskers(ctx context.Context, r *policy.RecallReport, messages []store.Message) (told policy.ID, err error) {
	report := notify.RecallReport{Report: r, Link: p.links.URL(r.ID)}
	for i := range messages {
		e := &messages[i].Envelope
		report.Messages = append(report.Messages, notify.RecalledMessage{ID: messages[i].ID, Subject: e.Subject, Sent: e.Received})
	}
	for _, a := range p.askers(r, messages) {
		one := report
		one.Names = a.names
		id := letterID(ended(r), "report", r.ID.String(), a.address.Key(), version(r))
		if e := p.mailer.Recall(ctx, id, []policy.Address{a.address}, &one); e != nil {
			err = errors.Join(err, fmt.Errorf("report recall: %w", e))
			continue
		}
		told = id
	}
	return told, err
}

// askers are who asked, and the sender of the messages if it is one. A user's report goes to where the mailbox
// of that account is known to be, whatever address the request came from.
func (p *recallReporter) askers(r *policy.RecallReport, messages []store.Message) (all []asker) {
	who, people := &r.Request.Requester, p.people()
	admin := who.Role == "admin"
	privileged := admin || who.Role == "operator"
	if who.Identity != "" {
		if a := people.MailboxOf(who.Identity); notify.IsPerson(a) {
			all = append(all, asker{a, admin})
		}
	}
	sender := soleSender(people, messages)
	if !notify.IsPerson(sender) || privileged && r.Overall == policy.RecallRejected {
		return all
	}
	if len(all) == 0 || all[0].address.Key() != sender.Key() && privileged {
		all = append(all, asker{address: sender})
	}
	return all
}

// soleSender is the mailbox of who has sent all of the messages, or the null address.
func soleSender(people alert.People, messages []store.Message) (sender policy.Address) {
	for i := range messages {
		a := people.Mailbox(&messages[i].Envelope)
		if a == "" || i > 0 && a.Key() != sender.Key() {
			return ""
		}
		sender = a
	}
	return sender
}

// tellRecipients writes to each recipient alone: nobody learns who else got the message.
func (p *recallReporter) tellRecipients(ctx context.Context, r *policy.RecallReport, messages []store.Message) error {
	if r.Overall == policy.RecallRejected || r.Request.Notify != policy.NotifyRead && r.Request.Notify != policy.NotifyAll && r.Request.Correction == (policy.ID{}) {
		return nil
	}
	correction := ""
	if r.Request.Correction != (policy.ID{}) {
		m, err := p.journal.Message(r.Request.Correction)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("tell recipients of a recall: %w", err)
		}
		correction = m.Envelope.Subject
	}
	envelopes := map[policy.ID]*policy.Envelope{}
	for i := range messages {
		envelopes[messages[i].ID] = &messages[i].Envelope
	}
	var group errgroup.Group
	group.SetLimit(lettersAtOnce)
	for i := range r.Lines {
		l := &r.Lines[i]
		e := envelopes[l.Message]
		if e == nil || !notify.IsPerson(l.Address) || l.Address.Key() == e.Sender.Key() {
			continue
		}
		group.Go(func() error { return p.tellRecipient(ctx, r, l, e, correction) })
	}
	return group.Wait()
}

func (p *recallReporter) tellRecipient(ctx context.Context, r *policy.RecallReport, l *policy.RecallLine, e *policy.Envelope, correction string) error {
	about := notify.Recalled{Sender: e.Sender, Subject: e.Subject, Sent: e.Received, Now: p.now()}
	all := r.Request.Notify == policy.NotifyAll
	n := about.Disregard()
	switch {
	case correction != "" && hasMessage(l.Code):
		n = about.Corrected(correction)
	case all && l.Code == policy.RemovedFromMailbox:
		n = about.Placeholder()
	case all && hasMessage(l.Code), r.Request.Notify == policy.NotifyRead && wasRead(l.Code):
	default:
		return nil
	}
	// A corrected result writes to those only to whom there is something else to say.
	id := letterID(r.Requested, "recipient", r.ID.String(), l.Message.String(), l.Address.Key(), n.Title.EN)
	if err := p.mailer.Mail(ctx, id, []policy.Address{l.Address}, n); err != nil {
		return fmt.Errorf("tell a recipient of a recall: %w", err)
	}
	return nil
}

// wasRead reports whether a recipient has seen the message.
func wasRead(c policy.RecallCode) bool {
	switch c {
	case policy.AlreadyRead, policy.ReadDuringRecall, policy.Forwarded, policy.ForwardedExternal, policy.Replied, policy.PopDownloaded:
		return true
	}
	return false
}

// hasMessage reports whether a recipient has read the message, or has it where it cannot be taken. Whose
// mailbox takes no part in recalls, such as that of a ticket system, is left alone.
func hasMessage(c policy.RecallCode) bool {
	switch c {
	case policy.ExternalRecipient, policy.DeliveredBeforeRecall, policy.NotInMailbox, policy.GroupMemberBlocked, policy.GroupNotExpandable,
		policy.AmbiguousMatch, policy.MessageIDMissing, policy.ProtectedFormat, policy.HoldPolicyForbids, policy.NoBackend,
		policy.PermissionDenied, policy.MailboxUnreachable, policy.WindowExpired, policy.WholeMessageOnly:
		return true
	}
	return wasRead(c)
}

func ended(r *policy.RecallReport) time.Time {
	if r.Ended.IsZero() {
		return r.Requested
	}
	return r.Ended
}

// version tells corrected reports from the first one and from each other.
func version(r *policy.RecallReport) string {
	if !r.Corrected {
		return ""
	}
	h := sha256.New()
	for i := range r.Lines {
		l := &r.Lines[i]
		fmt.Fprintf(h, "%s %d %s %s\n", l.Message, l.Index, l.Address, l.Code)
	}
	return string(h.Sum(nil))
}

// letterID is the same for the same letter. The time keeps ids in the order of time.
func letterID(at time.Time, about ...string) (id policy.ID) {
	h := sha256.New()
	for _, s := range about {
		fmt.Fprintf(h, "%d %s", len(s), s)
	}
	if err := id.SetTime(ulid.Timestamp(at)); err != nil { // a time before 1970 or after 10889
		id = policy.ID{}
	}
	copy(id[6:], h.Sum(nil))
	return id
}

// A statusJournal lets people read it by signed links, too (package web's status page).
type statusJournal struct {
	*store.Store
	*notify.Links
}

var _ web.StatusLinks = statusJournal{}
