package doveadm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
)

// serve runs a server of the test's own and gives a backend for it.
func serve(t *testing.T, answer http.HandlerFunc) *Backend {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return newBackend(t, mailbox.Doveadm{URL: s.URL + "/doveadm/v1", APIKeyFile: secret(t, "key\n"), Connections: 1})
}

func secret(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestAnswers(t *testing.T) {
	exit := func(code int) string { return fmt.Sprintf(`[["error",{"type":"exitCode", "exitCode":%d},"0"]]`, code) }
	none := errors.New("none of the known errors")
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   error
		text   string
	}{
		"good":               {says(200, `[["doveadmResponse",[{"mailbox":"INBOX","uidnext":3}],"0"]]`), nil, ""},
		"wrong key":          {says(401, "no"), mailbox.ErrDenied, `doveadm answered 401 Unauthorized "no"`},
		"forbidden":          {says(403, ""), mailbox.ErrDenied, ""},
		"busy":               {says(429, ""), mailbox.ErrUnreachable, ""},
		"internal error":     {says(500, ""), mailbox.ErrUnreachable, ""},
		"wrong path":         {says(404, ""), none, "doveadm answered 404"},
		"temporary":          {says(200, exit(75)), mailbox.ErrUnreachable, "doveadm mailbox status: exit code 75"},
		"no user":            {says(200, exit(67)), mailbox.ErrNoMailbox, ""},
		"no permission":      {says(200, exit(77)), mailbox.ErrDenied, ""},
		"usage":              {says(200, exit(64)), none, "exit code 64"},
		"command not known":  {says(200, `[["error",{"type":"unknownMethod", "exitCode":0},"0"]]`), none, `doveadm mailbox status: "unknownMethod"`},
		"no JSON":            {says(200, "hello"), mailbox.ErrUnreachable, "invalid character"},
		"not a list":         {says(200, "{}"), mailbox.ErrUnreachable, "{ where [ should be"},
		"rows not a list":    {says(200, `[["doveadmResponse",{},"0"]]`), mailbox.ErrUnreachable, "{ where [ should be"},
		"no results":         {says(200, "[]"), mailbox.ErrUnreachable, "0 results for 1 commands"},
		"too many results":   {says(200, `[["doveadmResponse",[],"0"],["doveadmResponse",[],"1"]]`), mailbox.ErrUnreachable, "more results than commands"},
		"of another command": {says(200, `[["doveadmResponse",[],"7"]]`), mailbox.ErrUnreachable, `result "7" where "0" should be`},
		"of another kind":    {says(200, `[["surprise",[],"0"]]`), mailbox.ErrUnreachable, `a result of the kind "surprise"`},
		"error without type": {says(200, `[["error",{},"0"]]`), mailbox.ErrUnreachable, "an error without a type"},
		"cut":                {says(200, `[["doveadmResponse",[{"mailbox":"INB`), mailbox.ErrUnreachable, "unexpected EOF"},
		"too many rows":      {says(200, `[["doveadmResponse",[`+strings.Repeat("{},", maxRows)+`{}],"0"]]`), mailbox.ErrUnreachable, "more than 20000 rows"},
		"too long":           {says(200, `[["doveadmResponse",[{"x":"`+strings.Repeat("x", maxReply)+`"}],"0"]]`), mailbox.ErrUnreachable, "more than 16777216 octets"},
		"hangs up":           {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, mailbox.ErrUnreachable, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			err := serve(t, c.answer).Check(t.Context(), user)
			switch {
			case c.want == none:
				for _, known := range []error{mailbox.ErrDenied, mailbox.ErrNoMailbox, mailbox.ErrUnreachable, mailbox.ErrGone} {
					if err == nil || errors.Is(err, known) {
						t.Errorf("error %v", err)
					}
				}
			case !errors.Is(err, c.want):
				t.Errorf("error %v, want %v", err, c.want)
			}
			if err != nil && !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %q, want it to say %q", err, c.text)
			}
		})
	}
}

func TestRowsThatAreNotBelieved(t *testing.T) {
	good := map[string]string{"mailbox": `"INBOX"`, "mailbox-guid": `"0123456789abcdef0123456789abcdef"`, "uid": `"7"`, "date.received.unixtime": `"1772445660"`}
	for name, bad := range map[string]struct{ field, value, text string }{
		"uid zero":         {"uid", `"0"`, "uid"},
		"uid too large":    {"uid", `"4294967296"`, "uid"},
		"guid short":       {"mailbox-guid", `"12"`, "mailbox-guid"},
		"guid as a query":  {"mailbox-guid", `"0123456789abcdef0123456789abcde "`, "mailbox-guid"},
		"folder nameless":  {"mailbox", `""`, "mailbox"},
		"folder name long": {"mailbox", `"` + strings.Repeat("x", maxFolderName+1) + `"`, "mailbox"},
		"flags too many":   {"flags", `"` + strings.Repeat("x ", maxFlags) + `"`, "octets of flags"},
		"no date":          {"date.received.unixtime", `""`, "date.received"},
	} {
		t.Run(name, func(t *testing.T) {
			var fields []string
			for f, v := range good {
				if f != bad.field {
					fields = append(fields, fmt.Sprintf("%q:%s", f, v))
				}
			}
			fields = append(fields, fmt.Sprintf("%q:%s", bad.field, bad.value))
			b := serve(t, says(200, `[["doveadmResponse",[{`+strings.Join(fields, ",")+`}],"0"],["doveadmResponse",[],"1"],["doveadmResponse",[],"2"]]`))
			_, err := b.Find(t.Context(), user, message)
			wantError(t, err, mailbox.ErrUnreachable)
			if err != nil && !strings.Contains(err.Error(), bad.text) {
				t.Errorf("error %q, want it to say %q", err, bad.text)
			}
		})
	}
}

