package signin

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Ways in, as labels.
const (
	byPassword = "password"
	bySSO      = "sso"
)

func newSignIns() *prometheus.CounterVec {
	signIns := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sendgate_sign_ins_total", Help: "Sign-ins to the dashboard, by the way (password, sso) and what came of them (ok, wrong, too_often, unreachable, failed).",
	}, []string{"way", "outcome"})
	signIns.WithLabelValues(byPassword, "wrong") // the first failures are an increase, too
	signIns.WithLabelValues(byPassword, "too_often")
	return signIns
}

// count notes a sign-in.
func (d *Desk) count(way string, err error) {
	outcome := "failed"
	switch {
	case err == nil:
		outcome = "ok"
	case errors.Is(err, ErrWrong):
		outcome = "wrong"
	case errors.Is(err, ErrTooOften):
		outcome = "too_often"
	case errors.Is(err, ErrBusy):
		outcome = "unreachable"
	}
	d.signIns.WithLabelValues(way, outcome).Inc()
}

// Collectors gives what is to be registered for /metrics.
func (d *Desk) Collectors() []prometheus.Collector { return []prometheus.Collector{d.signIns} }
