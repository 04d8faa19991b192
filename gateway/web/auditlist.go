package web

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// An AuditEntry is something that somebody did to sendgate.
type AuditEntry struct {
	Number     uint64           `json:"number" doc:"from 1, without gaps"`
	Time       time.Time        `json:"time"`
	Act        string           `json:"act" example:"recall"`
	Label      policy.Label     `json:"label" doc:"the act in words"`
	Actor      string           `json:"actor" doc:"who: user:NAME, api:NAME, socket:uid N; empty in an entry that was erased"`
	Object     string           `json:"object,omitempty" doc:"to what: an id, an identity, the name of an operation"`
	Detail     string           `json:"detail,omitempty" doc:"the parameters in one line; in an entry of an earlier version a text"`
	Parameters []AuditParameter `json:"parameters,omitempty" doc:"what the act was done with; absent in an entry of an earlier version"`
	Erased     bool             `json:"erased,omitempty" doc:"whom it named was taken out; the entry still is a link of the chain"`
	Hash       string           `json:"hash" doc:"covers this entry and, by the hash of the one before, all before it"`
}

// An AuditList is one page of the audit log, newest first.
type AuditList struct {
	Entries []AuditEntry `json:"entries" nullable:"false"`
	Next    uint64       `json:"next,omitempty" doc:"before of the next page; absent on the last"`
}

type listAuditInput struct {
	Actor  string    `query:"actor" maxLength:"320" doc:"a part of who did it"`
	Act    string    `query:"act" maxLength:"100" doc:"the act, such as recall"`
	Object string    `query:"object" maxLength:"1000" doc:"a part of what it was done to"`
	From   time.Time `query:"from"`
	To     time.Time `query:"to"`
	Before uint64    `query:"before" doc:"next of the page before"`
	Limit  int       `query:"limit" minimum:"1" maximum:"1000" default:"50"`
}

type listAuditOutput struct{ Body AuditList }

func (s *Server) listAudit(_ context.Context, in *listAuditInput) (*listAuditOutput, error) {
	entries, err := s.journal.AuditLog(in.Before, min(in.Limit+1, store.MaxPage), in.keep)
	if err != nil {
		return nil, s.fail("read the audit log", err)
	}
	out := &listAuditOutput{AuditList{Entries: []AuditEntry{}}}
	for i := range entries {
		if i == in.Limit {
			out.Body.Next = entries[i-1].Number
			break
		}
		out.Body.Entries = append(out.Body.Entries, auditView(&entries[i]))
	}
	if in.Limit == store.MaxPage && len(entries) == store.MaxPage {
		out.Body.Next = entries[len(entries)-1].Number // one more cannot be asked for
	}
	return out, nil
}

// keep reports whether the filters let an entry through.
func (in *listAuditInput) keep(e *store.AuditEntry) bool {
	return (in.Act == "" || e.Act == in.Act) && containsFold(e.Actor, in.Actor) && containsFold(e.Object, in.Object) &&
		(in.From.IsZero() || !e.Time.Before(in.From)) && (in.To.IsZero() || e.Time.Before(in.To))
}

func containsFold(text, part string) bool {
	return part == "" || strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

func auditView(e *store.AuditEntry) AuditEntry {
	parameters := parametersOf(e.Detail)
	return AuditEntry{
		Number: e.Number, Time: e.Time.UTC(), Act: e.Act, Label: actLabel(e.Act), Actor: e.Actor, Object: e.Object,
		Detail: detailText(e.Detail, parameters), Parameters: parameters,
		Erased: e.Erased(), Hash: hex.EncodeToString(e.Hash[:]),
	}
}

// An AuditVerdict says whether the audit log is whole.
type AuditVerdict struct {
	Whole   bool   `json:"whole" doc:"every entry follows the one before it, and none was changed"`
	Entries uint64 `json:"entries" doc:"how many were looked at"`
	Fault   string `json:"fault,omitempty" doc:"the first entry that does not hold"`
	Last    uint64 `json:"last,omitempty" doc:"number of the newest entry"`
	Hash    string `json:"hash,omitempty" doc:"of the newest entry: kept elsewhere, it shows later whether the log was replaced as a whole"`
}

type verifyAuditOutput struct{ Body AuditVerdict }

func (s *Server) verifyAudit(ctx context.Context, _ *struct{}) (*verifyAuditOutput, error) {
	newest, err := s.journal.AuditLog(0, 1, nil)
	out := &verifyAuditOutput{AuditVerdict{Whole: true}}
	if err == nil {
		out.Body.Entries, err = s.journal.VerifyAudit()
	}
	switch {
	case errors.Is(err, store.ErrAudit):
		s.log.Error("the audit log is broken", zap.String("actor", actor(ctx)), zap.Error(err))
		out.Body.Whole, out.Body.Fault = false, err.Error()
	case err != nil:
		return nil, s.fail("verify the audit log", err)
	}
	if len(newest) > 0 {
		out.Body.Last, out.Body.Hash = newest[0].Number, hex.EncodeToString(newest[0].Hash[:])
	}
	return out, nil
}

// registerAudit adds the operations about the audit log and about the data of a person.
func (s *Server) registerAudit(api huma.API, op operations) {
	publish(s, api, op.get("list-audit", "/audit", "What people and programs did to sendgate, newest first"), s.listAudit)
	publish(s, api, op.get("verify-audit", "/audit/verify", "Whether the audit log is whole"), s.verifyAudit)
	publish(s, api, op.get("find-person", "/people/{person}", "How much there is about a person"), s.findPerson)
	export := op.get("export-person", "/people/{person}/export", "Everything there is about a person")
	export.Description = "Lines of JSON, each with a kind: sent (a message with its recipients and its timeline), received (a message " +
		"with what is about this recipient), audit, and at last end, with how many there were of each."
	export.Responses["200"] = &huma.Response{Description: "JSON lines", Content: map[string]*huma.MediaType{
		jsonLines: {Schema: schemaOf[PersonLine](op.registry)},
	}}
	publish(s, api, export, s.exportPerson)
	erase := op.post("erase-person", "/people/{person}/erase", "Take a person out of everything that sendgate keeps")
	erase.Description = "Messages that are over, sign-ins, recalls, suspensions and grants are rewritten in the journal; alerts, limits, baselines and " +
		"campaigns forget the person in memory and in what is kept of it. The audit log stays whole: the names are covered by salted digests, " +
		"of which salt and names go. The answer says what was erased where, what is left, and what cannot be reached. An account that is suspended is refused."
	publish(s, api, erase, s.erasePerson)
}

const jsonLines = "application/jsonl"

var errPerson = problem(http.StatusUnprocessableEntity, "invalid_person", "a person is an address or an identity, without spaces, quotes and control characters")
