package web

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/content"
	"github.com/sendgate/sendgate/store"
)

// maxLetter bounds how much of a letter of sendgate's own is looked through, in octets.
const maxLetter = 1 << 20

// ErasedElsewhere counts what was erased besides a person's own mail. In a dry run Alerts and what follows is not known.
type ErasedElsewhere struct {
	Named     int  `json:"named" doc:"messages of others that named the person, as who had acted or in a text: the name is replaced"`
	Letters   int  `json:"letters" doc:"reports and notices of sendgate to others that named the person: their text is deleted"`
	SignIns   int  `json:"sign_ins" doc:"days of sign-ins: network, program and time of the day are deleted"`
	Recalls   int  `json:"recalls" doc:"recalls whose request or reasons named the person: the name is replaced"`
	Decisions int  `json:"decisions" doc:"suspensions, raised limits and other acts that named the person: the name is replaced"`
	Left      int  `json:"left" doc:"of all these, left as they are: recalls that are going on, mail on the way, and what is under legal hold"`
	Unread    bool `json:"unread,omitempty" doc:"parts of the store are damaged: what names the person there was not found, and is left"`
	Alerts    int  `json:"alerts" doc:"alerts and waiting notices that named the person: the name is replaced, also in what is kept of them"`
	Limits    int  `json:"limits" doc:"keys of limits for which usage, grants and paces were forgotten, in memory and in its snapshot"`
	Accounts  int  `json:"accounts" doc:"accounts of which what is usual was forgotten, in memory and in its snapshot"`
	Contacts  int  `json:"contacts" doc:"correspondents that were forgotten: the person's, and the person among those of others"`
	Campaigns int  `json:"campaigns" doc:"campaigns in whose samples, senders or decision the name was replaced, in memory and in its snapshot"`
}

// A Forgetting names a person to what is derived of the journal.
type Forgetting struct {
	Person   string                   // an address or an identity
	Text     func(text string) string // gives a text without the person; the same text when it does not name them
	Subjects []string                 // of messages that were erased
}

// Forgotten is what was forgotten of a person outside of the journal.
type Forgotten struct{ Alerts, Limits, Accounts, Contacts, Campaigns int }

// An Eraser takes a person out of what is derived of the journal.
type Eraser interface {
	// Busy reports whether a recall is going on: it is not to be rewritten.
	Busy(recall policy.ID) bool
	// Forget takes a person out of memory, and out of all that is kept of it.
	Forget(ctx context.Context, f Forgetting) (Forgotten, error)
}

// errUnnamed is for what does not name the person after all.
var errUnnamed = errors.New("it does not name the person")

// eraseElsewhere takes a person out of everything that is not their own mail. While there is more of that, only out of
// what is remembered of their other names, which cannot be found afterwards.
func (s *Server) eraseElsewhere(ctx context.Context, e *eraser, req *EraseRequest, more bool, v *ErasedElsewhere) (err error) {
	if !more {
		if err := s.eraseAllNamed(ctx, e, req, v); err != nil {
			return err
		}
	}
	if req.DryRun || s.eraser == nil || more && len(e.logins) == 0 {
		return nil
	}
	f, err := s.eraser.Forget(ctx, Forgetting{Person: e.person, Text: e.text, Subjects: e.subjects})
	v.Alerts, v.Limits, v.Accounts, v.Contacts, v.Campaigns = f.Alerts, f.Limits, f.Accounts, f.Contacts, f.Campaigns
	s.flow.erase(e.text)
	return err
}

// eraseAllNamed takes a person out of the messages of others, and out of timelines that are no messages.
func (s *Server) eraseAllNamed(ctx context.Context, e *eraser, req *EraseRequest, v *ErasedElsewhere) error {
	e.foreign = true
	defer func() { e.foreign = false }()
	ids, err := s.journal.Naming(ctx, e.person)
	if v.Unread = errors.Is(err, store.ErrDamaged); err != nil && !v.Unread {
		return err
	}
	for _, id := range ids {
		if e.looked[id] {
			continue
		}
		if err := s.eraseNamed(ctx, e, id, req, v); err != nil {
			return err
		}
	}
	return s.eraseLetters(ctx, e, req, v)
}

