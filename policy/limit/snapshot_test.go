package limit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/sendgate/sendgate/policy"
)

// full gives counters with one of everything.
func full(t testing.TB) *Counters {
	c := New(DefaultConfig())
	c.Take(noon, id(1), fingerprint(1), []Demand{hourly("anna", 4), daily("anna", 4), hourly("gateway", 1)})
	c.Commit(id(1))
	c.Take(noon.Add(10*time.Minute), id(2), Fingerprint{}, []Demand{hourly("anna", 3), daily("anna", 3)})
	c.Commit(id(2))
	c.Take(noon.Add(10*time.Minute), id(3), fingerprint(1), []Demand{hourly("anna", 4)})
	c.Refund(noon, id(2), "a", []Amount{{Rule: "hourly", Key: "anna", Units: 1}})
	c.Take(noon.Add(11*time.Minute), id(4), fingerprint(2), []Demand{hourly("ben", 2)})
	c.Reset(noon, "hourly", "carl")
	c.Pace(noon, "pace", "anna", Rate{time.Minute, 1}, 90)
	for _, g := range []Grant{boost(5), override(30)} {
		if err := c.Grant(g); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func snapshot(t testing.TB, c *Counters, mark uint64) []byte {
	var b bytes.Buffer
	if err := c.Snapshot(&b, mark); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSnapshotKeepsEverything(t *testing.T) {
	c := full(t)
	d, mark, err := Restore(bytes.NewReader(snapshot(t, c, 42)), DefaultConfig())
	if err != nil || mark != 42 {
		t.Fatalf("mark %d: %v", mark, err)
	}
	now := noon.Add(12 * time.Minute)
	demands := []Demand{hourly("anna", 1), daily("anna", 1), hourly("gateway", 1), hourly("ben", 9)}
	got, want := d.Test(now, demands), c.Test(now, demands)
	for i := range demands {
		if got.Lines[i] != want.Lines[i] {
			t.Errorf(" got %+v\nwant %+v", got.Lines[i], want.Lines[i])
		}
	}
	if got, want := d.Grants(now, "anna"), c.Grants(now, "anna"); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("grants %+v", got)
	}
	if got, want := d.Pace(now, "pace", "anna", Rate{time.Minute, 1}, 0), c.Pace(now, "pace", "anna", Rate{time.Minute, 1}, 0); got != want {
		t.Errorf("pace %+v, want %+v", got, want)
	}
	ok(t, !d.Refund(now, id(2), "a", []Amount{{Rule: "hourly", Key: "anna", Units: 1}}))
	ok(t, d.Take(now, id(5), fingerprint(1), []Demand{hourly("anna", 4)}).RetryOf == id(1))
	for _, n := range []int{1, 3, 5, 2} {
		ok(t, d.Release(now, id(n)))
	}
	if got := used(t, d, now, hourly("anna", 1)); got != 0 {
		t.Errorf("after releasing all %d are used", got)
	}
	if got := used(t, d, noon.Add(22*time.Minute), hourly("ben", 1)); got != 0 {
		t.Errorf("the lease did not run out: %d", got)
	}
}

func TestSnapshotOfNothing(t *testing.T) {
	c, mark, err := Restore(bytes.NewReader(snapshot(t, New(DefaultConfig()), 0)), DefaultConfig())
	if err != nil || mark != 0 || !c.Take(noon, id(1), Fingerprint{}, []Demand{hourly("anna", 1)}).Fits {
		t.Errorf("mark %d, %v", mark, err)
	}
}

// A fingerprint outlives what was counted.
func TestRetryAfterSnapshotAndSweep(t *testing.T) {
	c := New(DefaultConfig())
	c.Take(noon, id(1), fingerprint(7), []Demand{hourly("anna", 1)})
	c.Commit(id(1))
	later := noon.Add(5 * time.Hour)
	for i := range 1000 {
		c.Take(later, id(100+i), Fingerprint{}, nil)
	}
	d, _, err := Restore(bytes.NewReader(snapshot(t, c, 0)), DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	if c.message(id(1)) != nil {
		t.Fatal("the message was not swept")
	}
	if r := d.Take(later, id(2), fingerprint(7), []Demand{hourly("anna", 1)}); r.RetryOf != id(1) {
		t.Errorf("not known as a retry: %+v", r)
	}
}

type brokenWriter struct{ left int }

func (b *brokenWriter) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestSnapshotThatCannotBeWritten(t *testing.T) {
	c := full(t)
	whole := snapshot(t, c, 1)
	for n := 0; n < len(whole); n += 37 {
		if err := c.Snapshot(&brokenWriter{n}, 1); !errors.Is(err, io.ErrShortWrite) || !strings.HasPrefix(err.Error(), "write snapshot: ") {
			t.Fatalf("after %d octets: %v", n, err)
		}
	}
	if again := snapshot(t, c, 1); len(again) != len(whole) {
		t.Errorf("%d octets, before %d", len(again), len(whole))
	}
}

func TestDamagedSnapshot(t *testing.T) {
	whole := snapshot(t, full(t), 42)
	for i := range whole {
		if _, _, err := Restore(bytes.NewReader(whole[:i]), DefaultConfig()); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut at %d: %v", i, err)
		}
		b := bytes.Clone(whole)
		b[i] ^= 0x10
		if _, _, err := Restore(bytes.NewReader(b), DefaultConfig()); !errors.Is(err, ErrDamaged) {
			t.Fatalf("octet %d turned: %v", i, err)
		}
	}
	if _, _, err := Restore(io.MultiReader(bytes.NewReader(whole[:60]), &failingReader{}), DefaultConfig()); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("unreadable: %v", err)
	}
}

type failingReader struct{}

func (*failingReader) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

// frames writes a snapshot with correct sums around any content.
func frames(t testing.TB, h header, chunks ...any) []byte {
	var b bytes.Buffer
	f := frameWriter{w: &b}
	err := f.write(headFrame, h)
	for _, c := range chunks {
		k, ok := c.(*chunk)
		if !ok {
			err = errors.Join(err, f.write(chunkFrame, c))
			continue
		}
		payload, failed := k.append(nil)
		err = errors.Join(err, failed, f.raw(frame(nil, chunkFrame, payload)))
	}
	if err = errors.Join(err, f.end()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestImpossibleSnapshot(t *testing.T) {
	head := header{countersContent, snapshotVersion, 0, []string{"hourly"}, 0, 0}
	newer, double := head, head
	newer.Version = 3
	double.Rules = []string{"a", "a"}
	win := func(numbers ...uint64) chunk {
		var b []byte
		for _, n := range numbers {
			b = binary.AppendUvarint(b, n)
		}
		return chunk{Subjects: []subjectRecord{{Key: "anna", Windows: b}}}
	}
	more := func(x extraRecord) chunk { return chunk{Subjects: []subjectRecord{{Key: "anna", More: &x}}} }
	twice := win(0, 1000, 5, 1, 1, 1)
	twice.Subjects = append(twice.Subjects, twice.Subjects[0])
	message := messageRecord{ID: id(1), First: id(1)}
	with := func(items []byte) chunk {
		m := message
		m.Items = items
		return chunk{Keys: []string{"anna"}, Messages: []messageRecord{m}}
	}
	tests := []struct {
		name string
		head header
		c    chunk
		want string
	}{
		{"newer", newer, chunk{}, "the snapshot has version 3, this program reads 2"},
		{"rule twice", double, chunk{}, `the snapshot is damaged: rule "a" is listed twice`},
		{"no width", head, win(0, 0, 5, 0), `the snapshot is damaged: frame 2: key "anna": impossible window`},
		{"half a slot", head, win(0, 1000, 5, 1, 1), `the snapshot is damaged: frame 2: key "anna": impossible window`},
		{"too old", head, win(0, 1000, 500, 1, 61, 1), `the snapshot is damaged: frame 2: key "anna": impossible window`},
		{"out of order", head, win(0, 1000, 500, 2, 1, 1, 2, 1), `the snapshot is damaged: frame 2: key "anna": impossible window`},
		{"too many slots", head, win(0, 1000, 500, 62), `the snapshot is damaged: frame 2: key "anna": impossible window`},
		{"nothing counted", head, win(0, 1000, 500, 1, 1, 0), `the snapshot is damaged: frame 2: key "anna": impossible window`},
		{"too much", head, win(0, 1000, 500, 1, 1, 1<<48), `the snapshot is damaged: frame 2: key "anna": impossible window`},
		{"unknown rule", head, win(1, 1000, 5, 0), `the snapshot is damaged: frame 2: key "anna": unknown rule`},
		{"window twice", head, win(0, 1000, 5, 0, 0, 1000, 5, 0), `the snapshot is damaged: frame 2: key "anna": listed twice`},
		{"key twice", head, twice, `the snapshot is damaged: frame 2: key "anna": listed twice`},
		{"pace of no rule", head, more(extraRecord{Paces: []paceRecord{{Rule: 7}}}), `the snapshot is damaged: frame 2: key "anna": unknown rule`},
		{"grant of no rule", head, more(extraRecord{Grants: []grantRecord{{Rule: 7}}}), `the snapshot is damaged: frame 2: key "anna": unknown rule`},
		{"reset of no rule", head, more(extraRecord{Resets: []resetRecord{{Rule: 7}}}), `the snapshot is damaged: frame 2: key "anna": unknown rule`},
		{"message twice", head, chunk{Messages: []messageRecord{message, message}},
			"the snapshot is damaged: frame 2: message " + id(1).String() + ": listed twice"},
		{"item of no rule", head, with(appendItem(nil, 7, 0, 1)), "the snapshot is damaged: frame 2: message " + id(1).String() + ": unknown rule"},
		{"negative amount", head, with(appendItem(nil, 0, 0, -1)), "the snapshot is damaged: frame 2: message " + id(1).String() + ": impossible amount"},
		{"a fingerprint that is none", head, chunk{Retries: []retryRecord{{First: id(1)}}}, "the snapshot is damaged: frame 2: a retry without a fingerprint"},
		{"half an item", head, with([]byte{0, 0}), "the snapshot is damaged: frame 2: message " + id(1).String() + ": impossible amount"},
		{"item of no key", head, with(appendItem(nil, 0, 1, 1)), "the snapshot is damaged: frame 2: message " + id(1).String() + ": impossible amount"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _, err := Restore(bytes.NewReader(frames(t, tt.head, &tt.c)), DefaultConfig())
			if err == nil || err.Error() != tt.want || c != nil {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
	if _, _, err := Restore(bytes.NewReader(frames(t, head, &chunk{})), DefaultConfig()); err != nil {
		t.Errorf("nothing wrong: %v", err)
	}
	if _, _, err := Restore(bytes.NewReader(frames(t, head, "text")), DefaultConfig()); err == nil || err.Error() != "the snapshot is damaged: frame 2: not a list of limits" {
		t.Errorf("another payload: %v", err)
	}
}

// A chunk reads back as it was written, and no beginning of it is one.
func TestChunkReadsBack(t *testing.T) {
	want := chunk{
		Subjects: []subjectRecord{
			{Key: "anna", Windows: []byte{1, 2, 3}, More: &extraRecord{Paces: []paceRecord{{Rule: 1, TAT: -5}}}}, {Key: ""},
		},
		Keys: []string{"anna", "", strings.Repeat("k", 300)},
		Messages: []messageRecord{
			{ID: id(1), First: id(2), At: -1, Lease: 1 << 40, Forget: 7, Items: appendItem(nil, 1, 2, 3), Refunds: []string{"a", "b"}}, {ID: id(3)},
		},
		Retries: []retryRecord{{Retry: fingerprint(1), First: id(1), At: 5}},
	}
	b, err := want.append(nil)
	if err != nil {
		t.Fatal(err)
	}
	var got chunk
	for range 2 { // into what is used again, too
		if err := got.read(b, cbor.Unmarshal); err != nil {
			t.Fatal(err)
		}
		again, err := got.append(nil)
		if err != nil || !bytes.Equal(again, b) || len(got.Messages) != 2 || got.Messages[0].Refunds[1] != "b" || got.Subjects[0].More.Paces[0].TAT != -5 {
			t.Errorf("%v: %+v", err, got)
		}
	}
	for i := range b {
		if err := got.read(b[:i], cbor.Unmarshal); err == nil {
			t.Errorf("%d of %d octets are read", i, len(b))
		}
	}
	if err := got.read(append(b, 0), cbor.Unmarshal); err != errChunk {
		t.Errorf("more octets: %v", err)
	}
}

// Messages that share what one took still do, whichever of them comes first in a snapshot.
func TestSharedInAnyOrder(t *testing.T) {
	first := messageRecord{ID: id(1), First: id(1), At: noon.UnixMilli(), Items: appendItem(nil, 0, 0, 4), Refunds: []string{"x"}}
	retry := first
	retry.ID = id(2)
	for _, list := range [][]messageRecord{{first, retry}, {retry, first}, {retry}} {
		k := chunk{Keys: []string{"anna"}, Messages: list, Retries: []retryRecord{{Retry: fingerprint(1), First: id(1), At: first.At}}}
		c, _, err := Restore(bytes.NewReader(frames(t, header{countersContent, snapshotVersion, 0, []string{"hourly"}, 0, 0}, &k)), DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		h := c.message(id(2))
		if len(h.ids) != len(list) || len(h.items) != 1 || h.items[0].amount != 4 || h.refunds[0] != "x" {
			t.Errorf("%+v", h)
		}
		if c.shard(c.retryBit(fingerprint(1))).retries[fingerprint(1)] != h || len(list) == 2 && c.message(id(1)) != h {
			t.Error("they do not share")
		}
	}
}

// Quirk: cbor writes a ULID as its 16 octets because it is a BinaryMarshaler, and reads no other length.
func TestIDInCBOR(t *testing.T) {
	b, err := cbor.Marshal(id(7))
	if err != nil || len(b) != 17 || b[0] != 0x50 {
		t.Errorf("%x: %v", b, err)
	}
	var i policy.ID
	if err := cbor.Unmarshal([]byte{0x41, 1}, &i); err == nil {
		t.Error("a short id was read")
	}
}

// What stands in the journal reads back the same.
func TestTakenInCBOR(t *testing.T) {
	c := New(DefaultConfig())
	r := c.Take(noon, id(1), fingerprint(1), []Demand{hourly("anna", 4), daily("corp.example", 3)})
	b, err := cbor.Marshal(r.Taken)
	if err != nil {
		t.Fatal(err)
	}
	var taken Taken
	if err := cbor.Unmarshal(b, &taken); err != nil {
		t.Fatal(err)
	}
	d := New(DefaultConfig())
	d.Replay(noon, id(1), taken)
	d.Replay(noon, id(1), taken)
	if used(t, d, noon, hourly("anna", 1)) != 4 || used(t, d, noon, daily("corp.example", 1)) != 3 {
		t.Errorf("read back: %+v", taken)
	}
	d = New(DefaultConfig())
	d.Replay(noon.Add(2*time.Hour), id(1), taken)
	if used(t, d, noon, hourly("anna", 1)) != 0 || used(t, d, noon, daily("corp.example", 1)) != 3 {
		t.Errorf("two hours later, what was taken for an hour counts")
	}
	t.Logf("%d octets", len(b))
}

func FuzzRestore(f *testing.F) {
	whole := snapshot(f, full(f), 42)
	f.Add(whole, false)
	f.Add(whole[:len(whole)/2], false)
	for b := whole; len(b) > 0; { // payloads, to be framed correctly
		size := int(b[1])<<24 | int(b[2])<<16 | int(b[3])<<8 | int(b[4])
		f.Add(b[frameHeader:frameHeader+size], true)
		b = b[frameHeader+size:]
	}
	f.Fuzz(func(t *testing.T, b []byte, framed bool) {
		if framed {
			head := header{countersContent, snapshotVersion, 0, []string{"hourly", "daily", "pace"}, 1, 1}
			whole, end := frames(t, head), frames(t, head, 0)
			b = append(frame(whole[:len(whole)-frameHeader-1], chunkFrame, b), end[len(end)-frameHeader-1:]...)
		}
		c, _, err := Restore(bytes.NewReader(b), DefaultConfig())
		if _, _, other := RestoreCorrespondents(bytes.NewReader(b), DefaultCorrespondentsConfig()); err == nil && other == nil {
			t.Error("it cannot be both")
		}
		if err != nil {
			return
		}
		c.Take(noon, id(9), fingerprint(1), []Demand{hourly("anna", 1), daily("anna", 1)})
		c.Release(noon, id(1))
		c.Test(noon.Add(25*time.Hour), []Demand{hourly("anna", 1), daily("anna", 1)})
		c.ReleaseReserved(noon)
		if _, _, err := Restore(bytes.NewReader(snapshot(t, c, 1)), DefaultConfig()); err != nil {
			t.Errorf("its own snapshot: %v", err)
		}
	})
}
