package web

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// Status of a recipient of a recall.
const (
	statusSuccess    = "success"
	statusFail       = "fail"
	statusProcessing = "processing"
)

// Codes of what a recall came to for a recipient. They are part of the API.
const (
	codeRemovedFromHold  = "removed_from_hold"
	codeRemovedFromQueue = "removed_from_queue"
	codeAlreadyRecalled  = "already_recalled"
	codeNeverDelivered   = "never_delivered"
	codeInFlight         = "waiting_in_flight"
	codeRetrying         = "retrying"
	codeExternal         = "external_recipient"
	codeDeliveredBefore  = "delivered_before_recall"
	codeInvalidAddress   = "invalid_address"
	codeWholeMessageOnly = "whole_message_only"
	codeNotFound         = "not_found"
	codeUnknown          = "unknown"
)

// An outcomeText is the status and the words of a code.
type outcomeText struct {
	status string
	text   policy.Label
}

var outcomeTexts = map[string]outcomeText{
	codeRemovedFromHold:  {statusSuccess, policy.Label{EN: "taken back before it was sent", ZH: "已在发出前撤回"}},
	codeRemovedFromQueue: {statusSuccess, policy.Label{EN: "taken back out of the queue", ZH: "已从队列中撤回"}},
	codeAlreadyRecalled:  {statusSuccess, policy.Label{EN: "had been taken back before", ZH: "此前已撤回"}},
	codeNeverDelivered:   {statusSuccess, policy.Label{EN: "was never delivered: nothing to take back", ZH: "从未投递，无需撤回"}},
	codeInFlight:         {statusProcessing, policy.Label{EN: "is being sent just now: what became of it is not known yet", ZH: "正在发送，结果尚未确定"}},
	codeRetrying:         {statusProcessing, policy.Label{EN: "could not be decided just now: it is tried again", ZH: "暂时无法处理，正在重试"}},
	codeExternal:         {statusFail, policy.Label{EN: "has left for another server", ZH: "已离开本系统，到达其他服务器"}},
	codeDeliveredBefore:  {statusFail, policy.Label{EN: "was delivered before it could be taken back", ZH: "撤回前已投递"}},
	codeWholeMessageOnly: {statusFail, policy.Label{EN: "was released already: only the whole message can be taken back from Postfix's queue", ZH: "邮件已放行：只能从 Postfix 队列中撤回整封邮件"}},
	codeInvalidAddress:   {statusFail, policy.Label{EN: "is not a recipient of the messages", ZH: "不是这些邮件的收件人"}},
	codeNotFound:         {statusFail, policy.Label{EN: "the message is no longer stored", ZH: "邮件记录已不存在"}},
	codeUnknown:          {statusFail, policy.Label{EN: "what became of it is not known", ZH: "投递结果未知"}},
}

// known gives the text of a code; a code that this version does not know counts as unknown.
func known(code string) outcomeText {
	if t, ok := outcomeTexts[code]; ok {
		return t
	}
	return outcomeTexts[codeUnknown]
}

// judge says what a recall would come to for a recipient as it is now. Only what sendgate itself
// still has can be taken back.
func judge(r *store.Recipient) (code string) {
	switch r.State {
	case policy.StateAccepted, policy.StateHeld, policy.StateApprovalPending:
		return codeRemovedFromHold
	case policy.StateQueued, policy.StateDeferred:
		if r.Due.IsZero() {
			return codeInFlight // in a queue behind us
		}
		return codeRemovedFromQueue
	case policy.StateOffered:
		return codeInFlight
	case policy.StateCanceled:
		return codeAlreadyRecalled
	case policy.StateBounced, policy.StateExpired, policy.StateBlocked, policy.StateNeverQueued, policy.StateAsyncBounced:
		return codeNeverDelivered
	case policy.StateRelayedRemote, policy.StateHandedOver:
		return codeExternal
	case policy.StateDeliveredMailbox:
		return codeDeliveredBefore
	}
	return codeUnknown
}

// A RecallRecipient says what a recall came to for one recipient of one message.
type RecallRecipient struct {
	MessageID string       `json:"message_id" doc:"sendgate's own id of the message"`
	Address   string       `json:"address"`
	Status    string       `json:"status" enum:"success,fail,processing"`
	Code      string       `json:"code" example:"removed_from_hold"`
	Text      policy.Label `json:"text"`
}

func recallRecipient(id string, r *store.Recipient, code string) RecallRecipient {
	t := known(code)
	v := RecallRecipient{MessageID: id, Address: string(r.Address), Status: t.status, Code: code, Text: t.text}
	if code == codeExternal || code == codeDeliveredBefore {
		v.Text = withProof(t.text, r)
	}
	return v
}

// withProof adds when it left and what the other side said: "... (2026-11-21T10:00:00Z: 250 2.0.0 Ok)".
func withProof(text policy.Label, r *store.Recipient) policy.Label {
	said := r.Reply
	if said == "" {
		said = r.Evidence
	}
	proof := strings.TrimSuffix(r.Since.UTC().Format(time.RFC3339)+": "+said, ": ")
	return policy.Label{EN: fmt.Sprintf("%s (%s)", text.EN, proof), ZH: fmt.Sprintf("%s（%s）", text.ZH, proof)}
}

func anySuccess(outcomes []Outcome) bool {
	return slices.ContainsFunc(outcomes, func(o Outcome) bool { return known(o.Code).status == statusSuccess })
}

// reasons lists the different reasons of outcomes, for a problem's detail.
func reasons(outcomes []Outcome) string {
	var texts []string
	for _, o := range outcomes {
		if t := known(o.Code).text.EN; !slices.Contains(texts, t) {
			texts = append(texts, t)
		}
	}
	return strings.Join(texts, "; ")
}

// A selection finds recipients by address, as it is in the envelope or was given in ORCPT. The
// empty selection finds all.
type selection struct {
	given []string
	seen  map[string]bool // by key
}

func newSelection(addresses []string) *selection {
	s := &selection{given: addresses, seen: map[string]bool{}}
	for _, a := range addresses {
		s.seen[addressKey(a)] = false
	}
	return s
}

func addressKey(text string) string {
	a, err := policy.ParseAddress(text)
	if err != nil {
		return text
	}
	return a.Key()
}

// of gives the indexes of the recipients that are selected.
func (s *selection) of(rows policy.Rows) []int {
	indexes := make([]int, 0, len(rows))
	for i := range rows {
		if len(s.given) == 0 || s.has(rows[i].Address.Key()) || rows[i].Original != "" && s.has(addressKey(rows[i].Original)) {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

func (s *selection) has(key string) bool {
	_, ok := s.seen[key]
	if ok {
		s.seen[key] = true
	}
	return ok
}

// missing lists the addresses that no row had.
func (s *selection) missing() (addresses []string) {
	for _, a := range s.given {
		if !s.seen[addressKey(a)] {
			addresses = append(addresses, a)
		}
	}
	return addresses
}
