package upstream

import (
	"bufio"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestReadReply(t *testing.T) {
	for _, test := range []struct {
		name, in string
		want     Reply
		text     string
	}{
		{"one line", "250 2.0.0 Ok: queued as 4X\r\n", Reply{250, "2.0.0", "Ok: queued as 4X"}, "250 2.0.0 Ok: queued as 4X"},
		{"code alone", "250\r\n", Reply{250, "", ""}, "250"},
		{"code and space", "354 \r\n", Reply{354, "", ""}, "354"},
		{"bare LF", "221 bye\n", Reply{221, "", "bye"}, "221 bye"},
		{"status alone", "250 2.1.5\r\n", Reply{250, "2.1.5", ""}, "250 2.1.5"},
		{"lines with status", "550-5.7.1 No.\r\n550-5.7.1 Really,\r\n550 5.7.1 no.\r\n", Reply{550, "5.7.1", "No.\nReally,\nno."}, "550 5.7.1 No. Really, no."},
		{"status on the first line only", "550-5.7.1 No.\r\n550 See 5.7.1\r\n", Reply{550, "5.7.1", "No.\nSee 5.7.1"}, "550 5.7.1 No. See 5.7.1"},
		{"another status below", "550-5.7.1 No.\r\n550 5.1.1 x\r\n", Reply{550, "5.7.1", "No.\n5.1.1 x"}, "550 5.7.1 No. 5.1.1 x"},
		{"status of another class", "550 4.7.1 x\r\n", Reply{550, "", "4.7.1 x"}, "550 4.7.1 x"},
		{"no status", "250 2.1.5x ok\r\n", Reply{250, "", "2.1.5x ok"}, "250 2.1.5x ok"},
		{"long status", "250 2.1.5000 ok\r\n", Reply{250, "", "2.1.5000 ok"}, "250 2.1.5000 ok"},
		{"status without detail", "250 2.1. ok\r\n", Reply{250, "", "2.1. ok"}, "250 2.1. ok"},
		{"control characters", "250 a\x00b\x1b[31mc\rd\x7f\r\n", Reply{250, "", "a?b?[31mc?d?"}, "250 a?b?[31mc?d?"},
		{"UTF-8", "550 5.1.1 Gr\u00fc\u00dfe \xff\r\n", Reply{550, "5.1.1", "Grüße ?"}, "550 5.1.1 Grüße ?"},
		{"none", "", Reply{}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := readReply(bufio.NewReaderSize(strings.NewReader(test.in), maxReplyLine))
			if got != test.want || got.String() != test.text || (err != nil) != (test.in == "") {
				t.Errorf("got %+v %q, %v", got, got.String(), err)
			}
		})
	}
}

func TestReadReplyRefuses(t *testing.T) {
	for _, test := range []struct {
		name, in string
		want     error
	}{
		{"another protocol", "SSH-2.0-OpenSSH\r\n", errReplyForm},
		{"short", "25\r\n", errReplyForm},
		{"first digit", "650 x\r\n", errReplyForm},
		{"separator", "250x\r\n", errReplyForm},
		{"mixed codes", "250-a\r\n550 b\r\n", errReplyForm},
		{"long line", "250 " + strings.Repeat("x", maxReplyLine) + "\r\n", errReplyLine},
		{"many lines", strings.Repeat("250-x\r\n", maxReplyLines) + "250 x\r\n", errReplyLines},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := readReply(bufio.NewReaderSize(strings.NewReader(test.in), maxReplyLine))
			if !errors.Is(err, test.want) || got != (Reply{}) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	in := strings.Repeat("250-x\r\n", maxReplyLines-1) + "250 x\r\n"
	if _, err := readReply(bufio.NewReader(strings.NewReader(in))); err != nil {
		t.Errorf("%d lines: %v", maxReplyLines, err)
	}
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{"250 ok\r\n", "550-5.7.1 a\r\n550 5.7.1 b\n", "250-\r\n250", "250 2.0.0 <a> b Saved\r\n", "421\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := bufio.NewReaderSize(strings.NewReader(s), maxReplyLine)
		for {
			reply, err := readReply(r)
			if err != nil {
				return
			}
			if reply.Code < 200 || reply.Code > 599 || strings.Count(reply.Text, "\n") >= maxReplyLines {
				t.Fatalf("%+v", reply)
			}
			for _, c := range reply.String() {
				if c < 0x20 || c == 0x7f || c == utf8.RuneError {
					t.Fatalf("%q", reply)
				}
			}
			again, err := readReply(bufio.NewReader(strings.NewReader(reply.String() + "\r\n")))
			if strings.Contains(reply.Text, "\n") || reply.Text == "" || len(reply.String()) > maxReplyLine-2 {
				continue
			}
			if err != nil || again != reply {
				t.Fatalf("%q became %q, %v", reply, again, err)
			}
		}
	})
}

