package postconf

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseMilters(t *testing.T) {
	for list, want := range map[string][]Milter{
		"":                             nil,
		"inet:localhost:8891":          {{"inet:localhost:8891", "inet:localhost:8891", map[string]string{}}},
		" unix:a ,\t inet:[::1]:2, , ": {{"unix:a", "unix:a", map[string]string{}}, {"inet:[::1]:2", "inet:[::1]:2", map[string]string{}}},
		"{ unix:a, default_action=accept, command_timeout=5s }, unix:b": {
			{"{ unix:a, default_action=accept, command_timeout=5s }", "unix:a", map[string]string{"default_action": "accept", "command_timeout": "5s"}},
			{"unix:b", "unix:b", map[string]string{}},
		},
		"{unix:a {default_action = accept}}": {{"{unix:a {default_action = accept}}", "unix:a", map[string]string{"default_action": "accept"}}},
		"{}":                                 nil,
		"{ unix:a":                           {{"{ unix:a", "unix:a", map[string]string{}}},
	} {
		if got := ParseMilters(list); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, want %+v", list, got, want)
		}
	}
}

// FuzzMilters joins what was split without losing an entry.
func FuzzMilters(f *testing.F) {
	for _, s := range []string{"", "unix:a, { inet:b:1, x=y } c", "}}{{", "{", "{ , }", "a{b,c}d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		all := ParseMilters(list)
		for _, m := range all {
			if m.Address == "" || !strings.Contains(list, m.Text) {
				t.Errorf("%q gives %+v", list, m)
			}
		}
		if again := ParseMilters(Join(all)); !strings.ContainsAny(list, "{}") && !reflect.DeepEqual(all, again) {
			t.Errorf("%q gives %+v, then %+v", list, all, again)
		}
	})
}

func TestTight(t *testing.T) {
	for list, want := range map[string]string{
		"": "", "unix:a": "unix:a", "unix:a,  inet:b:1 inet:c:2": "unix:a,inet:b:1,inet:c:2",
		"{ unix:a, default_action=accept, command_timeout=5s }, unix:b": "{unix:a,default_action=accept,command_timeout=5s},unix:b",
		"{ unix:a, { default_action = accept } }":                       "{unix:a,{default_action=accept}}",
	} {
		if got := Tight(list); got != want {
			t.Errorf("%q is %q, want %q", list, got, want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "5d": 120 * time.Hour, "2w": 336 * time.Hour, "10": 10 * time.Second, "1m": time.Minute, "3h": 3 * time.Hour,
		"": 0, "x": 0, "s": 0, "-1s": 0, "99999999999999w": 0, "2147483647w": 0, "${stress?{10}:{300}}s": 0,
	} {
		if got := Duration(text, time.Second); got != want {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
}

func TestLists(t *testing.T) {
	for list, want := range map[string][2]bool{ // found, known
		"":                                 {false, true},
		"127.0.0.0/8":                      {true, true},
		"192.0.2.1, 127.0.0.1":             {true, true},
		"!127.0.0.1 127.0.0.0/8":           {false, true},
		"localhost":                        {true, true},
		"[::1]/128 [::ffff:127.0.0.0]/104": {false, true},
		"hash:/etc/postfix/x":              {false, false},
		"mx.corp.test 127.0.0.1":           {true, false},
		"/etc/networks":                    {false, false},
	} {
		found, known := Lists(list, netip.MustParseAddr("127.0.0.1"))
		if found != want[0] || known != want[1] {
			t.Errorf("%q: %v, %v", list, found, known)
		}
	}
	if found, _ := Lists("[::1]/128", netip.MustParseAddr("::1")); !found {
		t.Error("an address in brackets is not read")
	}
}

// TestServices reads what postconf prints of master.cf.
func TestServices(t *testing.T) {
	m := &MTA{Values: map[string]string{"default_process_limit": "100", "queue_directory": "/q"}}
	m.readServices("smtp/inet/command = smtpd -v -o a=b\nsmtp/inet/chroot = y\nsmtp/inet/process_limit = -\n"+
		"[::1]:25/inet/command = smtpd\n[::1]:25/inet/chroot = n\nprivate/x/unix/command = pipe user=a argv=b=c\n"+
		"tlsmgr/unix/process_limit = 1000?\nno line\n", "smtp/inet/mynetworks = a=b\nother/inet/x = y\n")
	s := m.Named("smtp/inet")
	if s == nil || s.Command != "smtpd" || !s.Chroot || m.Processes(s) != 100 || s.Own["mynetworks"] != "a=b" {
		t.Fatalf("%+v", s)
	}
	if m.File(s, "/a/b") != "/q/a/b" || m.File(s, "a") != "/q/a" {
		t.Errorf("%s, %s", m.File(s, "/a/b"), m.File(s, "a"))
	}
	six := m.Named("[::1]:25/inet")
	if host, port := six.Endpoint(); host != "::1" || port != "25" || !six.Internal() || s.Internal() {
		t.Errorf("%s, %s", host, port)
	}
	if m.File(six, "/a/b") != "/a/b" || m.File(six, "a") != "/q/a" {
		t.Errorf("%s, %s", m.File(six, "/a/b"), m.File(six, "a"))
	}
	if p := m.Named("private/x/unix"); p == nil || p.Command != "pipe" {
		t.Errorf("%+v", p)
	}
	if m.Processes(m.Named("tlsmgr/unix")) != 1000 {
		t.Error("the mark of a wakeup is part of a number")
	}
	for at, want := range map[string]string{"127.0.0.1 25": "smtp/inet", "::1 25": "smtp/inet", "127.0.0.1 26": ""} {
		ip, port, _ := strings.Cut(at, " ")
		got := m.Listener(netip.MustParseAddr(ip), Number(port))
		if (got == nil) != (want == "") || got != nil && got.Name != want {
			t.Errorf("%s: %+v", at, got)
		}
	}
}
