package relay

import (
	"io"
	"net"
)

// listener gives the wire to a server, once; the next Accept waits for its end.
func (w *wire) listener() net.Listener { return &once{wire: w} }

type once struct {
	wire     *wire
	accepted bool
}

func (o *once) Accept() (net.Conn, error) {
	if o.accepted {
		<-o.wire.closed
		return nil, io.EOF
	}
	o.accepted = true
	return o.wire, nil
}

func (o *once) Close() error   { return nil }
func (o *once) Addr() net.Addr { return o.wire.LocalAddr() }
