package web

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// maxPicked bounds how many messages are acted on at a time.
const maxPicked = 1000

var (
	errNonePicked = problem(http.StatusUnprocessableEntity, "none_picked", "pick at least one message")
	errManyPicked = problem(http.StatusUnprocessableEntity, "too_many_picked", "pick at most 1000 messages at a time")
	errNoAct      = problem(http.StatusUnprocessableEntity, "no_act", "choose what to do with the messages")
)

// actOnMessages does the same with all messages that were picked.
func (s *Server) actOnMessages(v *visit) (to, said string, err error) {
	_ = v.form("act") // reads the form
	ids := slices.Compact(slices.Sorted(slices.Values(v.r.Form["id"])))
	switch {
	case len(ids) == 0:
		return "", "", s.inWords(v, errNonePicked)
	case len(ids) > maxPicked:
		return "", "", s.inWords(v, errManyPicked)
	}
	done := ""
	switch v.form("act") {
	case "recall":
		return "", "", redirect(recallPageOf(ids...))
	case "release":
		done = "messages.said.released"
	case "hold":
		done = "messages.said.held"
	case "cancel":
		done = "messages.said.canceled"
	default:
		return "", "", s.inWords(v, errNoAct)
	}
	all := v.ctx
	v.ctx = together(all)
	acted, refused := s.onEach(ids, func(id string) error {
		_, err := s.actOnMessage(v, id, v.form("act"))
		return err
	})
	if len(acted) > 0 {
		fields := []zap.Field{zap.Int("done", len(acted)), zap.Int("failed", len(refused)), zap.String("reason", v.form("reason"))}
		if v.form("act") == "cancel" && v.form("bounce") != "" {
			fields = append(fields, zap.Bool("bounce", true))
		}
		s.audit(all, v.form("act"), "", append(fields, zap.String("messages", strings.Join(acted, " ")))...)
	}
	text := s.renderer.Say(v.lang, done, len(acted))
	if len(refused) == 0 {
		return s.cameFrom(v.r), text, nil
	}
	text += " " + s.renderer.Say(v.lang, "messages.said.not", len(refused), s.differentReasons(v, refused))
	return "", "", problem(http.StatusConflict, "partial", text)
}

// onEach does something with each message, on so many at a time, and gives those for which it worked and the errors
// of the others.
func (s *Server) onEach(ids []string, do func(id string) error) (done []string, refused []error) {
	errs := make([]error, len(ids))
	var group errgroup.Group
	group.SetLimit(actAtOnce)
	for i, id := range ids {
		group.Go(func() error {
			errs[i] = do(id)
			return nil
		})
	}
	_ = group.Wait() // none fails
	for i, err := range errs {
		if err == nil {
			done = append(done, ids[i])
		} else {
			refused = append(refused, err)
		}
	}
	return done, refused
}

// differentReasons lists why something was refused, each reason once.
func (s *Server) differentReasons(v *visit, refused []error) string {
	var texts []string
	for _, err := range refused {
		if text := refusedPage(s.inWords(v, err)).Detail; !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, policy.Label{EN: "; ", ZH: "；"}.In(v.lang))
}

// inWords puts a refusal into the language of who looks. One that has no words of its own there keeps the API's.
func (s *Server) inWords(v *visit, err error) error {
	var p *Problem
	if !errors.As(err, &p) {
		return err
	}
	key := "messages.refused." + p.Code
	text := s.renderer.Say(v.lang, key)
	if text == key {
		return err
	}
	return problem(p.Status, p.Code, text)
}

// recallPageOf is where messages are taken back, wherever they are.
func recallPageOf(ids ...string) string {
	pairs := make([]string, 0, 2*len(ids))
	for _, id := range ids {
		pairs = append(pairs, "message", id)
	}
	return linkTo("/recalls/new", pairs...)
}
