package doveadm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/sendgate/sendgate/gateway/mailbox"
)

// Bounds of a reply.
const (
	maxReply = 16 << 20
	maxRows  = 20_000
)

// A result is what one command came to: rows, or an exit code.
type result struct {
	rows []row
	kind string // of an error: exitCode, unknownMethod, ...
	code int    // exit code
}

// A text is a string or a number: which of the two a field is differs between versions of Dovecot.
type text string

// UnmarshalJSON takes a string as it is and keeps the digits of a number.
func (t *text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		err := json.Unmarshal(b, &s)
		*t = text(s)
		return err
	}
	var n json.Number
	err := json.Unmarshal(b, &n)
	*t = text(n)
	return err
}

func (t text) number() uint64 {
	n, _ := strconv.ParseUint(string(t), 10, 64)
	return n
}

// A row is one message, folder or value of a result.
type row struct {
	Mailbox  text `json:"mailbox"`
	FolderID text `json:"mailbox-guid"`
	UID      text `json:"uid"`
	Flags    text `json:"flags"`
	Header   text `json:"hdr"`
	Received text `json:"date.received.unixtime"`
	Size     text `json:"size.virtual"`
	ModSeq   text `json:"modseq"`
	GUID     text `json:"guid"` // of a message in a fetch, of a folder in its status
	UIDNext  text `json:"uidnext"`
	Highest  text `json:"highestmodseq"`
	Value    text `json:"value"` // of metadata
}

// parse reads the reply to n commands: [["doveadmResponse", [row, ...], tag], ["error", {...}, tag], ...].
func parse(reply io.Reader, n int) ([]result, error) {
	limit := &io.LimitedReader{R: reply, N: maxReply + 1}
	d := json.NewDecoder(limit)
	var all []result
	err := list(d, func() error {
		r, err := parseResult(d, strconv.Itoa(len(all)))
		if all = append(all, r); err == nil && len(all) > n {
			err = errors.New("more results than commands")
		}
		return err
	})
	switch {
	case err == nil && len(all) < n:
		err = fmt.Errorf("%d results for %d commands", len(all), n)
	case limit.N <= 0:
		err = fmt.Errorf("more than %d octets", maxReply)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: reply of doveadm: %w", mailbox.ErrUnreachable, err)
	}
	return all, nil
}

// list reads a JSON list, each of its elements with the given function.
func list(d *json.Decoder, element func() error) error {
	if err := delimiter(d, '['); err != nil {
		return err
	}
	for d.More() {
		if err := element(); err != nil {
			return err
		}
	}
	return delimiter(d, ']')
}

func delimiter(d *json.Decoder, want json.Delim) error {
	switch got, err := d.Token(); {
	case err != nil:
		return err
	case got != want:
		return fmt.Errorf("%v where %v should be", got, want)
	}
	return nil
}

func parseResult(d *json.Decoder, tag string) (result, error) {
	var (
		r    result
		kind string
		got  text
	)
	if err := delimiter(d, '['); err != nil {
		return r, err
	}
	if err := d.Decode(&kind); err != nil {
		return r, err
	}
	var err error
	switch kind {
	case "doveadmResponse":
		r.rows, err = parseRows(d)
	case "error":
		r.kind, r.code, err = parseError(d)
	default:
		err = fmt.Errorf("a result of the kind %.40q", kind)
	}
	if err != nil {
		return r, err
	}
	if err := d.Decode(&got); err != nil {
		return r, err
	}
	if string(got) != tag {
		return r, fmt.Errorf("result %.40q where %q should be", got, tag)
	}
	return r, delimiter(d, ']')
}

func parseRows(d *json.Decoder) ([]row, error) {
	var rows []row
	err := list(d, func() error {
		if len(rows) == maxRows {
			return fmt.Errorf("more than %d rows", maxRows)
		}
		var r row
		err := d.Decode(&r)
		rows = append(rows, r)
		return err
	})
	return rows, err
}

func parseError(d *json.Decoder) (kind string, code int, err error) {
	var e struct {
		Type     string `json:"type"`
		ExitCode int    `json:"exitCode"`
	}
	if err = d.Decode(&e); err == nil && e.Type == "" {
		err = errors.New("an error without a type")
	}
	return e.Type, e.ExitCode, err
}

// The exit codes that are told apart (sysexits.h; doveadm uses 68 in its own way).
const (
	exitNoUser   = 67
	exitNotFound = 68 // a folder or key
	exitTempFail = 75
	exitNoPerm   = 77
)

// err of a command that was to succeed.
func (r result) err(command string) error {
	if r.kind == "" {
		return nil
	}
	if r.kind != "exitCode" {
		return fmt.Errorf("doveadm %s: %.40q", command, r.kind)
	}
	err := fmt.Errorf("doveadm %s: exit code %d", command, r.code)
	switch r.code {
	case exitNoUser:
		return fmt.Errorf("%w: %w", mailbox.ErrNoMailbox, err)
	case exitNoPerm:
		return fmt.Errorf("%w: %w", mailbox.ErrDenied, err)
	case exitTempFail:
		return fmt.Errorf("%w: %w", mailbox.ErrUnreachable, err)
	}
	return err
}

// missing reports whether the folder that a command is about does not exist.
func (r result) missing() bool { return r.kind == "exitCode" && r.code == exitNotFound }

// String quotes the result for evidence, without header fields.
func (r result) String() string {
	if r.kind != "" {
		return fmt.Sprintf("%s %d", r.kind, r.code)
	}
	var words []string
	for _, row := range r.rows[:min(len(r.rows), 10)] {
		words = append(words, row.String())
	}
	if len(r.rows) > 10 {
		words = append(words, fmt.Sprintf("and %d more", len(r.rows)-10))
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// String quotes the row for evidence.
func (r row) String() string {
	var words []string
	for _, f := range []struct {
		name  string
		value text
	}{{"mailbox", r.Mailbox}, {"mailbox-guid", r.FolderID}, {"uid", r.UID}, {"flags", r.Flags}, {"modseq", r.ModSeq}, {"guid", r.GUID},
		{"uidnext", r.UIDNext}, {"highestmodseq", r.Highest}} {
		if f.value != "" {
			words = append(words, fmt.Sprintf("%s=%.100q", f.name, f.value))
		}
	}
	return strings.Join(words, " ")
}

// message is the one row of a fetch by UID, if there is one. A folder that is gone has none.
func (r result) message() (m row, ok bool, err error) {
	if err := r.ignoreMissing("fetch"); err != nil || len(r.rows) == 0 {
		return row{}, false, err
	}
	if len(r.rows) > 1 {
		return row{}, false, fmt.Errorf("%w: doveadm fetch: %d messages with one UID", mailbox.ErrUnreachable, len(r.rows))
	}
	return r.rows[0], true, nil
}

// folder is the row of a folder among those of its mask; nil when there is none.
func (r result) folder(name string) *row {
	for i := range r.rows {
		if string(r.rows[i].Mailbox) == name {
			return &r.rows[i]
		}
	}
	return nil
}

// ignoreMissing is err for a command whose folder need not be there any more.
func (r result) ignoreMissing(command string) error {
	if r.missing() {
		return nil
	}
	return r.err(command)
}

// orElse gives the second error when there is no first.
func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}
