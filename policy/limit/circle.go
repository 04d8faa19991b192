package limit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

const correspondentsContent = "correspondents"

// A circleRecord is one identity: 12 octets for each correspondent, ascending by hash.
type circleRecord struct {
	_        struct{} `cbor:",toarray"`
	Identity string
	Known    []byte
}

// Snapshot writes everything. What is learned meanwhile may be missing: learn it again from the mark on.
func (c *Correspondents) Snapshot(w io.Writer, mark uint64) error {
	out := frameWriter{w: w}
	if err := out.write(headFrame, header{Content: correspondentsContent, Version: snapshotVersion, Mark: mark}); err != nil {
		return err
	}
	for i := range c.shards {
		for records := range slices.Chunk(c.shards[i].records(), chunkSize) {
			if err := out.write(chunkFrame, records); err != nil {
				return err
			}
		}
	}
	return out.end()
}

func (s *circle) records() []circleRecord {
	s.Lock()
	defer s.Unlock()
	list := make([]circleRecord, 0, len(s.known))
	for identity, known := range s.known {
		b := make([]byte, 0, 12*len(known))
		for _, k := range known {
			b = binary.BigEndian.AppendUint64(b, k.hash())
			b = binary.BigEndian.AppendUint32(b, k.seen)
		}
		list = append(list, circleRecord{Identity: identity, Known: b})
	}
	return list
}

var errCircle = errors.New("impossible list of correspondents")

// RestoreCorrespondents reads a snapshot, and gives its mark.
func RestoreCorrespondents(r io.Reader, cfg CorrespondentsConfig) (*Correspondents, uint64, error) {
	in, err := newFrameReader(r)
	if err != nil {
		return nil, 0, err
	}
	h, err := in.head(correspondentsContent)
	if err != nil {
		return nil, 0, err
	}
	c := NewCorrespondents(cfg)
	err = in.chunks(func(payload []byte) error {
		var records []circleRecord
		if err := in.decode.Unmarshal(payload, &records); err != nil {
			return err
		}
		for _, r := range records {
			if err := c.load(r); err != nil {
				return fmt.Errorf("identity %q: %w", r.Identity, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return c, h.Mark, nil
}

func (c *Correspondents) load(r circleRecord) error {
	s := c.circle(r.Identity)
	if len(r.Known)%12 != 0 || len(r.Known) == 0 || s.known[r.Identity] != nil {
		return errCircle
	}
	list := make([]correspondent, 0, len(r.Known)/12)
	for b := r.Known; len(b) > 0; b = b[12:] {
		k := correspondent{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])}
		if len(list) > 0 && list[len(list)-1].hash() >= k.hash() {
			return errCircle
		}
		list = append(list, k)
	}
	s.known[strings.Clone(r.Identity)] = list
	s.total += len(list)
	return nil
}
