package maillog

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

const (
	facilityMail = 2 // RFC 5424 6.2.1
	// maxDatagram is what every receiver should take over UDP (RFC 5424 6.1).
	maxDatagram   = 2048
	dialTimeout   = 5 * time.Second
	writeTimeout  = 5 * time.Second
	maxHost       = 255 // RFC 5424 6.2.4
	structureless = "-"
)

// A syslogOutput sends lines to a syslog server.
type syslogOutput struct {
	network, address string
	origin           origin
	conn             net.Conn
	gone             chan struct{} // closed when the other side has ended a TCP connection
}

func (o *syslogOutput) write(l Line) error {
	if err := o.connect(); err != nil {
		return err
	}
	if err := o.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("send the mail log: %w", err)
	}
	if _, err := o.conn.Write(o.frame(l)); err != nil {
		_ = o.close() // it is dialled again
		return fmt.Errorf("send the mail log to %s: %w", o.address, err)
	}
	return nil
}

// frame is a line as it goes over the wire.
func (o *syslogOutput) frame(l Line) []byte {
	if o.network == "unixgram" {
		return []byte(o.local(l))
	}
	message := o.message(l)
	if o.network == "tcp" {
		return []byte(strconv.Itoa(len(message)) + " " + message) // RFC 6587 3.4.1
	}
	if o.network == "udp" && len(message) > maxDatagram {
		message = cut(message, maxDatagram-len("…"))
	}
	return []byte(message)
}

// message is a line after RFC 5424 6.
func (o *syslogOutput) message(l Line) string {
	pri := facilityMail*8 + int(l.Verb.severity())
	return fmt.Sprintf("<%d>1 %s %s %s %s %s %s %s", pri, stamp(l.Time), printable(o.origin.host, maxHost), program, o.origin.process,
		printable(string(l.Verb), 32), structureless, l.Text())
}

// local is a line as syslog(3) writes it to /dev/log. Daemons take what comes there for that form, and the header of
// RFC 5424 for text: rsyslog unless told otherwise (UseSpecialParser), systemd-journald always.
func (o *syslogOutput) local(l Line) string {
	pri := facilityMail*8 + int(l.Verb.severity())
	return fmt.Sprintf("<%d>%s %s[%s]: %s", pri, l.Time.Local().Format(time.Stamp), program, o.origin.process, l.Text())
}

// printable makes a field of the header: printable US-ASCII without spaces (RFC 5424 6).
func printable(s string, most int) string {
	b := []byte(s)
	for i, c := range b {
		if c <= ' ' || c >= 0x7f {
			b[i] = '?'
		}
	}
	if len(b) == 0 {
		return structureless
	}
	return string(b[:min(len(b), most)])
}

// connect dials unless there is a connection that lives.
func (o *syslogOutput) connect() error {
	if o.conn != nil {
		select {
		case <-o.gone:
			_ = o.close() // it has ended already
		default:
			return nil
		}
	}
	conn, err := net.DialTimeout(o.network, o.address, dialTimeout)
	if err != nil {
		return fmt.Errorf("reach the syslog server: %w", err)
	}
	o.conn, o.gone = conn, make(chan struct{})
	if o.network == "tcp" {
		go watchEnd(conn, o.gone)
	}
	return nil
}

// watchEnd notices the end of a connection, which a write alone notices too late. It ends with it.
func watchEnd(conn net.Conn, gone chan<- struct{}) {
	_, _ = io.Copy(io.Discard, conn) // a syslog server says nothing
	close(gone)
}

func (o *syslogOutput) reopen() error { return o.close() }

func (o *syslogOutput) close() error {
	if o.conn == nil {
		return nil
	}
	err := o.conn.Close()
	o.conn = nil
	return err
}
