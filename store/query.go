package store

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// A Query selects messages. Its parts are combined by "and"; the zero Query selects all.
type Query struct {
	clauses       []clause
	ids           []policy.ID // from id: with a whole ULID
	among         *fixedList  // see Among; nil: no bound
	after, before time.Time   // received in [after, before)
	identities    []string    // see OfIdentity; the mail is counted for each of them
}

// A clause is a disjunction of index terms; a term may stand for all terms that begin with it.
type clause []clauseTerm

type clauseTerm struct {
	kind   byte
	term   string
	prefix bool
}

// OfIdentity narrows a query to the mail that is counted for somebody; nothing is for the empty identity.
func (q Query) OfIdentity(identity string) Query {
	q.identities = append(slices.Clip(q.identities), identity)
	return q.and(clause{{kind: indexIdentity, term: term(strings.ToLower(identity))}})
}

// OfDomains narrows a query to the mail of senders in one of the domains.
func (q Query) OfDomains(domains []string) Query {
	var c clause
	for _, d := range domains {
		c = append(c, addressClause(indexSender, indexSenderDomain, "@"+d)...)
	}
	return q.and(c)
}

// Among narrows a query to some messages. It finds what is the same for each of them with one search.
func (q Query) Among(ids []policy.ID) Query {
	list := fixedList(slices.SortedFunc(slices.Values(ids), policy.ID.Compare))
	q.among = &list
	return q
}

func (q Query) and(c clause) Query {
	q.clauses = append(slices.Clip(q.clauses), c)
	return q
}

// queryHelp is part of every error, because the next question is always what would have been right.
const queryHelp = "use from: to: subject: identity: campaign: id: queue: state: before: after: or plain words of the subject"

// ParseQuery reads a query as people type it:
//
//	from:alice@corp.example from:alice from:@corp.example   the same for to:
//	subject:invoice subject:"会议 通知" invoice*               words of the subject; * for any ending
//	id:01J... id:<message-id@host> queue:4bX...              our id, a Message-ID, a queue id
//	identity:alice campaign:01K...                           whom it is counted for, a group of near-duplicates
//	state:held state:delivering state:投递中                  a state, or a label
//	after:2026-11-01 before:2026-11-21T10:00:00Z after:2h    a day, a time, or so long ago
//
// Its error is for the person who typed it. now is the moment that relative times count from.
func ParseQuery(q string, now time.Time) (Query, error) {
	var query Query
	fields, err := splitQuery(q)
	if err != nil {
		return query, err
	}
	for _, f := range fields {
		if err := query.add(f.name, f.value, now); err != nil {
			return Query{}, err
		}
	}
	return query, nil
}

func (q *Query) add(name, value string, now time.Time) error {
	if value == "" {
		return fmt.Errorf("%s: has no value; %s", name, queryHelp)
	}
	switch name {
	case "from":
		q.clauses = append(q.clauses, addressClause(indexSender, indexSenderDomain, value))
	case "to":
		q.clauses = append(q.clauses, addressClause(indexRecipient, indexRecipientDomain, value))
	case "subject", "":
		q.clauses = append(q.clauses, subjectClauses(value)...)
	case "id":
		return q.addID(value)
	case "queue":
		q.clauses = append(q.clauses, clause{{kind: indexQueueID, term: term(value)}})
	case "identity":
		*q = q.OfIdentity(value)
	case "campaign":
		return q.addCampaign(value)
	case "state":
		return q.addState(value)
	case "before", "after":
		t, err := parseWhen(value, now)
		if err != nil {
			return fmt.Errorf("%s:%s: %w", name, value, err)
		}
		if name == "before" {
			q.before = t
		} else {
			q.after = t
		}
	default:
		return fmt.Errorf("%s: is not a field of a query; %s", name, queryHelp)
	}
	return nil
}

func (q *Query) addState(value string) error {
	var c clause
	for _, s := range stateTerms(value) {
		c = append(c, clauseTerm{kind: indexState, term: string(s)})
	}
	if c == nil {
		return fmt.Errorf("state:%s: is not a state; use held, deferred, delivered_mailbox, relayed_remote, bounced, canceled, ... or delivering, mailbox, remote, failed, blocked, unknown, recalled", value)
	}
	q.clauses = append(q.clauses, c)
	return nil
}

