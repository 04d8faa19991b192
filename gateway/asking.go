package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sendgate/sendgate/gateway/ask"
	"github.com/sendgate/sendgate/gateway/notify"
	"github.com/sendgate/sendgate/gateway/notify/webhook"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// askedRule stands in events of mail that was an instruction for us.
const askedRule = "recall by mail"

const (
	// askTime bounds how long the client waits for a recall to begin.
	askTime = 25 * time.Second
	// askHold keeps mail to the service address until its content is known.
	askHold = time.Minute
)

// An askJournal is where the messages are found that people want back. [store.Store] is one.
type askJournal interface {
	threadJournal
	Message(id policy.ID) (store.Message, error)
	Recipients(id policy.ID) (policy.Rows, error)
	ByMessageID(messageID string) ([]policy.ID, error)
	Search(ctx context.Context, q store.Query, limit int, cursor string) (store.Page, error)
}

// askNeeds is what an asking works with.
type askNeeds struct {
	Journal askJournal
	// Recalls begins recalls; it is durable when it answers. Its refusals are *policy.RecallRefusal.
	Recalls interface {
		Start(ctx context.Context, r policy.RecallRequest) (*policy.RecallReport, error)
		Report(ctx context.Context, id policy.ID) (*policy.RecallReport, error)
	}
	// Mail writes to somebody in a language, once for an id.
	Mail func(ctx context.Context, language string, id policy.ID, to policy.Address, n webhook.Notice) error
	// Mailbox is where the sender of a message reads mail; empty when that is not known.
	Mailbox func(e *policy.Envelope) policy.Address
	// Head gives the beginning of the message that is decided on, as it came; nil where it is not known.
	Head func(s *policy.Submission) []byte
	// Link is where to see how a recall gets on; empty for nowhere.
	Link func(id policy.ID) string
	Log  *zap.Logger
}

// An asking is the rules, and before them an eye for mail by which people ask for a recall (package ask). The
// recall begins, the sender is answered, and the mail goes nowhere. What is no such request is for the rules.
type asking struct {
	policy.Engine
	askNeeds
	threads *threads
	terms   atomic.Pointer[askTerms]
}

// askTerms say where requests go and who is believed.
type askTerms struct {
	service policy.Address // that takes commands; empty for none
	// networks lets the clients of configured networks ask without a login.
	networks bool
}

// newAsking makes an asking.
func newAsking(rules policy.Engine, terms askTerms, needs askNeeds) *asking {
	a := &asking{Engine: rules, askNeeds: needs, threads: newThreads(needs.Journal)}
	a.Reload(terms)
	return a
}

// Reload takes over other terms.
func (a *asking) Reload(terms askTerms) { a.terms.Store(&terms) }

// openAsking puts an asking before the rules. head is as in askNeeds.
func (g *Gateway) openAsking(cfg *Config, reports *recallReporter, head func(*policy.Submission) []byte) *asking {
	return newAsking(watching{g.limits, g.bypass}, askTermsOf(cfg), askNeeds{
		Journal: g.store, Recalls: g.recalls, Head: head, Link: reports.links.URL, Log: g.log.Named("recall"),
		Mail: func(ctx context.Context, language string, id policy.ID, to policy.Address, n webhook.Notice) error {
			return reports.mailer.In(language).Mail(ctx, id, []policy.Address{to}, n)
		},
		Mailbox: func(e *policy.Envelope) policy.Address {
			if a := reports.people().Mailbox(e); notify.IsPerson(a) {
				return a
			}
			return ""
		},
	})
}

// serviceAddress is the address that takes commands, of a valid configuration.
func serviceAddress(cfg *Config) policy.Address {
	a, err := policy.ParseAddress(cfg.Recall.ServiceAddress)
	if err != nil { // there is none
		return ""
	}
	return a
}

func askTermsOf(cfg *Config) askTerms {
	return askTerms{service: serviceAddress(cfg), networks: cfg.Recall.TrustNetworks}
}