func TestQueueID(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"Postfix", "Ok: queued as 4XyZ12Abc0z9", "4XyZ12Abc0z9"},
		{"Postfix, short ids", "Ok: queued as 7A1B2C3D4E", "7A1B2C3D4E"},
		{"amavis", "from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 3B5C", "3B5C"},
		{"size first", "4096 bytes queued as 17.", "17"},
		{"upper case", "OK Queued As <ab-12>", "ab-12"},
		{"Exim", "OK id=1tAbCd-0005Gy-Ab", "1tAbCd-0005Gy-Ab"},
		{"Sendmail", "4AbC123x012345 Message accepted for delivery", "4AbC123x012345"},
		{"Exchange", "<x@y> [InternalId=1234567890123, Hostname=ex.corp.example] 4096 bytes in 0.1, 40 KB/sec Queued mail for delivery", "1234567890123"},
		{"Dovecot LMTP", "<b@example> kAbC12/+x== Saved", "kAbC12/+x=="},
		{"Dovecot LMTP, further recipients", "<b@example> kAbC12:R2 Saved", "kAbC12:R2"},
		{"none", "Oh brave new world", ""},
		{"nothing behind", "Ok: queued as", ""},
		{"nothing to be accepted", "Message accepted for delivery", ""},
		{"markup", "Ok: queued as <script>alert(1)</script>", ""},
		{"a path", "Ok: queued as ../../x", ""},
		{"too long", "Ok: queued as " + strings.Repeat("A", 65), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := (Reply{250, "2.0.0", test.text}).QueueID(); got != test.want {
				t.Errorf("got %q", got)
			}
		})
	}
	if got := (Reply{450, "4.0.0", "queued as 17"}).QueueID(); got != "" {
		t.Errorf("a refusal has the queue id %q", got)
	}
}

func FuzzQueueID(f *testing.F) {
	f.Add("Ok: queued as 4X")
	f.Add("OK id=1tAbCd-0005Gy-Ab")
	f.Add("<a> b Saved")
	f.Fuzz(func(t *testing.T, s string) {
		id := Reply{250, "", s}.QueueID()
		if len(id) > maxQueueID || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`<>"'&\`, r) }) {
			t.Fatalf("%q", id)
		}
	})
}

func TestParseCapabilities(t *testing.T) {
	got := parseCapabilities("sink greets you\nSIZE 1000\nauth plain LOGIN\nAUTH=LOGIN XOAUTH2\n8BITMIME\nSMTPUTF8\nDSN\nPIPELINING\n" +
		"REQUIRETLS\nCHUNKING\nSTARTTLS\nXCLIENT NAME ADDR LOGIN\nXFORWARD NAME ADDR\nLIMITS RCPTMAX=7 MAILMAX=x FOO=1\n\nHELP")
	if !got.EightBitMIME || !got.SMTPUTF8 || !got.DSN || !got.Pipelining || !got.RequireTLS || !got.Chunking || !got.StartTLS {
		t.Errorf("got %+v", got)
	}
	if got.Size != 1000 || got.RecipientsMax != 7 || got.MessagesMax != 0 {
		t.Errorf("got %+v", got)
	}
	for list, want := range map[string]string{
		strings.Join(got.Auth, " "):     "PLAIN LOGIN XOAUTH2",
		strings.Join(got.XClient, " "):  "NAME ADDR LOGIN",
		strings.Join(got.XForward, " "): "NAME ADDR",
	} {
		if list != want {
			t.Errorf("got %q, want %q", list, want)
		}
	}
	none := parseCapabilities("PIPELINING is only my name\nSIZE\nSIZE -5")
	if none.Pipelining || none.Size != 0 || !none.sizes {
		t.Errorf("got %+v", none)
	}
}
