package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

const startTLS = greeting + "S: 250-sink\nS: 250 STARTTLS\nC: STARTTLS\n"

func TestOldServerGetsHELO(t *testing.T) {
	p := play(t, "S: 220 old\nC: EHLO gw.example\nS: 502 what\nC: HELO gw.example\nS: 250 PIPELINING\nC: QUIT\nS: 221 bye")
	c := probe(t, newUpstream(t, testConfig(p.address())))
	if c.Capabilities().Pipelining {
		t.Error("a greeting was taken for an extension")
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	p := &player{t: t, listener: l}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if conn, err := l.Accept(); err == nil {
			p.dialogue(1, conn, plain+"C: QUIT\nS: 221 bye")
		}
	}()
	if err := probe(t, newUpstream(t, testConfig("unix:"+path))).Quit(); err != nil {
		t.Error(err)
	}
	<-done
	l.Close()
}

func TestOpportunisticTLS(t *testing.T) {
	settings, _ := certificate(t, "other.example")
	for _, test := range []struct {
		name    string
		scripts []string
		secure  bool
	}{
		{"any certificate", []string{startTLS + "S: 220 go\nTLS\nC: EHLO gw.example\nS: 250 sink\nEND"}, true},
		{"not offered", []string{plain + "END"}, false},
		{"refused", []string{startTLS + "S: 454 4.7.0 not now\nEND"}, false},
		{"handshake fails: again without", []string{startTLS + "S: 220 go\nCLOSE", greeting + "S: 250-sink\nS: 250 STARTTLS\nEND"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := playTLS(t, settings, test.scripts...)
			config := testConfig(p.address())
			config.TLS = TLSOpportunistic
			c := probe(t, newUpstream(t, config))
			if c.Secure() != test.secure {
				t.Errorf("secure %v", c.Secure())
			}
			c.Close()
		})
	}
}

