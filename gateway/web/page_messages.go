package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/sendgate/sendgate/policy"
)

const (
	listPause = 3 * time.Second // between two looks at a live list
	listSize  = 50
)

// A messagesPage is what the template of the list is given.
type messagesPage struct {
	Filter messageFilter
	Rows   []messageRow
	Cursor string // of this page, empty for the first
	Next   string // of the next
	Wrong  string // what is wrong with the query
	May    messageMay
	States []stateChoice
	Spans  []string // of the filter
	Holds  []string // how long mail can be held
}

// A messageRow is a message of the list with whom it went to.
type messageRow struct {
	Message
	More int // recipients beside those named
}

// messageMay says what the viewer's role may do with messages.
type messageMay struct {
	Act     bool // release, hold, cancel, resend
	Bounce  bool // cancel and tell the sender: not for one's own mail
	Approve bool
	Recall  bool
	Source  bool
	Sender  bool // look at who sent it
}

// A stateChoice is an option of the filter.
type stateChoice struct {
	Value string
	Label policy.Label
	Fine  bool // one state, not all under a label
}

// stateChoices are the labels, and the states that administrators look for.
var stateChoices = []stateChoice{
	{Value: "delivering", Label: policy.LabelDelivering}, {Value: "mailbox", Label: policy.LabelMailbox},
	{Value: "remote", Label: policy.LabelRemote}, {Value: "failed", Label: policy.LabelReturned},
	{Value: "blocked", Label: policy.LabelBlocked}, {Value: "unknown", Label: policy.LabelUnknown},
	{Value: "recalled", Label: policy.LabelRecalled},
	{Value: string(policy.StateHeld), Fine: true}, {Value: string(policy.StateApprovalPending), Fine: true},
	{Value: string(policy.StateQueued), Fine: true}, {Value: string(policy.StateDeferred), Fine: true},
	{Value: string(policy.StateExpired), Fine: true},
}

var (
	filterSpans = []string{"1h", "24h", "7d", "30d"}
	holdTimes   = []string{"10m", "30m", "1h", "4h", "24h"}
)

func mayWithMessages(v *visit) messageMay {
	who := whoIs(v.ctx)
	may := func(operation string) bool { return who.allowed(access[operation]) }
	return messageMay{
		Act: may("release-message"), Bounce: who.role != "user", Approve: may("approve-message"), Recall: may("recall"), Source: may("view-source"), Sender: may("get-sender"),
	}
}

func (s *Server) messagesPages(mux *http.ServeMux) {
	mux.Handle("GET /messages", s.page("messages", s.buildMessages))
	mux.Handle("GET /messages/filter", s.page("messages", s.filterMessages))
	mux.Handle("GET /messages/live", s.stream(livePage{listPause, "messages", []string{"_messages_rows"}, s.buildMessages, true}))
	mux.Handle("GET /messages.csv", s.messagesCSV())
	mux.Handle("POST /messages/act", s.act(s.actOnMessages))
	s.messagePages(mux)
}

// filterMessages makes a query of the filter's fields and leads to what it finds.
func (s *Server) filterMessages(v *visit) (any, error) {
	f := messageFilter{Words: v.form("words"), Fields: map[string]string{}}
	for _, name := range filterFields {
		f.Fields[name] = v.form(name)
	}
	was := parseFilter(v.form("was"))
	if span := v.form("span"); span != "" && (f.Fields["after"] == "" || span != was.Span()) { // whichever was chosen just now
		f.Fields["after"] = span
	}
	return nil, redirect(linkTo("/messages", "q", f.query()))
}

func (s *Server) buildMessages(v *visit) (any, error) {
	p := &messagesPage{
		Filter: parseFilter(v.form("q")), Cursor: v.form("cursor"), May: mayWithMessages(v),
		States: stateChoices, Spans: filterSpans, Holds: holdTimes,
	}
	out, err := call[listMessagesInput, listMessagesOutput](s, v, "list-messages", &listMessagesInput{
		Q: v.form("q"), Limit: listSize, Cursor: v.form("cursor"),
	})
	if wrong := (*Problem)(nil); errors.As(err, &wrong) && wrong.Status == http.StatusUnprocessableEntity {
		p.Wrong = wrong.Detail
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	p.Next = out.Body.Next
	for i := range out.Body.Messages {
		m := &out.Body.Messages[i]
		p.Rows = append(p.Rows, messageRow{*m, max(0, m.Recipients-len(m.To))})
	}
	return p, nil
}

// Live is the address of the stream that renews the rows.
func (p *messagesPage) Live() string {
	return linkTo("/messages/live", "q", p.Filter.Query, "cursor", p.Cursor)
}
