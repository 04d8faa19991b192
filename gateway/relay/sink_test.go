package relay

import (
	"bufio"
	"net"
	"strings"
)

// sink answers 250 to everything, as fast as can be.
func sink(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 64<<10)
	out := bufio.NewWriter(conn)
	out.WriteString("220 sink\r\n")
	for {
		if in.Buffered() == 0 && out.Flush() != nil {
			return
		}
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(string(line[:min(4, len(line))])); verb {
		case "EHLO":
			out.WriteString("250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n")
		case "QUIT":
			out.WriteString("221 bye\r\n")
			out.Flush()
			return
		case "DATA":
			out.WriteString("354 go\r\n")
			out.Flush()
			var end endOfData
			for ended := false; !ended; {
				if _, err := in.Peek(1); err != nil {
					return
				}
				b, _ := in.Peek(in.Buffered())
				var n int
				n, ended = end.scan(b)
				in.Discard(n)
			}
			out.WriteString("250 2.0.0 Ok: queued as 4SINK\r\n")
		default:
			out.WriteString("250 2.0.0 Ok\r\n")
		}
	}
}
