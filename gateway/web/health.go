package web

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// Values of Readiness.Status.
const (
	StatusReady    = "ready"
	StatusDegraded = "degraded"  // mail is taken; something of what else sendgate does is not as it should be
	StatusNotReady = "not_ready" // mail that comes now is put off
)

// A Readiness is the answer of /readyz: whether mail that comes in now is taken, safely.
//
// The journal decides it (the engine writes, and the disk has more than the reserve), the fronts (they listen and
// accept), an orderly shutdown and a drain. Upstreams decide it only where the relay has no network whose clients
// need no login: then nobody can send while none of them answers, because it is they who check logins. Otherwise mail is
// taken and waits for them, as it waits in Postfix while the helper is away. These, logs that lag, webhooks and a mail
// log that cannot be written degrade; a bypass is only noted.
type Readiness struct {
	Ready   bool     `json:"ready"`
	Status  string   `json:"status" enum:"ready,degraded,not_ready"`
	Reasons []string `json:"reasons"` // why it is not ready, then what degrades it
	Parts   []Part   `json:"parts"`
}

// health says that the process lives and answers.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // the client may be gone
}

// ready says whether mail can be accepted now, with the parts.
func (s *Server) ready() Readiness {
	store := Part{Name: "store", OK: true, Decides: true}
	if err := s.journal.Ready(); err != nil {
		store.OK, store.Detail = false, err.Error()
	}
	r := Readiness{Ready: true, Parts: []Part{store}}
	if s.closing.Err() != nil {
		r.Parts = append(r.Parts, Part{Name: "process", Decides: true, Detail: errClosed.Detail})
	}
	s.emergency(&r)
	r.Parts = append(r.Parts, s.parts()...)
	r.judge()
	return r
}

// judge sums up the parts.
func (r *Readiness) judge() {
	r.Status, r.Reasons = StatusReady, []string{}
	var degrading []string
	for _, p := range r.Parts {
		reason := p.Name + ": " + p.Detail
		switch {
		case p.OK:
		case p.Decides:
			r.Ready = false
			r.Reasons = append(r.Reasons, reason)
		default:
			degrading = append(degrading, reason)
		}
	}
	switch {
	case !r.Ready:
		r.Status = StatusNotReady
	case len(degrading) > 0:
		r.Status = StatusDegraded
	}
	r.Reasons = append(r.Reasons, degrading...)
}

// readiness answers 200 when mail can be accepted now, else 503, with the parts.
func (s *Server) readiness(w http.ResponseWriter, _ *http.Request) {
	r := s.ready()
	w.Header().Set("Content-Type", "application/json")
	if !r.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(r) // the client may be gone
}

func (s *Server) metricsHandler() http.Handler {
	return promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{ErrorLog: zap.NewStdLog(s.log)})
}
