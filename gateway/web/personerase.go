package web

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// eraseFor bounds how long one request erases; the next goes on where it ended.
const eraseFor = 40 * time.Second

// ErasedMessages counts the messages of a person by what was done with them.
type ErasedMessages struct {
	Erased    int  `json:"erased" doc:"out of which the person was taken: of what they sent the subject, all addresses of theirs and the text; of what they received their address, the text, and the subject when nobody else received it"`
	OnTheWay  int  `json:"on_the_way" doc:"left as they are, because they are still in our hands or under way: erase again when they have arrived"`
	LegalHold int  `json:"legal_hold" doc:"left as they are, because the sender or a recipient is under legal hold"`
	Recalled  int  `json:"recalled" doc:"left as they are, because a recall of them is going on or can be put back for 31 days"`
	TooLarge  int  `json:"too_large" doc:"left as they are, because they have too many recipients to be rewritten: retention deletes them"`
	More      bool `json:"more" doc:"there are more messages than one request could do: send it again"`
}

// errHeldByLaw and errRecalling are why a message is left as it is; errCounted is that of a dry run.
var (
	errHeldByLaw = errors.New("a party of it is under legal hold")
	errRecalling = errors.New("it is being recalled")
	errCounted   = errors.New("it would be erased")
)

// heldByLaw reports whether nothing of an address may be destroyed.
func (s *Server) heldByLaw(a policy.Address) bool { return s.legalHold != nil && s.legalHold(a) }

// eraseMessages takes a person out of messages, or counts them.
func (s *Server) eraseMessages(ctx context.Context, req *EraseRequest, person string) (v ErasedMessages, err error) {
	var ids []policy.ID // all of them first: erased ones are not found any more
	err = s.eachMessageOf(ctx, person, func(m *store.Message, _ bool) error { ids = append(ids, m.ID); return nil })
	if err != nil {
		return v, err
	}
	e, began := newEraser(person, s.now()), time.Now()
	for _, id := range ids {
		if time.Since(began) > eraseFor || ctx.Err() != nil {
			v.More = true
			break
		}
		if err := v.add(s.eraseMessage(ctx, e, id, req)); err != nil {
			return v, err
		}
	}
	return v, nil
}

// add counts a message by what an attempt to erase it came to, and gives back what is no such outcome.
func (m *ErasedMessages) add(err error) error {
	switch {
	case err == nil, errors.Is(err, errCounted):
		m.Erased++
	case errors.Is(err, store.ErrUnfinished):
		m.OnTheWay++
	case errors.Is(err, errHeldByLaw):
		m.LegalHold++
	case errors.Is(err, errRestorable), errors.Is(err, errRecalling):
		m.Recalled++
	case errors.Is(err, store.ErrTooLarge):
		m.TooLarge++
	case !errors.Is(err, store.ErrNotFound): // pruned meanwhile
		return err
	}
	return nil
}

// eraseMessage rewrites one message and notes that in its timeline.
func (s *Server) eraseMessage(ctx context.Context, e *eraser, id policy.ID, req *EraseRequest) error {
	err := s.journal.Redact(id, func(m *store.Stored) error {
		if err := s.mayErase(m); err != nil {
			return err
		}
		if err := e.erase(m); err != nil || !req.DryRun {
			return err
		}
		return errCounted
	})
	if err != nil {
		return err
	}
	_, err = s.journal.Commit(ctx, store.Change{Message: id, Events: []policy.Event{
		{Kind: policy.Erased, Time: s.now(), Actor: e.text(actor(ctx)), Reason: req.Reason},
	}})
	return err
}

// mayErase keeps what the law holds, and what a recall works on.
func (s *Server) mayErase(m *store.Stored) error {
	if s.heldByLaw(m.Message.Envelope.Sender) {
		return errHeldByLaw
	}
	for i := range m.Rows {
		r := &m.Rows[i]
		switch {
		case s.heldByLaw(r.Address) || r.Original != "" && s.heldByLaw(policy.Address(r.Original)):
			return errHeldByLaw
		case r.Recall.Code != "" && r.Recall.Code.Status() == policy.RecallProcessing:
			return errRecalling
		}
	}
	return nil
}

// said puts an erasure into sentences.
func (v *Erasure) said() policy.Label {
	m := &v.Messages
	l := policy.Label{
		EN: fmt.Sprintf("The person was taken out of %d messages and %d entries of the audit log.", m.Erased, v.Audit),
		ZH: fmt.Sprintf("已从 %d 封邮件记录和 %d 条审计记录中清除此人的信息。", m.Erased, v.Audit),
	}
	if v.DryRun {
		l = policy.Label{
			EN: fmt.Sprintf("The person would be taken out of %d messages and %d entries of the audit log. Nothing was changed.", m.Erased, v.Audit),
			ZH: fmt.Sprintf("将从 %d 封邮件记录和 %d 条审计记录中清除此人的信息。本次未作任何更改。", m.Erased, v.Audit),
		}
	}
	left := policy.Label{}
	for _, why := range []struct {
		n    int
		text policy.Label
	}{
		{m.OnTheWay, policy.Label{EN: "on the way", ZH: "投递中"}}, {m.LegalHold, policy.Label{EN: "under legal hold", ZH: "受法律保留"}},
		{m.Recalled, policy.Label{EN: "with a recall that can be put back", ZH: "撤回仍可恢复"}}, {m.TooLarge, policy.Label{EN: "with too many recipients", ZH: "收件人过多"}},
	} {
		if why.n > 0 {
			left.EN += fmt.Sprintf(", %d %s", why.n, why.text.EN)
			left.ZH += fmt.Sprintf("，%s %d 封", why.text.ZH, why.n)
		}
	}
	if left.EN != "" {
		l.EN += " Messages left as they are: " + strings.TrimPrefix(left.EN, ", ") + "."
		l.ZH += "以下邮件保持不变：" + strings.TrimPrefix(left.ZH, "，") + "。"
	}
	if m.More {
		l.EN += " There are more: erase once more."
		l.ZH += "仍有未处理的邮件，请再次执行。"
	}
	return l
}