func (q *Query) addID(value string) error {
	if strings.Contains(value, "@") || strings.HasPrefix(value, "<") {
		bare := strings.Trim(value, "<>")
		q.clauses = append(q.clauses, clause{
			{kind: indexMessageID, term: term("<" + bare + ">")}, {kind: indexMessageID, term: term(bare)},
		})
		return nil
	}
	id, err := policy.ParseID(value)
	if err != nil {
		return fmt.Errorf("id:%s: is neither one of our ids (26 letters and digits) nor a Message-ID (with an @)", value)
	}
	q.ids = append(q.ids, id)
	return nil
}

// addCampaign asks for the near-duplicates of a campaign. Its id is written in one way only, whatever was typed.
func (q *Query) addCampaign(value string) error {
	id, err := policy.ParseID(value)
	if err != nil {
		return fmt.Errorf("campaign:%s: is not the id of a campaign (26 letters and digits); \"sendgate campaigns\" lists them", value)
	}
	q.clauses = append(q.clauses, clause{{kind: indexCampaign, term: term(id.String())}})
	return nil
}

// addressClause matches a whole address, a domain (@corp.example), or a local part at any domain.
func addressClause(kind, domainKind byte, value string) clause {
	if domain, ok := strings.CutPrefix(value, "@"); ok {
		return clause{{kind: domainKind, term: term(policy.Address("x@" + domain).Domain())}}
	}
	if value == "<>" {
		return clause{{kind: kind, term: ""}}
	}
	value = strings.Trim(value, "<>")
	if !strings.Contains(value, "@") {
		return clause{{kind: kind, term: term(strings.ToLower(value) + "@"), prefix: true}}
	}
	return clause{{kind: kind, term: term(policy.Address(value).Key())}}
}

// subjectClauses asks for every word, and for every pair of a run of CJK characters, as far as
// words keeps them for a subject like this.
func subjectClauses(value string) (clauses []clause) {
	value, open := strings.CutSuffix(value, "*")
	kept := words(value)
	add := func(t string, prefix bool) {
		if i := slices.Index(kept, t); i >= 0 {
			kept = slices.Delete(kept, i, i+1)
			clauses = append(clauses, clause{{kind: indexWord, term: t, prefix: prefix}})
		}
	}
	last := ""
	eachRun(value, func(run []rune, cjk bool) {
		last = ""
		switch {
		case cjk && len(run) == 1:
			add(string(run), true)
		case cjk:
			for i := range len(run) - 1 {
				add(string(run[i:i+2]), false)
			}
		default:
			last = term(string(run))
			add(last, false)
		}
	})
	for i := range clauses {
		if open && clauses[i][0].term == last {
			clauses[i][0].prefix = true
		}
	}
	if clauses == nil { // only punctuation: nothing can match
		clauses = []clause{{}}
	}
	return clauses
}

// parseWhen reads a time, a day in UTC, or a duration before now ("2h", "7d").
func parseWhen(s string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if d, err := time.ParseDuration(days + "h"); err == nil && d > 0 && d < 1e5*time.Hour {
			return now.Add(-24 * d), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("is not a time; write 2026-11-21, 2026-11-21T10:00:00Z, 2h or 7d (so long ago)")
}

type queryField struct{ name, value string }

// splitQuery cuts a query at spaces outside of quotes and each part at its first colon.
func splitQuery(q string) (fields []queryField, err error) {
	for q = strings.TrimSpace(q); q != ""; q = strings.TrimSpace(q) {
		var f queryField
		if i := strings.IndexAny(q, ": \""); i > 0 && q[i] == ':' && isFieldName(q[:i]) {
			f.name, q = strings.ToLower(q[:i]), q[i+1:]
		}
		if strings.HasPrefix(q, `"`) {
			end := strings.IndexByte(q[1:], '"')
			if end < 0 {
				return nil, fmt.Errorf("a quote is not closed: %s", q)
			}
			f.value, q = q[1:1+end], q[2+end:]
		} else {
			end := strings.IndexFunc(q, isSpace)
			if end < 0 {
				end = len(q)
			}
			f.value, q = q[:end], q[end:]
		}
		if f.name == "" && f.value == "" {
			continue
		}
		fields = append(fields, f)
		if len(fields) > 32 {
			return nil, fmt.Errorf("the query has more than 32 parts")
		}
	}
	return fields, nil
}

func isFieldName(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') }) < 0
}

func isSpace(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == '\u3000' }
