package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/alert"
	"github.com/sendgate/sendgate/gateway/notify"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// reportRig is a recallReporter on a real store, in an organisation with alice, carol and an administrator.
type reportRig struct {
	*askRig
	reporter *recallReporter
	message  policy.ID
}

func newReportRig(t *testing.T) *reportRig {
	t.Helper()
	r := &reportRig{askRig: newAskRig(t)}
	directory, err := policy.NewDirectory([]policy.Identity{
		{Login: "alice@corp.test"}, {Login: "carol@corp.test"}, {Login: "root", Addresses: []string{"root@corp.test"}, Roles: []string{"admin"}},
		{Login: "app", Addresses: []string{"noreply@corp.test"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	links, err := notify.OpenLinks(r.store, func() string { return "https://mail.corp.test" }, func() time.Time { return r.now })
	if err != nil {
		t.Fatal(err)
	}
	r.reporter = &recallReporter{
		journal: r.store, mailer: notify.NewMailer("gate.corp.test", notify.DefaultConfig(), r.store, func() time.Time { return r.now }),
		people: func() alert.People { return alert.People{Directory: directory} }, links: links, now: func() time.Time { return r.now },
	}
	r.message = r.askRig.sent(time.Hour, "<1@corp.test>", "Secret plan", nil, "bob@corp.test", "hidden@corp.test")
	return r
}

// report is about the message, with a recipient for each code.
func (r *reportRig) report(change func(*policy.RecallReport), codes ...policy.RecallCode) *policy.RecallReport {
	rep := &policy.RecallReport{
		ID: policy.ID{8}, Requested: r.now.Add(-time.Minute), Ended: r.now, Overall: policy.RecallPartial,
		Request: policy.RecallRequest{
			Messages: []policy.ID{r.message}, Notify: policy.NotifyNone,
			Requester: policy.RecallRequester{Actor: "mail:alice@corp.test", Role: "user", Identity: "alice@corp.test"},
		},
		Groups: []policy.RecallGroup{{Message: r.message, Address: "all@corp.test", Counts: policy.RecallCounts{Fail: 2}, BlockedBy: 1, Blockers: []policy.Address{"reader@corp.test"}}},
	}
	for i, c := range codes {
		rep.Counts.Add(c)
		rep.Lines = append(rep.Lines, policy.RecallLine{Message: r.message, Index: i, Address: policy.Address(string(c) + "@corp.test"), Code: c, Text: c.Label()})
	}
	if change != nil {
		change(rep)
	}
	return rep
}

// tell reports, and gives the letters that there are then.
func (r *reportRig) tell(rep *policy.RecallReport) (policy.ID, []string) {
	r.t.Helper()
	id, err := r.reporter.Report(r.t.Context(), rep)
	if err != nil {
		r.t.Fatal(err)
	}
	return id, r.letters()
}

func receivers(letters []string) (all []string) {
	for _, l := range letters {
		to, _, _ := strings.Cut(l, "\n")
		all = append(all, strings.TrimPrefix(to, "To: "))
	}
	slices.Sort(all)
	return all
}

func TestWhoIsToldOfARecall(t *testing.T) {
	admin := func(rep *policy.RecallReport) {
		rep.Request.Requester = policy.RecallRequester{Actor: "api:root", Role: "admin", Identity: "root"}
	}
	for outcome, c := range map[string]struct {
		change func(*reportRig, *policy.RecallReport)
		want   []string
	}{
		"the sender who asked":             {func(*reportRig, *policy.RecallReport) {}, []string{"<alice@corp.test>"}},
		"an administrator, and the sender": {func(_ *reportRig, rep *policy.RecallReport) { admin(rep) }, []string{"<alice@corp.test>", "<root@corp.test>"}},
		"an operator, who is not told who has read it, and the sender": {func(_ *reportRig, rep *policy.RecallReport) {
			rep.Request.Requester = policy.RecallRequester{Actor: "api:carol", Role: "operator", Identity: "carol@corp.test"}
		}, []string{"<alice@corp.test>", "<carol@corp.test>"}},
		"the sender, when a program asked": {func(_ *reportRig, rep *policy.RecallReport) {
			rep.Request.Requester = policy.RecallRequester{Actor: "api:ci", Role: "operator"}
		}, []string{"<alice@corp.test>"}},
		"an administrator alone if refused": {func(_ *reportRig, rep *policy.RecallReport) { admin(rep); rep.Overall = policy.RecallRejected }, []string{"<root@corp.test>"}},
		"an administrator of their own mail": {func(r *reportRig, rep *policy.RecallReport) {
			admin(rep)
			rep.Request.Messages = []policy.ID{r.askRig.sent(time.Hour, "<r@c>", "x", func(e *policy.Envelope) { e.Sender, e.Identity = "root@corp.test", "root" }, "bob@corp.test")}
		}, []string{"<root@corp.test>"}},
		"an administrator, of several senders": {func(r *reportRig, rep *policy.RecallReport) {
			admin(rep)
			rep.Request.Messages = append(rep.Request.Messages, r.askRig.sent(time.Hour, "<r@c>", "x", func(e *policy.Envelope) { e.Sender, e.Identity = "carol@corp.test", "carol@corp.test" }, "bob@corp.test"))
		}, []string{"<alice@corp.test>", "<root@corp.test>"}[1:]},
		"nobody of the null sender's mail": {func(r *reportRig, rep *policy.RecallReport) {
			rep.Request.Requester = policy.RecallRequester{Role: "operator"}
			rep.Request.Messages = []policy.ID{r.askRig.sent(time.Hour, "<n@c>", "x", func(e *policy.Envelope) { e.Sender = "" }, "bob@corp.test")}
		}, nil},
		"nobody behind a program": {func(r *reportRig, rep *policy.RecallReport) {
			rep.Request.Requester = policy.RecallRequester{Role: "operator"}
			rep.Request.Messages = []policy.ID{r.askRig.sent(time.Hour, "<n@c>", "x", func(e *policy.Envelope) { e.Sender, e.Identity = "noreply@corp.test", "app" }, "bob@corp.test")}
		}, nil},
		"nobody of inbound mail": {func(r *reportRig, rep *policy.RecallReport) {
			rep.Request.Requester = policy.RecallRequester{Role: "operator"}
			rep.Request.Messages = []policy.ID{r.askRig.sent(time.Hour, "<n@c>", "x", func(e *policy.Envelope) { e.Direction = policy.Inbound }, "bob@corp.test")}
		}, nil},
		"nobody of a dry run":                   {func(_ *reportRig, rep *policy.RecallReport) { rep.DryRun = true }, nil},
		"who asked, when the message is pruned": {func(_ *reportRig, rep *policy.RecallReport) { rep.Request.Messages = []policy.ID{{5}} }, []string{"<alice@corp.test>"}},
	} {
		t.Run(outcome, func(t *testing.T) {
			r := newReportRig(t)
			rep := r.report(nil, policy.RemovedFromMailbox, policy.AlreadyRead)
			c.change(r, rep)
			id, letters := r.tell(rep)
			if got := receivers(letters); !slices.Equal(got, c.want) {
				t.Errorf("%q", got)
			}
			if (id == policy.ID{}) != (len(c.want) == 0) {
				t.Errorf("id %s", id)
			}
			for _, l := range letters {
				if strings.Contains(l, "reader@corp.test") != strings.HasPrefix(l, "To: <root@") && len(rep.Request.Messages) == 1 && rep.Request.Messages[0] == r.message {
					t.Errorf("who has read is told to the wrong person:\n%s", l)
				}
				if !strings.Contains(l, "https://mail.corp.test/s/") {
					t.Errorf("no link:\n%s", l)
				}
			}
		})
	}
}

func TestReportsAreWrittenOnceAndCorrected(t *testing.T) {
	r := newReportRig(t)
	rep := r.report(nil, policy.RemovedFromMailbox)
	first, _ := r.tell(rep)
	again, letters := r.tell(rep)
	if first != again || len(letters) != 1 || !strings.Contains(letters[0], "Subject: [撤回报告] / [Recall report] 已撤回 1/1 / 1 of 1 taken back: Secret plan") {
		t.Errorf("%s, %s, %q", first, again, letters)
	}
	corrected := r.report(func(rep *policy.RecallReport) { rep.Corrected = true }, policy.DeliveredBeforeRecall)
	second, letters := r.tell(corrected)
	if second == first || len(letters) != 2 {
		t.Fatalf("%s, %q", second, letters)
	}
	if text := r.letter(second); !strings.Contains(text, "An earlier report was wrong") || !strings.Contains(text, "[撤回报告（更正）]") {
		t.Errorf("%s", text)
	}
	if _, letters := r.tell(corrected); len(letters) != 2 {
		t.Errorf("%q", letters)
	}
	if _, letters := r.tell(r.report(func(rep *policy.RecallReport) { rep.Corrected = true }, policy.AlreadyRead)); len(letters) != 3 {
		t.Errorf("%q", letters)
	}
}

func TestLettersToRecipients(t *testing.T) {
	codes := []policy.RecallCode{
		policy.RemovedFromMailbox, policy.RemovedFromHold, policy.NeverDelivered, policy.AlreadyRead, policy.Forwarded, policy.ExternalRecipient,
		policy.RecipientOptOut, policy.InvalidAddress, policy.RecallUnknown,
	}
	const placeholder, disregard, corrected = "A message was taken back by its sender", "The sender takes a message back", "The sender has corrected a message"
	for outcome, c := range map[string]struct {
		change func(*reportRig, *policy.RecallReport)
		want   map[policy.RecallCode]string
	}{
		"none by default": {func(*reportRig, *policy.RecallReport) {}, nil},
		"who has read it": {func(_ *reportRig, rep *policy.RecallReport) { rep.Request.Notify = policy.NotifyRead }, map[policy.RecallCode]string{policy.AlreadyRead: disregard, policy.Forwarded: disregard}},
		"all": {func(_ *reportRig, rep *policy.RecallReport) { rep.Request.Notify = policy.NotifyAll }, map[policy.RecallCode]string{
			policy.AlreadyRead: disregard, policy.Forwarded: disregard, policy.ExternalRecipient: disregard, policy.RemovedFromMailbox: placeholder,
		}},
		"who goes by a wrong message": {func(r *reportRig, rep *policy.RecallReport) {
			rep.Request.Correction = r.askRig.sent(0, "<2@c>", "The right plan", nil, "bob@corp.test")
		}, map[policy.RecallCode]string{
			policy.AlreadyRead: corrected, policy.Forwarded: corrected, policy.ExternalRecipient: corrected,
		}},
		"all, with a correction": {func(r *reportRig, rep *policy.RecallReport) {
			rep.Request.Notify, rep.Request.Correction = policy.NotifyAll, r.askRig.sent(0, "<2@c>", "The right plan", nil, "bob@corp.test")
		}, map[policy.RecallCode]string{
			policy.AlreadyRead: corrected, policy.Forwarded: corrected, policy.ExternalRecipient: corrected, policy.RemovedFromMailbox: placeholder,
		}},
		"none of a recall that nobody approved": {func(_ *reportRig, rep *policy.RecallReport) {
			rep.Request.Notify, rep.Overall = policy.NotifyAll, policy.RecallRejected
		}, nil},
	} {
		t.Run(outcome, func(t *testing.T) {
			r := newReportRig(t)
			rep := r.report(nil, codes...)
			c.change(r, rep)
			rep.Lines = append(rep.Lines, // a robot, and a copy to the sender
				policy.RecallLine{Message: r.message, Address: "no-reply@corp.test", Code: policy.AlreadyRead},
				policy.RecallLine{Message: r.message, Address: "alice@corp.test", Code: policy.AlreadyRead})
			r.tell(rep)
			_, letters := r.tell(rep)
			got := map[policy.RecallCode]string{}
			for _, l := range letters {
				if strings.Contains(l, "Recall report") {
					continue
				}
				to, title, _ := strings.Cut(l, "\nSubject: [sendgate] ")
				title, _, _ = strings.Cut(title, "\n")
				_, title, _ = strings.Cut(title, " / ")
				code := policy.RecallCode(strings.TrimSuffix(strings.TrimPrefix(to, "To: <"), "@corp.test>"))
				got[code] = title
				if title == placeholder == strings.Contains(l, "Secret plan") || title == corrected && !strings.Contains(l, "The right plan") {
					t.Errorf("%s", l)
				}
				for _, other := range append(codes, "hidden") {
					if other != code && strings.Contains(l, string(other)+"@corp.test") {
						t.Errorf("%s is told of %s", code, other)
					}
				}
			}
			if len(got) != len(c.want) {
				t.Errorf("letters %v, want %v", got, c.want)
			}
			for code, title := range c.want {
				if got[code] != title {
					t.Errorf("%s: %q, want %q", code, got[code], title)
				}
			}
		})
	}
}

// deafJournal cannot be read.
type deafJournal struct{}

func (deafJournal) Message(policy.ID) (m store.Message, err error) { return m, errors.New("no disk") }

// fullJournal takes nothing.
type fullJournal struct{ *store.Store }

func (fullJournal) Commit(context.Context, store.Change) (uint64, error) { return 0, store.ErrFull }

func TestAReportThatCannotBeWrittenIsSaid(t *testing.T) {
	r := newReportRig(t)
	rep := r.report(nil, policy.AlreadyRead)
	r.reporter.journal = deafJournal{}
	if _, err := r.reporter.Report(t.Context(), rep); err == nil || err.Error() != "report recall: no disk" {
		t.Errorf("%v", err)
	}
	r.reporter.journal = r.store
	rep.Request.Notify = policy.NotifyRead
	r.reporter.mailer = notify.NewMailer("gate.corp.test", notify.DefaultConfig(), fullJournal{r.store}, time.Now)
	_, err := r.reporter.Report(t.Context(), rep)
	if want := "report recall: commit notice: the disk is nearly full\ntell a recipient of a recall: commit notice: the disk is nearly full"; !errors.Is(err, store.ErrFull) || err.Error() != want {
		t.Errorf("%v", err)
	}
}

func TestTheGatewaysOwnAskingAndReports(t *testing.T) {
	directory, err := policy.NewDirectory([]policy.Identity{{Login: "alice@corp.test"}, {Login: "noreply@corp.test"}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Recall.ServiceAddress, cfg.Recall.StatusURL = "recall@gate.corp.test", "https://mail.corp.test"
	g := &Gateway{store: openStore(t), log: zap.NewNop(), recalls: &recalls{}, config: cfg}
	g.recalls.Reload(&cfg, directory)
	reports, err := g.openReports(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	token, ok := strings.CutPrefix(reports.links.URL(policy.ID{1}), "https://mail.corp.test/s/")
	if id, _, valid := (statusJournal{g.store, reports.links}).Verify(token); !ok || !valid || id != (policy.ID{1}) {
		t.Errorf("link %q", token)
	}
	a := g.openAsking(&cfg, reports, nil)
	if a.terms.Load().service != recallService {
		t.Errorf("service address %s", a.terms.Load().service)
	}
	for sender, want := range map[policy.Address]policy.Address{"alice@corp.test": "alice@corp.test", "noreply@corp.test": "", "eve@world.test": ""} {
		e := envelope("bob@corp.test")
		e.Sender, e.Identity = sender, string(sender)
		if got := a.Mailbox(&e); got != want {
			t.Errorf("%s is answered at %q", sender, got)
		}
	}
	if err := a.Mail(t.Context(), "zh-CN", policy.ID{2}, "alice@corp.test", (&notify.Recalled{}).Placeholder()); err != nil {
		t.Fatal(err)
	}
	if text := letterText(t, g.store, policy.ID{2}); strings.Contains(text, "taken back") || !strings.Contains(text, "发件人已撤回一封邮件") {
		t.Errorf("%s", text)
	}
	cfg.Recall.ServiceAddress = ""
	if s := serviceAddress(&cfg); s != "" {
		t.Errorf("service address %q", s)
	}
}

func TestIDsOfLetters(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	a := letterID(at, "report", "x")
	if a != letterID(at, "report", "x") || a == letterID(at, "repor", "tx") || a == letterID(at.Add(time.Second), "report", "x") || a.Timestamp().UTC() != at {
		t.Errorf("%s", a)
	}
	if z := letterID(time.Time{}, "report"); z.Time() != 0 || z == (policy.ID{}) {
		t.Errorf("%s", z)
	}
}

// TestRecipientsAreWrittenToOnce: a corrected result tells nobody the same twice.
func TestRecipientsAreWrittenToOnce(t *testing.T) {
	r := newReportRig(t)
	all := func(rep *policy.RecallReport) { rep.Request.Notify = policy.NotifyAll }
	_, before := r.tell(r.report(all, policy.AlreadyRead))
	later := r.report(all, policy.AlreadyRead)
	later.Corrected, later.Ended = true, later.Ended.Add(time.Hour)
	if _, after := r.tell(later); len(after) != len(before)+1 { // the corrected report
		t.Errorf("%q", after[len(before):])
	}
	other := r.report(all, policy.RemovedFromMailbox)
	other.Lines[0].Address = "already_read@corp.test"
	if _, after := r.tell(other); len(after) != len(before)+2 { // it could be taken, after all
		t.Errorf("%d letters", len(after))
	}
}
