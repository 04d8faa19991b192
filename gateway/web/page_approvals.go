package web

import (
	"net/http"
	"slices"
)

const (
	approvalsListed = 100
	// maxApproved bounds how many messages the API acts on at a time.
	maxApproved = 300
)

var errPickOne = problem(http.StatusUnprocessableEntity, "none_picked", "select at least one message")

// An approvalsPage is what the template is given.
type approvalsPage struct {
	offer
	Batches []Batch
	Batch   *Batch // the one that is looked at, nil for all
	Rows    []ApprovalRequest
	Next    string // cursor
	Later   bool   // not the first page
	More    bool   // not all that waits was looked at for batches
}

func (s *Server) approvalsPages(mux *http.ServeMux) {
	mux.Handle("GET /approvals", s.page("approvals", s.buildApprovals))
	mux.Handle("POST /approvals", s.act(s.actOnApprovals))
	mux.Handle("POST /approvals/{batch}", s.act(s.actOnPulledBack))
}

func (s *Server) buildApprovals(v *visit) (any, error) {
	batches, err := call[struct{}, listBatchesOutput](s, v, "list-batches", &struct{}{})
	if err != nil {
		return nil, err
	}
	p := &approvalsPage{offer: offerTo(v), Batches: batches.Body.Batches, More: batches.Body.More, Later: v.form("cursor") != ""}
	in := &listApprovalsInput{Limit: approvalsListed, Cursor: v.form("cursor"), Batch: v.form("batch"), Single: v.form("batch") == ""}
	if in.Batch != "" {
		i := slices.IndexFunc(p.Batches, func(b Batch) bool { return b.ID == in.Batch })
		if i < 0 {
			return nil, s.worded(v, "approvals", errNoBatch)
		}
		p.Batch = &p.Batches[i]
	}
	out, err := call[listApprovalsInput, listApprovalsOutput](s, v, "list-approvals", in)
	if err != nil {
		return nil, s.worded(v, "approvals", err)
	}
	p.Rows, p.Next = out.Body.Approvals, out.Body.Next
	return p, nil
}

// actOnApprovals approves or takes back what was selected.
func (s *Server) actOnApprovals(v *visit) (to, said string, err error) {
	verb := v.form("act") // reads the form
	ids := slices.Compact(slices.Sorted(slices.Values(v.r.PostForm["id"])))
	if len(ids) == 0 {
		return "", "", s.worded(v, "approvals", errPickOne)
	}
	reason, err := v.reason()
	if err != nil {
		return "", "", s.worded(v, "approvals", err)
	}
	ids = ids[:min(maxApproved, len(ids))]
	var out *batchOutput
	switch verb {
	case "approve":
		out, err = call[approveBatchInput, batchOutput](s, v, "approve-batch", &approveBatchInput{ApproveBatch{ids}})
	case "cancel":
		out, err = call[cancelBatchInput, batchOutput](s, v, "cancel-batch", &cancelBatchInput{CancelBatch{ids, BatchCancel{reason, v.form("bounce") != ""}}})
	default:
		err = errNoAct
	}
	return s.afterBatch(v, verb, out, err)
}

// actOnPulledBack approves or takes back all of a batch.
func (s *Server) actOnPulledBack(v *visit) (to, said string, err error) {
	verb, batch := v.form("act"), v.r.PathValue("batch")
	reason, err := v.reason()
	if err != nil {
		return "", "", s.worded(v, "approvals", err)
	}
	var out *batchOutput
	switch verb {
	case "approve":
		out, err = call[approvePulledBackInput, batchOutput](s, v, "approve-pulled-back", &approvePulledBackInput{batch})
	case "cancel":
		out, err = call[cancelPulledBackInput, batchOutput](s, v, "cancel-pulled-back", &cancelPulledBackInput{batch, BatchCancel{reason, v.form("bounce") != ""}})
	default:
		err = errNoAct
	}
	return s.afterBatch(v, verb, out, err)
}

// afterBatch says of how many messages it worked. What it did not work for is bad news, with the first reason.
func (s *Server) afterBatch(v *visit, verb string, out *batchOutput, err error) (to, said string, _ error) {
	if err != nil {
		return "", "", s.worded(v, "approvals", err)
	}
	done := s.said(v, "approvals.said."+verb, out.Body.Done)
	if v.form("bounce") != "" && verb == "cancel" {
		done += " " + s.said(v, "approvals.said.told", out.Body.Told)
	}
	if out.Body.Failed == 0 {
		return "/approvals", done, nil
	}
	i := slices.IndexFunc(out.Body.Results, func(r ActResult) bool { return !r.Done })
	first := out.Body.Results[i]
	why := s.worded(v, "approvals", problem(http.StatusConflict, first.Code, first.Detail))
	return "", "", problem(http.StatusConflict, "partial", done+" "+s.said(v, "approvals.said.failed", out.Body.Failed, refusedPage(why).Detail))
}
