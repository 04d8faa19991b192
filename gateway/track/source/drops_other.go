//go:build !linux

package source

import (
	"net"
	"time"
)

// askForNews is not known here: what a full buffer drops is lost without a trace.
func askForNews(*net.UDPConn) error { return nil }

func readNews([]byte) (arrived time.Time, drops uint32) { return time.Time{}, 0 }
