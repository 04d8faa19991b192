package maillog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// A memory is a journal that keeps values.
type memory struct {
	mu    sync.Mutex
	kept  map[string][]byte
	err   error
	last  uint64
	saved int
}

func (m *memory) Keep(name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.kept[name], m.saved = value, m.saved+1
	}
	return m.err
}

func (m *memory) Kept(name string) ([]byte, error) { return m.kept[name], m.err }
func (m *memory) LastBatch() uint64                { return m.last }

// records is a feed of so many records in batches of two, from one on; then it waits.
type records struct{ next, last int }

func (f *records) Next(ctx context.Context) (store.Record, error) {
	if f.next >= f.last {
		<-ctx.Done()
		return store.Record{}, ctx.Err()
	}
	n := f.next
	f.next++
	return store.Record{
		Batch: uint64(1 + n/2), Position: n % 2, Message: ulid.ULID{15: byte(n)},
		Events: []policy.Event{{Kind: policy.Released, Time: at, Actor: fmt.Sprintf("no.%d", n)}},
	}, nil
}

// A tape is an output that can fail.
type tape struct {
	mu      sync.Mutex
	said    []string
	err     error
	reopens int
}

func (o *tape) write(l Line) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return o.err
	}
	o.said = append(o.said, string(l.Verb)+" "+l.More[0].Value)
	return nil
}

func (o *tape) reopen() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reopens++
	return o.err
}

func (o *tape) close() error { return nil }

func (o *tape) lines() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.said)
}

func (o *tape) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

// newLog makes a log that writes on a tape.
func newLog(t *testing.T, j *memory, o output) (*Log, *observer.ObservedLogs) {
	t.Helper()
	if j.kept == nil {
		j.kept = map[string][]byte{}
	}
	core, logs := observer.New(zapcore.DebugLevel)
	l, err := New(DefaultConfig(), "mx", j, known{}, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	l.out = o
	return l, logs
}

// start runs a log; stop ends it.
func start(t *testing.T, l *Log, feed Feed) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx, feed) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func numbers(from, to int) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf("released no.%d", i))
	}
	return all
}

func TestWhatWasWrittenIsNotWrittenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, o := &memory{}, &tape{}
		l, _ := newLog(t, j, o)
		if l.Begin() != 1 {
			t.Errorf("in an empty journal it begins with batch %d", l.Begin())
		}
		stop := start(t, l, &records{last: 5})
		synctest.Wait()
		stop()
		j.last = 9
		l, _ = newLog(t, j, o)
		if l.Begin() != 3 {
			t.Errorf("it begins with batch %d, and has written half of batch 3", l.Begin())
		}
		stop = start(t, l, &records{next: 4, last: 8})
		synctest.Wait()
		stop()
		if got := o.lines(); !slices.Equal(got, numbers(0, 8)) {
			t.Errorf("%q", got)
		}
	})
}

// TestTheFirstPlaceIsKeptAtOnce has a crash right after the first start.
func TestTheFirstPlaceIsKeptAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &memory{last: 9}
		l, _ := newLog(t, j, &tape{})
		stop := start(t, l, &records{})
		synctest.Wait()
		kept := maps.Clone(j.kept)
		stop()
		l, _ = newLog(t, &memory{last: 12, kept: kept}, &tape{})
		if l.Begin() != 9 || l.mark.Position != endOfBatch {
			t.Errorf("it begins with batch %d, %v", l.Begin(), l.mark)
		}
	})
}

func TestThePlaceIsKeptWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &memory{}
		l, _ := newLog(t, j, &tape{})
		stop := start(t, l, &records{last: 5})
		time.Sleep(keepEvery + time.Second)
		synctest.Wait()
		if got := string(j.kept[keptName]); got != `{"batch":3,"position":0}` {
			t.Errorf("kept %s", got)
		}
		time.Sleep(time.Hour)
		stop()
		if j.saved != 2 { // where it begins, and where it is
			t.Errorf("kept %d times without anything new", j.saved)
		}
	})
}

