package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/emersion/go-smtp"
)

// swaks runs swaks and gives its transcript and exit status: 0 sent, 24 all recipients refused, 26
// message refused, 28 authentication failed, 29 no TLS.
func swaks(t *testing.T, server string, args ...string) (transcript string, status int) {
	t.Helper()
	need(t, swaksBin)
	return run(t, swaksBin, append([]string{"--server", "127.0.0.1", "--port", port(server), "--timeout", "30"}, args...)...)
}

// smtpSource sends many messages of a size over several sessions.
func smtpSource(t *testing.T, server, from, to string, messages, sessions, octets int) {
	t.Helper()
	need(t, smtpSourceBin)
	out, code := run(t, smtpSourceBin, "-c", "-f", from, "-t", to, "-M", "source.test",
		"-m", strconv.Itoa(messages), "-s", strconv.Itoa(sessions), "-l", strconv.Itoa(octets), server)
	if code != 0 {
		t.Fatalf("smtp-source: %s", out)
	}
}

// letter is a message that is hard to carry: dots, spaces at the ends of lines, empty lines at its
// end, octets above 127, a folded and an overlong field. Swaks sends it as it is.
func letter(subject string) []byte {
	return []byte("From: Alice <alice@corp.test>\r\nTo: bob@corp.test\r\nSubject: " + subject + "\r\n" +
		"Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <" + subject + "@corp.test>\r\n" +
		"X-Folded: one \r\n\ttwo\r\nx-CASE:no space\r\nX-Long: " + string(make900()) + "\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" +
		".\r\n..\r\n.dot\r\ntrailing \t \r\n王芳 \xff\r\nFrom the start of a line\r\n\r\n\r\n")
}

func make900() []byte {
	b := make([]byte, 900)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return b
}

// data gives the arguments by which swaks sends a message octet for octet. Its own repairs are off:
// they add a line.
func data(t *testing.T, message []byte) []string {
	t.Helper()
	stuffed := bytes.ReplaceAll(append([]byte("\n"), message...), []byte("\n."), []byte("\n.."))[1:]
	name := filepath.Join(t.TempDir(), "message.eml")
	if err := os.WriteFile(name, append(stuffed, ".\r\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--no-data-fixup", "--data", "@" + name}
}

// submit sends a message with go-smtp's client, for parameters that swaks does not know. It gives
// the text of the last reply.
func submit(t *testing.T, server, from string, options *smtp.MailOptions, to []string, rcpt *smtp.RcptOptions, message []byte) (string, error) {
	t.Helper()
	client, err := smtp.Dial(server)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	return transmit(client, from, options, to, rcpt, message)
}

// transmit sends a message over a connection, and gives the text of the last reply.
func transmit(client *smtp.Client, from string, options *smtp.MailOptions, to []string, rcpt *smtp.RcptOptions, message []byte) (string, error) {
	if err := client.Mail(from, options); err != nil {
		return "", err
	}
	for _, r := range to {
		if err := client.Rcpt(r, rcpt); err != nil {
			return "", err
		}
	}
	w, err := client.Data()
	if err != nil {
		return "", err
	}
	if _, err := w.Write(message); err != nil {
		return "", err
	}
	response, err := w.CloseWithResponse()
	if err != nil {
		return "", err
	}
	return response.StatusText, nil
}
