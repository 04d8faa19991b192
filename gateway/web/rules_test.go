package web

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

func TestRulesAreShownAsTheyAreConfigured(t *testing.T) {
	r := newRig(t)
	r.limits.trial = r.now.Add(time.Hour)
	got := get[Rules](r, "/api/v1/rules")
	if got.Hold != (HoldSettings{Span(60 * time.Second), Span(900 * time.Second), Span(3 * time.Second), "X-Sendgate-Hold"}) ||
		len(got.Rules) != 1 || got.Rules[0].Name != "ceo" || got.Rules[0].For != Span(5*time.Minute) || got.Rules[0].Match.Senders[0] != "boss@corp.example" ||
		!got.Trial.Equal(r.limits.trial) {
		t.Errorf("got %+v", got)
	}
	for i, want := range policy.DefaultLimits() {
		if l := got.Limits[i].Policy(); !reflect.DeepEqual(l, want) {
			t.Errorf("got %+v, want %+v", l, want)
		}
	}
	body := r.ask(r.server, "secret-admin", "GET", "/api/v1/rules", "").Body.String()
	for _, part := range []string{`"per":"message"`, `"per":"1h"`, `"approval_expires":"3d"`, `"default":"1m"`, `"max":"15m"`} {
		if !strings.Contains(body, part) {
			t.Errorf("no %s in %s", part, body)
		}
	}
}

// The keys of a limit in JSON are those in YAML.
func TestLimitsHaveTheNamesOfTheConfiguration(t *testing.T) {
	for _, pair := range [][2]reflect.Type{
		{reflect.TypeFor[LimitRule](), reflect.TypeFor[policy.LimitRule]()}, {reflect.TypeFor[Match](), reflect.TypeFor[policy.Match]()},
		{reflect.TypeFor[HoldRule](), reflect.TypeFor[policy.Rule]()}, {reflect.TypeFor[HoldSettings](), reflect.TypeFor[policy.HoldConfig]()},
	} {
		ours, theirs := pair[0], pair[1]
		if ours.NumField() != theirs.NumField() {
			t.Errorf("%v has %d fields, %v %d", ours, ours.NumField(), theirs, theirs.NumField())
			continue
		}
		for i := range ours.NumField() {
			name, _, _ := strings.Cut(ours.Field(i).Tag.Get("json"), ",")
			if want := theirs.Field(i).Tag.Get("yaml"); name != want {
				t.Errorf("%v.%s is %q in JSON, %q in YAML", ours, ours.Field(i).Name, name, want)
			}
		}
	}
}

func TestALimitInJSONHasDefaults(t *testing.T) {
	var want policy.LimitRule
	want.SetDefaults()
	for text, change := range map[string]func(*policy.LimitRule){
		`{}`:                                    func(*policy.LimitRule) {},
		`{"per":"message","warn":0}`:            func(l *policy.LimitRule) { l.Per, l.Warn = 0, 0 },
		`{"per":"day"}`:                         func(l *policy.LimitRule) { l.Per = policy.Per(24 * time.Hour) },
		`{"per":"7d"}`:                          func(l *policy.LimitRule) { l.Per = policy.Per(168 * time.Hour) },
		`{"name":"a","limit":5,"unit":"bytes"}`: func(l *policy.LimitRule) { l.Name, l.Limit, l.Unit = "a", 5, policy.Bytes },
		`{"approval_expires":"1d12h"}`:          func(l *policy.LimitRule) { l.ApprovalExpires = 36 * time.Hour },
		`{"match":{"groups":["sales"]}}`:        func(l *policy.LimitRule) { l.Match.Groups = []string{"sales"} },
	} {
		var l LimitRule
		expected := want
		change(&expected)
		if err := json.Unmarshal([]byte(text), &l); err != nil || !reflect.DeepEqual(l.Policy(), expected) {
			t.Errorf("%s: %v\n%+v, want\n%+v", text, err, l.Policy(), expected)
		}
	}
	for text, want := range map[string]string{
		`{"per":"soon"}`:            `"soon": write message, minute, hour, day or a duration such as 10m`,
		`{"approval_expires":"5x"}`: "write a duration such as 90s, 10m, 24h or 7d",
		`{"limit":"many"}`:          "cannot unmarshal string",
	} {
		var l LimitRule
		if err := json.Unmarshal([]byte(text), &l); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestABackTest(t *testing.T) {
	r := newRig(t)
	found := BackTest{Messages: 10, Recipients: 500, Rules: []BackTestRule{{Name: "a", Exceeded: 2, Held: 2, Senders: 1, Examples: []BackTestExample{
		{ID: stranger, Identity: "alice", Subject: "Hi", Time: r.now.In(time.FixedZone("CST", 8*3600)), Text: policy.Label{EN: "too many", ZH: "过多"}},
	}}, {Name: "b"}}}
	r.limits.test = func(context.Context) (BackTest, error) { return found, nil }
	got := post[BackTest](r, "/api/v1/rules/test", `{"since":"30d","limits":[{"name":"a","limit":10},{"name":"b","limit":1,"per":"message","action":"reject"}]}`)
	if !r.limits.since.Equal(r.now.Add(-720*time.Hour)) || !got.Since.Equal(r.limits.since) || got.Messages != 10 || got.Recipients != 500 {
		t.Errorf("since %v, got %+v", r.limits.since, got)
	}
	if len(r.limits.tested) != 2 || r.limits.tested[0].Per != policy.Per(time.Hour) || r.limits.tested[1].Action != policy.Reject {
		t.Errorf("tested %+v", r.limits.tested)
	}
	if len(got.Rules) != 2 || got.Rules[0].Examples[0].Time.Location() != time.UTC || got.Rules[1].Examples == nil {
		t.Errorf("rules %+v", got.Rules)
	}
	if acts := r.logs.FilterMessage("act").All(); len(acts) != 1 || acts[0].ContextMap()["verb"] != "rules test" {
		t.Errorf("audit lines: %v", acts)
	}
}

func TestABackTestIsRefused(t *testing.T) {
	const since = `"since" is how far back to look, such as 24h, 720h or 30d`
	r := newRig(t)
	good := `{"since":"30d","limits":[{"name":"a","limit":10}]}`
	for name, tt := range map[string]struct {
		body         string
		fail         error
		status       int
		code, detail string
	}{
		"without a time":     {`{"since":"","limits":[{"name":"a","limit":1}]}`, nil, 422, "invalid_time", since},
		"since nonsense":     {`{"since":"yesterday","limits":[{"name":"a","limit":1}]}`, nil, 422, "invalid_time", since},
		"since the future":   {`{"since":"-1h","limits":[{"name":"a","limit":1}]}`, nil, 422, "invalid_time", since},
		"since always":       {`{"since":"99999d","limits":[{"name":"a","limit":1}]}`, nil, 422, "invalid_time", since},
		"of nothing":         {`{"since":"30d","limits":[]}`, nil, 422, "invalid_request", "validation failed"},
		"of a faulty limit":  {`{"since":"30d","limits":[{"name":"a","limit":1,"unit":"mails"}]}`, nil, 422, "invalid_rules", "the limits are not in order"},
		"of the same twice":  {`{"since":"30d","limits":[{"name":"a","limit":1},{"name":"a","limit":1}]}`, nil, 422, "invalid_rules", "the limits are not in order"},
		"of an unknown key":  {`{"since":"30d","limits":[{"name":"a","limit":1,"every":"1h"}]}`, nil, 422, "invalid_request", "validation failed"},
		"of a faulty window": {`{"since":"30d","limits":[{"name":"a","limit":1,"per":"soon"}]}`, nil, 422, "invalid_request", ""},
		"too long":           {good, context.DeadlineExceeded, 503, "took_too_long", "the test took more than 10 minutes: look less far back"},
		"while closing":      {good, context.Canceled, 503, "shutting_down", "sendgate is shutting down"},
		"broken":             {good, errBroken, 500, "internal", "something went wrong here: the log of sendgate says what"},
		"another at a time":  {good, &Refusal{"busy", "another test is running"}, 409, "busy", "another test is running"},
	} {
		t.Run(name, func(t *testing.T) {
			r.limits.test = func(context.Context) (BackTest, error) { return BackTest{}, tt.fail }
			w := r.ask(r.server, "secret-admin", http.MethodPost, "/api/v1/rules/test", tt.body)
			wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), tt.status, tt.code, tt.detail)
		})
	}
}

