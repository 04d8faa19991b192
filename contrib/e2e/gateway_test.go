package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// apiToken is the token of the API, and apiTokenHash its SHA-256.
const (
	apiToken     = "e2e"
	apiTokenHash = "6d8749c4fe00b757c1bc1c376a99f31d1bd38b422d44f5b6aa2d6a6c5e975cba"
)

// build makes the binary once for all tests; where they are required, with the race detector, which
// needs a C compiler.
var build = sync.OnceValues(func() (string, error) { return compile("sendgate", required()) })

// compile makes a binary of that name.
func compile(name string, race bool) (string, error) {
	binary := filepath.Join(builds, name)
	out, err := exec.Command("go", "build", fmt.Sprintf("-race=%t", race), "-o", binary, "github.com/sendgate/sendgate/cmd/sendgate").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build sendgate: %w\n%s", err, out)
	}
	return binary, nil
}

// builds is the directory of the binary.
var builds = filepath.Join(os.TempDir(), fmt.Sprintf("sendgate-e2e-build-%d", os.Getpid()))

// TestMain removes the binary.
func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(builds)
	os.Exit(code)
}

// gateway is a sendgate process with its directory.
type gateway struct {
	smtp, api string // addresses; smtp is empty without the relay
	certFile  string // of its STARTTLS
	dir       string
	process   *process
	binary    string // empty: the one that build makes
}

// settings are what differs between the tests' gateways.
type settings struct {
	upstream string // the entry of the upstream, from its second key on
	hold     time.Duration
	delivery string // further keys of the delivery section, one a line
	track    string // the track section; empty is none
	rules    rules
	unraced  bool             // without the race detector, where it is required otherwise
	before   func(dir string) // what is to be done in its directory before the first start
}

// rules are what limits need of a configuration.
type rules struct {
	policy   string // further keys of the policy section, one a line
	sections string // further sections
}

// inPolicy gives the further keys with their indentation.
func (r rules) inPolicy() string { return "  " + strings.ReplaceAll(r.policy, "\n", "\n  ") + "\n" }

// startGateway runs a gateway until the test ends.
func startGateway(t *testing.T, s settings) *gateway {
	t.Helper()
	free := addresses(t, 2)
	g := &gateway{smtp: free[0], api: free[1], dir: directory(t)}
	if s.unraced {
		var err error
		if g.binary, err = compile("sendgate-unraced", false); err != nil {
			t.Fatal(err)
		}
	}
	if s.before != nil {
		s.before(g.dir)
	}
	certFile, keyFile := certificate(t, g.dir, "gw.corp.test")
	g.certFile = certFile
	write(t, fmt.Sprintf(`hostname: gw.corp.test
store:
  dir: %[1]s/data
  min_free_mib: 64
relay:
  listen:
    - {address: %[2]q, tls: starttls, certificate: %[3]s, key: %[4]s}
  recipient_cache: 0s
upstreams:
  - name: mx
%[5]s
policy:
  hold: {default: %[6]s, margin: 0s}
%[10]sdelivery:
  retry: {first: 1s, max: 2s, expire_after: 1h, delay_notice_after: 0s}
  %[9]s
api:
  listen: %[7]q
  socket: ""
  tokens: [{name: e2e, role: admin, sha256: %[8]s}]
`, g.dir, g.smtp, certFile, keyFile, indent(s.upstream), s.hold, g.api, apiTokenHash, s.delivery, s.rules.inPolicy())+s.rules.sections+s.track, g.dir, "sendgate.yaml")
	g.start(t)
	t.Cleanup(func() { g.end(t) })
	return g
}

// end stops the process, which must not have found a race.
func (g *gateway) end(t *testing.T) {
	t.Helper()
	if err := g.process.stop(t); err != nil {
		t.Errorf("sendgate: %v", err)
	}
	if log := g.process.output.String(); t.Failed() || strings.Contains(log, "DATA RACE") {
		t.Errorf("sendgate:\n%s", log)
	}
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ")
}

