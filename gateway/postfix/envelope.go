package postfix

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// An Envelope is what a queue file says about its message besides the content.
type Envelope struct {
	ID      string         `json:"id"`
	Queue   string         `json:"queue"` // hold, incoming, active or deferred
	Arrival time.Time      `json:"arrival"`
	Size    int64          `json:"size"` // octets of the content, as Postfix counts them
	Sender  policy.Address `json:"sender"`

	Body  string `json:"body,omitempty"`   // "8BITMIME" or "7BIT", where the client said so
	UTF8  bool   `json:"utf8,omitempty"`   // the client asked for SMTPUTF8 (RFC 6531)
	Ret   string `json:"ret,omitempty"`    // RET=FULL or HDRS (RFC 3461 4.3)
	EnvID string `json:"env_id,omitempty"` // ENVID, decoded from xtext (RFC 3461 4.4)
	Login string `json:"login,omitempty"`  // SASL login of the client

	Recipients []Recipient `json:"recipients"`
}

// A Recipient is one for whom the message was queued.
type Recipient struct {
	policy.Recipient
	// Before is the address before aliases and rewriting, as it stood in RCPT TO.
	Before policy.Address `json:"before,omitempty"`
	// Gone is set when Postfix is done with it: delivered or returned. Its log says which.
	Gone bool `json:"gone,omitempty"`
}

var (
	errNoEnd   = errors.New("the queue file has no end: it is still being written")
	errNoTime  = errors.New("the queue file has no arrival time")
	errShort   = errors.New("the queue file ends before its content")
	errAddress = errors.New("the queue file has an address with a control character")
)

// A queueFile is read in one go: the envelope up to the content, the content, the rest of the
// envelope.
type queueFile struct {
	records  *records
	envelope Envelope
	timed    bool
	end      int64     // where the content ends; 0 when the file does not say
	next     Recipient // parameters come before the address
}

func newQueueFile(file io.ReadSeeker, size int64) *queueFile {
	return &queueFile{records: newRecords(file, size)}
}

// head reads up to the content.
func (f *queueFile) head() error { return f.facts(recordContent) }

// tail reads the recipients behind the content, which are those of mail submitted with sendmail -t.
func (f *queueFile) tail() error {
	if err := f.facts(recordEnd); err != nil {
		return err
	}
	if !f.timed {
		return errNoTime
	}
	return nil
}

// facts reads the envelope up to a record of the kind.
func (f *queueFile) facts(until byte) error {
	for {
		rec, err := f.records.next()
		if errors.Is(err, io.EOF) {
			return errNoEnd
		}
		if err != nil {
			return err
		}
		if rec.kind == until {
			return nil
		}
		if rec.kind == recordEnd {
			return errShort
		}
		if err := f.fact(rec); err != nil {
			return err
		}
	}
}

// fact takes a record of the envelope over.
func (f *queueFile) fact(rec record) (err error) {
	text := string(rec.data)
	switch rec.kind {
	case recordSize:
		f.sizes(strings.Fields(text))
	case recordTime:
		f.envelope.Arrival, err = arrival(text)
		f.timed = err == nil
	case recordSender:
		f.envelope.Sender, err = address(text)
	case recordAttribute:
		f.attribute(text)
	case recordOriginal:
		f.next.Before, err = address(text)
	case recordDropped:
		f.next = Recipient{}
	case recordRecipient, recordDone:
		f.next.Address, err = address(text)
		f.next.Gone = rec.kind == recordDone
		f.envelope.Recipients = append(f.envelope.Recipients, f.next)
		f.next = Recipient{}
	}
	return err
}

