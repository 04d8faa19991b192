package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
)

// An address is where syslog is received.
type address struct {
	network string // udp, tcp, unix, unixgram
	addr    string
}

func (a address) String() string { return a.network + "://" + a.addr }

var errAddress = errors.New("write udp://host:port, tcp://host:port, unix:///path or unixgram:///path")

// A socket is a net.Listener, a *net.UDPConn or a *net.UnixConn.
type socket interface{ io.Closer }

// receiveBuffer is asked for, so that a burst of datagrams outlasts a commit. The kernel gives at most
// net.core.rmem_max.
const receiveBuffer = 4 << 20

func (a address) open(mode os.FileMode) (socket, error) {
	switch a.network {
	case "udp":
		return a.openUDP()
	case "tcp":
		return net.Listen("tcp", a.addr)
	}
	if err := a.clear(); err != nil {
		return nil, err
	}
	s, err := a.openUnix()
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(a.addr, mode); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (a address) openUDP() (socket, error) {
	at, err := net.ResolveUDPAddr("udp", a.addr)
	if err != nil {
		return nil, err
	}
	c, err := net.ListenUDP("udp", at)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(c.SetReadBuffer(receiveBuffer), askForNews(c)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (a address) openUnix() (socket, error) {
	if a.network == "unix" {
		return net.Listen("unix", a.addr)
	}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: a.addr, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// clear makes room for a unix socket. One that a dead process left is removed, one that somebody
// answers on is not.
func (a address) clear() error {
	info, err := os.Lstat(a.addr)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is in the way: it is not a socket", a.addr)
	}
	if c, err := net.Dial(a.network, a.addr); err == nil {
		return errors.Join(fmt.Errorf("%s is in use by another process", a.addr), c.Close())
	}
	return os.Remove(a.addr)
}
