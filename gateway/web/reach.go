package web

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/similar"
	"github.com/sendgate/sendgate/store"
)

// What is within the reach of who makes a request: a user has own mail only, an administrator of some domains
// what these sent. Whatever is not within reach is answered as if there were no such thing.

var errSenderNotFound = problem(http.StatusNotFound, "not_found", "there is no such sender")

// checks are asked about what a path names, for those who do not see everything. Where there is no function, the
// operation itself goes by what is within reach.
var checks = []struct {
	path  string
	check func(*Server, context.Context, string) error
}{
	{"/messages/{id}", (*Server).checkMessage},
	{"/recalls/{id}", (*Server).checkRecall},
	{"/senders/{identity}", (*Server).checkReach},
	{"/campaigns/{id}", (*Server).checkCampaign},
	{"/alerts/{id}", (*Server).checkAlert},
	{"/approvals/{batch}", nil},
	{"/sessions/{id}", nil},
}

// checkNamed gives what checks the input of an operation by what its path names. An operation that people with
// bounds may use, and whose path names what nobody checks, is a fault of the program.
func (s *Server) checkNamed(operation, path string, in reflect.Type) func(context.Context, reflect.Value) error {
	none := func(context.Context, reflect.Value) error { return nil }
	open, _, names := strings.Cut(path, "{")
	if !names || access[operation]&(owners|domained) == 0 {
		return none
	}
	for _, c := range checks {
		rest, ok := strings.CutPrefix(path, c.path)
		switch {
		case !ok || strings.Contains(rest, "{"):
			continue
		case c.check == nil:
			return none
		}
		field := pathField(in, strings.Trim(c.path[len(open):], "{}"))
		return func(ctx context.Context, v reflect.Value) error {
			if !whoIs(ctx).bounded() {
				return nil
			}
			return c.check(s, ctx, v.Field(field).String())
		}
	}
	panic("web: nobody checks what the path of " + operation + " names: " + path)
}

// pathField finds the field of an input that a parameter of the path goes to.
func pathField(in reflect.Type, name string) int {
	for i := range in.NumField() {
		if in.Field(i).Tag.Get("path") == name {
			return i
		}
	}
	panic("web: " + in.Name() + " has no field for " + name + " of its path")
}

// whoIs gives who makes a request; nobody has no role.
func whoIs(ctx context.Context) *principal {
	p, _ := ctx.Value(principalKey).(principal)
	return &p
}

// bounded reports whether somebody sees a part of everything only.
func (p *principal) bounded() bool { return reachOf[p.role]&lookers == 0 || len(p.domains) > 0 }

// has reports whether a domain is one of those that somebody is bounded to.
func (p *principal) has(domain string) bool {
	return domain != "" && slices.ContainsFunc(p.domains, func(d string) bool {
		return policy.Address("x@"+strings.TrimPrefix(d, "@")).Domain() == domain
	})
}

// seen gives those of a list that are within reach.
func seen[T any](ctx context.Context, all []T, sees func(context.Context, *T) bool) []T {
	if !whoIs(ctx).bounded() {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(one T) bool { return !sees(ctx, &one) })
}

// owns reports whether a message is within the reach of who makes the request.
func owns(ctx context.Context, e *policy.Envelope) bool {
	who := whoIs(ctx)
	switch {
	case !who.bounded():
		return true
	case len(who.domains) > 0 && who.role != "user":
		return who.has(e.Sender.Domain())
	}
	return who.identity != "" && strings.EqualFold(e.Identity, who.identity)
}

// search is the one way to find messages: it finds those within reach.
func (s *Server) search(ctx context.Context, q store.Query, limit int, cursor string) (store.Page, error) {
	who := whoIs(ctx)
	switch {
	case !who.bounded():
	case len(who.domains) > 0 && who.role != "user":
		domains := make([]string, len(who.domains))
		for i, d := range who.domains {
			domains[i] = strings.TrimPrefix(d, "@")
		}
		q = q.OfDomains(domains)
	default:
		q = q.OfIdentity(who.identity)
	}
	return s.journal.Search(ctx, q, limit, cursor)
}

// message is the one way to a message that a request names.
func (s *Server) message(ctx context.Context, id policy.ID) (store.Message, error) {
	m, err := s.journal.Message(id)
	switch {
	case err != nil:
		return m, s.fail("read message", err)
	case !owns(ctx, &m.Envelope):
		return store.Message{}, errNotFound
	}
	return m, nil
}

// existing parses the id of a message and makes sure that there is one within reach.
func (s *Server) existing(ctx context.Context, text string) (policy.ID, error) {
	id, err := policy.ParseID(text)
	if err != nil {
		return id, errMessageID
	}
	_, err = s.message(ctx, id)
	return id, err
}

