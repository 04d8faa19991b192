package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

const importURL = "/api/v1/tracking/import?name=mail.log.1"

// countLines is a tracker that only counts.
func countLines(_ context.Context, _ string, r io.Reader) (report ImportReport, err error) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := r.Read(buffer)
		report.Lines += int64(bytes.Count(buffer[:n], []byte("\n")))
		if err == io.EOF {
			return report, nil
		}
		if err != nil {
			return report, err
		}
	}
}

func (r *rig) imports(fn func(context.Context, string, io.Reader) (ImportReport, error)) {
	r.importer = fn
	r.server = r.serverFor(r.store)
}

func TestImportReportsAndIsAudited(t *testing.T) {
	r := newRig(t)
	var name string
	r.imports(func(ctx context.Context, n string, body io.Reader) (ImportReport, error) {
		name = n
		report, err := countLines(ctx, n, body)
		report.Entries, report.Events = 4, 2
		return report, err
	})
	got := post[ImportReport](r, importURL, strings.Repeat("x\n", 5))
	if want := (ImportReport{Lines: 5, Entries: 4, Events: 2}); got != want || name != "mail.log.1" {
		t.Errorf("got %+v of %q", got, name)
	}
	acts := r.logs.FilterMessage("act").All()
	if len(acts) != 1 {
		t.Fatalf("audit lines: %v", acts)
	}
	for k, want := range map[string]any{"verb": "import", "name": "mail.log.1", "actor": "api:admin", "lines": int64(5), "events": int64(2)} {
		if got := acts[0].ContextMap()[k]; got != want {
			t.Errorf("%s is %v, want %v", k, got, want)
		}
	}
}

func TestImportIsForAdmins(t *testing.T) {
	r := newRig(t)
	called := false
	r.imports(func(context.Context, string, io.Reader) (ImportReport, error) {
		called = true
		return ImportReport{}, nil
	})
	for _, role := range policy.Roles {
		w := r.ask(r.server, "secret-"+role, http.MethodPost, importURL, "x\n")
		detail := map[string]string{
			"operator": "this needs a token with the role admin", "auditor": "an auditor may look, but not change anything",
			"user": "the role user is for people with mail of their own: this account or token has none",
		}[role]
		if role == "admin" {
			if w.Code != 200 || !called {
				t.Errorf("admin: %d %s", w.Code, w.Body)
			}
			called = false
			continue
		}
		wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 403, "permission_denied", detail)
		if called {
			t.Errorf("%s reached the tracker", role)
		}
	}
	if n := r.logs.FilterMessage("request refused").Len(); n != 3 {
		t.Errorf("%d refusals in the log", n)
	}
}

func TestImportIsRefused(t *testing.T) {
	gz := func(cut int) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		fmt.Fprint(w, strings.Repeat("a line of a log\n", 100))
		w.Close()
		return b.String()[:b.Len()-cut]
	}
	unzip := func(ctx context.Context, name string, r io.Reader) (ImportReport, error) {
		z, err := gzip.NewReader(r)
		if err != nil {
			return ImportReport{}, fmt.Errorf("import %s: %w", name, err)
		}
		report, err := countLines(ctx, name, z)
		if err != nil {
			return report, fmt.Errorf("import %s: %w", name, err)
		}
		return report, nil
	}
	const damagedText = "the compressed log is damaged or cut off: what stands before that place was imported"
	flipped := []byte(gz(0))
	flipped[len(flipped)-5] ^= 1
	garbled := []byte(gz(0))
	copy(garbled[10:], "\xff\xff\xff\xff")
	for name, tt := range map[string]struct {
		importer func(context.Context, string, io.Reader) (ImportReport, error)
		url      string
		body     string
		status   int
		code     string
		detail   string
	}{
		"nothing is tracked": {nil, importURL, "x\n", 409, "not_tracked", "this gateway follows no logs, so that it cannot read any: configure tracking first"},
		"cut off":            {unzip, importURL, gz(9), 422, "unreadable", damagedText},
		"a wrong checksum":   {unzip, importURL, string(flipped), 422, "unreadable", damagedText},
		"garbled":            {unzip, importURL, string(garbled), 422, "unreadable", damagedText},
		"no gzip":            {unzip, importURL, "0123456789 and more", 422, "unreadable", damagedText},
		"broken":             {func(context.Context, string, io.Reader) (ImportReport, error) { return ImportReport{}, errBroken }, importURL, "x\n", 500, "internal", "something went wrong here: the log of sendgate says what"},
		"refused": {func(context.Context, string, io.Reader) (ImportReport, error) {
			return ImportReport{}, &Refusal{Code: "no_zone", Detail: "say in which zone it was written"}
		}, importURL, "x\n", 409, "no_zone", "say in which zone it was written"},
		"no name": {countLines, "/api/v1/tracking/import", "x\n", 422, "invalid_request", "validation failed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.imports(tt.importer)
			w := r.ask(r.server, "secret-admin", http.MethodPost, tt.url, tt.body)
			wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), tt.status, tt.code, tt.detail)
		})
	}
}

