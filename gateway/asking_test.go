package gateway

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-message"
	"github.com/sendgate/sendgate/gateway/ask"
	"github.com/sendgate/sendgate/gateway/notify"
	"github.com/sendgate/sendgate/gateway/notify/webhook"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/content"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

const recallService = policy.Address("recall@gate.corp.test")

// fakeRules let pass, and remember what they were asked.
type fakeRules struct {
	asked     []policy.Stage
	forgotten []policy.ID
}

func (f *fakeRules) Decide(_ context.Context, s policy.Submission) policy.Verdict {
	f.asked = append(f.asked, s.Stage)
	return policy.Verdict{Rule: "usual"}
}

func (f *fakeRules) Forget(_ time.Time, id policy.ID) { f.forgotten = append(f.forgotten, id) }

// A starter begins recalls, or fails as told.
type starter struct {
	requests []policy.RecallRequest
	fail     error
	existing policy.RecallRequester // who has asked for every recall that there is already
}

func (s *starter) Report(_ context.Context, id policy.ID) (*policy.RecallReport, error) {
	return &policy.RecallReport{ID: id, Request: policy.RecallRequest{Requester: s.existing}}, nil
}

func (s *starter) Start(_ context.Context, r policy.RecallRequest) (*policy.RecallReport, error) {
	s.requests = append(s.requests, r)
	if s.fail != nil {
		return nil, s.fail
	}
	return &policy.RecallReport{ID: policy.ID{9, byte(len(s.requests))}, Overall: policy.RecallInProgress, Request: r, Counts: policy.RecallCounts{Success: 3, Processing: 2, Fail: 1}}, nil
}

// askRig is an asking on a real store.
type askRig struct {
	t       *testing.T
	store   *store.Store
	rules   *fakeRules
	starter *starter
	*asking
	to   policy.Address // the mailbox of all senders
	head []byte
	now  time.Time
}

func newAskRig(t *testing.T) *askRig {
	t.Helper()
	r := &askRig{t: t, store: openStore(t), rules: &fakeRules{}, starter: &starter{}, to: "alice@corp.test", now: time.Now().UTC()}
	c := notify.DefaultConfig()
	mailer := notify.NewMailer("gate.corp.test", c, r.store, func() time.Time { return r.now })
	r.asking = newAsking(r.rules, askTerms{service: recallService}, askNeeds{
		Journal: r.store, Recalls: r.starter,
		Mail: func(ctx context.Context, language string, id policy.ID, to policy.Address, n webhook.Notice) error {
			return mailer.In(language).Mail(ctx, id, []policy.Address{to}, n)
		},
		Mailbox: func(*policy.Envelope) policy.Address { return r.to },
		Head:    func(*policy.Submission) []byte { return r.head },
		Link:    func(id policy.ID) string { return "https://mail.corp.test/s/" + id.String() },
		Log:     zap.NewNop(),
	})
	return r
}

// sent puts a message into the journal, as long ago as it says.
func (r *askRig) sent(ago time.Duration, messageID, subject string, change func(*policy.Envelope), to ...policy.Address) policy.ID {
	r.t.Helper()
	e := envelope(to...)
	e.Received, e.MessageID, e.Subject = r.now.Add(-ago), messageID, subject
	if change != nil {
		change(&e)
	}
	id := letterID(e.Received, messageID, subject)
	commit(r.t, r.store, store.Change{Message: id, Envelope: &e, Events: []policy.Event{{Kind: policy.Accepted, Time: e.Received}, {Kind: policy.Queued, Time: e.Received}}})
	return id
}

// submission is a mail from alice as a front hands it on at its end.
func (r *askRig) submission(raw string, to ...policy.Address) policy.Submission {
	r.t.Helper()
	raw = strings.ReplaceAll(raw, "\n", "\r\n")
	c, err := content.Read(strings.NewReader(raw), content.DefaultLimits(), time.Now)
	if err != nil {
		r.t.Fatal(err)
	}
	r.head = []byte(raw)
	e := envelope(to...)
	e.MessageID, e.Subject, e.Login = "<"+c.Header.Get("Message-ID")+">", c.Header.Get("Subject"), "alice"
	return policy.Submission{Time: r.now, Envelope: &e, ID: r.store.NewID(), Trusted: true, Header: c.Header.Values, Content: &c}
}

