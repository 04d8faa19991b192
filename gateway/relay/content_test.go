package relay

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/emersion/go-smtp"
)

func TestContent(t *testing.T) {
	lost := errors.New("connection reset")
	tests := []struct {
		name, in string
		max      int64
		err      error // of the source, instead of its end
		want     string
		wantErr  error
	}{
		{"lines", "a\r\nb\r\n", 0, nil, "a\r\nb\r\n", nil},
		{"nothing", "", 0, nil, "", nil},
		{"exactly as much as is allowed", "12345678\r\n", 10, nil, "12345678\r\n", nil},
		{"more", "123456789\r\n", 10, nil, "", errTooLarge},
		{"bare LF", "a\nb\r\n", 0, nil, "", errBareNewline},
		{"LF first", "\nb\r\n", 0, nil, "", errBareNewline},
		{"bare CR", "a\rb\r\n", 0, nil, "", errBareNewline},
		{"two CR", "a\r\r\n", 0, nil, "", errBareNewline},
		{"CR at the end", "a\r\nb\r", 0, nil, "", errBareNewline},
		{"a last line without end", "a\r\nb", 0, nil, "a\r\nb\r\n", nil},
		{"a broken connection", "a\r\n", 0, lost, "", lost},
		{"an aborted chunk", "a\r\n", 0, smtp.ErrDataReset, "", smtp.ErrDataReset},
	}
	for _, tt := range tests {
		for how, wrap := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "by octets": iotest.OneByteReader, "with the end": iotest.DataErrReader,
		} {
			t.Run(tt.name+" "+how, func(t *testing.T) {
				var r io.Reader = strings.NewReader(tt.in)
				if tt.err != nil {
					r = io.MultiReader(r, iotest.ErrReader(tt.err))
				}
				got, err := io.ReadAll(&content{r: wrap(r), max: tt.max})
				if !errors.Is(err, tt.wantErr) || err == nil && string(got) != tt.want {
					t.Errorf("%q, %v", got, err)
				}
				var broken *receiveError
				if isReceive := errors.As(err, &broken); isReceive != (tt.err != nil) {
					t.Errorf("error %v", err)
				}
			})
		}
	}
}

func FuzzContent(f *testing.F) {
	for _, s := range []string{"a\r\nb\r\n", "a\nb", "\r", "\r\r\n", "a\r\n.\r\n"} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, in []byte, piece int) {
		if piece < 1 || piece > 1000 {
			return
		}
		whole := strings.ReplaceAll(string(in), "\r\n", "")
		clean := !strings.ContainsAny(whole, "\r\n")
		r, w := io.Pipe()
		go func() {
			for b := in; len(b) > 0; b = b[min(piece, len(b)):] {
				w.Write(b[:min(piece, len(b))])
			}
			w.Close()
		}()
		got, err := io.ReadAll(&content{r: r})
		r.Close()
		if clean != (err == nil) {
			t.Errorf("%q: %v", in, err)
		}
		if err == nil && !bytes.Equal(got, in) && string(got) != string(in)+"\r\n" {
			t.Errorf("%q became %q", in, got)
		}
	})
}
