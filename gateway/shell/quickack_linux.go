package shell

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// quickAck gives a function that has the kernel acknowledge what comes next at once (tcp(7),
// TCP_QUICKACK, which does not last), or nil for a socket that is not TCP.
func quickAck(socket net.Conn) func() {
	tcp, ok := socket.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	set := func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, unix.TCP_QUICKACK, 1) }
	return func() { _ = raw.Control(set) } // without it the peer is slower, nothing else
}