// letters reads the mails that were written to people.
func (r *askRig) letters() (all []string) {
	r.t.Helper()
	q, err := store.ParseQuery("from:<>", r.now)
	if err != nil {
		r.t.Fatal(err)
	}
	page, err := r.store.Search(r.t.Context(), q, 100, "")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, m := range page.Messages {
		if m.Envelope.Front == policy.Internal {
			all = append(all, r.letter(m.ID))
		}
	}
	return all
}

func (r *askRig) letter(id policy.ID) string {
	r.t.Helper()
	return letterText(r.t, r.store, id)
}

// letterText is the plain part of a letter, with its receivers.
func letterText(t *testing.T, journal *store.Store, id policy.ID) string {
	t.Helper()
	body, err := journal.Body(id)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	m, err := message.Read(body)
	if err != nil {
		t.Fatal(err)
	}
	subject, _ := m.Header.Text("Subject")
	p, err := m.MultipartReader().NextPart()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(p.Body)
	if err != nil {
		t.Fatal(err)
	}
	return "To: " + m.Header.Get("To") + "\nSubject: " + subject + "\n" + string(plain)
}

func (r *askRig) wantLetter(parts ...string) {
	r.t.Helper()
	all := r.letters()
	if len(all) != 1 {
		r.t.Fatalf("%d letters: %q", len(all), all)
	}
	for _, p := range parts {
		if !strings.Contains(all[0], p) {
			r.t.Errorf("no %q in\n%s", p, all[0])
		}
	}
}

func (r *askRig) wantRecall(messages ...policy.ID) {
	r.t.Helper()
	if len(messages) == 0 {
		if len(r.starter.requests) > 0 {
			r.t.Errorf("recalls %+v", r.starter.requests)
		}
		return
	}
	if len(r.starter.requests) != 1 || !slices.Equal(r.starter.requests[0].Messages, messages) {
		r.t.Fatalf("recalls %+v, want one of %v", r.starter.requests, messages)
	}
}

func TestRecallOfTheLastMessage(t *testing.T) {
	r := newAskRig(t)
	r.sent(3*time.Hour, "<1@corp.test>", "Old", nil, "bob@corp.test")
	last := r.sent(2*time.Hour, "<2@corp.test>", "Figures", nil, "bob@corp.test")
	r.sent(time.Hour, "<3@corp.test>", "Someone else's", func(e *policy.Envelope) { e.Sender, e.Identity = "carol@corp.test", "carol@corp.test" }, "bob@corp.test")
	r.sent(time.Hour, "<4@corp.test>", "In alice's name", func(e *policy.Envelope) { e.Identity = "carol@corp.test" }, "bob@corp.test")
	r.sent(time.Hour, "<5@corp.test>", "From outside", func(e *policy.Envelope) { e.Direction = policy.Inbound }, "alice@corp.test")
	s := r.submission("Subject: RECALL\nMessage-ID: <ask@corp.test>\nDate: "+r.now.Format(time.RFC1123Z)+"\n\n", recallService)
	v := r.Decide(t.Context(), s)
	if v.Action != policy.Discard || v.Rule != askedRule || v.Text.EN != "taken as an instruction for the gateway" {
		t.Fatalf("%+v", v)
	}
	r.sent(time.Minute, "<6@corp.test>", "Sent in between", nil, "bob@corp.test")
	s.ID, s.Time = r.store.NewID(), s.Time.Add(time.Minute) // the client sends it again
	v = r.Decide(t.Context(), s)
	if v.Action != policy.Discard || v.Reason != "an instruction that was carried out before" {
		t.Errorf("again: %+v", v)
	}
	r.wantRecall(last)
	q := r.starter.requests[0]
	if w := q.Requester; w.Actor != "mail:alice@corp.test" || w.Role != "user" || w.Identity != "alice@corp.test" || !q.UnreadOnly || q.Reason != "asked for by mail" || q.Query != "the last message" {
		t.Errorf("%+v", q)
	}
	r.wantLetter("To: <alice@corp.test>", "Subject: [sendgate] Your message is being taken back", "Of 6 recipients it is taken back from 3 so far; 2 are being worked on, and from 1 it cannot be taken back.",
		"You get a report when it is done.", "Subject: Figures", "https://mail.corp.test/s/"+policy.ID{9, 1}.String())
	if len(r.rules.asked) > 0 {
		t.Errorf("the rules were asked at %v", r.rules.asked)
	}
}

