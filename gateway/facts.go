package gateway

import (
	"errors"
	"slices"
	"sync"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// maxFacts bounds what is remembered of messages: each counts one, and one for each recipient.
const maxFacts = 50_000

// A facts tells whom records of the journal are about. It remembers the messages that were asked for last: what
// happens to a message mostly happens soon, and a list of 20,000 recipients is not read for each of them. It is
// safe for concurrent use.
type facts struct {
	journal journalReader

	mu    sync.Mutex
	known map[policy.ID]*fact
	order []policy.ID // the oldest first
	size  int
}

// A journalReader reads rows.
type journalReader interface {
	Message(id policy.ID) (store.Message, error)
	Recipients(id policy.ID) (policy.Rows, error)
}

// A fact is what is known of a message.
type fact struct {
	envelope  *policy.Envelope
	addresses []policy.Address // by index; read when they are asked for
}

func newFacts(journal journalReader) *facts {
	return &facts{journal: journal, known: map[policy.ID]*fact{}}
}

// Envelope gives that of a message, without its recipients unless it is new; nil when the record is about none.
// A person who was erased is not remembered.
func (f *facts) Envelope(r *store.Record) (*policy.Envelope, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	one, err := f.of(r)
	if one == nil {
		return nil, err
	}
	return one.envelope, nil
}

// Addresses names recipients of a message by their indexes (nil: all), at most so many.
func (f *facts) Addresses(r *store.Record, indexes []int, most int) (all []policy.Address, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	one, err := f.of(r)
	if one == nil {
		return nil, err
	}
	if one.addresses == nil || slices.ContainsFunc(indexes, func(i int) bool { return i >= len(one.addresses) }) {
		if err := f.read(r.Message, one); err != nil {
			return nil, err
		}
	}
	if indexes == nil {
		return slices.Clone(one.addresses[:min(most, len(one.addresses))]), nil
	}
	for _, i := range indexes {
		if i >= 0 && i < len(one.addresses) && len(all) < most {
			all = append(all, one.addresses[i])
		}
	}
	return all, nil
}

// of gives what is known of the message of a record, nil when it is about none.
func (f *facts) of(r *store.Record) (*fact, error) {
	one := f.known[r.Message]
	if one != nil && !slices.ContainsFunc(r.Events, isErasure) {
		return one, nil
	}
	if one != nil {
		f.drop(r.Message)
		f.order = slices.DeleteFunc(f.order, func(id policy.ID) bool { return id == r.Message })
	}
	one = &fact{envelope: r.Envelope}
	if r.Envelope == nil {
		m, err := f.journal.Message(r.Message)
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		one.envelope = &m.Envelope
	}
	for i := range one.envelope.Recipients {
		one.addresses = append(one.addresses, one.envelope.Recipients[i].Address)
	}
	f.known[r.Message] = one
	f.order = append(f.order, r.Message)
	f.size += 1 + len(one.addresses)
	f.forget()
	return one, nil
}

// read takes up the addresses of a message as they are now: groups add some.
func (f *facts) read(id policy.ID, one *fact) error {
	rows, err := f.journal.Recipients(id)
	if errors.Is(err, store.ErrNotFound) { // it was pruned since: what is known stays
		return nil
	}
	if err != nil {
		return err
	}
	before := len(one.addresses)
	one.addresses = make([]policy.Address, len(rows))
	for i := range rows {
		one.addresses[i] = rows[i].Address
	}
	if f.known[id] == one {
		f.size += len(rows) - before
		f.forget()
	}
	return nil
}

// forget makes room, but for the newest.
func (f *facts) forget() {
	for f.size > maxFacts && len(f.order) > 1 {
		oldest := f.order[0]
		f.order = f.order[1:]
		f.drop(oldest)
	}
}

// drop leaves the order to its caller.
func (f *facts) drop(id policy.ID) {
	f.size -= 1 + len(f.known[id].addresses)
	delete(f.known, id)
}

func isErasure(e policy.Event) bool { return e.Kind == policy.Erased }
