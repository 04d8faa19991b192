package postfix

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// peerOf asks the kernel who is at the other end of a unix socket (unix(7), SO_PEERCRED).
func peerOf(c *net.UnixConn) (caller, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return caller{}, fmt.Errorf("peer of the socket: %w", err)
	}
	var cred *unix.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) {
		cred, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, asked); err != nil {
		return caller{}, fmt.Errorf("peer of the socket: %w", err)
	}
	return caller{uid: int(cred.Uid), pid: int(cred.Pid)}, nil
}

// lock takes the exclusive lock of a queue file if nobody has it. It ends when the file is closed.
// Postfix locks with flock(2) on Linux (util/sys_defs.h, INTERNAL_LOCK).
func lock(f *os.File) (free bool, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var locked error
	err = raw.Control(func(fd uintptr) { locked = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(locked, unix.EWOULDBLOCK) {
		return false, err
	}
	err = errors.Join(err, locked)
	return err == nil, err
}

// ownerOf gives the user that a file belongs to.
func ownerOf(info os.FileInfo) (uid uint32, known bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return st.Uid, true
}
