package relay

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// keyPair writes a certificate with a serial number, and gives the names of the files.
func keyPair(t *testing.T, dir string, serial int64) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "gate.test"}, DNSNames: []string{"gate.test"},
		NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func secured(t *testing.T, mode TLSMode, b *backend) *lab {
	l := newLab(t, b)
	cert, key := keyPair(t, t.TempDir(), 1)
	l.settings.Config.Listen = []Listener{{Address: "127.0.0.1:0", TLS: mode, Certificate: cert, Key: key}}
	return l
}

func TestStartTLSBeginsAnew(t *testing.T) {
	l := secured(t, TLSStartTLS, newBackend(t, nil)).start()
	c := l.dial()
	c.expect("220")
	if got := c.say("EHLO before.test", "250-gate.test\n250-STARTTLS\n"); strings.Contains(got, "AUTH") {
		t.Errorf("AUTH in clear text: %q", got)
	}
	c.say("MAIL FROM:<alice@corp.example>", "250")
	c.say("STARTTLS", "220 2.0.0 Ready to start TLS")
	c = c.secure()
	c.say("MAIL FROM:<alice@corp.example>", "502 5.5.1 Please introduce yourself first.")
	if got := c.say("EHLO after.test", "250-gate.test\n"); strings.Contains(got, "STARTTLS") {
		t.Errorf("STARTTLS again: %q", got)
	}
	c.say("STARTTLS", "502")
	c.mail("alice@corp.example", "bob@remote.example")
	_, body := stored(t, idIn(t, c.sendLetter("250 2.0.0 Held")))
	if !strings.Contains(body, "from after.test ") || !strings.Contains(body, " with ESMTPS id ") {
		t.Errorf("stored %q", body)
	}
	c.say("QUIT", "221")
	c.closed()
}

// What is sent in clear behind STARTTLS is never taken for a command (CVE-2011-0411).
func TestNothingIsInjectedBehindStartTLS(t *testing.T) {
	l := secured(t, TLSStartTLS, newBackend(t, nil)).start()
	c := l.hello()
	c.send("STARTTLS\r\nEHLO evil.test\r\nMAIL FROM:<evil@corp.example>\r\n")
	c.expect("220 2.0.0 Ready to start TLS")
	// What comes is a TLS alert: the clear text is no handshake.
	if rest := c.closed(); strings.Contains(rest, "250") {
		t.Errorf("answered %q", rest)
	}
}

func TestImplicitTLS(t *testing.T) {
	l := secured(t, TLSImplicit, newBackend(t, nil)).start()
	c := l.dial().secure()
	c.expect("220 gate.test ESMTP Service Ready")
	c.say("EHLO client.test", "250-gate.test\n")
	c.mail("alice@corp.example", "bob@remote.example")
	c.say(".", "250 2.0.0 Held")
	c.say("QUIT", "221")
}

func TestRequireTLSIsOfferedWhenTheUpstreamDoes(t *testing.T) {
	w := &wire{hostname: "gate.test", verb: "EHLO", closed: make(chan struct{})}
	w.extend("REQUIRETLS")
	w.Write([]byte("250-Hello client.test\r\n"))
	w.Write([]byte("250 PIPELINING\r\n"))
	if got := string(w.out); got != "250-gate.test\r\n250-REQUIRETLS\r\n250 PIPELINING\r\n" {
		t.Errorf("%q", got)
	}
}

func TestClearTextOnATLSPortIsDropped(t *testing.T) {
	l := secured(t, TLSImplicit, newBackend(t, nil)).start()
	c := l.dial()
	c.send("EHLO client.test\r\n")
	if got := c.closed(); strings.Contains(got, "2") && !bytes.HasPrefix([]byte(got), []byte{21}) {
		t.Errorf("answered %q", got)
	}
}

func TestCertificateIsReadAgainWhenItChanges(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := keyPair(t, dir, 1)
	now := time.Now()
	core, logs := observer.New(zap.ErrorLevel)
	c, err := loadCertificate(certFile, keyFile, func() time.Time { return now }, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	serial := func() int64 {
		t.Helper()
		pair, err := c.config().GetCertificate(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.SerialNumber.Int64()
	}
	keyPair(t, dir, 2)
	if got := serial(); got != 1 {
		t.Errorf("read again at once: %d", got)
	}
	now = now.Add(certificateCheck)
	if got := serial(); got != 2 {
		t.Errorf("certificate %d after a change", got)
	}
	if err := os.WriteFile(keyFile, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(certificateCheck)
	if got := serial(); got != 2 || logs.Len() != 1 {
		t.Errorf("certificate %d with a broken file, %d log lines", got, logs.Len())
	}
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	now = now.Add(certificateCheck)
	if got := serial(); got != 2 || logs.Len() != 2 {
		t.Errorf("certificate %d without a file, %d log lines", got, logs.Len())
	}
	keyPair(t, dir, 3)
	now = now.Add(certificateCheck)
	if got := serial(); got != 3 {
		t.Errorf("certificate %d after the repair", got)
	}
}
