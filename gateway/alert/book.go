package alert

import (
	"cmp"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Bounds of the book.
const (
	maxOpen   = 1000
	maxClosed = 200
	growth    = 2 // times as many since the last notice is worth another one
)

// Settings say who is told, and how often.
type Settings struct {
	Admins  []policy.Address // get mail; none get none
	Hooks   bool             // there are webhooks
	Senders bool             // senders get mail about themselves
	// Quiet is the least time between two notices of an incident.
	Quiet time.Duration
	// CloseAfter is how long nothing has come when an incident is closed.
	CloseAfter time.Duration
	HourlyMax  int // notices for one receiver, at least 4
	// Dashboard is its URL, to which notices link; empty: there is none.
	Dashboard string
}

// A book is all incidents, and the notices of them that are to be delivered. It is used under a lock
// and does nothing but remember; the time is given to it.
type book struct {
	settings  Settings
	newID     func() policy.ID
	open      map[key]*Incident
	closed    []Incident // the newest last
	outbox    []parcel
	receivers map[string]*receiver
	changed   bool // since somebody looked
}

func newBook(s Settings, newID func() policy.ID) *book {
	return &book{settings: s, newID: newID, open: map[key]*Incident{}, receivers: map[string]*receiver{}}
}

// raise takes up an occurrence.
func (b *book) raise(now time.Time, o Occurrence) {
	in := b.open[o.key()]
	if o.Ends {
		if in != nil {
			b.close(now, in)
		}
		return
	}
	if in == nil {
		if b.isOld(&o) {
			return
		}
		in = begin(b.newID(), &o)
		b.makeRoom(now)
		b.open[o.key()] = in
	}
	in.take(&o)
	b.tellSender(now, in, &o)
	b.tellOthers(now, in)
	if o.Kind.trait().act {
		b.shut(now, in)
	}
}

// isOld reports whether an occurrence belongs to an incident that is closed.
func (b *book) isOld(o *Occurrence) bool {
	for i := len(b.closed) - 1; i >= 0; i-- {
		if c := &b.closed[i]; c.key() == o.key() {
			return !o.Time.After(c.Last)
		}
	}
	return false
}

// makeRoom closes what matters least when there are too many open incidents.
func (b *book) makeRoom(now time.Time) {
	if len(b.open) < maxOpen {
		return
	}
	var least *Incident
	for _, in := range b.open {
		if least == nil || byWeight(in, least) < 0 {
			least = in
		}
	}
	b.shut(now, least)
}

// byWeight orders incidents, those that matter least first.
func byWeight(x, y *Incident) int {
	return cmp.Or(cmp.Compare(x.Severity.rank(), y.Severity.rank()), x.Last.Compare(y.Last), cmp.Compare(x.ID, y.ID))
}

// advance does what is due at a time.
func (b *book) advance(now time.Time) {
	var due []*Incident
	for _, in := range b.open {
		if b.isOver(now, in) || b.isNews(now, in) {
			due = append(due, in)
		}
	}
	slices.SortFunc(due, byWeight)
	for _, in := range due {
		if b.isOver(now, in) {
			b.close(now, in)
			continue
		}
		b.tellOthers(now, in)
	}
	b.flush(now)
}

func (b *book) isOver(now time.Time, in *Incident) bool {
	end := in.ends(b.settings.CloseAfter)
	return !end.IsZero() && !now.Before(end)
}

// isNews reports whether an incident is new, or has grown since it was told.
func (b *book) isNews(now time.Time, in *Incident) bool {
	if in.ToldCount == 0 {
		return in.Count >= in.Kind.trait().from
	}
	return in.Count >= growth*in.ToldCount && now.Sub(in.Told) >= b.settings.Quiet && in.Acknowledged.IsZero()
}

// close ends an incident; the end of a critical one that people know of is told.
func (b *book) close(now time.Time, in *Incident) {
	b.shut(now, in)
	if in.Severity == Critical && in.ToldCount > 0 {
		b.toOthers(now, in, closing)
	}
}

func (b *book) shut(now time.Time, in *Incident) {
	in.Closed, b.changed = now, true
	delete(b.open, in.key())
	b.closed = append(b.closed, *in)
	b.closed = b.closed[max(0, len(b.closed)-maxClosed):]
}

// tellOthers tells administrators and webhooks of an incident that is new or has grown.
func (b *book) tellOthers(now time.Time, in *Incident) {
	if !b.isNews(now, in) {
		return
	}
	p := opening
	if in.ToldCount > 0 {
		p = update
	}
	in.Told, in.ToldCount = now, in.Count
	b.toOthers(now, in, p)
}

func (b *book) toOthers(now time.Time, in *Incident, p phase) {
	n := in.notice(now, p)
	in.link(&n, b.settings.Dashboard)
	if len(b.settings.Admins) > 0 {
		b.send(now, Admins, n)
	}
	if b.settings.Hooks {
		b.send(now, Hooks, n)
	}
}

// tellSender tells the sender, once for an incident.
func (b *book) tellSender(now time.Time, in *Incident, o *Occurrence) {
	who := o.Mailbox.Key()
	if !b.settings.Senders || who == "" || o.Kind.trait().own == (policy.Label{}) ||
		len(in.Senders) >= maxTold || slices.Contains(in.Senders, who) {
		return
	}
	in.Senders = append(in.Senders, who)
	b.send(now, string(o.Mailbox), o.notice(now, in.ID))
}

// acknowledge notes that a person has seen an incident: there are no more updates of it.
func (b *book) acknowledge(now time.Time, id, who string) bool {
	in := b.find(id)
	if in == nil {
		return false
	}
	if in.Acknowledged.IsZero() {
		in.Acknowledged, in.AcknowledgedBy = now, who
	}
	return true
}

// find gives an incident by its id, or nil.
func (b *book) find(id string) *Incident {
	for _, in := range b.open {
		if in.ID == id {
			return in
		}
	}
	if i := slices.IndexFunc(b.closed, func(in Incident) bool { return in.ID == id }); i >= 0 {
		return &b.closed[i]
	}
	return nil
}

// list gives incidents, the newest first: the open ones, or all.
func (b *book) list(open bool) []Incident {
	list := make([]Incident, 0, len(b.open))
	for _, in := range b.open {
		list = append(list, in.clone())
	}
	for i := range b.closed {
		if !open {
			list = append(list, b.closed[i].clone())
		}
	}
	slices.SortFunc(list, func(x, y Incident) int { return cmp.Or(y.Opened.Compare(x.Opened), cmp.Compare(y.ID, x.ID)) })
	return list
}

// awaits gives the open incident in which a message waits for approval, or nil.
func (b *book) awaits(id policy.ID) *Incident {
	for _, in := range b.open {
		if (in.Kind == ApprovalWaiting || in.Kind == PulledBack) && slices.Contains(in.Messages, id) {
			return in
		}
	}
	return nil
}

// decided takes a message that no longer waits out of its incident, which ends with the last one.
func (b *book) decided(now time.Time, in *Incident, id policy.ID) {
	in.Messages = slices.DeleteFunc(in.Messages, func(m policy.ID) bool { return m == id })
	if len(in.Messages) == 0 && in.Count <= maxMessages { // else there are more than are named
		b.close(now, in)
	}
}
