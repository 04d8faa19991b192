package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// backTestTimeout bounds a back-test, which reads everything that was sent in a time.
const backTestTimeout = 10 * time.Minute

var (
	errSince       = problem(http.StatusUnprocessableEntity, "invalid_time", `"since" is how far back to look, such as 24h, 720h or 30d`)
	errTestTooLong = problem(http.StatusServiceUnavailable, "took_too_long", "the test took more than 10 minutes: look less far back")
)

// A BackTestRequest asks what limits would have done to the mail of the past.
type BackTestRequest struct {
	Since  string      `json:"since" doc:"how far back, as 24h, 720h or 30d" example:"30d"`
	Limits []LimitRule `json:"limits" nullable:"false" minItems:"1" maxItems:"200" doc:"with the keys of the configuration; what is absent has its default"`
}

// A BackTest says what limits would have done to the mail of the past.
type BackTest struct {
	Since      time.Time      `json:"since"`
	Messages   int            `json:"messages" doc:"looked at"`
	Recipients int            `json:"recipients" doc:"of these messages"`
	Rules      []BackTestRule `json:"rules" nullable:"false" doc:"in the order of the request"`
}

// A BackTestRule is what one limit would have done.
type BackTestRule struct {
	Name     string            `json:"name"`
	Exceeded int               `json:"exceeded" doc:"messages that break the limit"`
	Held     int               `json:"held" doc:"of these: held, paced, or waiting for approval"`
	Refused  int               `json:"refused" doc:"of these: put off or refused"`
	Senders  int               `json:"senders" doc:"different identities among them"`
	Examples []BackTestExample `json:"examples" nullable:"false" doc:"a few of the messages"`
}

// A BackTestExample is a message that breaks a limit.
type BackTestExample struct {
	ID       string       `json:"id"`
	Identity string       `json:"identity"`
	Subject  string       `json:"subject"`
	Time     time.Time    `json:"time"`
	Text     policy.Label `json:"text" doc:"what the limit says about it"`
}

type backTestInput struct {
	Body    BackTestRequest
	control *http.ResponseController
}

// Resolve keeps what sets the deadlines: a test may take longer than other requests.
func (in *backTestInput) Resolve(hc huma.Context) []error {
	_, w := humago.Unwrap(hc)
	in.control = http.NewResponseController(w)
	return nil
}

type backTestOutput struct{ Body BackTest }

func (s *Server) testRules(ctx context.Context, in *backTestInput) (*backTestOutput, error) {
	back, err := parseSpan(in.Body.Since)
	if err != nil || back <= 0 || back > maxDeadline {
		return nil, errSince
	}
	rules := make([]policy.LimitRule, len(in.Body.Limits))
	for i := range in.Body.Limits {
		rules[i] = in.Body.Limits[i].Policy()
	}
	if err := checkRules(rules); err != nil {
		return nil, err
	}
	since := s.now().Add(-back).UTC()
	result, err := s.backTest(ctx, in.control, rules, since)
	if err != nil {
		return nil, err
	}
	s.log.Info("act", zap.String("verb", "rules test"), zap.String("actor", actor(ctx)), zap.Time("since", since), zap.Int("limits", len(rules)))
	s.audit(ctx, "rules_test", "", zap.Time("since", since), zap.Int("limits", len(rules)))
	return &backTestOutput{result}, nil
}

// backTest runs with deadlines of its own. That for reading counts, too: when it passes, net/http takes the
// client for gone.
func (s *Server) backTest(ctx context.Context, control *http.ResponseController, rules []policy.LimitRule, since time.Time) (BackTest, error) {
	end := time.Now().Add(backTestTimeout)
	_ = control.SetReadDeadline(end.Add(writeTimeout)) // not over a test's recorder
	_ = control.SetWriteDeadline(end.Add(writeTimeout))
	limited, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()
	result, err := s.limits.Test(limited, rules, since)
	switch {
	case err == nil:
	case errors.Is(err, context.DeadlineExceeded):
		return result, errTestTooLong
	default:
		return result, s.refused("test rules", err)
	}
	result.Since = since
	result.Rules = append([]BackTestRule{}, result.Rules...)
	for i := range result.Rules {
		r := &result.Rules[i]
		r.Examples = append([]BackTestExample{}, r.Examples...)
		for j := range r.Examples {
			r.Examples[j].Time = r.Examples[j].Time.UTC()
		}
	}
	return result, nil
}

// checkRules tells everything that is wrong with limits at once, each with its place in the request.
func checkRules(rules []policy.LimitRule) error {
	config := policy.DefaultConfig()
	config.Limits = rules
	err := config.Validate()
	if err == nil {
		return nil
	}
	p := problem(http.StatusUnprocessableEntity, "invalid_rules", "the limits are not in order")
	faults := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		faults = joined.Unwrap()
	}
	for _, e := range faults {
		detail := &huma.ErrorDetail{Message: e.Error(), Location: "body"}
		var f *policy.Fault
		if errors.As(e, &f) {
			detail = &huma.ErrorDetail{Message: f.Text, Location: "body." + f.Path, Value: f.Value}
		}
		p.Errors = append(p.Errors, detail)
	}
	return p
}
