package web

import (
	"errors"
	"net/http"
	"slices"

	"github.com/sendgate/sendgate/policy"
	"golang.org/x/sync/errgroup"
)

// surveyAtOnce is how many messages are looked for in mailboxes at a time, to find those that nobody has read.
const surveyAtOnce = 8

// findFields are those that the search of a recall asks for; one of the first three has to be filled in.
var findFields = []string{"from", "subject", "to", "after", "before"}

// A recallFind is the administrator's search for what shall be taken back.
type recallFind struct {
	Filter messageFilter
	Spans  []string
	Unread bool // only what none of the recipients has read
	Asked  bool
	Rows   []Message
	Read   int    // messages left out because somebody has read them
	Next   string // cursor
}

func (s *Server) findForRecall(v *visit, p *recallNewPage) error {
	f := &recallFind{Spans: filterSpans, Unread: v.form("unread") != "", Asked: v.form("find") != ""}
	p.Step, p.Find = stepFind, f
	fields := map[string]string{}
	for _, name := range findFields {
		fields[name] = v.form(name)
	}
	if fields["after"] == "" {
		fields["after"] = oneOf(v.form("span"), filterSpans)
	}
	f.Filter = messageFilter{Fields: fields}
	f.Filter.Query = f.Filter.query()
	switch {
	case !f.Asked:
		return nil
	case fields["from"]+fields["subject"]+fields["to"] == "":
		p.Wrong = s.renderer.Say(v.lang, "recalls.find.empty")
		return nil
	}
	out, err := call[listMessagesInput, listMessagesOutput](s, v, "list-messages", &listMessagesInput{
		Q: f.Filter.Query, Limit: listSize, Cursor: v.form("cursor"),
	})
	if wrong := (*Problem)(nil); errors.As(err, &wrong) && wrong.Status == http.StatusUnprocessableEntity {
		p.Wrong = s.renderer.Say(v.lang, "recalls.find.wrong") + " " + wrong.Detail
		return nil
	}
	if err != nil {
		return s.worded(v, "recalls", err)
	}
	f.Rows, f.Next = out.Body.Messages, out.Body.Next
	if f.Unread {
		f.Rows = s.unreadByAll(v, f.Rows)
		f.Read = len(out.Body.Messages) - len(f.Rows)
	}
	return nil
}

// unreadByAll leaves out what somebody has read, and what cannot be looked at.
func (s *Server) unreadByAll(v *visit, rows []Message) []Message {
	unread := make([]bool, len(rows))
	var group errgroup.Group
	group.SetLimit(surveyAtOnce)
	for i := range rows {
		group.Go(func() error {
			f := recallForm{Messages: []string{rows[i].ID}, GroupMode: string(policy.BestEffort)}
			out, err := call[recallInput, recallOutput](s, v, "recall", f.request(true))
			unread[i] = err == nil && out.Body.Status != recallUnavailable && !slices.ContainsFunc(out.Body.Recipients, wasRead)
			return nil
		})
	}
	_ = group.Wait() // none fails
	kept := rows[:0]
	for i := range rows {
		if unread[i] {
			kept = append(kept, rows[i])
		}
	}
	return kept
}

// wasRead reports whether a recipient has seen a message, or may have: who of a group has is not for everybody.
func wasRead(r RecallRecipient) bool {
	switch r.Code {
	case policy.AlreadyRead, policy.ReadDuringRecall, policy.Forwarded, policy.ForwardedExternal, policy.Replied, policy.PopDownloaded,
		policy.GroupMemberBlocked:
		return true
	}
	return false
}

// More is the address of the next page of what was found.
func (f *recallFind) More() string {
	pairs := []string{"find", "1", "cursor", f.Next}
	for _, name := range findFields {
		pairs = append(pairs, name, f.Filter.Fields[name])
	}
	if f.Unread {
		pairs = append(pairs, "unread", "1")
	}
	return linkTo("/recalls/new", pairs...)
}
