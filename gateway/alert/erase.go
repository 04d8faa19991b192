package alert

import (
	"net/url"
	"slices"
	"strings"

	"github.com/sendgate/sendgate/policy"
)

// Erase takes a person out of incidents, of the past as well, and out of notices that wait, and keeps what is left at
// once. text gives a text without the person, and the same text when it does not name them; subjects are those of
// messages that were erased: they are no samples any more. It gives how many incidents and notices were rewritten.
// What was told before has been told.
func (d *Desk) Erase(text func(string) string, subjects []string) (rewritten int, err error) {
	d.mu.Lock()
	rewritten = d.book.erase(&eraser{text, subjects})
	d.dirty = d.dirty || rewritten > 0
	d.mu.Unlock()
	return rewritten, d.keep() // what was kept last may name who is not in memory any more
}

// Reached reports whether everything up to a batch of the journal was taken up.
func (d *Desk) Reached(batch uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.batch >= batch
}

// An eraser takes a person out of a book.
type eraser struct {
	text     func(string) string
	subjects []string
}

func (b *book) erase(e *eraser) (rewritten int) {
	for k, in := range b.open {
		if !e.incident(in) {
			continue
		}
		rewritten++
		delete(b.open, k)
		b.open[in.key()] = in
	}
	for i := range b.closed {
		if e.incident(&b.closed[i]) {
			rewritten++
		}
	}
	// A notice to the person is of no use to anybody.
	sent := len(b.outbox)
	b.outbox = slices.DeleteFunc(b.outbox, func(p parcel) bool { return e.names(p.To) })
	rewritten += sent - len(b.outbox)
	for i := range b.outbox {
		if e.notice(&b.outbox[i].Notice) {
			rewritten++
		}
	}
	for to, r := range b.receivers {
		if e.names(to) {
			delete(b.receivers, to)
			rewritten++
			continue
		}
		for i := range r.Waiting {
			if e.notice(&r.Waiting[i]) {
				rewritten++
			}
		}
	}
	return rewritten
}

func (e *eraser) names(s string) bool { return e.text(s) != s }

// replace takes the person out of texts, and reports whether one named them.
func (e *eraser) replace(texts ...*string) (named bool) {
	for _, t := range texts {
		if other := e.text(*t); other != *t {
			*t, named = other, true
		}
	}
	return named
}

func (e *eraser) labels(labels ...*policy.Label) (named bool) {
	for _, l := range labels {
		named = e.replace(&l.EN, &l.ZH) || named
	}
	return named
}

// incident takes the person out of an incident. Of one that is about them the samples go, and a title that begins
// with what they wrote.
func (e *eraser) incident(in *Incident) (named bool) {
	about := e.replace(&in.Subject)
	titled := e.names(in.Title.EN) || e.quotes(in.Kind, in.Title)
	if titled {
		in.Title = in.plainTitle()
	}
	named = e.replace(&in.AcknowledgedBy, &in.Finding.Key)
	named = e.labels(&in.Text, &in.Advice, &in.Finding.Detail) || named
	for i := range in.Senders {
		named = e.replace(&in.Senders[i]) || named
	}
	before := len(in.Samples)
	in.Samples = slices.DeleteFunc(in.Samples, func(s string) bool { return about || titled || e.names(s) || e.isSubject(s) })
	return about || titled || named || len(in.Samples) != before
}

// plainTitle is the title without what people know the subject by.
func (in *Incident) plainTitle() policy.Label { return about(in.Kind.trait().title, in.Subject) }

// quotes reports whether a title is that of a campaign, and begins with the subject of a message that was erased.
func (e *eraser) quotes(k Kind, title policy.Label) bool {
	return (k == Campaign || k == Hijack) && slices.ContainsFunc(e.subjects, func(s string) bool {
		return s != "" && strings.Contains(title.EN, ": "+shorten(s, maxRunes)+" (")
	})
}

// isSubject reports whether a sample is the subject of a message that was erased.
func (e *eraser) isSubject(sample string) bool {
	return slices.ContainsFunc(e.subjects, func(s string) bool { return shorten(s, maxRunes) == sample })
}

// notice takes the person out of a notice, and of one that is about them the subjects of their messages. Its lists are
// made anew: other parcels, and whoever delivers or keeps one at the moment, have the same ones.
func (e *eraser) notice(n *Notice) (named bool) {
	if e.quotes(n.Kind, n.Title) {
		n.Title, named = n.Kind.trait().title, true
	}
	named = e.labels(&n.Title) || named
	n.Lines = slices.Clone(n.Lines)
	for i := range n.Lines {
		named = e.labels(&n.Lines[i]) || named
	}
	for _, f := range n.Facts {
		named = named || e.fact(f) || e.isSubject(f.Value)
	}
	if named {
		n.Facts = slices.DeleteFunc(slices.Clone(n.Facts), func(f Fact) bool { return f.Name.EN == subjectFact || e.fact(f) })
	}
	return named
}

// fact reports whether a fact names the person, also as a link writes the name.
func (e *eraser) fact(f Fact) bool {
	plain, err := url.PathUnescape(f.Value)
	return e.names(f.Value) || err == nil && e.names(plain)
}