func TestAPlaceInAnotherJournalIsGivenUp(t *testing.T) {
	for outcome, kept := range map[string]string{"it ends before": `{"batch":7}`, "it cannot be read": "x"} {
		t.Run(outcome, func(t *testing.T) {
			l, _ := newLog(t, &memory{last: 5, kept: map[string][]byte{keptName: []byte(kept)}}, &tape{})
			if l.Begin() != 5 || l.mark.Position != endOfBatch {
				t.Errorf("begins with batch %d, %v", l.Begin(), l.mark)
			}
		})
	}
}

func TestAJournalThatCannotBeReadIsAnError(t *testing.T) {
	if _, err := New(DefaultConfig(), "mx", &memory{err: errors.New("disk")}, known{}, zap.NewNop()); err == nil ||
		err.Error() != "read the place of the mail log: disk" {
		t.Error(err)
	}
}

func TestLinesWaitWhileTheOutputFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, o := &memory{}, &tape{err: errors.New("no space left on device")}
		l, logs := newLog(t, j, o)
		stop := start(t, l, &records{last: 4})
		time.Sleep(time.Hour)
		synctest.Wait()
		if l.Err() == nil || len(o.lines()) > 0 || j.saved > 1 { // where it begins
			t.Errorf("%v, %q, kept %d times", l.Err(), o.lines(), j.saved)
		}
		for i := range maxSaid + 7 {
			l.say(Line{Verb: Refused, More: []Field{{"n", fmt.Sprint(i)}}})
		}
		o.fail(nil)
		time.Sleep(time.Minute)
		stop()
		got := o.lines()
		// What the fronts said and what the journal has are two streams; each is in its order.
		if released := only(got, "released"); !slices.Equal(released, numbers(0, 4)) {
			t.Errorf("of the journal %q", released)
		}
		if refused := only(got, "refused"); len(refused) != maxSaid || refused[0] != "refused 0" {
			t.Errorf("of the fronts %d", len(refused))
		}
		if missed := only(got, "missed"); !slices.Equal(missed, []string{"missed 7"}) {
			t.Errorf("missed %q", missed)
		}
		if n := logs.FilterMessage("the mail log cannot be written; its lines wait").Len(); n != 1 {
			t.Errorf("it was told %d times", n)
		}
		if n := logs.FilterMessage("the mail log can be written again").Len(); n != 1 || l.Err() != nil {
			t.Errorf("its end was told %d times: %v", n, l.Err())
		}
	})
}

func only(lines []string, verb string) (of []string) {
	for _, l := range lines {
		if strings.HasPrefix(l, verb+" ") {
			of = append(of, l)
		}
	}
	return of
}

func TestALineThatNobodyTakesIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := newLog(t, &memory{}, &tape{err: errLong})
		stop := start(t, l, &records{last: 4})
		synctest.Wait()
		stop()
		if l.mark.Batch != 2 || l.Err() != nil {
			t.Errorf("%v, %v", l.mark, l.Err())
		}
	})
}

func TestReopenReachesTheOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, failing := range []error{nil, errors.New("gone")} {
			o := &tape{err: failing}
			l, _ := newLog(t, &memory{last: 9}, o)
			stop := start(t, l, &records{last: 1})
			synctest.Wait()
			l.Reopen()
			synctest.Wait()
			stop()
			if o.reopens != 1 {
				t.Errorf("with %v: reopened %d times", failing, o.reopens)
			}
		}
	})
}

func TestTheEndOfTheJournalIsTold(t *testing.T) {
	l, _ := newLog(t, &memory{last: 9}, &tape{})
	err := l.Run(t.Context(), broken{})
	if err == nil || err.Error() != "follow the journal for the mail log: checksum" {
		t.Error(err)
	}
}

type broken struct{}

func (broken) Next(context.Context) (store.Record, error) {
	return store.Record{}, errors.New("checksum")
}

// The level of the program's own log is none of the mail log's.
func TestWhatFrontsSay(t *testing.T) {
	for level, others := range map[zapcore.Level][]string{
		zapcore.DebugLevel: {"upstream away", "refused by nobody"},
		zapcore.ErrorLevel: nil,
	} {
		t.Run(level.String(), func(t *testing.T) { frontsSay(t, level, others) })
	}
}

