package source

import (
	"net"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// TestDroppedDatagramsAreAGap overflows the kernel's buffer before anybody reads. The count comes with
// the next datagram that finds room (socket(7), SO_RXQ_OVFL).
func TestDroppedDatagramsAreAGap(t *testing.T) {
	s, err := address{"udp", "127.0.0.1:0"}.open(0)
	if err != nil {
		t.Fatal(err)
	}
	c := s.(*net.UDPConn)
	if err := c.SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	out := dial(t, "udp", c.LocalAddr().String())
	for range 200 {
		say(t, out, "<22>postfix: "+strings.Repeat("x", 1000))
	}
	l := newTestListener(t, zap.NewNop(), "udp://127.0.0.1:5514")
	q := newQueue()
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.serve(t.Context(), c, q)
	}()
	kept := 0
	for gap := false; !gap; {
		say(t, out, "<22>postfix: more")
		<-q.ready
		b, gaps := q.drain(start)
		kept += len(b.Lines)
		if gap = len(gaps) > 0; gap && gaps[0].Reason != "the kernel dropped datagrams: they came faster than they were read" {
			t.Errorf("gap %+v", gaps)
		}
	}
	if kept >= 200 {
		t.Errorf("%d datagrams kept: nothing was dropped", kept)
	}
	c.Close()
	<-done
}