func TestInstructionsAndRefusedMailAreNotTheLastMessage(t *testing.T) {
	r := newAskRig(t)
	last := r.sent(2*time.Hour, "<1@corp.test>", "Figures", nil, "bob@corp.test")
	asked := r.sent(time.Hour, "<2@corp.test>", "RECALL", nil, recallService)
	commit(t, r.store, store.Change{Message: asked, Revision: 1, Events: []policy.Event{{Kind: policy.Canceled, Time: r.now, Rule: askedRule}}})
	e := envelope("bob@corp.test")
	commit(t, r.store, store.Change{Message: r.store.NewID(), Envelope: &e, Events: []policy.Event{{Kind: policy.Refused, Time: r.now}}})
	if v := r.Decide(t.Context(), r.submission("Subject: recall\nMessage-ID: <ask@corp.test>\n\n", recallService)); v.Action != policy.Discard {
		t.Errorf("%+v", v)
	}
	r.wantRecall(last)
}

func TestRecallByMessageID(t *testing.T) {
	attached := "Message-ID: <ask@corp.test>\nSubject: Fwd\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nMessage-ID: <1@corp.test>\n\nhello\n--b--\n"
	const how = "Write to recall@gate.corp.test from the account that has sent the message: with the subject RECALL for your last message"
	for outcome, c := range map[string]struct {
		raw    string
		found  bool
		letter []string
	}{
		"by command":       {"Subject: RECALL <1@corp.test>\n\n", true, []string{"Your message is being taken back"}},
		"attached":         {attached, true, []string{"Your message is being taken back"}},
		"in Chinese":       {"Subject: =?utf-8?B?5pKk5Zue?= <1@corp.test>\n\n", true, []string{"撤回请求已受理", "共 6 位收件人：已撤回 3，处理中 2，无法撤回 1。"}},
		"unknown":          {"Subject: RECALL <x@corp.test>\n\n", false, []string{"Your message is not taken back", "No such message of yours has passed this gateway.", how}},
		"somebody else's":  {"Subject: RECALL <2@corp.test>\n\n", false, []string{"No such message of yours has passed this gateway.", how}},
		"nothing of use":   {"Subject: help\n\n", false, []string{"Your mail does not say which message is to be taken back.", how}},
		"the answer's own": {"Subject: RECALL <ask@corp.test>\nMessage-ID: <ask@corp.test>\n\n", false, []string{"No such message of yours has passed this gateway."}},
	} {
		t.Run(outcome, func(t *testing.T) {
			r := newAskRig(t)
			id := r.sent(time.Hour, "<1@corp.test>", "Figures", nil, "bob@corp.test")
			r.sent(time.Hour, "<2@corp.test>", "Plans", func(e *policy.Envelope) { e.Sender, e.Identity = "carol@corp.test", "carol@corp.test" }, "bob@corp.test")
			if v := r.Decide(t.Context(), r.submission(c.raw, recallService)); v.Action != policy.Discard {
				t.Errorf("%+v", v)
			}
			if c.found {
				r.wantRecall(id)
			} else {
				r.wantRecall()
			}
			r.wantLetter(c.letter...)
		})
	}
}