func frontsSay(t *testing.T, level zapcore.Level, others []string) {
	o := &tape{}
	l, _ := newLog(t, &memory{}, o)
	core, passed := observer.New(level)
	log := zap.New(core).WithOptions(zap.WrapCore(l.Tap)).With(zap.String("with", "w"))
	log.Info("refused", zap.Stringer("id", anID), zap.String("sender", "a@b"), zap.String("queue_id", "Q"), zap.String("rule", "r"),
		zap.Int("recipients", 2), zap.Time("until", at), zap.String("login", ""))
	log.Info("held", zap.Stringer("id", anID), zap.Strings("shadow", []string{"x: hold 5m0s", "y"}))
	log.Info("released", zap.Stringer("id", anID))
	log.Error("undecided", zap.Error(errors.New("full")))
	log.Warn("upstream away")
	log.Debug("refused by nobody")
	var got []string
	for len(l.said) > 0 {
		line := <-l.said
		got = append(got, line.Text())
	}
	want := []string{
		"refused id=" + anID.String() + " queue_id=Q sender=<a@b> rule=r with=w recipients=2 until=" + stamp(at),
		"shadow id=" + anID.String() + ` queue_id=- sender=- rule=- would="x: hold 5m0s; y"`,
		"undecided id=- queue_id=- sender=- rule=- with=w error=full",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var rest []string
	for _, e := range passed.All() {
		rest = append(rest, e.Message)
	}
	if !slices.Equal(rest, others) {
		t.Errorf("among the other lines: %q", rest)
	}
}

func TestAmongTheOtherLines(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	o := newOutput(DefaultConfig(), "mx", zap.New(core))
	for _, l := range []Line{
		{Verb: "held", Time: at, ID: "I", Rule: "r", Sender: "<a@b>", More: []Field{{"reply", "x\ny"}}},
		{Verb: Verb(policy.Unknown), Time: at, ID: "J"},
	} {
		if err := errors.Join(o.write(l), o.reopen()); err != nil {
			t.Error(err)
		}
	}
	held, unknown := logs.All()[0], logs.All()[1]
	if held.Message != "held" || held.Level != zapcore.InfoLevel || fmt.Sprint(held.ContextMap()) != fmt.Sprint(map[string]any{
		"id": "I", "rule": "r", "sender": "<a@b>", "reply": "x\ny", "at": at,
	}) || unknown.Level != zapcore.WarnLevel {
		t.Errorf("%v, %v", held, unknown)
	}
	if err := o.close(); err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	for _, tt := range []struct {
		outcome string
		config  Config
		want    string
	}{
		{"the default is in order", DefaultConfig(), ""},
		{"a file needs a whole path", Config{To: ToFile, File: "mail.log"}, "file: mail.log: write a whole path, such as /var/log/sendgate/mail.log"},
		{"only four places", Config{To: "tape"}, "to: tape: must be log, file, journald or syslog"},
		{"a unix socket", Config{To: ToSyslog, Syslog: "unix:///dev/log"}, ""},
		{"UDP", Config{To: ToSyslog, Syslog: "udp://127.0.0.1:514"}, ""},
		{"TCP", Config{To: ToSyslog, Syslog: "tcp://[::1]:601"}, ""},
		{"no port", Config{To: ToSyslog, Syslog: "tcp://127.0.0.1"}, "syslog: tcp://127.0.0.1: write unix:///dev/log, udp://host:port or tcp://host:port"},
		{"no TLS", Config{To: ToSyslog, Syslog: "tls://h:1"}, "syslog: tls://h:1: write unix:///dev/log, udp://host:port or tcp://host:port"},
		{"no path", Config{To: ToSyslog, Syslog: "unix:log"}, "syslog: unix:log: write unix:///dev/log, udp://host:port or tcp://host:port"},
		{"what is not used is not looked at", Config{To: ToJournald, File: "x", Syslog: "y"}, ""},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			got := ""
			if err := tt.config.Validate(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
