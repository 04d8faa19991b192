package relay

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/sendgate/sendgate/gateway/relay/upstream"
	"github.com/sendgate/sendgate/policy"
)

// BenchmarkServerPerConnection is the price of a server of its own for each connection.
func BenchmarkServerPerConnection(b *testing.B) {
	for b.Loop() {
		conn := &scripted{done: make(chan struct{}), onAnswer: func([]byte) {}}
		server := smtp.NewServer(smtp.BackendFunc(nil))
		server.ErrorLog = smtpLog{nopLog}
		server.Serve(&oneConn{&once{wire: &wire{closed: conn.done}}, conn})
		server.Shutdown(context.Background())
	}
}

// BenchmarkRelay is a held message on one reused connection.
func BenchmarkRelay(b *testing.B) {
	for name, engine := range map[string]policy.Engine{"held": nil, "passed": passAll} {
		b.Run(name, func(b *testing.B) { benchmarkRelay(b, engine, false) })
		b.Run(name+", content read", func(b *testing.B) { benchmarkRelay(b, engine, true) })
	}
}

func benchmarkRelay(b *testing.B, engine policy.Engine, content bool) {
	directory, err := policy.NewDirectory(nil)
	if err != nil {
		b.Fatal(err)
	}
	c := upstream.DefaultConfig()
	c.Name, c.TLS, c.Servers = "inside", upstream.TLSNone, []upstream.Server{{Address: newSink(b)}}
	up, err := upstream.New(c, "gate.test", nopLog)
	if err != nil {
		b.Fatal(err)
	}
	if engine == nil {
		engine = policy.NewRules(policy.DefaultConfig(), directory)
	}
	settings := Settings{Config: DefaultConfig(), Engine: engine, Directory: directory, Router: routes{first: up}, Content: content}
	settings.Config.Listen = []Listener{{Address: "127.0.0.1:0", TLS: TLSNone}}
	r := New("gate.test", journal, settings, time.Now, nopLog)
	ctx, cancel := context.WithCancel(b.Context())
	if err := r.Listen(); err != nil {
		b.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- r.Serve(ctx) }()
	conn, err := net.Dial("tcp", r.Addrs()[0].String())
	if err != nil {
		b.Fatal(err)
	}
	client := newClient(b, conn)
	conn.SetDeadline(time.Time{})
	client.expect("220")
	client.say("EHLO client.test", "250")
	body := letterText + strings.Repeat(strings.Repeat("x", 78)+"\r\n", 48) + ".\r\n"
	for b.Loop() {
		client.send("MAIL FROM:<a@corp.example>\r\nRCPT TO:<b@remote.example>\r\nDATA\r\n")
		client.expect("250")
		client.expect("250")
		client.expect("354")
		client.send(body)
		client.expect("250")
	}
	conn.Close()
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
}