// Decide takes instructions, and asks the rules about everything else. The service address need not exist
// anywhere but here; it is for those only who are believed.
func (a *asking) Decide(ctx context.Context, s policy.Submission) policy.Verdict {
	terms := a.terms.Load()
	if s.Stage == policy.StageMail || !ask.Believed(s.Envelope, s.Trusted && terms.networks) {
		return a.Engine.Decide(ctx, s)
	}
	among, alone := ask.ToService(s.Envelope, terms.service)
	switch {
	case s.Stage == policy.StageRcpt && among:
		return swallow("the address of recalls")
	case s.Stage == policy.StageRcpt:
		return a.Engine.Decide(ctx, s)
	case among && !alone:
		return notAlone(terms.service)
	case among && s.Content == nil && s.Stage == policy.StageEnd: // its content comes later
		return policy.Verdict{Action: policy.Hold, Rule: askedRule, Until: s.Time.Add(askHold), Shown: s.Time.Add(askHold)}
	}
	if s.Stage == policy.StageEnd && s.Header != nil {
		a.threads.note(s.ID, s.Header("Thread-Index"))
	}
	if v, ok := a.instruction(ctx, &s, among); ok {
		if s.Stage == policy.StageContent { // what it took when its header was seen
			a.Forget(s.Time, s.ID)
		}
		return v
	}
	return a.Engine.Decide(ctx, s)
}

// swallow makes an instruction end here.
func swallow(reason string) policy.Verdict {
	return policy.Verdict{
		Action: policy.Discard, Rule: askedRule, Reason: reason,
		Text: policy.Label{EN: "taken as an instruction for the gateway", ZH: "已作为撤回指令处理"},
	}
}

func notAlone(service policy.Address) policy.Verdict {
	return policy.Verdict{
		Action: policy.Reject, Rule: askedRule, Code: 550, Status: "5.7.1", Reason: "an instruction that has other recipients, too",
		Text: policy.Label{
			EN: "a mail to " + string(service) + " is an instruction for the gateway: write to this address alone",
			ZH: "发往 " + string(service) + " 的邮件是撤回指令，请勿同时发给其他收件人",
		},
	}
}

