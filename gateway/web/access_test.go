package web

import (
	"context"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/web/signin"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/policy/similar"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// matrix says who may use which operation: A an administrator, O an operator, L an auditor (looks), U a mail user, D an administrator and d
// an auditor of the domain corp.example. A new operation needs a row.
var matrix = map[string]string{
	"list-messages": "AOLUDd", "get-message": "AOLUDd", "explain-message": "AOLUDd", "view-source": "A",
	"stats": "AOLDd", "overview": "AOLDd", "tracking": "AOLDd", "events": "AOLDd", "import-log": "A",
	"release-message": "AOUD", "hold-message": "AOUD", "cancel-message": "AOUD", "resend-message": "AOUD",

	"list-recalls": "AOLUDd", "get-recall": "AOLUDd", "recall-events": "AOLUDd", "recall-stats": "AOL",
	"recall": "AOUD", "cancel-recall": "AOUD", "approve-recall": "AD", "restore-recall": "AOD",

	"list-approvals": "AOLDd", "list-batches": "AOLDd", "approve-message": "AOD", "approve-batch": "AOD", "cancel-batch": "AOD",
	"approve-pulled-back": "AOD", "cancel-pulled-back": "AOD",

	"list-limits": "AOLDd", "list-senders": "AOLDd", "get-sender": "AOLDd", "sender-sign-ins": "AOLDd", "my-sign-ins": "U", "my-limits": "U", "rules": "AOLDd", "test-rules": "AOL",
	"boost-sender": "AOD", "override-sender": "AOD", "revoke-sender": "AOD", "reset-sender": "AOD",
	"suspend-sender": "AOD", "unsuspend-sender": "AOD",

	"list-alerts": "AOLDd", "acknowledge-alert": "AOD",
	"list-campaigns": "AOLDd", "get-campaign": "AOLDd", "approve-campaign": "AOD", "cancel-campaign": "AOD",
	"slow-campaign": "AOD", "allow-campaign": "AOD", "withdraw-campaign": "AOD",

	"me": "AOLUDd", "change-my-password": "AOLUDd", "list-sessions": "AOLUDd", "revoke-session": "AOLUDd",
	"list-users": "A", "add-user": "A", "change-user": "A", "remove-user": "A", "make-set-up-link": "A",
	"list-tokens": "A", "get-config": "A",

	"get-bypass": "AOLUDd", "start-bypass": "A", "end-bypass": "A", "get-drain": "AOL", "start-drain": "A", "stop-drain": "A",

	"get-store": "AOL", "make-backup": "A",

	"list-webhooks": "AOL", "test-webhook": "A", "resume-webhook": "A",

	"list-audit": "AOL", "verify-audit": "AOL", "find-person": "A", "export-person": "A", "erase-person": "A",
}

// bodies are requests that are in order, for operations that need one.
var bodies = map[string]string{
	"hold-message": `{"for":"10m"}`, "cancel-message": `{"reason":"r"}`, "resend-message": `{}`, "recall": `{"message_ids":["OWN"],"reason":"r"}`,
	"approve-batch": `{"message_ids":["OWN"]}`, "cancel-batch": `{"message_ids":["OWN"],"reason":"r"}`, "cancel-pulled-back": `{"reason":"r"}`,
	"boost-sender": `{"amount":5,"for":"1h","reason":"r"}`, "override-sender": `{"rule":"external-hour","limit":9,"for":"1h","reason":"r"}`,
	"revoke-sender": `{}`, "reset-sender": `{"reason":"r"}`, "suspend-sender": `{"for":"1h","reason":"r"}`, "unsuspend-sender": `{}`,
	"approve-campaign": `{"reason":"r"}`, "cancel-campaign": `{"reason":"r"}`, "slow-campaign": `{"reason":"r"}`,
	"allow-campaign": `{"for":"24h","reason":"r"}`, "withdraw-campaign": `{"reason":"r"}`, "test-rules": `{"since":"24h","limits":[{"name":"x","limit":1}]}`,
	"erase-person": `{}`, "change-my-password": `{"password":"a","new_password":"b"}`, "add-user": `{"name":"n","role":"auditor","password":"long enough to pass"}`,
	"change-user": `{}`, "start-bypass": `{"reason":"r"}`, "start-drain": `{}`,
}

// A crew is a server with somebody of each kind signed in.
type crew struct {
	*rig
	cookies map[byte]*http.Cookie
	people  map[byte]principal
	own     string
	foreign string
}

type mailChecker struct{}

func (mailChecker) Check(_ context.Context, _, given string) error {
	if given != password {
		return signin.ErrWrong
	}
	return nil
}

func (mailChecker) Who(login string) (identity, role string) { return login, "user" }

func newCrew(t *testing.T) *crew {
	t.Helper()
	c := &crew{rig: newRig(t), cookies: map[byte]*http.Cookie{}, people: map[byte]principal{}}
	desk, err := signin.New(signin.DefaultConfig(), c.store, mailChecker{}, func() time.Time { return c.now }, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	c.rig.desk = desk
	for _, one := range []struct {
		kind       byte
		name, role string
		domains    []string
	}{
		{'A', "root", "admin", nil}, {'O', "olga", "operator", nil}, {'L', "lars", "auditor", nil}, {'U', "alice@corp.example", "", nil},
		{'D', "dora", "admin", []string{"corp.example"}}, {'d', "dan", "auditor", []string{"Corp.example"}},
	} {
		if one.role != "" {
			if err := desk.AddUser(one.name, password, one.role, one.domains); err != nil {
				t.Fatal(err)
			}
		}
		out := httptest.NewRecorder()
		session, err := desk.SignIn(out, httptest.NewRequest(http.MethodPost, "/sign-in", nil), one.name, password)
		if err != nil {
			t.Fatal(err)
		}
		c.cookies[one.kind], c.people[one.kind] = out.Result().Cookies()[0], principalOf(session)
	}
	c.server = c.serverFor(c.store)
	c.server.configuration = func() (string, error) { return "", nil }
	c.limits.test = func(context.Context) (BackTest, error) { return BackTest{}, nil }
	c.fill()
	return c
}

// fill makes something of each kind that is alice's, and something that is not.
func (c *crew) fill() {
	c.own, c.foreign = c.accept("alice@corp.example", "Mine", "bob@example.net"), c.accept("bob@other.example", "Theirs", "eve@example.net")
	for _, r := range []struct {
		id        byte
		message   string
		requester policy.RecallRequester
	}{
		{1, c.own, policy.RecallRequester{Actor: "mail:alice@corp.example", Role: "user", Identity: "Alice@corp.example"}},
		{2, c.foreign, policy.RecallRequester{Actor: "user:root", Role: "admin"}},
	} {
		id := mustID(c.t, r.message)
		c.recalls.put(&policy.RecallReport{
			ID: policy.ID{15: r.id}, Requested: c.now, Ended: c.now, Overall: policy.RecallAllSuccess, Request: policy.RecallRequest{Messages: []policy.ID{id}, Requester: r.requester},
			Lines: []policy.RecallLine{{Message: id, Address: "x@example.net", Code: policy.ExternalRecipient, Detail: "INBOX"}},
		})
		identity := map[byte]string{1: "alice@corp.example", 2: "bob@other.example"}[r.id]
		c.campaigns.list = append(c.campaigns.list, similar.Campaign{ID: policy.ID{15: r.id}, Messages: 3, First: c.now, Last: c.now, Senders: []similar.Sender{{Name: identity}}})
		c.alerts.list = append(c.alerts.list, Alert{ID: string('0' + r.id), Subject: identity, Severity: "warning", Opened: c.now})
		c.limits.usage = append(c.limits.usage, policy.Finding{Rule: "external-hour", Key: identity, Used: 99, Limit: 100, Window: time.Hour})
	}
}

// named fills in what a path names: 0 what alice has, 1 what she has not, 2 what there is not.
func (c *crew) named(path string, which int) string {
	pick := func(all ...string) string { return all[which] }
	recall := func(b byte) string { return policy.ID{15: b}.String() }
	for prefix, value := range map[string]string{
		"/messages/":  pick(c.own, c.foreign, c.store.NewID().String()),
		"/recalls/":   pick(recall(1), recall(2), recall(3)),
		"/campaigns/": pick(recall(1), recall(2), recall(3)),
		"/senders/":   pick("alice%40corp.example", "bob%40other.example", "nobody%40other.example"),
		"/alerts/":    pick("1", "2", "3"),
	} {
		if rest, ok := strings.CutPrefix(path, apiPath+prefix+"{"); ok {
			_, rest, _ = strings.Cut(rest, "}")
			return apiPath + prefix + value + rest
		}
	}
	for strings.Contains(path, "{") {
		before, rest, _ := strings.Cut(path, "{")
		_, after, _ := strings.Cut(rest, "}")
		path = before + "nobody" + after
	}
	return path
}

func (c *crew) request(kind byte, method, path, body string) *httptest.ResponseRecorder {
	c.t.Helper()
	ctx := c.t.Context()
	if strings.HasSuffix(path, "/events") { // a stream ends with its client
		ended, cancel := context.WithCancel(ctx)
		cancel()
		ctx = ended
	}
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(strings.ReplaceAll(body, "OWN", c.own)))
	if body == "" {
		r.Body = http.NoBody
	}
	r.AddCookie(c.cookies[kind])
	w := httptest.NewRecorder()
	c.server.Handler().ServeHTTP(w, r)
	return w
}

// An endpoint is an operation as the description of the API has it.
type endpoint struct{ id, method, path string }

func (c *crew) endpoints() (all []endpoint) {
	c.t.Helper()
	var spec struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		} `json:"paths"`
	}
	w := httptest.NewRecorder()
	c.server.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, openAPIPath, nil))
	if err := json.Unmarshal(w.Body.Bytes(), &spec); err != nil {
		c.t.Fatal(err)
	}
	for path, methods := range spec.Paths {
		for method, op := range methods {
			all = append(all, endpoint{op.OperationID, strings.ToUpper(method), path})
		}
	}
	return all
}