// start runs the process on its directory, also after kill.
func (g *gateway) start(t *testing.T) {
	t.Helper()
	binary := g.binary
	if binary == "" {
		var err error
		if binary, err = build(); err != nil {
			t.Fatal(err)
		}
	}
	g.process = spawn(t, binary, "serve", "--config", filepath.Join(g.dir, "sendgate.yaml"))
	eventually(t, "sendgate is ready", func() bool {
		select {
		case err := <-g.process.done:
			t.Fatalf("sendgate ended: %v\n%s", err, g.process.output)
		default:
		}
		response, err := http.Get("http://" + g.api + "/readyz")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK && (g.smtp == "" || answers(g.smtp, "220 "))
	})
}

// kill ends the process at once, as a power cut would.
func (g *gateway) kill(t *testing.T) {
	t.Helper()
	if err := g.process.command.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-g.process.done
}

// call asks the API, which has to agree, and decodes its answer into result.
func (g *gateway) call(t *testing.T, method, path string, body, result any) {
	t.Helper()
	text, status := g.ask(t, method, path, body)
	if status >= 300 {
		t.Fatalf("%s %s: %d\n%s", method, path, status, text)
	}
	if err := json.Unmarshal(text, result); err != nil {
		t.Fatalf("%s %s: %v\n%s", method, path, err, text)
	}
}

// ask gives the answer of the API and its status.
func (g *gateway) ask(t *testing.T, method, path string, body any) (text []byte, status int) {
	t.Helper()
	var payload bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&payload).Encode(body); err != nil {
			t.Fatal(err)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+g.api+"/api/v1"+path, &payload)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+apiToken)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if text, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	return text, response.StatusCode
}

// detail is what the tests read of a message.
type detail struct {
	ID, Subject, State, Identity, Login string
	Recipients                          []row
	Timeline                            []event
	HeldUntil                           time.Time `json:"held_until"`
}

// row is a recipient, a member of a group, or another attempt.
type row struct {
	Address, Group, State, Reply, Evidence string
	Label                                  struct{ EN string }
	Members, Attempt                       int
	Superseded                             bool
	NextTry                                time.Time `json:"next_try"`
	OriginalAddress                        string    `json:"original_address"`
	QueueID                                string    `json:"queue_id"`
	MayBeDuplicate                         bool      `json:"may_be_duplicate"`
}

type event struct {
	Kind, Actor, Reason, Evidence string
	QueueID                       string `json:"queue_id"`
}

// has reports whether something of the kind has happened to the message.
func (d detail) has(kind string) bool {
	return slices.ContainsFunc(d.Timeline, func(e event) bool { return e.Kind == kind })
}

func (g *gateway) message(t *testing.T, id string) detail {
	t.Helper()
	var d detail
	g.call(t, "GET", "/messages/"+id, nil, &d)
	return d
}

// awaitState waits until all recipients of a message are in a state.
func (g *gateway) awaitState(t *testing.T, id, state string) detail {
	t.Helper()
	var d detail
	eventually(t, "message "+id+" is "+state, func() bool {
		d = g.message(t, id)
		return d.State == state
	})
	return d
}

// heldAs finds the id in the answer to held mail, "250 2.0.0 Held as <id>, recall until 10:31:05".
func heldAs(t *testing.T, transcript string) string {
	t.Helper()
	m := regexp.MustCompile(`Held as ([0-9A-Z]{26}), recall until (?:[0-9-]{10} )?[0-9:]{8}`).FindStringSubmatch(transcript)
	if m == nil {
		t.Fatalf("the message was not held:\n%s", transcript)
	}
	return m[1]
}

// TestShippedConfigurations holds that sendgate takes the configurations of this repository.
func TestShippedConfigurations(t *testing.T) {
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, file := range files {
		if filepath.Base(file) == "compose.yaml" || strings.HasPrefix(file, "../grafana/") {
			continue // Docker's, and Prometheus'
		}
		checked++
		if out, code := run(t, binary, "check", "--quiet", "--config", file); code != 0 {
			t.Errorf("%s", out)
		}
	}
	if checked == 0 {
		t.Error("there are none")
	}
}