func TestNamesOfSeveralUsers(t *testing.T) {
	b := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was asked") })
	for _, name := range []string{"", "*", "*@corp.example", "b?@corp.example", "b\n@corp.example"} {
		err := b.Check(t.Context(), name)
		if wantError(t, err, mailbox.ErrNoMailbox); err != nil && !strings.Contains(err.Error(), "is no name of one user") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestServerThatDoesNotAnswer(t *testing.T) {
	for name, first := range map[string]string{"silent": "", "in the middle": `[["doveadmResponse",[`} {
		t.Run(name, func(t *testing.T) {
			b := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // only then is it noticed that the client has gone
				_, _ = io.WriteString(w, first)
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			})
			b.config.Timeout = 100 * time.Millisecond
			wantError(t, b.Check(t.Context(), user), mailbox.ErrUnreachable)
			_, err := b.Take(t.Context(), user, mailbox.Copy{Folder: inbox, FolderID: strings.Repeat("a", 32), UID: 1}, mailbox.Options{})
			wantError(t, err, mailbox.ErrUnreachable)
		})
	}
}

func TestTurns(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	b := serve(t, func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-leave
		says(200, `[["doveadmResponse",[],"0"]]`)(w, r)
	})
	first := make(chan error)
	go func() { first <- b.Check(context.Background(), user) }()
	<-entered
	impatient, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := b.Check(impatient, user)
	if wantError(t, err, mailbox.ErrUnreachable); err == nil || !strings.Contains(err.Error(), "it was not our turn yet") {
		t.Errorf("error %v", err)
	}
	close(leave)
	must(t, <-first)
}

func TestRedirectIsNotFollowed(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the key went elsewhere") }))
	t.Cleanup(other.Close)
	b := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	if err := b.Check(t.Context(), user); err == nil || !strings.Contains(err.Error(), "doveadm answered 307") {
		t.Errorf("error %v", err)
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(says(200, `[["doveadmResponse",[],"0"]]`))
	t.Cleanup(s.Close)
	s.Config.ErrorLog = nil
	var c mailbox.Config
	c.SetDefaults()
	c.Doveadm = mailbox.Doveadm{URL: s.URL, APIKeyFile: secret(t, "key"), Connections: 1}
	stranger, err := New(c, nil)
	must(t, err)
	wantError(t, stranger.Check(t.Context(), user), mailbox.ErrUnreachable)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	b, err := New(c, &tls.Config{RootCAs: roots})
	must(t, err)
	must(t, b.Check(t.Context(), user))
	must(t, b.Close())
}

func TestCredentials(t *testing.T) {
	got, err := credentials(mailbox.Doveadm{APIKeyFile: secret(t, "doveadm-key\r\nmore")})
	if err != nil || got != "X-Dovecot-API ZG92ZWFkbS1rZXk=" {
		t.Errorf("%q, %v", got, err)
	}
	got, err = credentials(mailbox.Doveadm{User: "doveadm", PasswordFile: secret(t, "pw\n")})
	if err != nil || got != "Basic ZG92ZWFkbTpwdw==" {
		t.Errorf("%q, %v", got, err)
	}
	for file, text := range map[string]string{secret(t, "\nx"): "is empty", filepath.Join(t.TempDir(), "none"): "read the doveadm key"} {
		if _, err := New(mailbox.Config{Doveadm: mailbox.Doveadm{APIKeyFile: file}}, nil); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want %q", err, text)
		}
	}
}

// TestPassword is the other way to say who we are, and what becomes of a mailbox that cannot be opened.
func TestPassword(t *testing.T) {
	d := startDovecot(t, "maildir")
	b := newBackend(t, mailbox.Doveadm{URL: d.url, User: "doveadm", PasswordFile: filepath.Join(d.dir, "password"), Connections: 1})
	must(t, b.Check(t.Context(), user))
	wantError(t, b.Check(t.Context(), "nobody@corp.example"), mailbox.ErrNoMailbox)
	must(t, os.Chmod(filepath.Join(d.dir, "mail", "b"), 0))
	if copies, err := b.Find(t.Context(), user, message); err == nil {
		t.Errorf("found %v in a mailbox that cannot be opened", copies)
	}
	if err := b.Restore(t.Context(), user, policy.MailCopy{Mode: "staging", StagedID: strings.Repeat("a", 32), UID: 1}); err == nil {
		t.Error("restored in a mailbox that cannot be opened")
	}
}
