package hold

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/sendgate/sendgate/policy"
)

func TestTimetableGivesTheEarliest(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	table, model := newTimetable(), map[policy.ID]time.Duration{}
	ids := make([]policy.ID, 200)
	for i := range ids {
		ids[i] = ulid.Make()
	}
	for range 20000 {
		id := ids[random.IntN(len(ids))]
		switch random.IntN(4) {
		case 0, 1:
			at := time.Duration(random.IntN(1000))
			table.set(entry{id: id, at: at})
			model[id] = at
		case 2:
			table.remove(id)
			delete(model, id)
		case 3:
			now := time.Duration(random.IntN(1000))
			earliest, any := now+1, false
			for _, at := range model {
				earliest, any = min(earliest, at), any || at <= now
			}
			e, ok := table.pop(now)
			if ok != any || ok && (e.at != earliest || model[e.id] != e.at) {
				t.Fatalf("pop(%d) = %v %v, want the one at %d: %v", now, e.at, ok, earliest, any)
			}
			delete(model, e.id)
		}
		if table.Len() != len(model) || len(table.byID) != len(model) {
			t.Fatalf("%d entries, want %d", table.Len(), len(model))
		}
	}
}
