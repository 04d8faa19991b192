package web

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxReason is as long as a reason can be in the API.
const maxReason = 1000

// mostAmount bounds what a limit can be raised to.
const mostAmount = 1_000_000_000_000

var (
	errAmount     = problem(http.StatusUnprocessableEntity, "invalid_amount", "write a whole number above zero")
	errLongReason = problem(http.StatusUnprocessableEntity, "long_reason", "a reason has at most 1000 characters")
	errPageTime   = problem(http.StatusUnprocessableEntity, "invalid_time", "that is no time")
	errHistory    = problem(http.StatusUnprocessableEntity, "invalid_history", "choose what becomes of what counted against the account")
)

// Spans that forms offer.
var (
	grantSpans   = []string{"1h", "4h", "24h", "7d", "30d"}
	allowSpans   = []string{"24h", "7d", "30d", "90d"}
	suspendSpans = []string{"1h", "4h", "24h", "7d"}
)

// An offer says what a page offers to who looks: what the API lets them do.
type offer struct{ who *principal }

func offerTo(v *visit) offer { return offer{whoIs(v.ctx)} }

// May reports whether the viewer may use an operation of the API.
func (o offer) May(operation string) bool { return o.who.allowed(access[operation]) }

// reason reads why somebody does something. The API asks for one where one is needed.
func (v *visit) reason() (string, error) {
	text := v.form("reason")
	if utf8.RuneCountInString(text) > maxReason {
		return "", errLongReason
	}
	return text, nil
}

// amount reads a whole number above zero.
func (v *visit) amount(name string) (int64, error) {
	n, err := strconv.ParseInt(v.form(name), 10, 64)
	if err != nil || n < 1 || n > mostAmount {
		return 0, errAmount
	}
	return n, nil
}

// ending reads until when something holds: a time in the viewer's zone, which the script tells in minutes from UTC,
// or for how long.
func (v *visit) ending() (span string, until time.Time, err error) {
	text := v.form("until")
	if text == "" {
		return v.form("for"), time.Time{}, nil
	}
	for _, form := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05"} { // HTML 2.3.5.7
		if until, err = time.Parse(form, text); err == nil {
			break
		}
	}
	behind, fault := strconv.Atoi(v.form("offset"))
	if err != nil || fault != nil && v.form("offset") != "" || max(behind, -behind) > 24*60 {
		return "", time.Time{}, errPageTime
	}
	return "", until.Add(time.Duration(behind) * time.Minute), nil
}

// worded puts a refusal of the API into the viewer's language, where an area has words for its code.
func (s *Server) worded(v *visit, area string, err error) error {
	var p *Problem
	if !errors.As(err, &p) {
		return err
	}
	key := area + ".refused." + p.Code
	if text := s.renderer.Say(v.lang, key); text != key {
		return problem(p.Status, p.Code, text)
	}
	return err
}

// said words what came of an act, with its numbers.
func (s *Server) said(v *visit, key string, args ...any) string {
	return s.renderer.Say(v.lang, key, args...)
}

// searchFor is the query for the messages of an identity; empty where the search cannot name it.
func searchFor(identity string) string {
	address, _, _ := strings.Cut(identity, "#")
	if address == "" || strings.ContainsAny(address, "\" \t\r\n\u3000") {
		return ""
	}
	return "from:" + address
}
