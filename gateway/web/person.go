package web

import (
	"context"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// A person is an address or an identity. What there is about one: the mail that is counted for them or has their
// address as its sender, the mail that they received, and the entries of the audit log that name them.

// A PersonSummary says how much there is about a person.
type PersonSummary struct {
	Person   string    `json:"person"`
	Sent     int       `json:"sent" doc:"messages that the person sent"`
	Received int       `json:"received" doc:"messages that went to the person"`
	Newest   time.Time `json:"newest,omitzero" doc:"when the newest of these messages was received"`
	Audit    int       `json:"audit" doc:"entries of the audit log that name the person"`
}

type personInput struct {
	Person string `path:"person" minLength:"1" maxLength:"320" doc:"an address or an identity, with URL escapes"`
}

type findPersonOutput struct{ Body PersonSummary }

func (s *Server) findPerson(ctx context.Context, in *personInput) (*findPersonOutput, error) {
	v, err := s.personSummary(ctx, in.Person)
	if err != nil {
		return nil, err
	}
	return &findPersonOutput{*v}, nil
}

func (s *Server) personSummary(ctx context.Context, person string) (*PersonSummary, error) {
	if !isPerson(person) {
		return nil, errPerson
	}
	v := &PersonSummary{Person: person}
	err := s.eachMessageOf(ctx, person, func(m *store.Message, sent bool) error {
		if sent {
			v.Sent++
		} else {
			v.Received++
		}
		if m.Envelope.Received.After(v.Newest) {
			v.Newest = m.Envelope.Received.UTC()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = s.eachAudit(ctx, func(e *store.AuditEntry) bool { return auditNames(e, person) }, func(*store.AuditEntry) error { v.Audit++; return nil })
	return v, err
}

// isPerson reports whether a text can be that of a person in a query.
func isPerson(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '"' })
}

// eachMessageOf calls fn for the messages of a person, each once: those sent first.
func (s *Server) eachMessageOf(ctx context.Context, person string, fn func(m *store.Message, sent bool) error) error {
	if err := s.eachFound(ctx, store.Query{}.OfIdentity(person), func(m *store.Message) error { return fn(m, true) }); err != nil {
		return err
	}
	if !strings.Contains(person, "@") {
		return nil
	}
	key := policy.Address(person).Key()
	counted := func(m *store.Message) bool { return strings.EqualFold(m.Envelope.Identity, person) }
	from, err := s.query("from:" + person)
	if err != nil {
		return err
	}
	err = s.eachFound(ctx, from, func(m *store.Message) error {
		if counted(m) {
			return nil
		}
		return fn(m, true)
	})
	if err != nil {
		return err
	}
	to, err := s.query("to:" + person)
	if err != nil {
		return err
	}
	return s.eachFound(ctx, to, func(m *store.Message) error {
		if counted(m) || m.Envelope.Sender.Key() == key {
			return nil
		}
		return fn(m, false)
	})
}

// eachFound goes through all that a query finds.
func (s *Server) eachFound(ctx context.Context, q store.Query, fn func(*store.Message) error) error {
	for cursor := ""; ; {
		page, err := s.search(ctx, q, store.MaxPage, cursor)
		if err != nil {
			return s.fail("search", err)
		}
		for i := range page.Messages {
			if err := fn(&page.Messages[i]); err != nil {
				return err
			}
		}
		if cursor = page.Next; cursor == "" {
			return nil
		}
	}
}

// eachAudit goes through the entries that keep lets through, newest first.
func (s *Server) eachAudit(ctx context.Context, keep func(*store.AuditEntry) bool, fn func(*store.AuditEntry) error) error {
	for before := uint64(0); ctx.Err() == nil; {
		entries, err := s.journal.AuditLog(before, store.MaxPage, keep)
		if err != nil {
			return s.fail("read the audit log", err)
		}
		for i := range entries {
			if err := fn(&entries[i]); err != nil {
				return err
			}
		}
		if len(entries) < store.MaxPage || entries[len(entries)-1].Number == 1 {
			return nil
		}
		before = entries[len(entries)-1].Number
	}
	return s.fail("read the audit log", ctx.Err())
}

// auditNames reports whether an entry names a person.
func auditNames(e *store.AuditEntry, person string) bool {
	return namesPerson(e.Actor, person) || namesPerson(e.Object, person) || namesPerson(e.Detail, person)
}

// namesPerson reports whether a text has the name of a person in it, as a whole: "ann" is not in
// "joann", nor in "ann@corp.example", which is another name.
func namesPerson(text, person string) bool {
	text, person = strings.ToLower(text), strings.ToLower(person)
	for at := 0; ; {
		i := strings.Index(text[at:], person)
		if i < 0 || person == "" {
			return false
		}
		before, after := text[:at+i], text[at+i+len(person):]
		if before == strings.TrimRightFunc(before, partOfName) && ends(after) {
			return true
		}
		at += i + 1
	}
}

// ends reports whether a name is over where this follows. A full stop is part of a name only when more comes.
func ends(after string) bool {
	rest := strings.TrimLeftFunc(after, func(r rune) bool { return r == '.' })
	return rest == strings.TrimLeftFunc(rest, partOfName)
}

// partOfName reports whether a name goes on with this. Scripts that put no spaces between words end none and begin
// none: in "请暂停ann的外发" ann is a whole name.
func partOfName(r rune) bool {
	if unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai) {
		return false
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-+@", r)
}

// An EraseRequest says why a person is erased.
type EraseRequest struct {
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"kept in the audit log, so it must not name the person" example:"request 2026-117"`
	DryRun bool   `json:"dry_run,omitempty" doc:"only count what would be erased"`
}

// An Erasure is what was erased of a person, or would be, and what is left.
type Erasure struct {
	Person   string         `json:"person"`
	DryRun   bool           `json:"dry_run,omitempty"`
	Messages ErasedMessages `json:"messages"`
	Audit    int            `json:"audit" doc:"entries of the audit log out of which the person was taken"`
	Sessions int            `json:"sessions" doc:"sessions of the person that were ended"`
	Left     PersonSummary  `json:"left" doc:"what is there still"`
	Text     policy.Label   `json:"text" doc:"what was done and what is left, in sentences"`

	Elsewhere ErasedElsewhere `json:"elsewhere" doc:"what was erased besides the person's own mail; nothing but what is about logins while there are more messages"`
	Logins    []string        `json:"logins,omitempty" doc:"other names under which the person alone has signed in to send: their sign-ins, suspensions, limits and accounts are erased with the person"`
	Shared    []string        `json:"shared,omitempty" doc:"names under which the person has signed in to send, and others have sent, too: what is noted under them is left as it is"`
	Unreached policy.Label    `json:"unreached" doc:"what erasing cannot reach"`
}

type erasePersonInput struct {
	Person string `path:"person" minLength:"1" maxLength:"320" doc:"an address or an identity, with URL escapes"`
	Body   EraseRequest
}

type erasePersonOutput struct{ Body *Erasure }

var (
	errNamesPerson = problem(http.StatusUnprocessableEntity, "invalid_request", "the reason stays in the audit log: do not name the person in it")
	errSuspended   = problem(http.StatusConflict, "suspended", "the account is suspended: end that first, or nothing would keep it from sending once it is forgotten")
	errLegalHold   = problem(http.StatusConflict, "legal_hold", "the person is under legal hold (recall.legal_hold): nothing is erased")
)

// erasePerson takes a person out of messages that are over, out of everything else that names them, in memory, too,
// and out of the audit log, and ends their sessions. The log goes last: what was cut off can be done again.
func (s *Server) erasePerson(ctx context.Context, in *erasePersonInput) (*erasePersonOutput, error) {
	switch {
	case !isPerson(in.Person):
		return nil, errPerson
	case namesPerson(in.Body.Reason, in.Person):
		return nil, errNamesPerson
	case s.heldByLaw(policy.Address(in.Person)):
		return nil, errLegalHold
	}
	v := &Erasure{Person: in.Person, DryRun: in.Body.DryRun, Unreached: unreached}
	e := newEraser(in.Person, s.now())
	if err := s.findLogins(ctx, e); err != nil {
		return nil, err
	}
	v.Logins, v.Shared = e.logins, e.shared
	for _, name := range append([]string{in.Person}, e.logins...) {
		if _, ok := s.limits.Suspension(name); ok {
			return nil, errSuspended
		}
	}
	if err := s.erase(ctx, e, &in.Body, v); err != nil {
		return nil, s.fail("erase a person", err)
	}
	if !v.DryRun {
		if err := s.eraseAudit(ctx, v, in.Body.Reason); err != nil {
			return nil, err
		}
	}
	left, err := s.personSummary(ctx, in.Person)
	if err != nil {
		return nil, err
	}
	if v.Left = *left; v.DryRun {
		v.Audit = left.Audit
	}
	v.Text = v.said()
	return &erasePersonOutput{v}, nil
}

// erase takes a person out of what there is of the journal and of memory. Other names go first: their mail says that
// they are theirs.
func (s *Server) erase(ctx context.Context, e *eraser, req *EraseRequest, v *Erasure) (err error) {
	if err = s.eraseLogins(ctx, e, req, &v.Elsewhere); err != nil {
		return err
	}
	if v.Messages, err = s.eraseMessages(ctx, e, req); err != nil {
		return err
	}
	return s.eraseElsewhere(ctx, e, req, v.Messages.More, &v.Elsewhere)
}

// eraseAudit takes a person out of the audit log and adds an entry that names nobody.
func (s *Server) eraseAudit(ctx context.Context, v *Erasure, reason string) (err error) {
	v.Sessions = s.endSessions(v.Person)
	if v.Audit, err = s.journal.EraseAudit(func(e *store.AuditEntry) bool { return auditNames(e, v.Person) }); err != nil {
		return s.fail("erase a person", err)
	}
	s.refusals.forget()
	s.waits.forget()
	fields := []zap.Field{zap.Int("messages", v.Messages.Erased), zap.Int("audit", v.Audit), zap.Int("sessions", v.Sessions), zap.String("reason", reason)}
	s.log.Info("act", append([]zap.Field{zap.String("verb", "erase_person"), zap.String("actor", actor(ctx))}, fields...)...)
	s.audit(ctx, "erase_person", "", fields...)
	return nil
}

// endSessions ends the sessions of a person: they have an address and the name of a browser.
func (s *Server) endSessions(person string) (ended int) {
	if s.desk == nil {
		return 0
	}
	for _, session := range s.desk.Sessions(nil) {
		if !strings.EqualFold(session.User, person) && !strings.EqualFold(session.Identity, person) {
			continue
		}
		if err := s.desk.Revoke(session.ID); err != nil {
			s.log.Warn("a session is over, which the store could not note", zap.Error(err))
		}
		ended++
	}
	return ended
}
