package upstream

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
)

// discard is a server that takes everything and allocates nothing.
func discard(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	io.WriteString(conn, "220 sink\r\n")
	var answer []byte
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		switch line[0] {
		case 'E':
			answer = append(answer, "250-sink\r\n250-PIPELINING\r\n250-SIZE\r\n250-DSN\r\n250-XFORWARD ADDR HELO IDENT\r\n250 8BITMIME\r\n"...)
		case 'D':
			conn.Write(append(answer, "354 go\r\n"...))
			for !bytes.Equal(line, []byte(".\r\n")) {
				if line, err = r.ReadSlice('\n'); err != nil {
					return
				}
			}
			answer = append(answer[:0], "250 2.0.0 Ok: queued as 4XyZ12Abc0z9\r\n"...)
		default:
			answer = append(answer, "250 2.1.5 Ok\r\n"...)
		}
		if r.Buffered() == 0 {
			conn.Write(answer)
			answer = answer[:0]
		}
	}
}

func BenchmarkDeliver(b *testing.B) {
	for name, size := range map[string]int{"4KiB": 4 << 10, "1MiB": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					go discard(conn)
				}
			}()
			u := newUpstream(b, testConfig(l.Addr().String()))
			defer u.Close()
			d := withBody("", "b@example")
			text := strings.Repeat(strings.Repeat("x", 76)+"\r\n", size/78)
			d.Open = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if r := u.Deliver(ctx, d); r[0].Reply.Code != 250 {
						b.Error(r[0])
						return
					}
				}
			})
		})
	}
}

func BenchmarkReply(b *testing.B) {
	in := strings.NewReader("")
	r := bufio.NewReaderSize(in, maxReplyLine)
	b.ReportAllocs()
	for b.Loop() {
		in.Reset("250 2.0.0 Ok: queued as 4XyZ12Abc0z9\r\n")
		r.Reset(in)
		if _, err := readReply(r); err != nil {
			b.Fatal(err)
		}
	}
}
