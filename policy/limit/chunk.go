package limit

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/sendgate/sendgate/policy"
)

// append writes a chunk: four lists, each behind its length. Numbers are varints, texts and lists of octets
// stand behind their length; ids and fingerprints are their 16 octets. What few subjects have is CBOR. A
// million messages in CBOR alone take twice as long to read.
func (k *chunk) append(b []byte) ([]byte, error) {
	b = appendNumber(b, len(k.Subjects))
	for i := range k.Subjects {
		r := &k.Subjects[i]
		var more []byte
		if r.More != nil {
			var err error
			if more, err = cbor.Marshal(r.More); err != nil {
				return b, fmt.Errorf("encode snapshot: %w", err)
			}
		}
		b = appendText(appendText(appendText(b, r.Key), r.Windows), more)
	}
	b = appendTexts(b, k.Keys)
	b = appendNumber(b, len(k.Messages))
	for i := range k.Messages {
		r := &k.Messages[i]
		b = append(append(b, r.ID[:]...), r.First[:]...)
		b = binary.AppendVarint(binary.AppendVarint(binary.AppendVarint(b, r.At), r.Lease), r.Forget)
		b = appendTexts(appendText(b, r.Items), r.Refunds)
	}
	b = appendNumber(b, len(k.Retries))
	for i := range k.Retries {
		r := &k.Retries[i]
		b = binary.AppendVarint(append(append(b, r.Retry[:]...), r.First[:]...), r.At)
	}
	return b, nil
}

func appendNumber(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)) }

func appendText[T string | []byte](b []byte, t T) []byte {
	return append(appendNumber(b, len(t)), t...)
}

func appendTexts(b []byte, list []string) []byte {
	b = appendNumber(b, len(list))
	for _, t := range list {
		b = appendText(b, t)
	}
	return b
}

// appendItem writes what a message took of one window: rule, index of the key among those of the chunk, amount.
func appendItem(b []byte, rule uint32, key uint64, amount int64) []byte {
	b = binary.AppendUvarint(b, uint64(rule))
	b = binary.AppendUvarint(b, key)
	return binary.AppendUvarint(b, uint64(amount))
}

var errChunk = errors.New("not a list of limits")

// read fills a chunk whose lists it uses again. Its texts and octets are parts of the payload.
func (k *chunk) read(payload []byte, decode func([]byte, any) error) error {
	v := texts{varints{payload, false}, string(payload)}
	*k = chunk{Subjects: k.Subjects[:0], Keys: k.Keys[:0], Messages: k.Messages[:0], Retries: k.Retries[:0]}
	for n := v.count(); n > 0 && !v.failed; n-- {
		r := subjectRecord{Key: v.text(), Windows: v.octets(v.count())}
		if more := v.octets(v.count()); len(more) > 0 {
			r.More = &extraRecord{}
			if err := decode(more, r.More); err != nil {
				return err
			}
		}
		k.Subjects = append(k.Subjects, r)
	}
	k.Keys = v.list(k.Keys)
	for n := v.count(); n > 0 && !v.failed; n-- {
		k.Messages = append(k.Messages, messageRecord{
			ID: v.id(), First: v.id(), At: v.signed(), Lease: v.signed(), Forget: v.signed(), Items: v.octets(v.count()), Refunds: v.list(nil),
		})
	}
	for n := v.count(); n > 0 && !v.failed; n-- {
		k.Retries = append(k.Retries, retryRecord{Retry: Fingerprint(v.id()), First: v.id(), At: v.signed()})
	}
	if v.failed || len(v.b) > 0 {
		return errChunk
	}
	return nil
}

// texts reads what append wrote; after the first that is not there, all is nothing.
type texts struct {
	varints
	whole string // the payload, of which texts are parts
}

// count reads how many octets or elements follow: of each there is one octet at least.
func (v *texts) count() int { return int(v.next(uint64(len(v.b)))) }

func (v *texts) octets(n int) []byte {
	if n > len(v.b) {
		v.b, v.failed = nil, true
		return nil
	}
	b := v.b[:n]
	v.b = v.b[n:]
	return b
}

func (v *texts) text() string {
	n := v.count()
	at := len(v.whole) - len(v.b)
	return v.whole[at : at+len(v.octets(n))]
}

func (v *texts) list(list []string) []string {
	for n := v.count(); n > 0 && !v.failed; n-- {
		list = append(list, v.text())
	}
	return list
}

func (v *texts) id() (id policy.ID) {
	copy(id[:], v.octets(len(id)))
	return id
}

func (v *texts) signed() int64 {
	n, size := binary.Varint(v.b)
	if size <= 0 {
		v.b, v.failed = nil, true
		return 0
	}
	v.b = v.b[size:]
	return n
}
