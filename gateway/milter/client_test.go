package milter

import (
	"net"
	"strings"
	"testing"

	gomilter "github.com/emersion/go-milter"
)

// TestLibraryClient plays two messages with the library's own client, which knows protocol 2 only.
func TestLibraryClient(t *testing.T) {
	l := newLab(t)
	l.settings.Config.Listen = []Listener{{Address: "unix:" + t.TempDir() + "/s"}}
	l.settings.Config.AddMessageID = true
	l.start()
	client := gomilter.NewClientWithOptions("unix", l.address(), gomilter.ClientOptions{
		Dialer:     &net.Dialer{Timeout: patience},
		ActionMask: gomilter.OptQuarantine | gomilter.OptAddHeader,
	})
	session, err := client.Session()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	must := func(a *gomilter.Action, err error) {
		t.Helper()
		if err != nil || a.Code != gomilter.ActContinue {
			t.Fatalf("got %v, %v", a, err)
		}
	}
	must(session.Conn("host.example", gomilter.FamilyInet, 25, "192.0.2.9"))
	must(session.Helo("client.example"))
	for _, queueID := range []string{"4ZClient1", "4ZClient2"} {
		must(session.Mail("alice@corp.example", nil))
		must(session.Rcpt("bob@remote.example", nil))
		must(session.HeaderField("Subject", "hello"))
		must(session.HeaderEnd())
		must(session.BodyChunk([]byte("text\r\n")))
		if err := session.Macros(gomilter.CodeEOB, "i", queueID); err != nil {
			t.Fatal(err)
		}
		wishes, a, err := session.End()
		if err != nil || a.Code != gomilter.ActContinue || len(wishes) != 2 {
			t.Fatalf("got %v, %v, %v", wishes, a, err)
		}
		e := l.committed(queueID).Envelope
		if wishes[0].Code != gomilter.ActAddHeader || wishes[0].HeaderValue != e.MessageID {
			t.Errorf("first wish %+v", wishes[0])
		}
		if wishes[1].Code != gomilter.ActQuarantine || !strings.HasPrefix(wishes[1].Reason, "sendgate ") {
			t.Errorf("second wish %+v", wishes[1])
		}
		if e.Client.String() != "192.0.2.9" || e.Helo != "client.example" {
			t.Errorf("client %v, helo %q", e.Client, e.Helo)
		}
	}
}
