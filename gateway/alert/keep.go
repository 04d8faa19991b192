package alert

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// Bounds of the kept value.
const (
	maxKept     = 64 << 10
	maxUnpacked = 16 << 20
)

// kept is everything that a restart must not lose.
type kept struct {
	Batch     uint64               `json:"batch"` // the place in the journal
	Position  int                  `json:"position"`
	Outbox    []parcel             `json:"outbox,omitempty"`
	Open      []Incident           `json:"open,omitempty"` // those that matter most first
	Closed    []Incident           `json:"closed,omitempty"`
	Receivers map[string]*receiver `json:"receivers,omitempty"`
}

// keep gives what is to be kept. It shares nothing with the book.
func (b *book) keep() *kept {
	k := &kept{Outbox: slices.Clone(b.outbox), Receivers: make(map[string]*receiver, len(b.receivers))}
	for _, in := range b.open {
		k.Open = append(k.Open, in.clone())
	}
	slices.SortFunc(k.Open, func(x, y Incident) int { return byWeight(&y, &x) })
	for i := range b.closed {
		k.Closed = append(k.Closed, b.closed[i].clone())
	}
	for to, r := range b.receivers {
		k.Receivers[to] = &receiver{slices.Clone(r.Sent), slices.Clone(r.Waiting), r.Lost}
	}
	return k
}

// restore takes up what was kept.
func (b *book) restore(k *kept) {
	b.outbox, b.closed = k.Outbox, k.Closed
	for i := range k.Open {
		b.open[k.Open[i].key()] = &k.Open[i]
	}
	for to, r := range k.Receivers {
		if r != nil {
			b.receivers[to] = r
		}
	}
}

// pack writes what fits into a kept value, what matters most first.
func (k *kept) pack() ([]byte, error) {
	for {
		value, err := k.encode()
		if err != nil {
			return nil, err
		}
		if len(value) <= maxKept {
			return value, nil
		}
		if !k.shed() {
			return nil, fmt.Errorf("the place in the journal alone is %d octets", len(value))
		}
	}
}

func (k *kept) encode() ([]byte, error) {
	var value bytes.Buffer
	w, err := flate.NewWriter(&value, flate.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if err := json.NewEncoder(w).Encode(k); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return value.Bytes(), nil
}

// shed leaves out what matters least; it reports whether there was anything.
func (k *kept) shed() bool {
	switch {
	case len(k.Closed) > 0:
		k.Closed = k.Closed[(len(k.Closed)+1)/2:]
	case slices.ContainsFunc(k.Open, detailed):
		for i := range k.Open {
			in := &k.Open[i]
			in.Samples, in.Messages = nil, in.Messages[max(0, len(in.Messages)-1):]
		}
	case len(k.Open)+len(k.Outbox)+len(k.Receivers) > 0:
		k.Open, k.Outbox = k.Open[:len(k.Open)/2], k.Outbox[:len(k.Outbox)/2]
		for to, r := range k.Receivers {
			r.Waiting = r.Waiting[:len(r.Waiting)/2]
			if len(k.Open) == 0 {
				delete(k.Receivers, to)
			}
		}
	default:
		return false
	}
	return true
}

func detailed(in Incident) bool { return len(in.Samples) > 0 || len(in.Messages) > 1 }

// unpack reads a kept value; nil holds nothing.
func unpack(value []byte) (*kept, error) {
	k := &kept{}
	if len(value) == 0 {
		return k, nil
	}
	r := flate.NewReader(bytes.NewReader(value))
	if err := json.NewDecoder(io.LimitReader(r, maxUnpacked)).Decode(k); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	return k, nil
}