func TestRefusedRecallsAreExplained(t *testing.T) {
	for outcome, c := range map[string]struct {
		refusal policy.RecallRefusal
		letter  []string
	}{
		"window":      {policy.RecallRefusal{Code: policy.RefusedWindow, Text: policy.Label{EN: "the time is over"}}, []string{"Your message is not taken back", "the time is over", "An administrator may be able to take it back for longer."}},
		"in progress": {policy.RecallRefusal{Code: policy.RefusedInProgress, Existing: policy.ID{7}}, []string{"Your message is being taken back", policy.ID{7}.String(), "/s/" + policy.ID{7}.String()}},
		"done":        {policy.RecallRefusal{Code: policy.RefusedRecalled, Existing: policy.ID{7}}, []string{"Your message is not taken back", "There is nothing more to do."}},
		"disabled":    {policy.RecallRefusal{Code: policy.RefusedDisabled}, []string{"Ask your administrator."}},
		"not own":     {policy.RecallRefusal{Code: policy.RefusedNotSender}, []string{"Only who has sent a message can take it back"}},
		"channel":     {policy.RecallRefusal{Code: policy.RefusedChannel}, []string{"Ask your administrator."}},
		"no reason":   {policy.RecallRefusal{Code: policy.RefusedReason}, []string{"Ask for it on the dashboard, where a reason can be given."}},
		"rate":        {policy.RecallRefusal{Code: policy.RefusedRate}, []string{"If it is urgent, ask your administrator."}},
		"many":        {policy.RecallRefusal{Code: policy.RefusedTooMany}, []string{"Ask for fewer messages at a time."}},
	} {
		t.Run(outcome, func(t *testing.T) {
			r := newAskRig(t)
			r.sent(time.Hour, "<1@corp.test>", "Figures", nil, "bob@corp.test")
			r.starter.fail, r.starter.existing = &c.refusal, policy.RecallRequester{Role: "user", Identity: "Alice@corp.test"}
			if v := r.Decide(t.Context(), r.submission("Subject: RECALL\n\n", recallService)); v.Action != policy.Discard {
				t.Errorf("%+v", v)
			}
			r.wantLetter(append(c.letter, "Subject: Figures")...)
		})
	}
}

func TestTheSecondPersonIsMentioned(t *testing.T) {
	until := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	report := &policy.RecallReport{Overall: policy.RecallAwaitingApproval, ApproveUntil: until, Related: make([]policy.RecallRelated, 2)}
	n := takenNotice(&recallAsked{Instruction: &ask.Instruction{}}, nil, report, "")
	if want := "It goes to so many recipients that an administrator has to approve first, until 2026-11-25 10:00 +0000."; n.Lines[1].EN != want {
		t.Errorf("%+v", n.Lines)
	}
	if want := "Answers to it or forwards of it that passed the gateway: 2. A recall does not include them."; n.Lines[2].EN != want {
		t.Errorf("%+v", n.Lines)
	}
}

func TestWhatCannotBeginIsDeferred(t *testing.T) {
	r := newAskRig(t)
	id := r.sent(time.Hour, "<1@corp.test>", "Figures", nil, "bob@corp.test")
	s := r.submission("Subject: RECALL\n\n", recallService)
	r.starter.fail = store.ErrFull
	v := r.Decide(t.Context(), s)
	if v.Action != policy.Defer || v.Code != 451 || v.Status != "4.3.0" || v.Text.EN != "the recall could not begin: try again later" || !strings.Contains(v.Reason, "the disk is nearly full") {
		t.Errorf("%+v", v)
	}
	if all := r.letters(); len(all) > 0 {
		t.Errorf("letters %q", all)
	}
	r.starter.fail, r.starter.requests = nil, nil
	if v := r.Decide(t.Context(), s); v.Action != policy.Discard {
		t.Errorf("the second time: %+v", v)
	}
	r.wantRecall(id)
}

func TestTheServiceAddressBeforeTheContent(t *testing.T) {
	r := newAskRig(t)
	id := r.sent(time.Hour, "<1@corp.test>", "Figures", nil, "bob@corp.test")
	s := r.submission("Subject: RECALL\n\n", recallService)
	rcpt := s
	rcpt.Stage, rcpt.Content, rcpt.Header = policy.StageRcpt, nil, nil
	if v := r.Decide(t.Context(), rcpt); v.Action != policy.Discard {
		t.Errorf("at RCPT: %+v", v)
	}
	end := s
	end.Content = nil
	if v := r.Decide(t.Context(), end); v.Action != policy.Hold || !v.Until.Equal(r.now.Add(time.Minute)) {
		t.Errorf("at the end of the header: %+v", v)
	}
	r.wantRecall()
	s.Stage = policy.StageContent
	if v := r.Decide(t.Context(), s); v.Action != policy.Discard {
		t.Errorf("with its content: %+v", v)
	}
	r.wantRecall(id)
	if !slices.Equal(r.rules.forgotten, []policy.ID{s.ID}) || len(r.rules.asked) > 0 {
		t.Errorf("forgotten %v, asked %v", r.rules.forgotten, r.rules.asked)
	}
}

