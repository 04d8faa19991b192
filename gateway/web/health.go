package web

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// A Readiness is the answer of /readyz. Only the store and an orderly shutdown decide it.
type Readiness struct {
	Ready bool   `json:"ready"`
	Parts []Part `json:"parts"`
}

// health says that the process lives and answers.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // the client may be gone
}

// ready says whether mail can be accepted now, with the parts.
func (s *Server) ready() Readiness {
	r := Readiness{Ready: true, Parts: []Part{{Name: "store", OK: true}}}
	if err := s.journal.Ready(); err != nil {
		r.Ready = false
		r.Parts[0] = Part{Name: "store", Detail: err.Error()}
	}
	if s.closing.Err() != nil {
		r.Ready = false
		r.Parts = append(r.Parts, Part{Name: "process", Detail: errClosed.Detail})
	}
	r.Parts = append(r.Parts, s.parts()...)
	return r
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
