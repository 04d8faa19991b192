package milter

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// open opens a listener.
func (l *Listener) open() (net.Listener, error) {
	path, unix := l.path()
	if !unix {
		return net.Listen("tcp", l.Address)
	}
	if err := clearPath(path); err != nil {
		return nil, err
	}
	socket, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := l.permit(path); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return socket, nil
}

// clearPath makes room for a socket. One that a dead process left is removed, one that somebody
// answers on is not.
func clearPath(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is in the way: it is not a socket", path)
	}
	if c, err := net.Dial("unix", path); err == nil {
		return errors.Join(fmt.Errorf("%s is in use by another process", path), c.Close())
	}
	return os.Remove(path)
}

// permit sets the group first and the mode last, so that nobody else is let in meanwhile.
func (l *Listener) permit(path string) error {
	if l.Group != "" {
		group, err := user.LookupGroup(l.Group)
		if err != nil {
			return err
		}
		gid, err := strconv.Atoi(group.Gid)
		if err != nil {
			return fmt.Errorf("group %s: %w", l.Group, err)
		}
		if err := os.Chown(path, -1, gid); err != nil {
			return err
		}
	}
	mode, err := l.mode()
	if err != nil {
		return err
	}
	return os.Chmod(path, fs.FileMode(mode))
}