func TestMailThatIsNoInstruction(t *testing.T) {
	r := newAskRig(t)
	r.sent(time.Hour, "<1@corp.test>", "brake pads", nil, "bob@corp.test")
	for outcome, c := range map[string]struct {
		raw    string
		change func(*policy.Submission)
		to     policy.Address
	}{
		"ordinary mail":                     {"Subject: hello\n\n", nil, "bob@corp.test"},
		"a subject alone":                   {"Subject: Recall: brake pads\n\n", nil, "bob@corp.test"},
		"another conversation":              {"Subject: Recall: brake pads\nThread-Index: " + otherThread + "\n\n", nil, "bob@corp.test"},
		"a request about what is not known": {"Subject: Recall: something\nX-CallingTelephoneNumber: IPM.Note\n\n", nil, "bob@corp.test"},
		"MAIL":                              {"Subject: RECALL\n\n", func(s *policy.Submission) { s.Stage = policy.StageMail }, recallService},
		"RCPT of somebody":                  {"Subject: RECALL\n\n", func(s *policy.Submission) { s.Stage = policy.StageRcpt }, "bob@corp.test"},
		"a stranger":                        {"Subject: RECALL\n\n", func(s *policy.Submission) { s.Trusted, s.Envelope.Login = false, "" }, recallService},
		"a stranger's RCPT":                 {"Subject: RECALL\n\n", func(s *policy.Submission) { s.Trusted, s.Envelope.Login, s.Stage = false, "", policy.StageRcpt }, recallService},
		"a configured network's client":     {"Subject: RECALL\n\n", func(s *policy.Submission) { s.Envelope.Login = "" }, recallService},
		"such a client's RCPT":              {"Subject: RECALL\n\n", func(s *policy.Submission) { s.Envelope.Login, s.Stage = "", policy.StageRcpt }, recallService},
	} {
		t.Run(outcome, func(t *testing.T) {
			r.rules.asked = nil
			s := r.submission(c.raw, c.to)
			if c.change != nil {
				c.change(&s)
			}
			if v := r.Decide(t.Context(), s); v.Rule != "usual" || len(r.rules.asked) != 1 {
				t.Errorf("%+v", v)
			}
			r.wantRecall()
		})
	}
	if all := r.letters(); len(all) > 0 {
		t.Errorf("letters %q", all)
	}
}

// TestNetworksThatAreTrustedToAsk switches on that a client of a configured network is believed without a login.
func TestNetworksThatAreTrustedToAsk(t *testing.T) {
	r := newAskRig(t)
	id := r.sent(time.Hour, "<1@corp.test>", "Figures", nil, "bob@corp.test")
	cfg := DefaultConfig()
	cfg.Recall.ServiceAddress, cfg.Recall.TrustNetworks = string(recallService), true
	r.Reload(askTermsOf(&cfg))
	stranger := r.submission("Subject: RECALL\nMessage-ID: <a@client>\n\n", recallService)
	stranger.Envelope.Login, stranger.Trusted = "", false
	if v := r.Decide(t.Context(), stranger); v.Rule != "usual" {
		t.Errorf("a stranger: %+v", v)
	}
	r.wantRecall()
	smarthost := r.submission("Subject: RECALL\nMessage-ID: <b@client>\n\n", recallService)
	smarthost.Envelope.Login = ""
	if v := r.Decide(t.Context(), smarthost); v.Action != policy.Discard {
		t.Errorf("a smarthost: %+v", v)
	}
	r.wantRecall(id)
}

func TestInstructionsAreForTheServiceAlone(t *testing.T) {
	r := newAskRig(t)
	v := r.Decide(t.Context(), r.submission("Subject: RECALL\n\n", recallService, "bob@corp.test"))
	if v.Action != policy.Reject || v.Code != 550 || v.Status != "5.7.1" ||
		v.Text.EN != "a mail to recall@gate.corp.test is an instruction for the gateway: write to this address alone" {
		t.Errorf("%+v", v)
	}
}

func TestAutomaticMailIsNotAnswered(t *testing.T) {
	r := newAskRig(t)
	r.sent(time.Hour, "<1@corp.test>", "Figures", nil, "bob@corp.test")
	v := r.Decide(t.Context(), r.submission("Subject: RECALL\nAuto-Submitted: auto-replied\n\n", recallService))
	if v.Action != policy.Discard || v.Reason != "automatic mail to the address of recalls" || len(r.letters()) > 0 {
		t.Errorf("%+v", v)
	}
	r.wantRecall()
}

