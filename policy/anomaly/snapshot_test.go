package anomaly

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

func (d *desk) snapshot() []byte {
	d.t.Helper()
	var b bytes.Buffer
	if err := d.w.Snapshot(&b, 42); err != nil {
		d.t.Fatal(err)
	}
	return b.Bytes()
}

// live lets several accounts do all sorts of things.
func (d *desk) live(r *rand.Rand, steps int) (told []func(w *Watch)) {
	for range steps {
		d.now = d.now.Add(time.Duration(r.IntN(5400)) * time.Second)
		now, name := d.now, fmt.Sprintf("user%d", r.IntN(7))
		f := d.mail(r.IntN(6))
		f.Identity, f.Bare, f.ForeignFrom = name, r.IntN(9) == 0, r.IntN(5) == 0
		for i := range f.External {
			f.External[i].Stranger = r.IntN(3) == 0
		}
		do := func(w *Watch) { w.Learn(now, f) }
		switch r.IntN(30) {
		case 0:
			do = func(w *Watch) { w.SignIn(now, name, abroad, true) }
		case 1:
			do = func(w *Watch) { w.Bounce(now, f.ID, name, NoSuchUser, "x@y.example") }
		case 2:
			do = func(w *Watch) { w.Suspended(now, name, now.Add(time.Hour), true) }
		case 3:
			forget := r.IntN(2) == 0
			do = func(w *Watch) { w.Release(now, name, forget) }
		}
		if r.IntN(30) == 0 {
			f.External = d.mail(70).External
		}
		do(d.w)
		told = append(told, do)
	}
	return told
}

func TestSnapshotIsEqual(t *testing.T) {
	d := newDesk(t)
	d.live(rand.New(rand.NewPCG(1, 1)), 1500)
	first := d.snapshot()
	w, mark, err := Restore(bytes.NewReader(first), d.w.cfg().Config, testLocator)
	if err != nil || mark != 42 || w.Len() != d.w.Len() {
		t.Fatalf("mark %d, %d accounts, %v", mark, w.Len(), err)
	}
	again := &desk{t: t, w: w, now: d.now, serial: d.serial}
	if !bytes.Equal(first, again.snapshot()) {
		t.Fatal("the restored watch writes another snapshot")
	}
	a, b := rand.New(rand.NewPCG(2, 2)), rand.New(rand.NewPCG(2, 2))
	for range 300 { // both go on alike
		d.live(a, 1)
		again.live(b, 1)
		f := d.mail(25)
		again.serial = d.serial
		f.Identity = "user3"
		if x, y := d.look(f), again.look(f); !reflect.DeepEqual(x, y) {
			t.Fatalf("%+v\n%+v", x, y)
		}
	}
	if !bytes.Equal(d.snapshot(), again.snapshot()) {
		t.Error("they differ at the end")
	}
}

func TestToldAgainIsTheSame(t *testing.T) {
	d := newDesk(t)
	told := d.live(rand.New(rand.NewPCG(3, 3)), 400)
	before := d.snapshot()
	f := d.mail(2)
	f.Identity = "user1"
	for range 3 {
		d.learn(f)
		d.w.Bounce(d.now, f.ID, "user1", Returned, f.External[0].Address)
	}
	once := newDesk(t)
	for _, do := range told {
		do(once.w)
	}
	if !bytes.Equal(before, once.snapshot()) {
		t.Error("the journal, told to another watch, gives another memory")
	}
	once.now = d.now
	once.learn(f)
	once.w.Bounce(d.now, f.ID, "user1", Returned, f.External[0].Address)
	if !bytes.Equal(d.snapshot(), once.snapshot()) {
		t.Error("telling three times counts more than once")
	}
}

func TestDamagedSnapshotsAreRefused(t *testing.T) {
	d := newDesk(t)
	d.live(rand.New(rand.NewPCG(1, 1)), 50)
	good := d.snapshot()
	for n := 0; n < len(good); n += 97 {
		if _, _, err := Restore(bytes.NewReader(good[:n]), d.w.cfg().Config, nil); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut after %d octets: %v", n, err)
		}
	}
	wrong := bytes.Clone(good)
	wrong[1] = 9 // the version
	if _, _, err := Restore(bytes.NewReader(wrong), d.w.cfg().Config, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("another version: %v", err)
	}
	if _, _, err := Restore(bytes.NewReader(good), Config{}, nil); err == nil {
		t.Error("a configuration that cannot work")
	}
}

func FuzzRestore(f *testing.F) {
	d := newDesk(f)
	d.live(rand.New(rand.NewPCG(1, 1)), 20)
	f.Add(d.snapshot())
	f.Fuzz(func(t *testing.T, b []byte) {
		w, _, err := Restore(bytes.NewReader(b), DefaultConfig(), nil)
		if err != nil {
			return
		}
		e := newDesk(t)
		e.w, e.now = w, monday.Add(1000*time.Hour)
		for i := range w.shards {
			for name := range w.shards[i].accounts {
				m := e.mail(3)
				m.Identity = name
				e.learn(m)
			}
		}
	})
}
