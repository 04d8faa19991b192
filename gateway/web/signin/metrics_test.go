package signin

import (
	"errors"
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestSignInsAreCounted(t *testing.T) {
	d := &Desk{signIns: newSignIns()}
	for _, one := range []struct {
		way string
		err error
	}{
		{byPassword, nil}, {byPassword, ErrWrong}, {byPassword, ErrTooOften}, {byPassword, fmt.Errorf("ask: %w", ErrBusy)},
		{bySSO, nil}, {bySSO, errors.New("no such group")},
	} {
		d.count(one.way, one.err)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(d.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		got[m.GetLabel()[1].GetValue()+" "+m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
	}
	for _, want := range []string{"password ok", "password wrong", "password too_often", "password unreachable", "sso ok", "sso failed"} {
		if got[want] != 1 {
			t.Errorf("%s: %v", want, got)
		}
	}
	if len(got) != 6 {
		t.Errorf("%v", got)
	}
}
