package content

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestWhatWasReadStaysWhenTheNextMessageIsRead: messages are decoded in the same memory, one after the other.
func TestWhatWasReadStaysWhenTheNextMessageIsRead(t *testing.T) {
	messages := map[string]string{
		"plain":            "Subject: one\r\n\r\nplain text of the first\r\n",
		"quoted-printable": "Content-Transfer-Encoding: quoted-printable\r\n\r\nfirst =E4=BD=A0 https://a.example/x\r\n",
		"HTML":             "Content-Type: text/html\r\n\r\n<p>first <a href='https://b.example/'>link</a><img alt='picture'>\r\n",
		"multipart": "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nfirst part\r\n--b\r\nContent-Type: application/zip; name=a.zip\r\n" +
			"Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b\r\n\r\nlast part\r\n--b--\r\n",
	}
	other := "Subject: two\r\n\r\n" + strings.Repeat("ZZZZZZZZZZ ", 500) + "\r\n"
	for name, message := range messages {
		t.Run(name, func(t *testing.T) {
			read := func(m string) Content {
				c, err := Read(strings.NewReader(m), DefaultLimits(), time.Now)
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			got, want := read(message), read(message)
			text := strings.Clone(want.Text + strings.Join(want.Links, " ") + strings.Join(want.Alts, " "))
			for range 3 {
				read(other)
			}
			if now := got.Text + strings.Join(got.Links, " ") + strings.Join(got.Alts, " "); now != text || text == "" || !reflect.DeepEqual(got, want) {
				t.Errorf("%q has become %q", text, now)
			}
			if again := read(message); !reflect.DeepEqual(again, want) {
				t.Errorf("read again: %+v, before %+v", again, want)
			}
		})
	}
}
