package web

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// auditPageSize is how many entries a page has.
const auditPageSize = 50

// auditData is what the page of the audit log shows.
type auditData struct {
	Filter  auditFilter
	Acts    []actChoice
	Entries []auditRow
	Older   string        // address of the next page, empty on the last
	Newest  bool          // this is the first page
	Verify  string        // address that has the log verified
	Verdict *AuditVerdict // nil when nobody asked
	People  bool          // who looks may export and erase persons
}

// auditFilter is what the form of the filters has, as it was typed.
type auditFilter struct{ Actor, Act, Object, From, To string }

func (f *auditFilter) any() bool { return *f != auditFilter{} }

// An actChoice is an act that the list can be narrowed to.
type actChoice struct {
	Act   string
	Label policy.Label
}

// An auditRow is an entry with where its object is shown.
type auditRow struct {
	AuditEntry
	Link string      // of what it was done to; empty for nowhere
	Kind string      // class of the act's tag
	Said []saidValue // its parameters in words; none in an entry of an earlier version
}

func (s *Server) auditPages(mux *http.ServeMux) {
	mux.Handle("GET /audit", s.page("audit", s.auditPage))
	mux.Handle("GET /audit/person", s.page("audit_person", s.personPage))
	mux.Handle("POST /audit/person/erase", s.act(s.erasePersonPage))
}

func (s *Server) auditPage(v *visit) (any, error) {
	f := auditFilter{v.form("actor"), v.form("act"), v.form("object"), v.form("from"), v.form("to")}
	in := &listAuditInput{Actor: f.Actor, Act: f.Act, Object: f.Object, Limit: auditPageSize}
	var err error
	if in.From, err = dayOf(f.From, false); err != nil {
		return nil, err
	}
	if in.To, err = dayOf(f.To, true); err != nil {
		return nil, err
	}
	in.Before, _ = strconv.ParseUint(v.form("before"), 10, 64) // what is no number begins with the newest
	list, err := call[listAuditInput, listAuditOutput](s, v, "list-audit", in)
	if err != nil {
		return nil, err
	}
	who := principalOf(v.session)
	d := &auditData{Filter: f, Acts: actChoices(), Newest: in.Before == 0, Verify: f.address("verify", "1"), People: who.allowed(access["erase-person"])}
	for i := range list.Body.Entries {
		e := &list.Body.Entries[i]
		d.Entries = append(d.Entries, auditRow{*e, auditLink(e), auditKind(e.Act), s.saidValues(v.lang, e)})
	}
	if list.Body.Next > 0 {
		d.Older = f.address("before", strconv.FormatUint(list.Body.Next, 10))
	}
	if v.form("verify") != "" {
		verdict, err := call[struct{}, verifyAuditOutput](s, v, "verify-audit", &struct{}{})
		if err != nil {
			return nil, err
		}
		d.Verdict = &verdict.Body
	}
	return d, nil
}

// Filtered reports whether a filter is set.
func (d *auditData) Filtered() bool { return d.Filter.any() }

// address is that of the page with these filters and one thing more.
func (f *auditFilter) address(name, value string) string {
	q := url.Values{}
	for k, v := range map[string]string{"actor": f.Actor, "act": f.Act, "object": f.Object, "from": f.From, "to": f.To, name: value} {
		if v != "" {
			q.Set(k, v)
		}
	}
	return "/audit?" + q.Encode()
}

var errDay = problem(http.StatusUnprocessableEntity, "invalid_time", "write a day as 2026-11-21")

// dayOf reads what a field for a day has; the end of a span is the end of its day, in UTC.
func dayOf(text string, end bool) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return t, errDay
	}
	if end {
		t = t.AddDate(0, 0, 1)
	}
	return t, nil
}

// actChoices lists the acts that have words, in the order of these.
func actChoices() []actChoice {
	var list []actChoice
	for _, act := range slices.Collect(maps.Keys(acts)) {
		list = append(list, actChoice{act, acts[act]})
	}
	slices.SortFunc(list, func(a, b actChoice) int { return cmp.Compare(a.Label.EN, b.Label.EN) })
	return list
}

// auditLink is where the object of an entry is shown.
func auditLink(e *AuditEntry) string {
	switch e.Act {
	case "release", "hold", "cancel", "resend", "approve", "view_source":
		return "/messages/" + url.PathEscape(e.Object)
	case "boost", "override", "revoke", "reset", "suspend", "unsuspend":
		return "/senders/" + url.PathEscape(e.Object)
	}
	if _, err := policy.ParseID(e.Object); err != nil {
		return ""
	}
	switch {
	case strings.HasPrefix(e.Act, "recall"):
		return "/recalls/" + e.Object
	case strings.HasPrefix(e.Act, "campaign_"):
		return "/campaigns/" + e.Object
	}
	return ""
}

// auditKind is the class of an act's tag: what was refused, what reaches far, and everything else.
func auditKind(act string) string {
	switch act {
	case actRefused, actSignInFailed:
		return "bad"
	case "erase_person", "export_person", "view_source", "suspend", "campaign_cancel", "remove_user":
		return "warn"
	case "recall", "recall_approve", "recall_cancel", "recall_restore", "cancel", "cancel_batch":
		return "recalled"
	case "release", "approve", "approve_batch", "campaign_approve", "unsuspend":
		return "good"
	}
	return ""
}

// personData is what the page about a person's data shows.
type personData struct {
	Person  string
	Summary *PersonSummary // nil when nobody is named
	Export  string
	Count   string   // address of this page with a dry run
	Plan    *Erasure // what erasing would come to, when that was asked for
}

func (s *Server) personPage(v *visit) (any, error) {
	d := &personData{Person: v.form("person")}
	if err := s.allow(v.ctx, "find-person"); err != nil {
		return nil, err
	}
	if d.Person == "" {
		return d, nil
	}
	out, err := call[personInput, findPersonOutput](s, v, "find-person", &personInput{d.Person})
	if err != nil {
		return nil, err
	}
	d.Summary, d.Export = &out.Body, apiPath+"/people/"+url.PathEscape(d.Person)+"/export"
	d.Count = linkTo("/audit/person", "person", d.Person, "count", "1")
	if v.form("count") != "" {
		in := &erasePersonInput{Person: d.Person, Body: EraseRequest{DryRun: true}}
		plan, err := call[erasePersonInput, erasePersonOutput](s, v, "erase-person", in)
		if err != nil {
			return nil, err
		}
		d.Plan = plan.Body
	}
	return d, nil
}

var errConfirm = problem(http.StatusUnprocessableEntity, "invalid_request", "type the person's name to confirm: nothing was erased")

// erasePersonPage wants the name typed once more: what is erased does not come back.
func (s *Server) erasePersonPage(v *visit) (to, said string, err error) {
	person := v.form("person")
	to = "/audit/person?person=" + url.QueryEscape(person)
	if person == "" || v.form("confirm") != person {
		return to, "", errConfirm
	}
	in := &erasePersonInput{Person: person, Body: EraseRequest{Reason: v.form("reason")}}
	out, err := call[erasePersonInput, erasePersonOutput](s, v, "erase-person", in)
	if err != nil {
		return to, "", err
	}
	return to, out.Body.Text.In(v.lang), nil
}
