package maillog

import (
	"errors"
	"os"
	"strconv"

	"go.uber.org/zap"
)

// An output writes lines. It is used by one goroutine.
type output interface {
	// write adds a line. After an error the same line is tried again.
	write(Line) error
	// reopen takes up a file that was rotated.
	reopen() error
	close() error
}

// errLong is for a line that the other side will never take.
var errLong = errors.New("the line is too long for this output")

// program is the name under which lines stand.
const program = "sendgate"

// An origin names this process in lines.
type origin struct{ host, process string }

func newOrigin(host string) origin { return origin{host, strconv.Itoa(os.Getpid())} }

func newOutput(cfg Config, host string, log *zap.Logger) output {
	o := newOrigin(host)
	switch cfg.To {
	case ToFile:
		return &fileOutput{path: cfg.File, origin: o}
	case ToJournald:
		return &journaldOutput{socket: journaldSocket}
	case ToSyslog:
		network, address, _ := cfg.server()
		return &syslogOutput{network: network, address: address, origin: o}
	}
	return logOutput{log}
}

// A logOutput writes among the other lines of the process.
type logOutput struct{ log *zap.Logger }

func (o logOutput) write(l Line) error {
	level := zap.InfoLevel
	if l.Verb.severity() <= Warning {
		level = zap.WarnLevel
	}
	if !o.log.Core().Enabled(level) {
		return nil
	}
	all := l.fields()
	fields := make([]zap.Field, 0, len(all)+1)
	for _, f := range all {
		if f.Value != "" {
			fields = append(fields, zap.String(f.Name, cut(f.Value, maxValue)))
		}
	}
	fields = append(fields, zap.Time("at", l.Time))
	o.log.Log(level, string(l.Verb), fields...)
	return nil
}

func (logOutput) reopen() error { return nil }
func (logOutput) close() error  { return nil }
