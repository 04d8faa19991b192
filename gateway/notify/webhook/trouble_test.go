package webhook

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// TestAwayForHours has more events than are ever in memory wait for a receiver.
func TestAwayForHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		back := time.Now().Add(5 * time.Hour)
		r := answers(func(int) int {
			if time.Now().Before(back) {
				return 502
			}
			return 0
		})
		f := follow(t, l, r, subscriber())
		for i := range 5 * chunkEvents {
			l.add(policy.Held, 1+i%50)
		}
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		tries := len(r.posts())
		if s := f.status(); s.State != Failing || s.Lag < 3*time.Hour || s.Behind != 5*chunkEvents || s.Error != "HTTP status 502" || s.NextTry.IsZero() {
			t.Errorf("%+v", s)
		}
		if tries > 2*lanes*(10+4*12) { // of each round: those that are tried first, and what began meanwhile
			t.Errorf("%d requests to a receiver that is away", tries)
		}
		if want := []string{"crm crm.example failing HTTP status 502"}; !slices.Equal(f.people(), want) {
			t.Errorf("people were told %q", f.people())
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if s := f.status(); s.State != Well || s.Lag != 0 || s.Behind != 0 || s.Delivered != 5*chunkEvents {
			t.Errorf("when it is back: %+v", s)
		}
		f.stop()
		if len(f.people()) != 2 || f.people()[1] != "crm crm.example ok " {
			t.Errorf("people were told %q", f.people())
		}
	})
}

func TestBackOffOfEvents(t *testing.T) {
	for _, tt := range []struct {
		outcome string
		header  http.Header
		status  int
		want    string
	}{
		{"growing pauses", nil, 500, "1s 2s 4s 8s 16s 32s 1m4s 2m8s 4m16s 5m0s 5m0s"},
		{"a redirect is no success", http.Header{"Location": {"https://x.example"}}, 307, "1s 2s 4s 8s 16s 32s 1m4s 2m8s 4m16s 5m0s 5m0s"},
		{"nor is a refusal", nil, 404, "1s 2s 4s 8s 16s 32s 1m4s 2m8s 4m16s 5m0s 5m0s"},
		{"the receiver says when", http.Header{"Retry-After": {"90"}}, 429, "1m30s 1m30s 1m30s 1m30s 1m30s 1m30s 1m30s 2m8s 4m16s 5m0s 5m0s"},
		{"but not longer than an hour", http.Header{"Retry-After": {"86400"}}, 503, strings.Repeat("1h0m0s ", 10) + "1h0m0s"},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLedger()
				r := &receiver{reply: func(int) (int, http.Header, string) { return tt.status, tt.header, "" }}
				f := follow(t, l, r, subscriber())
				l.add(policy.Held, 1)
				time.Sleep(13 * time.Hour)
				f.stop()
				var waits []string
				for i, p := range r.posts()[:12] {
					if i > 0 {
						waits = append(waits, p.at.Sub(r.posts()[i-1].at).String())
					}
				}
				if got := strings.Join(waits, " "); got != tt.want {
					t.Errorf("waited %s", got)
				}
			})
		})
	}
}

func TestGoneDisablesUntilSomebodyResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		r := answers(func(n int) int {
			if n == 1 {
				return 410
			}
			return 0
		})
		f := follow(t, l, r, subscriber())
		l.add(policy.Held, 1)
		synctest.Wait()
		l.add(policy.Held, 2)
		synctest.Wait()
		l.add(policy.Held, 3)
		time.Sleep(time.Hour)
		if s := f.status(); s.State != Disabled || s.Behind != 2 || s.Lag < time.Hour || len(r.posts()) != 2 {
			t.Errorf("%+v after %d posts", s, len(r.posts()))
		}
		f.stop()
		f = follow(t, l, r, subscriber()) // a restart does not change it
		time.Sleep(time.Hour)
		if f.status().State != Disabled || len(r.posts()) != 2 {
			t.Errorf("after a restart: %+v, %d posts", f.status(), len(r.posts()))
		}
		if err := f.Test(t.Context(), "crm"); err != nil || len(r.posts()) != 3 {
			t.Errorf("a test: %v, %d posts", err, len(r.posts()))
		}
		if err := f.Resume("crm", false); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := f.ids()[3:]; !slices.Equal(got, []string{"2.0.0", "3.0.0"}) && !slices.Equal(got, []string{"3.0.0", "2.0.0"}) || f.status().State != Well {
			t.Errorf("%q, %+v", got, f.status())
		}
		f.stop()
	})
}

func TestPeopleAreToldOfTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		f := follow(t, l, answers(func(n int) int { return 410 * (1 - min(n, 1)) }), subscriber())
		l.add(policy.Held, 1)
		synctest.Wait()
		if err := f.Resume("crm", false); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		f.stop()
		if want := []string{"crm crm.example disabled HTTP status 410", "crm crm.example ok "}; !slices.Equal(f.people(), want) {
			t.Errorf("%q", f.people())
		}
	})
}

func TestNobodyOfThatName(t *testing.T) {
	s, err := newSubscribers(nil, "mx", newLedger(), someone{}, nil, always(200, ""), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"test": s.Test(t.Context(), "x"), "resume": s.Resume("x", true)} {
		if !errors.Is(err, ErrNoSubscriber) || err.Error() != "there is no webhook of this name" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestAJournalOfAnother has a place that is not in this journal, or cannot be read.
func TestAJournalOfAnother(t *testing.T) {
	for outcome, kept := range map[string]string{"it ends before": `{"batch":77}`, "nobody can read it": "x"} {
		t.Run(outcome, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLedger()
				l.add(policy.Held, 1, 2)
				l.kept[keptUnder+"crm"] = []byte(kept)
				f := follow(t, l, answers(func(int) int { return 0 }), subscriber())
				l.add(policy.Held, 3)
				synctest.Wait()
				f.stop()
				if got := f.ids(); !slices.Equal(got, []string{"3.0.0"}) {
					t.Errorf("%q", got)
				}
			})
		})
	}
}

func TestAJournalThatFails(t *testing.T) {
	l := newLedger()
	l.err = errors.New("checksum")
	if _, err := newSubscribers([]SubscriberConfig{subscriber()}, "mx", l, someone{}, nil, always(200, ""), zap.NewNop()); err == nil ||
		err.Error() != "read how far webhook crm was told: checksum" {
		t.Error(err)
	}
	l.err = nil
	s, err := newSubscribers([]SubscriberConfig{subscriber()}, "mx", l, someone{}, nil, always(200, ""), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	l.err = errors.New("checksum")
	if err := s.Run(t.Context()); err == nil || err.Error() != "checksum" {
		t.Error(err)
	}
}