func TestFaultyLimitsAreNamedWithTheirPlaces(t *testing.T) {
	r := newRig(t)
	w := r.ask(r.server, "secret-admin", http.MethodPost, "/api/v1/rules/test", `{"since":"30d","limits":[{"name":"a","limit":0},{"name":"b","limit":1,"unit":"mails"}]}`)
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || len(p.Errors) != 2 {
		t.Fatalf("%v %s", err, w.Body)
	}
	if p.Errors[0].Location != "body.limits[0].limit" || p.Errors[1].Location != "body.limits[1].unit" || !strings.HasPrefix(p.Errors[1].Message, "use messages, ") || p.Errors[1].Value != "mails" {
		t.Errorf("got %+v %+v", p.Errors[0], p.Errors[1])
	}
}

func TestABackTestHasDeadlinesOfItsOwn(t *testing.T) {
	r := newRig(t)
	var end time.Time
	r.limits.test = func(ctx context.Context) (BackTest, error) {
		end, _ = ctx.Deadline()
		return BackTest{}, nil
	}
	var d deadlines
	before := time.Now()
	if _, err := r.server.backTest(t.Context(), http.NewResponseController(&d), nil, r.now); err != nil {
		t.Fatal(err)
	}
	if end.Before(before.Add(backTestTimeout)) || !d.read.Equal(d.write) || !d.write.Equal(end.Add(writeTimeout)) {
		t.Errorf("ends %v, reads until %v, writes until %v", end, d.read, d.write)
	}
}

func TestABackTestEndsWithTheServer(t *testing.T) {
	r := newRig(t)
	r.limits.test = func(ctx context.Context) (BackTest, error) {
		r.server.close()
		<-ctx.Done()
		return BackTest{}, ctx.Err()
	}
	w := r.ask(r.server, "secret-admin", http.MethodPost, "/api/v1/rules/test", `{"since":"1h","limits":[{"name":"a","limit":10}]}`)
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 503, "shutting_down", "sendgate is shutting down")
}

func TestTheLimitsInEffectCanBeTested(t *testing.T) {
	r := newRig(t)
	r.limits.test = func(context.Context) (BackTest, error) { return BackTest{}, nil }
	body, err := json.Marshal(BackTestRequest{Since: "30d", Limits: get[Rules](r, "/api/v1/rules").Limits})
	if err != nil {
		t.Fatal(err)
	}
	post[BackTest](r, "/api/v1/rules/test", string(body))
	if want := policy.DefaultLimits(); !reflect.DeepEqual(r.limits.tested, want) {
		t.Errorf("tested %+v, want %+v", r.limits.tested, want)
	}
}