const kinds = "AOLUDd"

func TestTheMatrixOfRolesOverHTTP(t *testing.T) {
	c := newCrew(t)
	seen := map[string]bool{}
	for _, e := range c.endpoints() {
		seen[e.id] = true
		row, ok := matrix[e.id]
		if !ok {
			t.Errorf("%s has no row in the matrix", e.id)
			continue
		}
		for _, kind := range []byte(kinds) {
			if e.id == "revoke-session" || e.id == "remove-user" {
				continue // of what there is not: 404 comes from the operation itself
			}
			c.own = c.accept("alice@corp.example", "Mine", "bob@example.net")
			path := c.named(e.path, 0)
			if e.id == "import-log" {
				path += "?name=mail.log"
			}
			w := c.request(kind, e.method, path, bodies[e.id])
			refused := strings.Contains(w.Body.String(), `"permission_denied"`)
			if allowed := strings.IndexByte(row, kind) >= 0; allowed == refused {
				t.Errorf("%s by %c: %d, want allowed %v\n%s", e.id, kind, w.Code, allowed, w.Body)
			}
			if named := w.Code == http.StatusNotFound && c.checked(e.path); named || w.Code == http.StatusUnauthorized || w.Code == http.StatusInternalServerError {
				t.Errorf("%s by %c: %d of what is within reach\n%s", e.id, kind, w.Code, w.Body)
			}
		}
	}
	for id := range matrix {
		if !seen[id] {
			t.Errorf("%s is in the matrix and no operation", id)
		}
	}
}