func TestWithoutAMailboxNobodyIsAnswered(t *testing.T) {
	r := newAskRig(t)
	id := r.sent(time.Hour, "<1@corp.test>", "Figures", nil, "bob@corp.test")
	r.to = ""
	if v := r.Decide(t.Context(), r.submission("Subject: RECALL\n\n", recallService)); v.Action != policy.Discard || len(r.letters()) > 0 {
		t.Errorf("%+v", v)
	}
	r.wantRecall(id)
}

// Thread-Indexes of two conversations.
const (
	aThread     = "AQHasB1YwswUtbqpFk2NoxnxfHhDhA=="
	anAnswer    = "AQHasB1YwswUtbqpFk2NoxnxfHhDhIABAgME" // of the first
	otherThread = "AQHXMQ7aSz8lKD5TmUWy6Q95IE1VKQ=="
)

func TestOutlooksRequests(t *testing.T) {
	const certain = "Subject: Recall: Figures\nX-CallingTelephoneNumber: IPM.Note\n\n"
	const byThread = "Subject: Recall: Figures\nThread-Index: " + anAnswer + "\n\n"
	for outcome, c := range map[string]struct {
		raw      string
		messages map[string][]policy.Address // Message-IDs of those called Figures, and to whom they went
		threads  map[string]string           // their Thread-Indexes
		want     string                      // the one that is recalled
		letter   string                      // else what the sender is told
	}{
		"certain, one such message":        {certain, map[string][]policy.Address{"<1@c>": {"bob@corp.test"}}, nil, "<1@c>", ""},
		"certain, the same recipients":     {certain, map[string][]policy.Address{"<1@c>": {"eve@corp.test"}, "<2@c>": {"eve@corp.test", "bob@corp.test"}}, nil, "<2@c>", ""},
		"certain, the same conversation":   {strings.Replace(certain, "X-", "Thread-Index: "+anAnswer+"\nX-", 1), map[string][]policy.Address{"<1@c>": {"bob@corp.test"}, "<2@c>": {"bob@corp.test"}}, map[string]string{"<1@c>": aThread, "<2@c>": otherThread}, "<1@c>", ""},
		"certain, but several":             {certain, map[string][]policy.Address{"<1@c>": {"bob@corp.test"}, "<2@c>": {"bob@corp.test"}}, nil, "", "Several messages of yours have this subject: it is not certain which one is meant."},
		"by its conversation":              {byThread, map[string][]policy.Address{"<1@c>": {"bob@corp.test"}}, map[string]string{"<1@c>": aThread}, "<1@c>", ""},
		"another conversation":             {byThread, map[string][]policy.Address{"<1@c>": {"bob@corp.test"}}, map[string]string{"<1@c>": otherThread}, "", ""},
		"a conversation that is not known": {byThread, map[string][]policy.Address{"<1@c>": {"bob@corp.test"}}, nil, "", ""},
	} {
		t.Run(outcome, func(t *testing.T) {
			r := newAskRig(t)
			r.sent(30*time.Hour, "<old@c>", "Figures", nil, "bob@corp.test")
			r.sent(time.Hour, "<more@c>", "More Figures", nil, "bob@corp.test")
			var want policy.ID
			for id, to := range c.messages {
				m := r.sent(time.Hour, id, "Figures", nil, to...)
				r.threads.note(m, []string{c.threads[id]})
				if id == c.want {
					want = m
				}
			}
			v := r.Decide(t.Context(), r.submission(c.raw, "bob@corp.test"))
			switch {
			case c.want != "":
				r.wantRecall(want)
				r.wantLetter("Your message is being taken back", "Subject: Figures")
				if v.Action != policy.Discard || r.starter.requests[0].Reason != "asked for by Outlook's recall" || r.starter.requests[0].Query != "Outlook: Figures" {
					t.Errorf("%+v, %+v", v, r.starter.requests[0])
				}
			case c.letter != "":
				r.wantRecall()
				r.wantLetter(c.letter)
				if v.Action != policy.Discard {
					t.Errorf("%+v", v)
				}
			default:
				r.wantRecall()
				if v.Rule != "usual" {
					t.Errorf("%+v", v)
				}
			}
		})
	}
}

