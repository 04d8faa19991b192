//go:build unix

package source

import (
	"io/fs"
	"syscall"
)

// idOf tells files of one machine apart while they exist.
func idOf(info fs.FileInfo) fileID {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return fileID{Device: uint64(st.Dev), Inode: st.Ino}
	}
	return fileID{}
}