func TestOpenAPIDescribesTheImportedLog(t *testing.T) {
	r := newRig(t)
	w := r.ask(r.server, "", http.MethodGet, "/api/v1/openapi.json", "")
	var spec struct {
		Paths map[string]map[string]struct {
			Parameters  []struct{ Name string }
			RequestBody struct {
				Required bool
				Content  map[string]struct{ Schema struct{ Format string } }
			}
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &spec); err != nil {
		t.Fatal(err)
	}
	op := spec.Paths["/api/v1/tracking/import"]["post"]
	if !op.RequestBody.Required || op.RequestBody.Content["application/octet-stream"].Schema.Format != "binary" {
		t.Errorf("body %+v", op.RequestBody)
	}
	if len(op.Parameters) != 1 || op.Parameters[0].Name != "name" {
		t.Errorf("parameters %+v", op.Parameters)
	}
}

// endless gives lines until so many octets are read.
type endless struct{ left int }

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.left)
	for i := range n {
		p[i] = '\n'
	}
	e.left -= n
	return n, nil
}

// Over a real connection: more than any other body, as a stream, and the answer comes.
func TestImportOfALargeLogOverTheSocket(t *testing.T) {
	const octets = 8 << 20
	r := newRig(t)
	r.importer = countLines
	s := r.run(nil)
	resp, err := socketClient(s.config.Socket).Post("http://sendgate"+importURL, "application/octet-stream", &endless{octets})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var report ImportReport
	if err := json.NewDecoder(resp.Body).Decode(&report); err != nil || resp.StatusCode != 200 || report.Lines != octets {
		t.Errorf("%s %v %+v", resp.Status, err, report)
	}
}

// What an import has begun ends when the server does.
func TestImportEndsWithTheServer(t *testing.T) {
	r := newRig(t)
	reading := make(chan struct{})
	r.imports(func(ctx context.Context, _ string, body io.Reader) (ImportReport, error) {
		close(reading)
		<-ctx.Done()
		if _, err := body.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
			t.Errorf("read after the end: %v", err)
		}
		return ImportReport{}, ctx.Err()
	})
	go func() {
		<-reading
		r.server.close()
	}()
	w := r.ask(r.server, "secret-admin", http.MethodPost, importURL, "x\n")
	wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), 503, "shutting_down", "sendgate is shutting down")
}

// A log may take longer than any deadline of the server, and each read has one of its own.
func TestImportMovesTheDeadlines(t *testing.T) {
	w := &deadlines{}
	u := &uploadReader{ctx: t.Context(), body: strings.NewReader("x"), control: http.NewResponseController(w)}
	before := time.Now()
	if _, err := u.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if w.read.Before(before.Add(readTimeout)) || !w.write.IsZero() {
		t.Errorf("while reading: read until %v, write until %v", w.read, w.write)
	}
	u.done()
	if w.write.Before(before.Add(writeTimeout)) {
		t.Errorf("at the end: write until %v", w.write)
	}
}

type deadlines struct {
	http.ResponseWriter
	read, write time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = t; return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = t; return nil }