func TestOutlooksRequestsGoOutWhereRecallsAreOff(t *testing.T) {
	r := newAskRig(t)
	r.sent(time.Hour, "<1@corp.test>", "Figures", nil, "bob@corp.test")
	r.starter.fail = &policy.RecallRefusal{Code: policy.RefusedDisabled}
	v := r.Decide(t.Context(), r.submission("Subject: Recall: Figures\nX-CallingTelephoneNumber: IPM.Note\n\n", "bob@corp.test"))
	if v.Rule != "usual" || len(r.letters()) > 0 {
		t.Errorf("%+v", v)
	}
}

func TestAnotherServiceAddress(t *testing.T) {
	r := newAskRig(t)
	r.Reload(askTerms{})
	if v := r.Decide(t.Context(), r.submission("Subject: RECALL\n\n", recallService)); v.Rule != "usual" {
		t.Errorf("%+v", v)
	}
	r.Reload(askTerms{service: "back@corp.test"})
	if v := r.Decide(t.Context(), r.submission("Subject: RECALL\n\n", "back@corp.test")); v.Action != policy.Discard {
		t.Errorf("%+v", v)
	}
}

func TestTheThreadIndexIsNotedAndRead(t *testing.T) {
	r := newAskRig(t)
	s := r.submission("Subject: Figures\nThread-Index: "+aThread+"\n\nx\n", "bob@corp.test")
	if v := r.Decide(t.Context(), s); v.Rule != "usual" {
		t.Fatalf("%+v", v)
	}
	e := *s.Envelope
	body := r.store.NewBody(s.ID)
	if _, err := body.Write(r.head); err != nil {
		t.Fatal(err)
	}
	commit(t, r.store, store.Change{Message: s.ID, Envelope: &e, Body: body, Events: []policy.Event{{Kind: policy.Accepted, Time: e.Received}}})
	for name, th := range map[string]*threads{"noted": r.threads, "after a restart": newThreads(r.store)} {
		if got := th.of(s.ID); len(got) != 22 {
			t.Errorf("%s: %x", name, got)
		}
	}
	if got := r.threads.of(r.store.NewID()); got != nil {
		t.Errorf("of a message that is not there: %x", got)
	}
}

func TestOldThreadIndexesAreForgotten(t *testing.T) {
	th := newThreads(noBodies{})
	for i := range maxThreads + 2 {
		th.note(policy.ID{byte(i >> 16), byte(i >> 8), byte(i)}, []string{aThread})
	}
	th.note(policy.ID{0, 0, 5}, []string{otherThread}) // known already
	if len(th.index) != maxThreads || len(th.order) != maxThreads || th.of(policy.ID{0, 0, 1}) != nil || th.of(policy.ID{0, 0, 2}) == nil {
		t.Errorf("%d are remembered", len(th.index))
	}
	if got := th.of(policy.ID{0, 0, 5}); got[1] != 1 || got[3] == 0xb0 {
		t.Errorf("%x", got)
	}
}

type noBodies struct{}

func (noBodies) Body(policy.ID) (io.ReadCloser, error) { return nil, errors.New("not kept") }

// TestTheRecallOfAnotherIsNotShown: the page of an administrator's recall shows others' mail, too.
func TestTheRecallOfAnotherIsNotShown(t *testing.T) {
	for outcome, who := range map[string]policy.RecallRequester{
		"an administrator": {Actor: "api:root", Role: "admin", Identity: "alice@corp.test"},
		"another user":     {Actor: "api:bob", Role: "user", Identity: "bob@corp.test"},
	} {
		t.Run(outcome, func(t *testing.T) {
			r := newAskRig(t)
			r.sent(time.Hour, "<1@corp.test>", "Figures", nil, "bob@corp.test")
			r.starter.fail, r.starter.existing = &policy.RecallRefusal{Code: policy.RefusedInProgress, Existing: policy.ID{7}}, who
			r.Decide(t.Context(), r.submission("Subject: RECALL\n\n", recallService))
			r.wantLetter("Your message is being taken back")
			if l := r.letters()[0]; strings.Contains(l, "/s/") || strings.Contains(l, policy.ID{7}.String()) {
				t.Errorf("%s", l)
			}
		})
	}
}
