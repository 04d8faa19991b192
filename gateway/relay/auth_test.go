package relay

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/sendgate/sendgate/policy"
)

const secret = "tr0ub4dor"

// doorkeeper is an upstream that knows alice by every mechanism.
func doorkeeper(b *backend) {
	check := func(user, password string) error {
		if user != "alice" || password != secret {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "Error: authentication failed: bad password"}
		}
		return nil
	}
	b.auth = map[string]func() sasl.Server{
		"PLAIN": func() sasl.Server {
			return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) })
		},
		"LOGIN": func() sasl.Server { return &loginServer{check: check} },
		"OAUTHBEARER": func() sasl.Server {
			return sasl.NewOAuthBearerServer(func(o sasl.OAuthBearerOptions) *sasl.OAuthBearerError {
				if check(o.Username, o.Token) != nil {
					return &sasl.OAuthBearerError{Status: "invalid_token"}
				}
				return nil
			})
		},
		"XOAUTH2": func() sasl.Server { return &script{first: "user=alice\x01auth=Bearer " + secret + "\x01\x01"} },
		"SCRAM-SHA-256": func() sasl.Server {
			return &script{first: "n,,n=alice,r=abc", then: []string{"r=abcdef,s=c2FsdA==,i=4096", "c=biws,r=abcdef,p=cHJvb2Y=", "v=c2ln", ""}}
		},
		"GSSAPI": func() sasl.Server { return &script{} },
	}
}

// loginServer asks for a name and a password.
type loginServer struct {
	check func(user, password string) error
	user  string
	step  int
}