func TestVerifiedTLS(t *testing.T) {
	right, authority := certificate(t, "mx.example")
	wrong, _ := certificate(t, "mx.example")
	for _, test := range []struct {
		name   string
		script string
		own    bool // the certificate is of another authority
		server string
		want   error
	}{
		{"right", startTLS + "S: 220 go\nTLS\nC: EHLO gw.example\nS: 250-sink\nS: 250 REQUIRETLS\nEND", false, "mx.example", nil},
		{"other name", startTLS + "S: 220 go\nTLS\nEND", false, "mx2.example", errHandshake},
		{"other authority", startTLS + "S: 220 go\nTLS\nEND", true, "mx.example", errHandshake},
		{"not offered", plain + "END", false, "mx.example", errNoStartTLS},
		{"refused", startTLS + "S: 454 4.7.0 not now\nEND", false, "mx.example", &replyError{"STARTTLS", Reply{454, "4.7.0", "not now"}}},
		{"handshake fails", startTLS + "S: 220 go\nCLOSE", false, "mx.example", errHandshake},
	} {
		t.Run(test.name, func(t *testing.T) {
			settings := right
			if test.own {
				settings = wrong
			}
			p := playTLS(t, settings, test.script)
			config := testConfig(p.address())
			config.TLS, config.CAFile, config.ServerName = TLSVerified, authority, test.server
			c, err := newUpstream(t, config).Probe(t.Context(), Client{})
			if test.want == nil {
				if err != nil || !c.Secure() || !c.Capabilities().RequireTLS || c.Capabilities().StartTLS {
					t.Fatalf("got %+v, %v", c, err)
				}
				c.Close()
				return
			}
			refused, _ := errors.AsType[*replyError](err)
			if want, ok := test.want.(*replyError); ok && (refused == nil || *refused != *want) || !ok && !errors.Is(err, test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestImplicitTLS(t *testing.T) {
	settings, authority := certificate(t, "mx.example")
	p := playTLS(t, settings, "TLS\n"+plain+"END")
	config := testConfig(p.address())
	config.TLS, config.CAFile, config.ServerName = TLSImplicit, authority, "mx.example"
	c := probe(t, newUpstream(t, config))
	if !c.Secure() {
		t.Error("no TLS")
	}
	c.Close()
	p = playTLS(t, settings, "TLS\nEND")
	config.Servers[0].Address, config.ServerName = p.address(), ""
	_, err := newUpstream(t, config).Probe(t.Context(), Client{})
	if _, ok := errors.AsType[x509.HostnameError](err); !ok {
		t.Errorf("the address is not in the certificate: %v", err)
	}
}

// A server that knows its clients by their certificates sees ours, and takes it for what it is.
func TestClientCertificate(t *testing.T) {
	settings, authority := certificate(t, "mx.example")
	_, ours := certificate(t, "gw.example")
	own, err := os.ReadFile(ours)
	if err != nil {
		t.Fatal(err)
	}
	settings.ClientAuth, settings.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	settings.ClientCAs.AppendCertsFromPEM(own)
	config := testConfig(playTLS(t, settings, "TLS\n"+plain+"END").address())
	config.TLS, config.CAFile, config.ServerName = TLSImplicit, authority, "mx.example"
	config.Certificate, config.Key = ours, filepath.Join(filepath.Dir(ours), "key.pem")
	probe(t, newUpstream(t, config)).Close()

	config.Servers[0].Address = playTLS(t, settings, "TLS\nEND").address()
	config.Certificate, config.Key = "", ""
	if _, err := newUpstream(t, config).Probe(t.Context(), Client{}); err == nil {
		t.Error("the server lets us in without a certificate")
	}
}

// Commands in clear behind the answer to STARTTLS would be taken for the server's own words
// (CVE-2011-0411).
func TestInjectedBehindStartTLS(t *testing.T) {
	for _, mode := range []string{TLSOpportunistic, TLSVerified} {
		p := play(t, startTLS+"RAW: 220 go\\n250-evil\\n250 AUTH PLAIN\\n\nEND")
		config := testConfig(p.address())
		config.TLS = mode
		if _, err := newUpstream(t, config).Probe(t.Context(), Client{}); !errors.Is(err, errInjected) {
			t.Errorf("%s: got %v", mode, err)
		}
	}
}

func TestXClient(t *testing.T) {
	offer := greeting + "S: 250-sink\nS: 250 XCLIENT NAME ADDR LOGIN\n"
	again := "S: 220 sink once more\nC: EHLO gw.example\nS: 250-sink\nS: 250 PIPELINING\n"
	envelope := func(login string) *policy.Envelope {
		return &policy.Envelope{Sender: "a@example", Login: login, Client: netip.MustParseAddr("192.0.2.7")}
	}
	run := func(t *testing.T, d Delivery, scripts ...string) string {
		p := play(t, scripts...)
		config := testConfig(p.address())
		config.TrustedPath = TrustXClient
		u := newUpstream(t, config)
		results := deliver(t, u, d)
		defer u.Close()
		if results[0].Err != nil {
			return results[0].Err.Error()
		}
		return summary(results)
	}
	t.Run("authenticated mail goes in the client's name", func(t *testing.T) {
		d := message("b@example")
		d.Envelope = envelope("u=1")
		if got := run(t, d, offer+"C: XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.7 LOGIN=u+3D1\n"+again+delivered+"C: QUIT"); got != "250 done" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("other mail goes in our own", func(t *testing.T) {
		d := message("b@example")
		d.Envelope = envelope("")
		if got := run(t, d, greeting+"S: 250-sink\nS: 250-PIPELINING\nS: 250 XCLIENT NAME ADDR LOGIN\n"+delivered+"C: QUIT"); got != "250 done" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("not granted", func(t *testing.T) {
		d := message("b@example")
		d.Envelope = envelope("u")
		if got := run(t, d, greeting+"S: 250-sink\nS: 250 XCLIENT NAME ADDR\nEND"); !strings.HasSuffix(got, errNoXClient.Error()) {
			t.Errorf("got %s", got)
		}
	})
	t.Run("refused", func(t *testing.T) {
		d := message("b@example")
		d.Envelope = envelope("u")
		if got := run(t, d, offer+"C: XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.7 LOGIN=u\nS: 550 5.7.0 no\nEND"); !strings.HasSuffix(got, "XCLIENT was answered 550 5.7.0 no") {
			t.Errorf("got %s", got)
		}
	})
}

func TestProbeTellsTheClient(t *testing.T) {
	for name, script := range map[string]string{
		"granted":     greeting + "S: 250-sink\nS: 250 XCLIENT ADDR PORT\nC: XCLIENT ADDR=IPV6:2001:db8::7 PORT=77\nS: 220 x\nC: EHLO gw.example\nS: 250 sink\nEND",
		"not granted": plain + "END",
	} {
		t.Run(name, func(t *testing.T) {
			p := play(t, script)
			config := testConfig(p.address())
			config.TrustedPath = TrustXClient
			u := newUpstream(t, config)
			c, err := u.Probe(t.Context(), Client{Addr: netip.MustParseAddr("2001:db8::7"), Port: 77})
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
		})
	}
}

func TestXForwardIsSentWithEachMessage(t *testing.T) {
	d := message("b@example")
	d.Envelope = &policy.Envelope{Sender: "a@example", Helo: "pc", Protocol: "ESMTP", Client: netip.MustParseAddr("192.0.2.7")}
	once := "C: XFORWARD ADDR=192.0.2.7 HELO=pc PROTO=ESMTP IDENT=00000000000000000000000000 SOURCE=REMOTE\n" +
		begin + toB + "C: DATA\nS: 501 what\nS: 250 ok\nS: 250 ok\nS: 354 go\n" + body + "S: 250 done\n"
	p := play(t, greeting+"S: 250-sink\nS: 250-PIPELINING\nS: 250 XFORWARD ADDR HELO PROTO IDENT SOURCE\n"+once+once+"C: QUIT")
	u := newUpstream(t, testConfig(p.address()))
	for range 2 {
		if got := summary(deliver(t, u, d)); got != "250 done" {
			t.Errorf("got %s", got)
		}
	}
	u.Close()
}

func loginConfig(t *testing.T, address, password string) Config {
	config := testConfig(address)
	config.TrustedPath, config.Login = TrustLogin, "gw"
	config.PasswordFile = filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(config.PasswordFile, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}

func TestServiceLogin(t *testing.T) {
	for _, test := range []struct{ name, script, password, want string }{
		{"PLAIN", greeting + "S: 250-sink\nS: 250-PIPELINING\nS: 250 AUTH LOGIN PLAIN\nC: AUTH PLAIN AGd3AHNlY3JldA==\nS: 235 2.7.0 ok\n" + delivered + "C: QUIT", "secret\r\nnote\n", "250 done"},
		{"LOGIN", greeting + "S: 250-sink\nS: 250-PIPELINING\nS: 250 AUTH LOGIN\nC: AUTH LOGIN Z3c=\nS: 334 UGFzc3dvcmQ6\nC: c2VjcmV0\nS: 235 2.7.0 ok\n" + delivered + "C: QUIT", "secret", "250 done"},
		{"refused", greeting + "S: 250-sink\nS: 250 AUTH PLAIN\nC: AUTH PLAIN AGd3AHNlY3JldA==\nS: 535 5.7.8 wrong\nEND", "secret", "identify: AUTH as gw was answered 535 5.7.8 wrong"},
		{"no mechanism", greeting + "S: 250-sink\nS: 250 AUTH GSSAPI\nEND", "secret", "identify: the server offers neither AUTH PLAIN nor AUTH LOGIN"},
		{"no password", greeting + "S: 250-sink\nS: 250 AUTH PLAIN\nEND", "\n", " is empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := play(t, test.script)
			u := newUpstream(t, loginConfig(t, p.address(), test.password))
			r := deliver(t, u, message("b@example"))
			got := r[0].Reply.String()
			if r[0].Err != nil {
				got = r[0].Err.Error()
			}
			if !strings.HasSuffix(got, test.want) {
				t.Errorf("got %s", got)
			}
			u.Close()
		})
	}
}

func TestPasswordStaysOffClearLines(t *testing.T) {
	p := play(t, greeting+"S: 250-sink\nS: 250 AUTH PLAIN\nEND")
	u := newUpstream(t, loginConfig(t, p.address(), "secret"))
	u.servers[0].Address = "mx.example:25" // as if it were not loopback
	u.network = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, p.address())
	}
	if r := deliver(t, u, message("b@example")); !errors.Is(r[0].Err, errClearPassword) {
		t.Errorf("got %v", r[0].Err)
	}
}

// A probing connection logs in with our account only when its client has not.
func TestProbeLogsInWhenNobodyDid(t *testing.T) {
	p := play(t, greeting+"S: 250-sink\nS: 250 AUTH PLAIN\nC: AUTH PLAIN AGd3AHNlY3JldA==\nS: 235 ok\n"+begin+"S: 250 ok\n"+"C: RSET\nS: 250 ok\n"+begin+"S: 250 ok\nEND")
	c := probe(t, newUpstream(t, loginConfig(t, p.address(), "secret")))
	for range 2 {
		if r, err := c.Mail(t.Context(), "a@example", MailOptions{}); err != nil || r.Code != 250 {
			t.Errorf("got %v, %v", r, err)
		}
	}
	c.Close()
}

func TestProbeSaysThatTheLoginFailed(t *testing.T) {
	p := play(t, greeting+"S: 250-sink\nS: 250 AUTH PLAIN\nC: AUTH PLAIN AGd3AHNlY3JldA==\nS: 454 4.7.0 Later\nEND")
	c := probe(t, newUpstream(t, loginConfig(t, p.address(), "secret")))
	_, err := c.Mail(t.Context(), "a@example", MailOptions{})
	if err == nil || err.Error() != "log in: AUTH as gw was answered 454 4.7.0 Later" || !c.broken {
		t.Errorf("got %v", err)
	}
}

func TestCheck(t *testing.T) {
	login := greeting + "S: 250-sink\nS: 250 AUTH PLAIN\nC: AUTH PLAIN AGd3AHNlY3JldA==\n"
	for _, test := range []struct{ name, path, script, want string }{
		{"reachable", TrustNetwork, plain + "C: QUIT", ""},
		{"away", TrustNetwork, "CLOSE", "greet: EOF"},
		{"XCLIENT granted", TrustXClient, greeting + "S: 250-sink\nS: 250 XCLIENT ADDR LOGIN\nC: QUIT", ""},
		{"XCLIENT not granted", TrustXClient, plain + "C: QUIT", errNoXClient.Error()},
		{"login accepted", TrustLogin, login + "S: 235 ok\nC: QUIT", ""},
		{"login refused", TrustLogin, login + "S: 535 5.7.8 wrong\nEND", "AUTH as gw was answered 535 5.7.8 wrong"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := play(t, test.script)
			config := testConfig(p.address())
			if test.path == TrustLogin {
				config = loginConfig(t, p.address(), "secret")
			}
			config.TrustedPath = test.path
			err := newUpstream(t, config).Check(t.Context())
			if (err == nil) != (test.want == "") || err != nil && !strings.HasSuffix(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSilentServerTimesOut(t *testing.T) {
	for name, script := range map[string]string{"greeting": "END", "EHLO": "S: 220 x\nC: EHLO gw.example\nEND"} {
		t.Run(name, func(t *testing.T) {
			p := play(t, script)
			config := testConfig(p.address())
			if name == "greeting" {
				config.Timeouts.Greeting = 50 * time.Millisecond
			} else { // the greeting may take its time
				config.Timeouts.Command = 50 * time.Millisecond
			}
			_, err := newUpstream(t, config).Probe(t.Context(), Client{})
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestCancelEndsDialing(t *testing.T) {
	p := play(t, "NOW\nEND")
	u := newUpstream(t, testConfig(p.address()))
	if _, err := u.Probe(p.context(), Client{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if u.servers[0].away(time.Now()) {
		t.Error("the server is blamed for our own hurry")
	}
}
