//go:build !linux

package doctor

import (
	"errors"
	"io/fs"
	"net"
	"time"
)

func peerOf(*net.UnixConn) (peer, error) { return peer{}, errors.ErrUnsupported }

func ownerOf(fs.FileInfo) (uid, gid uint32, err error) { return 0, 0, errors.ErrUnsupported }

func freeBytes(string) (int64, error) { return 0, errors.ErrUnsupported }

func clockState() (synchronized bool, off time.Duration, err error) {
	return false, 0, errors.ErrUnsupported
}