// checked reports whether what a path names is looked at before the operation.
func (c *crew) checked(path string) bool {
	for _, one := range checks {
		if one.check != nil && strings.HasPrefix(path, apiPath+one.path) {
			return one.path != "/messages/{id}" || !strings.HasSuffix(path, "/source") // of which there may be no copy
		}
	}
	return false
}

func TestTheMatrixOfRolesThroughCall(t *testing.T) {
	c := newCrew(t)
	for _, e := range c.endpoints() {
		fn := reflect.ValueOf(c.server.calls[e.id])
		for _, kind := range []byte(kinds) {
			if e.id == "import-log" || e.id == "test-rules" && strings.IndexByte(matrix[e.id], kind) >= 0 {
				continue // read what only a request has
			}
			in := reflect.New(fn.Type().In(1).Elem())
			if at := strings.Index(e.path, "{"); at >= 0 {
				value := strings.TrimPrefix(c.named(e.path[:strings.Index(e.path, "}")+1], 0), e.path[:at])
				in.Elem().Field(pathField(in.Elem().Type(), e.path[at+1:strings.Index(e.path, "}")])).SetString(strings.ReplaceAll(value, "%40", "@"))
			}
			if limit := in.Elem().FieldByName("Limit"); limit.IsValid() {
				limit.SetInt(50) // a request has a default
			}
			out := fn.Call([]reflect.Value{reflect.ValueOf(context.WithValue(t.Context(), principalKey, c.people[kind])), in})
			err, _ := out[1].Interface().(error)
			var p *Problem
			refused := errors.As(err, &p) && p.Code == "permission_denied"
			if allowed := strings.IndexByte(matrix[e.id], kind) >= 0; allowed == refused {
				t.Errorf("%s by %c: %v, want allowed %v", e.id, kind, err, allowed)
			}
		}
	}
}

