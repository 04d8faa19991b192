package store

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/sendgate/sendgate/policy"
)

// First octets of keys; see the package comment.
const (
	keyMessage   = 'm'
	keyRecipient = 'r'
	keyEvents    = 'e'
	keyBatch     = 'j'
	keyBody      = 'b'
	keyOpenBody  = 'o'
	keySeen      = 'y'
	keyDue       = 'd'
	keyFinal     = 'k'
	keyIndex     = 'x'
	keyMeta      = 'M'
	keyIntent    = 'w'
	keyFiller    = 'z'
	keyCount     = 'c'
	keyAudit     = 'a'
)

// Kinds of indexes.
const (
	indexSender          = 'f'
	indexSenderDomain    = 'F'
	indexRecipient       = 't'
	indexRecipientDomain = 'T'
	indexMessageID       = 'i'
	indexQueueID         = 'q'
	indexState           = 's'
	indexWord            = 'w'
	indexRecord          = 'n'
	indexReference       = 'a'
	indexIdentity        = 'p'
	indexCampaign        = 'c'
	indexFar             = 'd'
)

// maxTerm bounds a term of an index; longer ones are cut and found by their beginning.
const maxTerm = 128

const idSize = 16

var (
	encoding = must(cbor.EncOptions{Time: cbor.TimeRFC3339NanoUTC, Sort: cbor.SortNone}.EncMode())
	// What peers send need not be UTF-8; a row with it must stay readable.
	decoding = must(cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func idKey(kind byte, id policy.ID) []byte {
	return append([]byte{kind}, id[:]...)
}

func recipientKey(id policy.ID, index int) []byte {
	return binary.BigEndian.AppendUint32(idKey(keyRecipient, id), uint32(index))
}

func bodyKey(id policy.ID, chunk uint32) []byte {
	return binary.BigEndian.AppendUint32(idKey(keyBody, id), chunk)
}

func eventsKey(id policy.ID, batch uint64, position int) []byte {
	k := binary.BigEndian.AppendUint64(idKey(keyEvents, id), batch)
	return binary.BigEndian.AppendUint16(k, uint16(position))
}

func batchKey(batch uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyBatch}, batch)
}

// timeKey sorts by time; times before 1970 do not occur.
func timeKey(kind byte, t time.Time, id policy.ID) []byte {
	k := binary.BigEndian.AppendUint64([]byte{kind}, uint64(t.UnixMicro()))
	return append(k, id[:]...)
}

func parseTimeKey(k []byte) (time.Time, policy.ID) {
	var id policy.ID
	copy(id[:], k[9:])
	return time.UnixMicro(int64(binary.BigEndian.Uint64(k[1:9]))).UTC(), id
}

// termPrefix begins all keys of a term; the 0 keeps terms apart from their extensions.
func termPrefix(kind byte, term string) []byte {
	if len(term) > maxTerm {
		term = term[:maxTerm]
	}
	k := make([]byte, 0, 2+len(term)+1+idSize)
	k = append(k, keyIndex, kind)
	k = append(k, term...)
	return append(k, 0)
}

func indexKey(kind byte, term string, id policy.ID) []byte {
	return append(termPrefix(kind, term), id[:]...)
}

func lastID(k []byte) (id policy.ID) {
	copy(id[:], k[len(k)-idSize:])
	return id
}

func encode(v any) []byte {
	b, err := encoding.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("store: encode %T: %v", v, err)) // our own types always encode
	}
	return b
}
