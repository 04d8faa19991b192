package source

import (
	"encoding/binary"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// askForNews asks the kernel to say with each datagram when it came, and how many were dropped before
// it because the buffer of the socket was full (socket(7), SO_TIMESTAMPNS, SO_RXQ_OVFL).
func askForNews(c *net.UDPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	if err := raw.Control(func(fd uintptr) {
		for _, option := range []int{unix.SO_RXQ_OVFL, unix.SO_TIMESTAMPNS} {
			if set == nil {
				set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, 1)
			}
		}
	}); err != nil {
		return err
	}
	return set
}

// readNews reads what the kernel says. drops counts since the socket was opened, modulo 2^32; it is left
// out while it is zero.
func readNews(oob []byte) (arrived time.Time, drops uint32) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Time{}, 0
	}
	for _, m := range messages {
		switch {
		case m.Header.Level != unix.SOL_SOCKET:
		case m.Header.Type == unix.SO_RXQ_OVFL && len(m.Data) >= 4:
			drops = binary.NativeEndian.Uint32(m.Data)
		case m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16: // struct timespec of 64 bits
			arrived = time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
		}
	}
	return arrived, drops
}
