package milter

import (
	"io"
	"runtime/debug"

	"github.com/sendgate/sendgate/policy/content"
	"go.uber.org/zap"
)

// An extractor reads a message that is written to it ([content.Extractor]).
type extractor interface {
	io.Writer
	Close() content.Content
}

// A reading is what the rules will see of a message's content, put together as it comes in; nil reads
// nothing. Where the extractor panics there is no content, and the message goes on.
type reading struct {
	extractor extractor // nil after a panic
	log       *zap.Logger
	inBody    bool
	head      []byte // nil where nobody asks for it
}

// maxHead bounds what is kept of the beginning.
const maxHead = 256 << 10

// read begins a reading, of outbound mail that is not the null sender's, if the body comes at all.
func (s *session) read(settings *Settings) *reading {
	if !settings.Needs.Content || !s.terms.sizes() {
		return nil
	}
	return &reading{extractor: s.milter.extract(), log: s.milter.log}
}

// field takes a field of the header. Its folds come with LF, which is the extractor's end of a line, too.
func (r *reading) field(name, value string) {
	if r != nil {
		r.write([]byte(name + ": " + value + "\r\n"))
	}
}

// readBody hands a piece of the body to who reads, and keeps the beginning where somebody asks for it.
func (t *transaction) readBody(chunk []byte) {
	r := t.reading
	if r == nil {
		return
	}
	if wants := t.settings.Needs.Head; !r.inBody && wants != nil && wants(t.envelope.Recipients, t.header.First("Subject")) {
		for _, f := range t.header.Fields {
			r.head = append(r.head, f.Name+": "+f.Value+"\r\n"...)
		}
		r.head = append(r.head, "\r\n"...)
	}
	if r.head != nil {
		r.head = append(r.head, chunk[:max(0, min(len(chunk), maxHead-len(r.head)))]...)
	}
	r.body(chunk)
}

// beginning is what was kept, nil for nothing.
func (r *reading) beginning() []byte {
	if r == nil {
		return nil
	}
	return r.head
}

// body takes a piece of the body.
func (r *reading) body(chunk []byte) {
	if r == nil {
		return
	}
	if !r.inBody {
		r.inBody = true
		r.write([]byte("\r\n"))
	}
	r.write(chunk)
}

// content ends the reading; nil is no content.
func (r *reading) content() (got *content.Content) {
	if r == nil {
		return nil
	}
	r.guard(func() {
		c := r.extractor.Close()
		got = &c
	})
	return got
}

func (r *reading) write(p []byte) { r.guard(func() { r.extractor.Write(p) }) }

// guard ends the reading at a panic.
func (r *reading) guard(do func()) {
	if r.extractor == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			r.extractor = nil
			r.log.Error("panic while reading a message; the rules do not see its content",
				zap.Any("value", v), zap.ByteString("stack", debug.Stack()))
		}
	}()
	do()
}