func (s *loginServer) Next(response []byte) ([]byte, bool, error) {
	if s.step == 0 && response != nil {
		s.step = 1
	}
	s.step++
	switch s.step {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		s.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, s.check(s.user, string(response))
}

// script expects a first message, then says and expects in turns.
type script struct {
	first string
	then  []string
	begun bool
}

func (s *script) Next(response []byte) ([]byte, bool, error) {
	if response == nil {
		return nil, false, nil
	}
	if !s.begun {
		s.begun = true
		if string(response) != s.first {
			return nil, true, fmt.Errorf("got %q", response)
		}
	} else {
		if string(response) != s.then[0] {
			return nil, true, fmt.Errorf("got %q", response)
		}
		s.then = s.then[1:]
	}
	if len(s.then) == 0 {
		return nil, true, nil
	}
	challenge := s.then[0]
	s.then = s.then[1:]
	return []byte(challenge), false, nil
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// strangers is a lab that trusts no network and offers AUTH in clear text.
func strangers(t *testing.T) *lab {
	l := newLab(t, newBackend(t, doorkeeper))
	l.settings.Config.Networks = nobody
	l.settings.Config.AllowInsecureAuth = true
	return l
}

func TestAuthPassesThrough(t *testing.T) {
	tests := map[string][]string{ // client and server in turns
		"PLAIN with an initial response": {"AUTH PLAIN " + b64("\x00alice\x00"+secret), "235 2.0.0 Authentication succeeded"},
		"PLAIN without":                  {"AUTH PLAIN", "334 ", b64("\x00alice\x00" + secret), "235 2.0.0"},
		"LOGIN":                          {"AUTH LOGIN", "334 " + b64("Username:"), b64("alice"), "334 " + b64("Password:"), b64(secret), "235"},
		"LOGIN with an initial response": {"AUTH LOGIN " + b64("alice"), "334 " + b64("Password:"), b64(secret), "235"},
		"OAUTHBEARER":                    {"AUTH OAUTHBEARER " + b64("n,a=alice,\x01auth=Bearer "+secret+"\x01\x01"), "235"},
		"XOAUTH2":                        {"AUTH XOAUTH2 " + b64("user=alice\x01auth=Bearer "+secret+"\x01\x01"), "235"},
		"SCRAM-SHA-256": {"AUTH SCRAM-SHA-256 " + b64("n,,n=alice,r=abc"), "334 " + b64("r=abcdef,s=c2FsdA==,i=4096"),
			b64("c=biws,r=abcdef,p=cHJvb2Y="), "334 " + b64("v=c2ln"), "", "235"},
	}
	for name, dialogue := range tests {
		t.Run(name, func(t *testing.T) {
			l := strangers(t).start()
			c := l.hello()
			c.say("MAIL FROM:<alice@corp.example>", "550 5.7.1")
			for i := 0; i < len(dialogue); i += 2 {
				c.say(dialogue[i], dialogue[i+1])
			}
			c.mail("alice@corp.example", "bob@remote.example")
			m, body := stored(t, idIn(t, c.sendLetter("250 2.0.0 Held")))
			if e := m.Envelope; e.Login != "alice" || e.Identity != "alice" || e.Protocol != "ESMTPA" {
				t.Errorf("envelope %+v", e)
			}
			if !strings.Contains(body, " with ESMTPA id ") {
				t.Errorf("body %q", body)
			}
			for _, entry := range l.log.All() {
				if s := fmt.Sprint(entry.Message, entry.ContextMap()); strings.Contains(s, secret) || strings.Contains(s, b64(secret)) {
					t.Errorf("the log holds the password: %s", s)
				}
			}
			c.say("AUTH PLAIN", "503")
		})
	}
}

func TestAuthMechanismsAreThoseThatCanBeRead(t *testing.T) {
	c := strangers(t).start().dial()
	c.expect("220")
	got := c.say("EHLO client.test", "250")
	_, offer, _ := strings.Cut(got, "250-AUTH ")
	offer, _, _ = strings.Cut(offer, "\n")
	words := strings.Fields(offer)
	if len(words) != 5 || strings.Contains(offer, "GSSAPI") {
		t.Errorf("offered %q", offer)
	}
	c.say("AUTH GSSAPI", "504 5.7.4")
	if got := readable([]string{"SCRAM-SHA-256-PLUS", "PLAIN", "EXTERNAL", "SCRAM-SHA-1", "CRAM-MD5"}); fmt.Sprint(got) != "[PLAIN SCRAM-SHA-1]" {
		t.Errorf("readable %v", got)
	}
}

func TestAuthIsNotOfferedInClearText(t *testing.T) {
	l := strangers(t)
	l.settings.Config.AllowInsecureAuth = false
	c := l.start().dial()
	c.expect("220")
	if got := c.say("EHLO client.test", "250"); strings.Contains(got, "AUTH") {
		t.Errorf("offered %q", got)
	}
	c.say("AUTH PLAIN "+b64("\x00alice\x00"+secret), "523 5.7.10 TLS is required")
}

func TestAuthFailures(t *testing.T) {
	l := strangers(t).start()
	c := l.hello()
	wrong := "AUTH PLAIN " + b64("\x00alice\x00wrong")
	c.say(wrong, "535 5.7.8 Error: authentication failed: bad password")
	c.say("AUTH PLAIN "+b64("nonsense"), "535 5.7.8 The authentication exchange names no user")
	c.say("MAIL FROM:<alice@corp.example>", "550 5.7.1")
	c.say(wrong, "421 4.7.0 Too many failed authentications")
	c.closed()
	c = l.hello()
	c.say(wrong, "535")
	c.say("AUTH PLAIN "+b64("\x00alice\x00"+secret), "235")
	c.say("MAIL FROM:<alice@corp.example>", "250")
}

func TestAuthCalledOff(t *testing.T) {
	l := strangers(t).start()
	c := l.hello()
	c.say("AUTH LOGIN", "334")
	c.say("*", "501 5.0.0 Negotiation cancelled")
	c.say("AUTH LOGIN", "334")
	c.say("not base64!", "454 4.7.0 Invalid base64 data")
	c.say("AUTH PLAIN "+b64("\x00alice\x00"+secret), "235")
	c.say("MAIL FROM:<alice@corp.example>", "250")

	c = l.hello()
	c.say("AUTH LOGIN", "334")
	c.Close()
	waitFor(t, func() bool { return l.relay.shell.Open() == 1 })
}

func TestAuthDuringMail(t *testing.T) {
	l := strangers(t)
	l.settings.Config.Networks = DefaultConfig().Networks
	c := l.start().hello()
	c.say("MAIL FROM:<alice@corp.example>", "250")
	c.say("AUTH PLAIN "+b64("\x00alice\x00"+secret), "503 5.5.1 AUTH is not permitted during a mail transaction")
}

func TestAuthWithUpstreamAway(t *testing.T) {
	l := strangers(t)
	l.settings.Router = routes{first: newUpstream(t, "127.0.0.1:1", nil)}
	c := l.start().dial()
	c.expect("220")
	if got := c.say("EHLO client.test", "250"); !strings.Contains(got, "250-AUTH PLAIN LOGIN") {
		t.Errorf("offered %q", got)
	}
	c.say("AUTH PLAIN "+b64("\x00alice\x00"+secret), "454 4.7.0 Temporary authentication failure, try again later")
}

func TestOwnSendersOfTheAuthenticated(t *testing.T) {
	l := strangers(t)
	l.settings.Config.Senders = SendersOwn
	c := l.start().hello()
	c.say("AUTH PLAIN "+b64("\x00alice\x00"+secret), "235")
	c.say("MAIL FROM:<bob@corp.example>", "553 5.7.1 The sender address does not belong to you")
	c.say("MAIL FROM:<Sales@corp.example>", "250")
}

// Mail that is not held leaves by the connection that the client has authenticated on.
func TestAuthenticatedMailIsHandedThroughOnItsOwnConnection(t *testing.T) {
	l := strangers(t)
	l.settings.Engine = passAll
	c := l.start().hello()
	c.say("AUTH PLAIN "+b64("\x00alice\x00"+secret), "235")
	c.mail("alice@corp.example", "bob@remote.example")
	c.sendLetter("250 2.0.0 Ok: queued as")
	if l.backend.conns > 2 { // the other asked for the offer
		t.Errorf("%d connections", l.backend.conns)
	}
}

func FuzzLogin(f *testing.F) {
	for mechanism, message := range map[string]string{
		"PLAIN": "\x00alice\x00pw", "SCRAM-SHA-1": "n,,n=a=2Cb=3Dc,r=x", "OAUTHBEARER": "n,a=alice,\x01auth=Bearer x\x01\x01",
		"XOAUTH2": "user=alice\x01auth=Bearer x\x01\x01", "LOGIN": "alice",
	} {
		f.Add(mechanism, []byte(message))
	}
	f.Fuzz(func(t *testing.T, mechanism string, message []byte) {
		if loginReaders[mechanism] == nil {
			return
		}
		login := loginOf(mechanism, message)
		if strings.ContainsAny(login, "\x00\r\n") || len(login) > len(message) {
			t.Errorf("login %q", login)
		}
		if mechanism == "PLAIN" && login != "" && bytes.Count(message, []byte{0}) != 2 {
			t.Errorf("login %q from %q", login, message)
		}
	})
}

func TestLoginOf(t *testing.T) {
	tests := []struct{ mechanism, message, want string }{
		{"PLAIN", "admin\x00alice\x00pw", "alice"},
		{"PLAIN", "alice\x00pw", ""},
		{"PLAIN", "\x00a\rb\x00pw", ""},
		{"PLAIN", "\x00\xff\x00pw", ""},
		{"LOGIN", "alice@corp.example", "alice@corp.example"},
		{"SCRAM-SHA-1", "n,,n=a=2Cb=3Dc,r=x", "a,b=c"},
		{"SCRAM-SHA-256", "y,a=x,n=alice,r=x", "alice"},
		{"SCRAM-SHA-256", "p=tls-unique,,n=alice,r=x", ""},
		{"SCRAM-SHA-256", "n,,m=1,n=alice,r=x", ""},
		{"OAUTHBEARER", "n,a=alice@corp.example,\x01host=x\x01auth=Bearer t\x01\x01", "alice@corp.example"},
		{"OAUTHBEARER", "n,,\x01auth=Bearer t\x01\x01", ""},
		{"OAUTHBEARER", "n", ""},
		{"XOAUTH2", "user=alice\x01auth=Bearer t\x01\x01", "alice"},
		{"XOAUTH2", "alice", ""},
	}
	for _, tt := range tests {
		if got := loginOf(tt.mechanism, []byte(tt.message)); got != tt.want {
			t.Errorf("%s %q: login %q, want %q", tt.mechanism, tt.message, got, tt.want)
		}
	}
}

// signIns gathers who signed in.
type signIns struct {
	mu        sync.Mutex
	all       []string
	succeeded int
}

func (s *signIns) note(one policy.SignIn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one.Reply == "" {
		s.succeeded++
	}
	s.all = append(s.all, strings.TrimSpace(one.Identity+" "+one.Client.String()+" "+one.Mechanism+" "+one.Program+" "+one.Reply))
}

func TestSignInsAreTold(t *testing.T) {
	l := strangers(t)
	var seen signIns
	l.settings.SignedIn = seen.note
	c := l.start().hello()
	c.say("AUTH PLAIN "+b64("\x00alice\x00wrong"), "535")
	c.say("AUTH PLAIN "+b64("\x00alice\x00"+secret), "235")
	if want := []string{"alice 127.0.0.1 PLAIN client.test 535 5.7.8 Error: authentication failed: bad password", "alice 127.0.0.1 PLAIN client.test"}; !slices.Equal(seen.all, want) {
		t.Errorf("told %q", seen.all)
	}
}

func TestSuspendedMaySignInOrNot(t *testing.T) {
	const refused = "525 5.7.13 This account is suspended from sending to other organisations; contact it@corp.example"
	right, wrong := "AUTH PLAIN "+b64("\x00alice\x00"+secret), "AUTH PLAIN "+b64("\x00alice\x00wrong")
	for _, tt := range []struct {
		name      string
		setting   SuspendedAuth
		suspended bool
		line      string
		want      string
		told      int
	}{
		{"accepted by default", SuspendedAccept, true, right, "235", 1},
		{"refused", SuspendedRefuse, true, right, refused, 0},
		{"refused, but it is only a guess", SuspendedRefuse, true, wrong, "535 5.7.8", 0},
		{"not suspended", SuspendedRefuse, false, right, "235", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := strangers(t)
			var seen signIns
			l.settings.SignedIn = seen.note
			l.settings.Config.SuspendedAuth = tt.setting
			l.settings.Suspended = func(identity string) (policy.Label, bool) {
				return policy.Label{EN: "This account is suspended from sending to other organisations; contact it@corp.example"}, tt.suspended && identity == "alice"
			}
			c := l.start().hello()
			if got := c.say(tt.line, tt.want); tt.want == refused && got != refused {
				t.Errorf("got %q", got)
			}
			if seen.succeeded != tt.told {
				t.Errorf("told %q", seen.all)
			}
			if tt.told == 0 { // and nothing of the sign-in is left
				c.say("MAIL FROM:<alice@corp.example>", "550 5.7.1")
			}
			if lines := l.log.FilterMessage("refused").All(); tt.want == refused && lines[0].ContextMap()["reason"] != "alice is suspended" {
				t.Errorf("log %v", lines)
			}
		})
	}
}