func TestWhatIsForeignIsAnsweredAsWhatThereIsNot(t *testing.T) {
	c := newCrew(t)
	looked := 0
	for _, e := range c.endpoints() {
		for _, kind := range []byte("UDd") {
			if !c.checked(e.path) || strings.IndexByte(matrix[e.id], kind) < 0 {
				continue
			}
			looked++
			foreign, none := c.request(kind, e.method, c.named(e.path, 1), bodies[e.id]), c.request(kind, e.method, c.named(e.path, 2), bodies[e.id])
			if foreign.Code != http.StatusNotFound || foreign.Body.String() != none.Body.String() || none.Code != foreign.Code {
				t.Errorf("%s by %c: foreign %d %s\nnone %d %s", e.id, kind, foreign.Code, foreign.Body, none.Code, none.Body)
			}
			if all := c.request('A', e.method, c.named(e.path, 1), bodies[e.id]); e.method == http.MethodGet && all.Code != http.StatusOK {
				t.Errorf("%s: %d for who sees everything", e.id, all.Code)
			}
		}
	}
	if looked < 30 {
		t.Errorf("%d operations with names were looked at", looked)
	}
}

func TestListsHaveWhatIsWithinReach(t *testing.T) {
	c := newCrew(t)
	for _, sender := range []string{"alice@corp.example", "bob@other.example"} {
		id := c.accept(sender, "Waits", "x@example.net")
		c.commitDecision(id, policy.Event{Kind: policy.ApprovalRequested, Time: c.now, Subject: "batch"})
	}
	for path, rows := range map[string]string{
		"/api/v1/messages": "UDd", "/api/v1/messages?q=subject:theirs": "UDd", "/api/v1/messages?q=from:bob": "UDd",
		"/api/v1/recalls": "UDd", "/api/v1/approvals": "Dd", "/api/v1/approvals?batch=batch": "Dd", "/api/v1/approvals/batches": "Dd", "/api/v1/campaigns": "Dd",
		"/api/v1/alerts": "Dd", "/api/v1/senders?q=b": "Dd", "/api/v1/senders": "Dd", "/api/v1/limits": "Dd", "/api/v1/overview": "Dd",
	} {
		if all := c.request('A', "GET", path, "").Body.String(); !c.isForeign(all) {
			t.Errorf("%s: nothing of bob's for who sees everything\n%s", path, all)
		}
		for _, kind := range []byte(rows) {
			w := c.request(kind, "GET", path, "")
			if w.Code != http.StatusOK || c.isForeign(w.Body.String()) {
				t.Errorf("%s by %c: %d\n%s", path, kind, w.Code, w.Body)
			}
			if found := strings.Contains(w.Body.String(), "alice@corp.example"); !found && !strings.Contains(path, "q=") {
				t.Errorf("%s by %c: nothing of alice's\n%s", path, kind, w.Body)
			}
		}
	}
}

