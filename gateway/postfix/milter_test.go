package postfix

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
)

// milter is a mail filter that does one thing: at the end of the message it puts a header field on top
// and adds a recipient, so that Postfix edits the queue file in place with pointers. A message with
// the field X-Replace gets another body, too.
type milter struct{ address string }

func startMilter(t *testing.T) *milter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveMilter(c)
		}
	}()
	return &milter{address: l.Addr().String()}
}

// serveMilter speaks just enough of milter protocol 2: length, command, data.
func serveMilter(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	say := func(data string) {
		_, _ = c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...))
	}
	replace := false
	for {
		var length uint32
		if binary.Read(r, binary.BigEndian, &length) != nil {
			return
		}
		data := make([]byte, length)
		if _, err := io.ReadFull(r, data); err != nil {
			return
		}
		switch data[0] {
		case 'O': // version 2; may add headers and recipients and replace bodies; wants no body
			say("O\x00\x00\x00\x02\x00\x00\x00\x07\x00\x00\x00\x10")
		case 'L':
			replace = replace || strings.HasPrefix(string(data), "LX-Replace\x00")
			say("c")
		case 'E':
			say("i\x00\x00\x00\x00X-Milled\x00yes\x00")
			say("+<milled@fast.test>\x00")
			if replace {
				say("b" + strings.Repeat("replaced and made longer\r\n", 2000))
			}
			replace = false
			say("a")
		case 'D', 'A': // macros and abort have no answer
		case 'Q':
			return
		default:
			say("c")
		}
	}
}
