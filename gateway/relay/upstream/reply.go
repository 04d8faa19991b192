package upstream

import (
	"bufio"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of a reply. RFC 5321 4.5.3.1.5 allows lines of 512 octets; servers exceed that in
// refusals with addresses of web pages.
const (
	maxReplyLine  = 4096
	maxReplyLines = 100
)

var (
	errReplyLine  = fmt.Errorf("the server's reply has a line of more than %d octets", maxReplyLine)
	errReplyLines = fmt.Errorf("the server's reply has more than %d lines", maxReplyLines)
	errReplyForm  = errors.New("the server's reply is not SMTP")
)

// A Reply is an answer of the server, word for word; only control characters and broken UTF-8 are
// shown as "?". The zero Reply stands for none.
type Reply struct {
	Code   int
	Status string // the enhanced status code (RFC 3463), "2.0.0"; empty when the server gave none
	Text   string // without code and status, lines joined by "\n"
}

// Positive reports a 2xx: it was taken.
func (r Reply) Positive() bool { return r.Code/100 == 2 }

// Permanent reports a 5xx: it was refused for good.
func (r Reply) Permanent() bool { return r.Code/100 == 5 }

// String gives the reply on one line: "250 2.0.0 Ok: queued as 4X".
func (r Reply) String() string {
	if r.Code == 0 {
		return ""
	}
	s := strconv.Itoa(r.Code)
	if r.Status != "" {
		s += " " + r.Status
	}
	if r.Text != "" {
		s += " " + strings.ReplaceAll(r.Text, "\n", " ")
	}
	return s
}

// closing reports whether the server is about to close the connection (RFC 5321 3.8).
func (r Reply) closing() bool { return r.Code == 421 }

// readReply reads one reply. Any error leaves the reader out of step.
func readReply(r *bufio.Reader) (Reply, error) {
	code, last, line, err := readReplyLine(r)
	if err != nil {
		return Reply{}, err
	}
	reply := Reply{Code: code}
	reply.Status, reply.Text = cutStatus(code, line)
	if last {
		return reply, nil
	}
	text := []byte(reply.Text)
	for lines := 1; !last; lines++ {
		if lines == maxReplyLines {
			return Reply{}, errReplyLines
		}
		code, last, line, err = readReplyLine(r)
		if err != nil {
			return Reply{}, err
		}
		if code != reply.Code {
			return Reply{}, fmt.Errorf("%w: %d and %d in one reply", errReplyForm, reply.Code, code)
		}
		text = append(text, '\n')
		if status, rest := cutStatus(code, line); status == reply.Status {
			line = rest
		}
		text = append(text, line...)
	}
	reply.Text = string(text)
	return reply, nil
}

// readReplyLine gives the parts of a line and whether it is the last of its reply.
func readReplyLine(r *bufio.Reader) (code int, last bool, text string, err error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return 0, false, "", errReplyLine
	}
	if err != nil {
		return 0, false, "", err
	}
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	if len(line) < 3 || !isDigit(line[0]) || !isDigit(line[1]) || !isDigit(line[2]) || line[0] < '2' || line[0] > '5' {
		return 0, false, "", fmt.Errorf("%w: %q", errReplyForm, line[:min(len(line), 80)])
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return code, true, "", nil
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, false, "", fmt.Errorf("%w: %q", errReplyForm, line[:min(len(line), 80)])
	}
	return code, line[3] == ' ', clean(line[4:]), nil
}

// clean makes a string of a line that no log and no dialogue can be hurt by.
func clean(line []byte) string {
	plain := true
	for _, b := range line {
		plain = plain && b >= 0x20 && b < 0x7f
	}
	if plain {
		return string(line)
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return '?'
		}
		return r
	}, string(line))
}

// cutStatus takes the enhanced status code off a text. One whose class contradicts the code is not
// one (RFC 2034 4).
func cutStatus(code int, text string) (status, rest string) {
	n := statusLength(text)
	if n == 0 || int(text[0]-'0') != code/100 {
		return "", text
	}
	return text[:n], strings.TrimPrefix(text[n:], " ")
}

// statusLength is the length of the status code that a text begins with, 0 when there is none.
func statusLength(s string) int {
	if len(s) < 5 || s[0] != '2' && s[0] != '4' && s[0] != '5' || s[1] != '.' {
		return 0
	}
	subject := digits(s[2:])
	if subject == 0 || len(s) < 4+subject || s[2+subject] != '.' {
		return 0
	}
	detail := digits(s[3+subject:])
	n := 3 + subject + detail
	if detail == 0 || n < len(s) && s[n] != ' ' {
		return 0
	}
	return n
}

// digits counts the leading digits, 0 when there are more than three.
func digits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	if n > 3 {
		return 0
	}
	return n
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }
