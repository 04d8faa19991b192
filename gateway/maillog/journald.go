package maillog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// journaldSocket is where systemd-journald listens for its native protocol.
const journaldSocket = "/run/systemd/journal/socket"

// A journaldOutput sends lines to systemd-journald, each with its fields: journalctl SENDGATE_ID=01M7... finds
// the lines of a message.
type journaldOutput struct {
	socket string
	conn   net.Conn
}

func (o *journaldOutput) write(l Line) error {
	if o.conn == nil {
		conn, err := net.DialTimeout("unixgram", o.socket, dialTimeout)
		if err != nil {
			return fmt.Errorf("reach systemd-journald: %w", err)
		}
		o.conn = conn
	}
	if err := o.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("send the mail log to systemd-journald: %w", err)
	}
	_, err := o.conn.Write(entry(l))
	if errors.Is(err, syscall.EMSGSIZE) {
		return errLong
	}
	if err != nil {
		_ = o.close() // it is dialled again
		return fmt.Errorf("send the mail log to systemd-journald: %w", err)
	}
	return nil
}

// entry is a line in the native protocol.
func entry(l Line) []byte {
	b := variable(nil, "MESSAGE", l.Text())
	b = variable(b, "PRIORITY", strconv.Itoa(int(l.Verb.severity())))
	b = variable(b, "SYSLOG_FACILITY", strconv.Itoa(facilityMail))
	b = variable(b, "SYSLOG_IDENTIFIER", program)
	b = variable(b, "SENDGATE_VERB", string(l.Verb))
	b = variable(b, "SENDGATE_TIME", stamp(l.Time))
	for _, f := range l.fields() {
		if f.Value != "" {
			b = variable(b, "SENDGATE_"+strings.ToUpper(f.Name), cut(f.Value, maxValue))
		}
	}
	return b
}

// variable appends a field: NAME=value, or with the length of the value before it when that holds a line break.
func variable(b []byte, name, value string) []byte {
	b = append(b, name...)
	if !strings.ContainsRune(value, '\n') {
		return append(append(append(b, '='), value...), '\n')
	}
	b = append(b, '\n')
	b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
	return append(append(b, value...), '\n')
}

func (o *journaldOutput) reopen() error { return nil }

func (o *journaldOutput) close() error {
	if o.conn == nil {
		return nil
	}
	err := o.conn.Close()
	o.conn = nil
	return err
}