func (s *Server) checkMessage(ctx context.Context, text string) error {
	_, err := s.existing(ctx, text)
	return err
}

// seesRecord reports whether a record is about a message within reach.
func (s *Server) seesRecord(ctx context.Context, id policy.ID) bool {
	if !whoIs(ctx).bounded() {
		return true
	}
	_, err := s.message(ctx, id)
	return err == nil
}

func (s *Server) checkRecall(ctx context.Context, text string) error {
	id, err := recallID(text)
	if err != nil {
		return err
	}
	r, err := s.recalls.Report(ctx, id)
	switch {
	case err != nil:
		return s.recallProblem("read recall", err)
	case !s.seesRecall(ctx, r):
		return errRecallNotFound
	}
	return nil
}

// seesRecall reports whether a recall is within reach: of a user who asked for it as one, else by its messages.
func (s *Server) seesRecall(ctx context.Context, r *policy.RecallReport) bool {
	who, asked := whoIs(ctx), &r.Request.Requester
	switch {
	case !who.bounded():
		return true
	case who.role == "user":
		return asked.Role == "user" && who.identity != "" && strings.EqualFold(asked.Identity, who.identity)
	case len(asked.Domains) > 0 && !slices.ContainsFunc(asked.Domains, func(d string) bool { return !who.has(strings.ToLower(d)) }):
		return true
	}
	return len(r.Request.Messages) > 0 && !slices.ContainsFunc(r.Request.Messages, func(id policy.ID) bool { return !s.seesRecord(ctx, id) })
}

// recallsSeen lists up to so many of the recalls within reach, newest first, older than one of them.
func (s *Server) recallsSeen(ctx context.Context, before policy.ID, most int) (seen []*policy.RecallReport, err error) {
	for {
		page, err := s.recalls.List(ctx, before, most)
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			if s.seesRecall(ctx, r) {
				seen = append(seen, r)
			}
		}
		if len(page) < most || len(seen) >= most {
			return seen[:min(most, len(seen))], nil
		}
		before = page[len(page)-1].ID
	}
}

// recallSeen shows a recall as far as who asks may see it. Replies and forwards are others' mail.
func (s *Server) recallSeen(ctx context.Context, r *policy.RecallReport) *Recall {
	seen := *r
	seen.Related = slices.DeleteFunc(slices.Clone(r.Related), func(m policy.RecallRelated) bool { return !s.seesRecord(ctx, m.Message) })
	v := recallView(&seen, role(ctx))
	if role(ctx) == "user" {
		for i := range v.Recipients {
			v.Recipients[i].Detail = ""
		}
	}
	return v
}

func (s *Server) checkReach(ctx context.Context, key string) error {
	if !s.seesSender(ctx, key) {
		return errSenderNotFound
	}
	return nil
}

// seesSender reports whether a key of limits is within reach: an identity by its own address, a domain of senders
// as one of one's own. Networks, recipients' domains and the gateway are for people without bounds.
func (s *Server) seesSender(ctx context.Context, key string) bool {
	who := whoIs(ctx)
	switch {
	case !who.bounded():
		return true
	case who.role == "user":
		return false
	case keyKind(key) == policy.BySenderDomain:
		_, domain, _ := strings.Cut(key, ":")
		return who.has(policy.Address("x@" + domain).Domain())
	case keyKind(key) != policy.ByIdentity:
		return false
	}
	identity, _, _ := strings.Cut(key, "#")
	domain := policy.Address(identity).Domain()
	if domain == "" && s.mailboxOf != nil {
		domain = s.mailboxOf(identity).Domain()
	}
	return who.has(domain)
}

func (s *Server) checkCampaign(ctx context.Context, text string) error {
	c, err := s.campaign(text)
	switch {
	case err != nil:
		return err
	case !s.seesCampaign(ctx, &c):
		return errCampaignNotFound
	}
	return nil
}

// seesCampaign reports whether all who sent a campaign are within reach: what is decided about it is for all.
func (s *Server) seesCampaign(ctx context.Context, c *similar.Campaign) bool {
	if !whoIs(ctx).bounded() {
		return true
	}
	for i := range c.Senders {
		if !s.seesSender(ctx, c.Senders[i].Name) {
			return false
		}
	}
	return len(c.Senders) > 0
}

func (s *Server) checkAlert(ctx context.Context, id string) error {
	if a, ok := s.alert(id); !ok || !s.seesAlert(ctx, &a) {
		return errAlertNotFound
	}
	return nil
}

// seesAlert goes by whom an alert is about: an identity or a domain.
func (s *Server) seesAlert(ctx context.Context, a *Alert) bool {
	return s.seesSender(ctx, a.Subject) || whoIs(ctx).has(strings.ToLower(a.Subject))
}