// sizes takes the content's size and offset from the first two fields and the SMTPUTF8 flags from the
// sixth, the lowest of which says that the client asked for it.
func (f *queueFile) sizes(fields []string) {
	numbers := make([]int64, 6)
	for i := range min(len(fields), len(numbers)) {
		numbers[i], _ = strconv.ParseInt(fields[i], 10, 64) // what is no number says nothing
	}
	f.envelope.Size = numbers[0]
	f.envelope.UTF8 = numbers[5]&1 != 0
	if numbers[0] > 0 && numbers[1] > 0 && numbers[0] < f.records.size {
		f.end = numbers[0] + numbers[1]
	}
}

func arrival(text string) (time.Time, error) {
	seconds, micros, _ := strings.Cut(text, " ")
	s, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}, errNoTime
	}
	us, _ := strconv.ParseInt(micros, 10, 64) // old Postfix wrote none
	return time.Unix(s, us*1000).UTC(), nil
}

// attribute takes the parameters of MAIL and RCPT over; those of RCPT come before their recipient.
func (f *queueFile) attribute(text string) {
	name, value, _ := strings.Cut(text, "=")
	switch name {
	case "encoding":
		f.envelope.Body = map[string]string{"8bit": "8BITMIME", "7bit": "7BIT"}[value]
	case "ret_flags":
		f.envelope.Ret = map[string]string{"1": "FULL", "2": "HDRS"}[value]
	case "envelope_id":
		f.envelope.EnvID = value
	case "sasl_username":
		f.envelope.Login = value
	case "notify_flags":
		f.next.Notify = notify(value)
	case "dsn_orig_rcpt":
		kind, original, found := strings.Cut(value, ";")
		if found {
			f.next.OriginalType, f.next.Original = strings.ToLower(kind), original
		}
	}
}

// notify reads Postfix's flags (global/dsn_mask.h).
func notify(value string) (all []string) {
	flags, _ := strconv.Atoi(value) // what is no number says nothing
	for i, name := range []string{"NEVER", "SUCCESS", "FAILURE", "DELAY"} {
		if flags&(1<<i) != 0 {
			all = append(all, name)
		}
	}
	return all
}

// address quotes a local part where it needs it: queue files have addresses without quotes.
func address(text string) (policy.Address, error) {
	if text == "" {
		return "", nil
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", errAddress
	}
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return policy.Address(text), nil
	}
	a, err := policy.NewAddress(text[:at], text[at+1:])
	if err != nil {
		return "", fmt.Errorf("address %q in the queue file: %w", text, err)
	}
	return a, nil
}

// content writes the message to w, each line ended by LF.
func (f *queueFile) content(w io.Writer) error {
	return f.lines(func(kind byte, data []byte) (err error) {
		if kind == recordLine {
			data = append(data, '\n')
		}
		_, err = w.Write(data)
		return err
	})
}

// errEnough ends the reading of lines early.
var errEnough = errors.New("enough")

// has looks for a line in the header.
func (f *queueFile) has(header string) (found bool, err error) {
	var line []byte
	err = f.lines(func(kind byte, data []byte) error {
		line = append(line, data...)
		if kind == recordPiece {
			return nil
		}
		found = string(line) == header
		if found || len(line) == 0 {
			return errEnough
		}
		line = line[:0]
		return nil
	})
	if errors.Is(err, errEnough) {
		return found, f.skip()
	}
	return false, err
}

// skip goes to the end of the content without reading it where the file says where that is.
func (f *queueFile) skip() error {
	if f.end > 0 {
		if err := f.records.follow(strconv.FormatInt(f.end, 10)); err != nil {
			return err
		}
	}
	return f.lines(func(byte, []byte) error { return nil })
}

// lines calls fn for each record of the content.
func (f *queueFile) lines(fn func(kind byte, data []byte) error) error {
	for {
		rec, err := f.records.next()
		if errors.Is(err, io.EOF) {
			return errNoEnd
		}
		if err != nil {
			return err
		}
		switch rec.kind {
		case recordExtracted:
			return nil
		case recordEnd:
			return errShort
		case recordLine, recordPiece:
			if err := fn(rec.kind, rec.data); err != nil {
				return err
			}
		}
	}
}
