package web

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// errShared ends the look for who has sent under a login.
var errShared = errors.New("others have sent under that login, too")

// findLogins finds under which other names the person has signed in to send: that is known by their mail. Where nobody
// else has sent under a name, it is theirs.
func (s *Server) findLogins(ctx context.Context, e *eraser) error {
	if !strings.Contains(e.person, "@") {
		return nil
	}
	q, err := s.query("from:" + e.person)
	if err != nil {
		return err
	}
	names := map[string]bool{}
	err = s.eachFound(ctx, q, func(m *store.Message) error {
		if name := m.Envelope.Identity; m.Envelope.Login != "" && m.Envelope.Sender.Key() == e.key && !e.isAddress(name) {
			names[strings.ToLower(name)] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		err := s.eachFound(ctx, store.Query{}.OfIdentity(name), func(m *store.Message) error {
			if m.Envelope.Sender != "" && m.Envelope.Sender.Key() != e.key {
				return errShared
			}
			return nil
		})
		switch {
		case err == nil:
			e.logins = append(e.logins, name)
		case errors.Is(err, errShared):
			e.shared = append(e.shared, name)
		default:
			return err
		}
	}
	return nil
}

// isLogin reports whether a text is another name of theirs, as in keys and events: in a sentence it may be a word.
func (e *eraser) isLogin(text string) bool { return slices.Contains(e.logins, strings.ToLower(text)) }

// eraseLogins takes the person out of the timelines that are about their other names.
func (s *Server) eraseLogins(ctx context.Context, e *eraser, req *EraseRequest, v *ErasedElsewhere) error {
	if len(e.logins) == 0 {
		return nil
	}
	for _, kind := range []policy.Kind{policy.Login, policy.Suspended, policy.Unsuspended, policy.Boosted, policy.Overridden, policy.UsageReset} {
		for before := (policy.ID{}); ; {
			ids, err := s.journal.Records(ctx, kind, store.MaxPage, before)
			if err != nil {
				return err
			}
			for _, id := range ids {
				if err := s.eraseLogin(ctx, e, id, req, v); err != nil {
					return err
				}
			}
			if len(ids) < store.MaxPage {
				break
			}
			before = ids[len(ids)-1]
		}
	}
	return nil
}

// eraseLogin takes the person out of one timeline, if it is about another name of theirs.
func (s *Server) eraseLogin(ctx context.Context, e *eraser, id policy.ID, req *EraseRequest, v *ErasedElsewhere) error {
	records, err := s.journal.Timeline(id)
	if errors.Is(err, store.ErrNotFound) { // pruned meanwhile
		return nil
	}
	if err != nil || e.looked[id] {
		return err
	}
	for _, r := range records {
		if slices.ContainsFunc(r.Events, func(ev policy.Event) bool { return e.isLogin(ev.Subject) }) {
			e.looked[id] = true
			return s.eraseNamed(ctx, e, id, req, v)
		}
	}
	return nil
}
