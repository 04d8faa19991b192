package milter

import (
	"maps"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sendgate/sendgate/store"
)

func TestMetrics(t *testing.T) {
	l := newLab(t)
	l.settings.Needs.Envelope = true
	l.settings.Engine = refusing
	l.journal.fail = func(c store.Change) error {
		if c.Events[0].QueueID == "4ZMetLost" {
			return store.ErrFull
		}
		return nil
	}
	l.start()
	p := l.dial().client("192.0.2.7")
	p.message("4ZMet1", "alice@corp.example", "one@remote.example")
	p.message("4ZMetLost", "alice@corp.example", "one@remote.example")
	p.mail("bad@corp.example")
	p.client("198.51.100.1").message("4ZMet2", "eve@remote.example", "alice@corp.example")
	p.end("") // of nothing
	registry := prometheus.NewPedanticRegistry()
	for _, c := range l.milter.Collectors() {
		if err := registry.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	l.milter.notes.wait()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, label := range m.Label {
				name += " " + label.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	want := map[string]float64{
		"sendgate_milter_sessions_total":           1,
		"sendgate_milter_open_sessions":            1,
		"sendgate_milter_messages_total passed":    2,
		"sendgate_milter_messages_total inbound":   1,
		"sendgate_milter_messages_total undecided": 1,
		"sendgate_milter_refused_total 554":        1,
		"sendgate_milter_refused_total 451":        1,
		"sendgate_milter_notes_lost_total":         1,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
