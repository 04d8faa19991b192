package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/emersion/go-smtp"
	"github.com/sendgate/sendgate/gateway/shell"
	"go.uber.org/zap"
)

// A peer is what is known of a client from the connection alone; it outlives STARTTLS.
type peer struct {
	conn         *shell.Conn
	client       netip.Addr
	port         uint16
	authFailures int
}

// secureBuffer is the read buffer above TLS.
const secureBuffer = maxCommandLine

// converse is the life of a connection: a dialogue, and after STARTTLS another one.
func (r *Relay) converse(c *shell.Conn, p port) {
	r.metrics.sessions.Inc()
	peer := &peer{conn: c, client: c.Client(), port: portOf(c)}
	w := newWire(c, c.Buffer(), r.hostname)
	w.startTLS = p.config.TLS == TLSStartTLS
	if p.config.TLS == TLSImplicit {
		w.upgrading = true
	} else {
		r.dialogue(w, peer, p)
	}
	if !w.upgrading {
		return
	}
	conn := tls.Server(c, p.tls)
	if err := conn.HandshakeContext(c.Context()); err != nil {
		r.log.Debug("TLS handshake", zap.Stringer("client", peer.client), zap.Error(err))
		return
	}
	secured := newWire(conn, bufio.NewReaderSize(conn, secureBuffer), r.hostname)
	secured.secure = true
	secured.silent = p.config.TLS == TLSStartTLS
	r.dialogue(secured, peer, p)
}

// dialogue speaks SMTP until one of both ends it. Each has a server of its own, whose options are
// those of the upstream at that moment; it costs some microseconds (BenchmarkServerPerConnection).
func (r *Relay) dialogue(w *wire, p *peer, at port) {
	var current *session
	settings := r.settings.Load()
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		current = newSession(r, settings, c, w, p)
		return current, nil
	}))
	server.Domain = r.hostname
	server.MaxRecipients = settings.Config.MaxRecipients
	server.MaxLineLength = 0 // the wire bounds commands; a body's lines have no bound
	server.AllowInsecureAuth = w.secure || settings.Config.AllowInsecureAuth
	server.ErrorLog = smtpLog{r.log.With(zap.Stringer("client", p.client))}
	p.conn.Idle(func() { w.hangUp(answerLeaving) })
	_ = server.Serve(w.listener()) // ends with the wire
	_ = server.Shutdown(context.Background())
	if current != nil {
		current.end()
	}
}

// smtpLog takes what the library says: of broken connections, which are nothing, and of panics.
type smtpLog struct{ log *zap.Logger }

// Printf is for formatted messages.
func (l smtpLog) Printf(format string, v ...any) {
	level := zap.DebugLevel
	if strings.HasPrefix(format, "panic") {
		level = zap.ErrorLevel
	}
	l.log.Log(level, fmt.Sprintf(format, v...))
}

// Println is for the rest.
func (l smtpLog) Println(v ...any) { l.log.Debug(fmt.Sprint(v...)) }

func portOf(c net.Conn) uint16 {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return uint16(a.Port)
	}
	return 0
}
