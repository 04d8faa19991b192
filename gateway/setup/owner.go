package setup

import (
	"io/fs"
	"syscall"
)

// ownerOf gives user and group of a file.
func ownerOf(info fs.FileInfo) (uid, gid int, ok bool) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid), int(s.Gid), true
	}
	return 0, 0, false
}
