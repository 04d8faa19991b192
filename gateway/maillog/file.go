package maillog

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// lookEvery is how often it is looked whether the file still has its name.
const lookEvery = time.Second

// fileMode is that of a new file.
const fileMode = 0o640

// A fileOutput appends to a file.
type fileOutput struct {
	path   string
	origin origin
	file   *os.File
	looked time.Time
	torn   bool // the last write ended within a line
}

func (o *fileOutput) write(l Line) error {
	if err := o.open(time.Now()); err != nil {
		return err
	}
	text := stamp(l.Time) + " " + o.origin.host + " " + program + "[" + o.origin.process + "]: " + l.Text() + "\n"
	if o.torn {
		text = "\n" + text
	}
	n, err := o.file.WriteString(text)
	if err != nil {
		o.torn = o.torn || n > 0
		return fmt.Errorf("write the mail log: %w", err)
	}
	o.torn = false
	return nil
}

// open opens the file if it is not open, or has lost its name.
func (o *fileOutput) open(now time.Time) error {
	if o.file != nil && now.Sub(o.looked) >= lookEvery && o.moved() {
		_ = o.close() // what was written to it is with the kernel
	}
	if o.file != nil {
		return nil
	}
	file, err := openOrMake(o.path)
	if err != nil {
		return fmt.Errorf("open the mail log: %w", err)
	}
	o.file, o.looked = file, now
	return nil
}

// openOrMake gives a new file its mode whatever the umask of the service is: the group is to read it.
func openOrMake(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if !errors.Is(err, os.ErrNotExist) {
		return file, err
	}
	file, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	if err := file.Chmod(fileMode); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// moved reports whether the open file is not the one of this name any more.
func (o *fileOutput) moved() bool {
	o.looked = time.Now()
	named, err := os.Stat(o.path)
	if errors.Is(err, os.ErrNotExist) {
		return true
	}
	open, openErr := o.file.Stat()
	return err == nil && openErr == nil && !os.SameFile(named, open)
}

func (o *fileOutput) reopen() error {
	err := o.close()
	return errors.Join(err, o.open(time.Now()))
}

func (o *fileOutput) close() error {
	if o.file == nil {
		return nil
	}
	err := o.file.Close()
	o.file, o.torn = nil, false
	return err
}