// instruction carries out what a mail asks for; it is not ok for mail that asks for nothing.
func (a *asking) instruction(ctx context.Context, s *policy.Submission, toService bool) (policy.Verdict, bool) {
	if s.Content == nil {
		return policy.Verdict{}, false
	}
	terms := a.terms.Load()
	m := ask.Mail{Envelope: s.Envelope, Trusted: s.Trusted && terms.networks, Header: s.Header, Content: s.Content}
	if a.Head != nil {
		m.Head = a.Head(s)
	}
	in := ask.Read(&m, terms.service)
	if in == nil {
		return swallow("automatic mail to the address of recalls"), toService
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	r := a.request(s, in)
	if _, err := a.Journal.Message(r.answer); err == nil { // the client sends it again
		return swallow("an instruction that was carried out before"), true
	}
	err := a.carryOut(ctx, r)
	switch {
	case errors.Is(err, errNoRequest):
		return policy.Verdict{}, false
	case err != nil:
		a.Log.Error("a recall that was asked for by mail could not begin; the mail is deferred", zap.Stringer("id", s.ID), zap.Error(err))
		return policy.Verdict{
			Action: policy.Defer, Rule: askedRule, Code: 451, Status: "4.3.0", Reason: "the recall could not begin: " + err.Error(),
			Text: policy.Label{EN: "the recall could not begin: try again later", ZH: "暂时无法执行撤回，请稍后重试"},
		}, true
	}
	a.Log.Info("asked", zap.Stringer("id", s.ID), zap.Stringer("sender", s.Envelope.Sender), zap.String("kind", string(in.Kind)), zap.String("outcome", r.outcome))
	return swallow(r.outcome), true
}

// A recallAsked is a request by mail on its way to its answer.
type recallAsked struct {
	*ask.Instruction
	id       policy.ID // of the mail that asks
	now      time.Time
	envelope *policy.Envelope
	answer   policy.ID // the id of the letter
	outcome  string    // what came of it, for the log
}

// request gives a request the id of its answer, which is the same when the client sends the mail again.
func (a *asking) request(s *policy.Submission, in *ask.Instruction) *recallAsked {
	e := s.Envelope
	at := s.Time.Truncate(24 * time.Hour)
	about := []string{"asked", e.Identity, e.MessageID}
	for _, v := range s.Header("Date") {
		about = append(about, v)
		if t, err := mail.ParseDate(v); err == nil && t.Sub(s.Time).Abs() < 48*time.Hour {
			at = t
		}
	}
	if e.MessageID == "" {
		about = append(about, e.Subject, s.Content.Text)
	}
	return &recallAsked{Instruction: in, id: s.ID, now: s.Time, envelope: e, answer: letterID(at, about...)}
}

// carryOut finds what is meant, begins the recall and answers. An error but errNoRequest is inability.
func (a *asking) carryOut(ctx context.Context, r *recallAsked) error {
	found, query, err := a.find(ctx, r)
	if err != nil {
		return a.refused(ctx, r, nil, err)
	}
	request := policy.RecallRequest{
		Query: query, Reason: "asked for by mail", UnreadOnly: true,
		Requester: policy.RecallRequester{Actor: "mail:" + string(r.envelope.Sender), Role: "user", Identity: person(r.envelope.Identity)},
	}
	if r.Kind == ask.Outlook {
		request.Reason = "asked for by Outlook's recall"
	}
	for i := range found {
		request.Messages = append(request.Messages, found[i].ID)
	}
	report, err := a.Recalls.Start(ctx, request)
	if err != nil {
		return a.refused(ctx, r, found, err)
	}
	r.outcome = "recall " + report.ID.String()
	a.answer(ctx, r, takenNotice(r, found, report, a.Link(report.ID)))
	return nil
}

// person takes what tells the clients of one account apart off an identity.
func person(identity string) string {
	identity, _, _ = strings.Cut(identity, "#")
	return identity
}

// refused answers with the reason. Other errors than refusals are for the client, who tries again.
func (a *asking) refused(ctx context.Context, r *recallAsked, found []store.Message, err error) error {
	var refusal *policy.RecallRefusal
	if errors.Is(err, errNoRequest) {
		return err
	}
	if !errors.As(err, &refusal) {
		return fmt.Errorf("recall asked for by mail: %w", err)
	}
	if r.Kind == ask.Outlook && refusal.Code == policy.RefusedDisabled { // it may be Outlook's own way that works here
		return errNoRequest
	}
	r.outcome = "refused: " + refusal.Code
	told, link := *refusal, ""
	if a.theirs(ctx, r, told.Existing) {
		link = a.Link(told.Existing)
	} else {
		told.Existing = policy.ID{}
	}
	a.answer(ctx, r, refusedNotice(r, found, &told, a.terms.Load().service, link))
	return nil
}

// theirs reports whether a recall was asked for by the same person. One of an administrator may be about others'
// mail, too, all of which its page shows.
func (a *asking) theirs(ctx context.Context, r *recallAsked, id policy.ID) bool {
	if id == (policy.ID{}) {
		return false
	}
	report, err := a.Recalls.Report(ctx, id)
	if err != nil {
		return false
	}
	who := &report.Request.Requester
	return who.Role == "user" && strings.EqualFold(person(who.Identity), person(r.envelope.Identity))
}

// answer writes to the sender. The recall does not depend on it.
func (a *asking) answer(ctx context.Context, r *recallAsked, n webhook.Notice) {
	to := a.Mailbox(r.envelope)
	if to == "" {
		a.Log.Info("nobody is answered: it is not known where the sender reads mail", zap.Stringer("id", r.id), zap.String("identity", r.envelope.Identity))
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTime)
	defer cancel()
	if err := a.Mail(ctx, r.Language, r.answer, to, n); err != nil {
		a.Log.Error("the answer to a recall by mail could not be written", zap.Stringer("id", r.id), zap.Error(err))
	}
}