// eraseNamed takes the person out of one message of others, or of one timeline.
func (s *Server) eraseNamed(ctx context.Context, e *eraser, id policy.ID, req *EraseRequest, v *ErasedElsewhere) error {
	count := &v.Named
	err := s.journal.Redact(id, func(m *store.Stored) (err error) {
		hits := e.hits
		if m.Message != nil {
			err = s.eraseForeign(e, m)
		} else if count = v.of(m.Records[0].Events[0].Kind); count == &v.Recalls && s.eraser != nil && s.eraser.Busy(id) {
			err = errRecalling
		} else {
			e.timeline(m)
		}
		switch {
		case err != nil:
			return err
		case e.hits == hits:
			return errUnnamed
		case req.DryRun:
			return errCounted
		}
		return nil
	})
	if errors.Is(err, errUnnamed) {
		return nil
	}
	if err == nil && count == &v.Named {
		err = s.noteErasure(ctx, e, id, req.Reason)
	}
	return v.add(count, err)
}

// add counts what an attempt came to, and gives back what is no such outcome.
func (v *ErasedElsewhere) add(count *int, err error) error {
	switch {
	case err == nil, errors.Is(err, errCounted):
		*count++
	case errors.Is(err, store.ErrUnfinished), errors.Is(err, errHeldByLaw), errors.Is(err, errRecalling), errors.Is(err, errRestorable), errors.Is(err, store.ErrTooLarge):
		v.Left++
	case !errors.Is(err, store.ErrNotFound): // pruned meanwhile
		return err
	}
	return nil
}

// of is where a timeline that begins with a kind of event counts.
func (v *ErasedElsewhere) of(k policy.Kind) *int {
	switch k {
	case policy.Login:
		return &v.SignIns
	case policy.RecallRequested:
		return &v.Recalls
	}
	return &v.Decisions
}

// eraseForeign takes the person out of a message of others, whose text stays theirs. Where it went to the person by
// another name, all about that goes.
func (s *Server) eraseForeign(e *eraser, m *store.Stored) error {
	if err := s.mayErase(m); err != nil {
		return err
	}
	if len(e.rowsOf(m.Rows)) > 0 {
		e.foreign = false
		defer func() { e.foreign = true }()
		e.hits++
	} else {
		m.KeepBody = m.Message.Envelope.Front != policy.Internal
	}
	return e.erase(m)
}

// timeline takes the person out of a timeline that is no message.
func (e *eraser) timeline(m *store.Stored) {
	was := e.foreign
	defer func() { e.foreign = was }()
	p := &part{eraser: e, gone: map[string]bool{}}
	for _, r := range m.Records {
		for i := range r.Events {
			ev := &r.Events[i]
			e.foreign = !e.isAddress(ev.Subject) && !e.isLogin(ev.Subject) // or an identity
			if ev.Kind == policy.Login && !e.foreign {
				e.signIn(ev)
				continue
			}
			p.event(ev)
		}
	}
}

// signIn leaves of a sign-in that there was one on a day.
func (e *eraser) signIn(ev *policy.Event) {
	*ev = policy.Event{Kind: ev.Kind, Time: ev.Time.Truncate(24 * time.Hour), Node: ev.Node, Actor: ev.Actor, Subject: e.mark}
	e.hits++
}

// eraseLetters deletes the texts of reports and notices to others that name the person. What is in their rows was
// found by its name.
func (s *Server) eraseLetters(ctx context.Context, e *eraser, req *EraseRequest, v *ErasedElsewhere) error {
	q, err := s.query("from:<>")
	if err != nil {
		return err
	}
	var letters []policy.ID
	err = s.eachFound(ctx, q, func(m *store.Message) error {
		if m.Envelope.Front == policy.Internal && m.BodySize > 0 && s.letterNames(m.ID, e.person) {
			letters = append(letters, m.ID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range letters {
		err := s.journal.Redact(id, func(m *store.Stored) error {
			if req.DryRun {
				return errCounted
			}
			return s.eraseForeign(e, m)
		})
		if err := v.add(&v.Letters, err); err != nil {
			return err
		}
	}
	return nil
}

// letterNames reports whether the text of a letter names a person, as it is written or decoded.
func (s *Server) letterNames(id policy.ID, person string) bool {
	body, err := s.journal.Body(id)
	if err != nil {
		return !errors.Is(err, store.ErrNotFound) // what cannot be read may name them
	}
	defer body.Close()
	raw, err := io.ReadAll(io.LimitReader(body, maxLetter))
	if err != nil || namesPerson(string(raw), person) {
		return true // what cannot be read may name them
	}
	c, err := content.Read(bytes.NewReader(raw), content.DefaultLimits(), s.now)
	return err != nil || namesPerson(c.Text, person)
}