// isForeign reports whether something of bob's is in an answer, or the recall of it.
func (c *crew) isForeign(answer string) bool {
	return strings.Contains(answer, "bob@other.example") || strings.Contains(answer, c.foreign) || strings.Contains(answer, "user:root")
}

// commitDecision adds a decision to a message.
func (c *crew) commitDecision(id string, e policy.Event) {
	c.t.Helper()
	m, err := c.store.Message(mustID(c.t, id))
	if err != nil {
		c.t.Fatal(err)
	}
	c.commit(store.Change{Message: m.ID, Revision: m.Revision, Events: []policy.Event{e}})
}

func TestARecallNamesOnlyWhatIsWithinReach(t *testing.T) {
	c := newCrew(t)
	for outcome, body := range map[string]string{
		"a foreign id":             `{"message_ids":["` + c.foreign + `"]}`,
		"a foreign id among own":   `{"message_ids":["OWN","` + c.foreign + `"]}`,
		"a query for foreign mail": `{"query":"subject:theirs"}`,
		"a foreign correction":     `{"message_ids":["OWN"],"correction":"` + c.foreign + `"}`,
	} {
		for _, kind := range []byte("UD") {
			if w := c.request(kind, "POST", "/api/v1/recalls", body); w.Code != http.StatusNotFound {
				t.Errorf("%s by %c: %d %s", outcome, kind, w.Code, w.Body)
			}
		}
	}
	if w := c.request('U', "POST", "/api/v1/recalls", `{"message_id_header":"<m@corp.example>","reason":"wrong"}`); w.Code != http.StatusOK {
		t.Fatalf("own mail by a Message-ID that another one has, too: %d %s", w.Code, w.Body)
	}
	want := policy.RecallRequester{Actor: "user:alice@corp.example", Role: "user", Identity: "alice@corp.example"}
	if got := c.recalls.request; !reflect.DeepEqual(got.Requester, want) || len(got.Messages) != 1 || got.Messages[0].String() != c.own {
		t.Errorf("asked for %+v", got)
	}
	c.recalls.refuse = &policy.RecallRefusal{Code: policy.RefusedInProgress, Existing: policy.ID{15: 2}}
	w := c.request('U', "POST", "/api/v1/recalls", `{"message_ids":["OWN"],"reason":"wrong"}`)
	if w.Code != http.StatusOK || strings.Contains(w.Body.String(), c.foreign) || !strings.Contains(w.Body.String(), "recall_in_progress") {
		t.Errorf("another's recall of the same message: %d %s", w.Code, w.Body)
	}
}

