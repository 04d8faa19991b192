package limit

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/fxamacker/cbor/v2"
)

// ErrDamaged is wrapped by every error about the content of a snapshot.
var ErrDamaged = errors.New("the snapshot is damaged")

// A snapshot is a sequence of frames: the kind (1 octet), the length of the payload (4, big endian), the
// CRC-32C of both and the payload (4), the payload in CBOR (RFC 8949), but for the chunks of limits. The last
// frame holds how many there were before it.
type frameKind byte

const (
	headFrame   frameKind = 'H'
	chunkFrame  frameKind = 'C'
	endFrame    frameKind = 'E'
	frameHeader           = 9
	maxFrame              = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// snapshotVersion is raised when a snapshot means something else than before.
const snapshotVersion = 2

// A header is the first frame.
type header struct {
	Content string   `cbor:"1,keyasint"` // what the snapshot is of
	Version int      `cbor:"2,keyasint"`
	Mark    uint64   `cbor:"3,keyasint"`
	Rules   []string `cbor:"4,keyasint,omitempty"`
	// About how many follow.
	Keys     int `cbor:"5,keyasint,omitempty"`
	Messages int `cbor:"6,keyasint,omitempty"`
}

// appendFrame encodes v as a frame.
func appendFrame(b []byte, kind frameKind, v any) ([]byte, error) {
	payload, err := cbor.Marshal(v)
	if err != nil {
		return b, fmt.Errorf("encode snapshot: %w", err)
	}
	return frame(b, kind, payload), nil
}

func frame(b []byte, kind frameKind, payload []byte) []byte {
	at := len(b)
	b = append(append(b, make([]byte, frameHeader)...), payload...)
	seal(b[at:], kind)
	return b
}

// seal fills the header of a frame, for which there is room before the payload.
func seal(b []byte, kind frameKind) {
	b[0] = byte(kind)
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-frameHeader))
	sum := crc32.Update(crc32.Checksum(b[:5], castagnoli), castagnoli, b[frameHeader:])
	binary.BigEndian.PutUint32(b[5:], sum)
}

// A frameWriter writes frames and counts them.
type frameWriter struct {
	w      io.Writer
	frames uint64
}

func (f *frameWriter) write(kind frameKind, v any) error {
	b, err := appendFrame(nil, kind, v)
	if err != nil {
		return err
	}
	return f.raw(b)
}

// raw writes frames that are encoded already.
func (f *frameWriter) raw(b []byte) error {
	if _, err := f.w.Write(b); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	for len(b) > 0 {
		b = b[frameHeader+int(binary.BigEndian.Uint32(b[1:])):]
		f.frames++
	}
	return nil
}

func (f *frameWriter) end() error { return f.write(endFrame, f.frames) }

// A frameReader reads frames and checks them.
type frameReader struct {
	r      *bufio.Reader
	frames uint64
	decode cbor.DecMode
	buf    []byte
}

func newFrameReader(r io.Reader) (*frameReader, error) {
	mode, err := cbor.DecOptions{MaxArrayElements: 1 << 24, MaxNestedLevels: 8}.DecMode()
	if err != nil {
		return nil, fmt.Errorf("cbor options: %w", err)
	}
	return &frameReader{r: bufio.NewReaderSize(r, 1<<16), decode: mode}, nil
}

func (f *frameReader) damaged(format string, args ...any) error {
	return fmt.Errorf("%w: frame %d: %s", ErrDamaged, f.frames+1, fmt.Sprintf(format, args...))
}

// next reads one frame; its payload is good until the next call.
func (f *frameReader) next() (frameKind, []byte, error) {
	var h [frameHeader]byte
	if _, err := io.ReadFull(f.r, h[:]); err != nil {
		return 0, nil, f.short(err)
	}
	size := binary.BigEndian.Uint32(h[1:])
	if size > maxFrame {
		return 0, nil, f.damaged("%d octets are too many", size)
	}
	if err := f.payload(int(size)); err != nil {
		return 0, nil, f.short(err)
	}
	sum := crc32.Update(crc32.Checksum(h[:5], castagnoli), castagnoli, f.buf)
	if sum != binary.BigEndian.Uint32(h[5:]) {
		return 0, nil, f.damaged("wrong checksum")
	}
	return frameKind(h[0]), f.buf, nil
}

// payload fills the buffer, which grows with what is really there, not with what a length claims.
func (f *frameReader) payload(size int) error {
	f.buf = f.buf[:0]
	for len(f.buf) < size {
		n := min(size-len(f.buf), 1<<20)
		at := len(f.buf)
		f.buf = append(f.buf, make([]byte, n)...)
		if _, err := io.ReadFull(f.r, f.buf[at:]); err != nil {
			return err
		}
	}
	return nil
}

func (f *frameReader) short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return f.damaged("it ends here")
	}
	return fmt.Errorf("read snapshot: %w", err)
}

// head reads the first frame.
func (f *frameReader) head(content string) (header, error) {
	var h header
	kind, payload, err := f.next()
	if err != nil {
		return h, err
	}
	if err := f.decode.Unmarshal(payload, &h); err != nil || kind != headFrame || h.Content != content {
		return h, f.damaged("not a snapshot of %s", content)
	}
	if h.Version != snapshotVersion {
		return h, fmt.Errorf("the snapshot has version %d, this program reads %d", h.Version, snapshotVersion)
	}
	f.frames++
	return h, nil
}

// chunks hands every chunk to a function until the end frame.
func (f *frameReader) chunks(load func(payload []byte) error) error {
	for {
		kind, payload, err := f.next()
		if err != nil {
			return err
		}
		switch kind {
		case chunkFrame:
			if err := load(payload); err != nil {
				return f.damaged("%v", err)
			}
			f.frames++
		case endFrame:
			var n uint64
			if err := f.decode.Unmarshal(payload, &n); err != nil || n != f.frames {
				return f.damaged("it should be frame %d", n+1)
			}
			return nil
		default:
			return f.damaged("unknown kind %d", kind)
		}
	}
}
