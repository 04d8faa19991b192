package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/ask"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// errNoRequest is for mail that only looks like a request of Outlook: it goes out as usual.
var errNoRequest = errors.New("no request")

const (
	// lastAmong is how many messages are looked through for the last one of a sender.
	lastAmong = 50
	// outlookWindow is how old a message may be that Outlook wants back.
	outlookWindow = 24 * time.Hour
)

// refusedUnclear is the code of a command that is not understood, refusedAmbiguous of a request of Outlook that
// fits several messages.
const (
	refusedUnclear   = "unclear"
	refusedAmbiguous = "ambiguous"
)

// find gives the messages that are meant, and what found them. Its refusals are *policy.RecallRefusal.
func (a *asking) find(ctx context.Context, r *recallAsked) (found []store.Message, query string, err error) {
	switch {
	case r.Kind == ask.Unclear:
		return nil, "", &policy.RecallRefusal{Code: refusedUnclear, Text: policy.Label{
			EN: "Your mail does not say which message is to be taken back.", ZH: "您的邮件未说明要撤回哪一封邮件。",
		}}
	case r.Kind == ask.Outlook:
		found, err = a.outlook(ctx, r)
		return found, "Outlook: " + r.Subject, err
	case r.Last:
		found, err = a.last(ctx, r)
		return found, "the last message", err
	}
	for _, id := range r.MessageIDs {
		ids, err := a.Journal.ByMessageID(id)
		if err != nil {
			return nil, "", err
		}
		for _, id := range ids {
			m, err := a.Journal.Message(id)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return nil, "", err
			}
			if err == nil && r.own(&m) {
				found = append(found, m)
			}
		}
	}
	if len(found) == 0 {
		return nil, "", notFound()
	}
	return found, "Message-ID " + strings.Join(r.MessageIDs, " "), nil
}

// notFound says the same whether there is no such message or it is somebody else's.
func notFound() error {
	return &policy.RecallRefusal{Code: policy.RefusedNotFound, Text: policy.Label{
		EN: "No such message of yours has passed this gateway.", ZH: "网关中没有找到您发送的这封邮件。",
	}}
}

// own reports whether a message is one that the same account has sent.
func (r *recallAsked) own(m *store.Message) bool {
	e := &m.Envelope
	return m.ID != r.id && e.Front != policy.Internal && e.Direction != policy.Inbound && e.Sender != "" &&
		strings.EqualFold(person(e.Identity), person(r.envelope.Identity))
}

// sent gives the newest messages of the sender, without instructions and what was refused.
func (a *asking) sent(ctx context.Context, r *recallAsked, query string, enough func([]store.Message) bool) (all []store.Message, err error) {
	q, err := store.ParseQuery("from:"+string(r.envelope.Sender)+query, r.now)
	if err != nil {
		return nil, nil // an address that cannot be searched for has sent nothing
	}
	page, err := a.Journal.Search(ctx, q, lastAmong, "")
	if err != nil {
		return nil, fmt.Errorf("look for messages of the sender: %w", err)
	}
	for i := range page.Messages {
		m := &page.Messages[i]
		if !r.own(m) || m.State() == policy.StateBlocked {
			continue
		}
		asked, err := a.wasAsked(m.ID)
		if err != nil {
			return nil, err
		}
		if !asked {
			all = append(all, *m)
		}
		if enough(all) {
			break
		}
	}
	return all, nil
}

// wasAsked reports whether a message was itself an instruction.
func (a *asking) wasAsked(id policy.ID) (bool, error) {
	rows, err := a.Journal.Recipients(id)
	if err != nil {
		return false, fmt.Errorf("read recipients: %w", err)
	}
	return len(rows) > 0 && !slices.ContainsFunc(rows, func(r policy.Row) bool { return r.Rule != askedRule }), nil
}

// last gives the sender's last message.
func (a *asking) last(ctx context.Context, r *recallAsked) ([]store.Message, error) {
	all, err := a.sent(ctx, r, "", func(all []store.Message) bool { return len(all) == 1 })
	if err == nil && len(all) == 0 {
		err = notFound()
	}
	return all, err
}

// outlook gives the message that a request of Outlook is about: one with that subject, of the same
// conversation. Where the request is certain the subject is enough, if there is one such message only.
func (a *asking) outlook(ctx context.Context, r *recallAsked) ([]store.Message, error) {
	since := r.now.Add(-outlookWindow).UTC().Format(time.RFC3339)
	query := " after:" + since
	if words := strings.ReplaceAll(r.Subject, `"`, " "); strings.TrimSpace(words) != "" {
		query += ` subject:"` + words + `"`
	}
	all, err := a.sent(ctx, r, query, func([]store.Message) bool { return false })
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(m store.Message) bool { return !sameSubject(m.Envelope.Subject, r.Subject) })
	if m, ok := a.inThread(all, r); ok {
		return []store.Message{m}, nil
	}
	if !r.Certain || len(all) == 0 {
		return nil, errNoRequest
	}
	if len(all) > 1 {
		if all, err = a.toTheSame(all, r); err != nil {
			return nil, err
		}
	}
	if len(all) != 1 {
		return nil, &policy.RecallRefusal{Code: refusedAmbiguous, Text: policy.Label{
			EN: "Several messages of yours have this subject: it is not certain which one is meant.",
			ZH: "您有多封邮件使用该主题，无法确定要撤回哪一封。",
		}}
	}
	return all, nil
}

func sameSubject(a, b string) bool {
	return strings.Join(strings.Fields(a), " ") == strings.Join(strings.Fields(b), " ")
}

// inThread gives the message that the request follows, else the newest of its conversation.
func (a *asking) inThread(all []store.Message, r *recallAsked) (found store.Message, ok bool) {
	for i := range all {
		same, direct := ask.SameThread(r.Thread, a.threads.of(all[i].ID))
		if direct {
			return all[i], true
		}
		if same && !ok {
			found, ok = all[i], true
		}
	}
	return found, ok
}

// toTheSame gives the messages that went to all to whom the request goes.
func (a *asking) toTheSame(all []store.Message, r *recallAsked) (same []store.Message, err error) {
	for i := range all {
		rows, err := a.Journal.Recipients(all[i].ID)
		if err != nil {
			return nil, fmt.Errorf("read recipients: %w", err)
		}
		to := map[string]bool{}
		for j := range rows {
			to[rows[j].Address.Key()] = true
		}
		if !slices.ContainsFunc(r.envelope.Recipients, func(rc policy.Recipient) bool { return !to[rc.Address.Key()] }) {
			same = append(same, all[i])
		}
	}
	return same, nil
}