func TestABatchLeavesForeignMessagesAlone(t *testing.T) {
	c := newCrew(t)
	c.commitDecision(c.foreign, policy.Event{Kind: policy.ApprovalRequested, Time: c.now, Subject: "batch"})
	for path, body := range map[string]string{
		"/api/v1/approvals/approve": `{"message_ids":["` + c.foreign + `"]}`,
		"/api/v1/approvals/cancel":  `{"message_ids":["` + c.foreign + `"],"reason":"r"}`,
	} {
		w := c.request('D', "POST", path, body)
		var got BatchResult
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Done != 0 || len(got.Results) != 1 || got.Results[0].Code != "not_found" {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
	if w := c.request('D', "POST", "/api/v1/approvals/batch/approve", ""); w.Code != http.StatusNotFound {
		t.Errorf("a foreign batch: %d %s", w.Code, w.Body)
	}
}

func TestEventsAreOfMailWithinReach(t *testing.T) {
	c := newCrew(t)
	for kind, want := range map[byte][2]bool{'A': {true, true}, 'D': {true, false}, 'd': {true, false}} {
		ctx := context.WithValue(t.Context(), principalKey, c.people[kind])
		if got := [2]bool{c.server.seesRecord(ctx, mustID(t, c.own)), c.server.seesRecord(ctx, mustID(t, c.foreign))}; got != want {
			t.Errorf("%c: %v", kind, got)
		}
		if got := c.server.seesRecord(ctx, c.store.NewID()); got != (kind == 'A') {
			t.Errorf("%c sees what is about no message: %v", kind, got)
		}
	}
	if owns(t.Context(), &policy.Envelope{}) {
		t.Error("nobody owns something")
	}
}

func TestSendersWithinReach(t *testing.T) {
	c := newCrew(t)
	c.server.mailboxOf = func(identity string) policy.Address {
		return map[string]policy.Address{"ann": "ann@corp.example", "ben": "ben@other.example"}[identity]
	}
	ctx := context.WithValue(t.Context(), principalKey, c.people['D'])
	for key, want := range map[string]bool{
		"x@corp.example": true, "x@CORP.example#192.0.2.1": true, "x@sub.corp.example": false, "x@other.example": false, "ann": true, "ben": false, "nn": false,
		"from:corp.example": true, "from:other.example": false, "to:corp.example": false, "net:192.0.2.0/24": false, "gateway:": false, "": false,
	} {
		if got := c.server.seesSender(ctx, key); got != want {
			t.Errorf("%q: %v", key, got)
		}
	}
	if c.server.seesSender(context.WithValue(t.Context(), principalKey, c.people['U']), "alice@corp.example") {
		t.Error("a user looks after senders")
	}
}

func TestRefusalsSayWhy(t *testing.T) {
	c := newCrew(t)
	for kind, want := range map[byte]string{
		'U': "the role user is for one's own mail: this needs another role",
		'D': "this is for people who are not bounded to some domains",
		'O': "this needs a token with the role admin",
		'L': "an auditor may look, but not change anything",
	} {
		if w := c.request(kind, "POST", "/api/v1/people/x/erase", "{}"); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%c: %d %s", kind, w.Code, w.Body)
		}
	}
	if w := c.request('D', "GET", "/api/v1/senders/net:192.0.2.1", ""); !strings.Contains(w.Body.String(), "there is no such sender") {
		t.Errorf("%s", w.Body)
	}
}

func TestAnOperationWhoseNameNobodyChecksIsAFault(t *testing.T) {
	c := newCrew(t)
	for outcome, fn := range map[string]func(){
		"a path that nobody knows": func() { c.server.checkNamed("get-message", "/things/{id}", reflect.TypeFor[messageInput]()) },
		"two names": func() {
			c.server.checkNamed("get-message", "/messages/{id}/parts/{n}", reflect.TypeFor[messageInput]())
		},
		"no field for it":            func() { c.server.checkNamed("get-message", "/messages/{id}", reflect.TypeFor[struct{}]()) },
		"an operation there is not ": func() { call[struct{}, struct{}](c.server, &visit{ctx: t.Context()}, "nothing", &struct{}{}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", outcome)
				}
			}()
			fn()
		}()
	}
}

// passes are the functions that read mail by themselves: what they read is within reach before, or is shown to nobody.
var passes = map[string]string{
	"search": "narrows", "message": "looks at the owner", "detail": "of what a path or message names", "explainMessage": "of what the path names",
	"subject": "of a campaign, all of whose senders are within reach", "dress": "of a record that was looked at", "queue": "counts only",
	"letterNames": "of an erasure, which only administrators make, and shown to nobody",
	"viewSource":  "looks at the owner", "follow": "counts only", "count": "counts only",
}

func TestNobodyReadsMailPastItsOwner(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil || strings.HasPrefix(name, "statuspage") { // which is for who has its link
				continue
			}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				call, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				journal, ok := call.X.(*ast.SelectorExpr)
				if !ok || journal.Sel.Name != "journal" {
					return true
				}
				switch call.Sel.Name {
				case "Message", "Search", "InState", "Body":
					if read++; passes[fn.Name.Name] == "" {
						t.Errorf("%s: %s reads s.journal.%s: use s.message, s.existing or s.search, which know whose mail it is", name, fn.Name.Name, call.Sel.Name)
					}
				}
				return true
			})
		}
	}
	if read < 4 {
		t.Errorf("%d readers found", read)
	}
}
