package postfix

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// outcomes are those of results, in order.
func outcomes(results []Result) (all []Outcome) {
	for _, r := range results {
		all = append(all, r.Outcome)
	}
	return all
}

func expect(t *testing.T, what string, results []Result, err error, want ...Outcome) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if got := outcomes(results); !slices.Equal(got, want) {
		t.Fatalf("%s: %v, want %v\n%+v", what, got, want, results)
	}
}

// missing is a queue id that no message has.
const missing = "4jX1HT6PPwz1SGbB"

func TestHeldMailIsListedReleasedAndDelivered(t *testing.T) {
	m := startMachine(t, "enable_long_queue_ids = yes")
	ctx := t.Context()
	ids := m.submit(t, held("<a@fast.test>", "<b@fast.test>"), held("<c@fast.test>"), held("<d@fast.test>"))
	q := m.queue(t)[ids[0]]
	if q.Queue != "hold" || q.Sender != "ann@corp.test" || q.Size == 0 || time.Since(q.Arrival) > patience ||
		!slices.Equal(q.Recipients, []Waiting{{Address: "a@fast.test"}, {Address: "b@fast.test"}}) {
		t.Errorf("listed: %+v", q)
	}
	var only []string
	err := m.helper.List(ctx, ids[1:2], func(q Queued) bool { only = append(only, q.ID); return true })
	if err != nil || !slices.Equal(only, ids[1:2]) {
		t.Errorf("list of one id: %v, %v", only, err)
	}

	results, err := m.helper.Release(ctx, byID([]string{ids[0], missing, ids[1]}))
	expect(t, "release", results, err, Released, NotFound, Released)
	eventually(t, "two messages are delivered, three recipients served", func() bool { return m.fast.messages() == 2 })

	results, err = m.helper.Hold(ctx, byID([]string{ids[2], missing}))
	expect(t, "hold what is held", results, err, Held, NotFound)
	wrong := m.identity(t, ids[2])
	wrong.Sender = "somebody.else@corp.test"
	results, err = m.helper.Release(ctx, []Identity{wrong})
	expect(t, "release of a different message", results, err, DifferentMessage)
	if m.queue(t)[ids[2]].Queue != "hold" {
		t.Error("the message left the hold queue")
	}

	var log []string
	for _, e := range m.logged.FilterField(zapVerb(verbRelease)).All() {
		log = append(log, e.Message)
		if fields := e.ContextMap(); fields["uid"] != int64(0) || fields["pid"] != int64(os.Getpid()) {
			t.Errorf("the log does not name the caller: %v", fields)
		}
	}
	if want := []string{"released", "not_found", "different_message"}; !slices.Equal(log, want) {
		t.Errorf("log: %v, want %v", log, want)
	}
}

func TestReleaseOfMailThatIsNotHeld(t *testing.T) {
	m := startMachine(t)
	stalled := m.slow.stall()
	ids := m.submit(t, straight("<a@slow.test>"))
	answer := <-stalled
	results, err := m.helper.Release(t.Context(), byID(ids))
	expect(t, "release", results, err, NotHeld)
	answer <- "250 2.0.0 Ok"
	eventually(t, "the message is delivered", func() bool { return m.slow.messages() == 1 })
}

// TestManyAtOnce releases more than are flushed one by one, so that the queue manager is woken by the
// octet. The mail log tells that no message waited for a queue run (300 s).
func TestManyAtOnce(t *testing.T) {
	m := startMachine(t, "enable_long_queue_ids = yes")
	var letters []letter
	for range 200 {
		letters = append(letters, held("<a@fast.test>"))
	}
	ids := m.submit(t, letters...)
	b := NewBatcher(m.helper)
	defer b.Close()
	type single struct {
		r   Result
		err error
	}
	all := make(chan single)
	for _, id := range ids {
		go func() {
			r, err := b.Release(t.Context(), Identity{ID: id})
			all <- single{r, err}
		}()
	}
	for range ids {
		if s := <-all; s.err != nil || s.r.Outcome != Released {
			t.Fatalf("release: %+v", s)
		}
	}
	eventually(t, "200 messages are delivered", func() bool { return m.fast.messages() == 200 })
	if n := strings.Count(m.log(), "Released from hold:"); n > 5 {
		t.Errorf("postsuper ran %d times for 200 single releases", n)
	}
}

func TestDeleteChecksWhoseItIs(t *testing.T) {
	for _, long := range []string{"no", "yes"} {
		t.Run("long queue ids "+long, func(t *testing.T) {
			m := startMachine(t, "enable_long_queue_ids = "+long)
			letter := held("<a@fast.test>")
			letter.content = "X-Sendgate-Id: one\r\n" + letter.content
			id := m.submit(t, letter)[0]
			right := m.identity(t, id)
			wrong := map[string]Identity{
				"its sender is ann@corp.test, not bob@corp.test": {ID: id, Arrival: right.Arrival, Sender: "bob@corp.test"},
				"it arrived at": {ID: id, Arrival: right.Arrival.Add(-4 * time.Second), Sender: right.Sender},
				`it has no header field "X-Sendgate-Id: two"`: {ID: id, Arrival: right.Arrival, Sender: right.Sender,
					Header: "X-Sendgate-Id: two"},
			}
			for text, w := range wrong {
				results, err := m.helper.Delete(t.Context(), []Identity{w})
				expect(t, "delete", results, err, DifferentMessage)
				if !strings.Contains(results[0].Text, text) {
					t.Errorf("%q does not say %q", results[0].Text, text)
				}
			}
			right.Header = "X-Sendgate-Id: one"
			right.Sender = "Ann@CORP.test"
			results, err := m.helper.Delete(t.Context(), []Identity{right, {ID: missing, Arrival: right.Arrival}})
			expect(t, "delete", results, err, Removed, NotFound)
			if r := results[0].Recipients; len(r) != 1 || r[0].Address != "a@fast.test" || r[0].Gone {
				t.Errorf("recipients: %+v", r)
			}
			results, err = m.helper.Delete(t.Context(), []Identity{right})
			expect(t, "delete again", results, err, NotFound)
			if len(m.queue(t)) != 0 {
				t.Error("something is left in the queue")
			}
		})
	}
}

// TestReadGivesWhatIsQueued compares with postcat, which is Postfix's own reader, for content that
// goes to the limits and for a file that a milter has edited.
func TestReadGivesWhatIsQueued(t *testing.T) {
	mill := startMilter(t)
	m := startMachine(t, "enable_long_queue_ids = yes", "smtpd_milters = inet:"+mill.address, "hash_queue_names = hold, deferred",
		"hash_queue_depth = 2", "virtual_alias_maps = inline:{team@fast.test=x@fast.test}", "always_add_missing_headers = yes")
	contents := map[string]string{
		"plain":         "X-Hold: 1\r\nSubject: s\r\n\r\nbody\r\n",
		"no body":       "X-Hold: 1\r\nSubject: s\r\n\r\n",
		"no header end": "X-Hold: 1\r\nSubject: s\r\n",
		"dots":          "X-Hold: 1\r\n\r\n.\r\n..\r\n.x\r\n\r\n\r\n",
		"long lines":    "X-Hold: 1\r\n\r\n" + strings.Repeat("y", 70000) + "\r\nend\r\n",
		"looks like records": "X-Hold: 1\r\n\r\n*** HEADER EXTRACTED hold/x ***\r\nX\x00E\x00p 10\r\n" +
			"*** MESSAGE FILE END hold/x ***\r\n",
		"body replaced by a longer one": "X-Hold: 1\r\nX-Replace: 1\r\n\r\nshort\r\n",
		"eight bits":                    "X-Hold: 1\r\nSubject: \xe4\xb8\xad\xff\r\n\r\n\x00\x01\xff\r\n",
	}
	for name, content := range contents {
		t.Run(name, func(t *testing.T) {
			id := m.submit(t, letter{
				mail: `<"a b"@corp.test> RET=HDRS ENVID=QQ+2B1 BODY=8BITMIME SMTPUTF8`,
				rcpt: []string{"<team@fast.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;Orig+2B@fast.test", "<b@fast.test> NOTIFY=NEVER",
					`<"o\"dd x"@fast.test>`},
				content: content,
			})[0]
			e, r, err := m.helper.Read(t.Context(), m.identity(t, id))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			got, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			want, err := exec.Command("/usr/sbin/postcat", "-c", filepath.Join(m.dir, "etc"), "-bhq", id).Output()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("content differs from postcat's:\n%.500q\n%.500q", got, want)
			}
			if !bytes.Contains(got, []byte("X-Milled: yes\n")) {
				t.Error("the milter's header field is not there: pointers were not tested")
			}
			if strings.Contains(content, "X-Replace") != bytes.Contains(got, []byte("replaced")) {
				t.Error("the milter's body is not there")
			}
			checkEnvelope(t, e, m.queue(t)[id])
		})
	}
}

func checkEnvelope(t *testing.T, e Envelope, listed Queued) {
	t.Helper()
	if e.Queue != "hold" || e.Arrival.Truncate(time.Second) != listed.Arrival || e.Size != listed.Size ||
		e.Sender != `"a b"@corp.test` || e.Sender != listed.Sender || e.Body != "8BITMIME" || !e.UTF8 ||
		e.Ret != "HDRS" || e.EnvID != "QQ+1" {
		t.Errorf("envelope: %+v, listed: %+v", e, listed)
	}
	for i, want := range []Recipient{
		{Before: "team@fast.test", Recipient: policy.Recipient{Address: "x@fast.test", Original: "Orig+@fast.test",
			OriginalType: "rfc822", Notify: []string{"FAILURE", "DELAY"}}},
		{Before: "b@fast.test", Recipient: policy.Recipient{Address: "b@fast.test", Original: "b@fast.test",
			OriginalType: "rfc822", Notify: []string{"NEVER"}}},
		{Before: `"o\"dd x"@fast.test`, Recipient: policy.Recipient{Address: `"o\"dd x"@fast.test`,
			Original: `"o\"dd x"@fast.test`, OriginalType: "rfc822"}},
		{Before: "milled@fast.test", Recipient: policy.Recipient{Address: "milled@fast.test"}},
	} {
		if i >= len(e.Recipients) {
			t.Fatalf("recipient %d is missing: %+v", i, e.Recipients)
		}
		got := e.Recipients[i]
		if got.Address != want.Address || got.Before != want.Before || got.Original != want.Original ||
			got.OriginalType != want.OriginalType || !slices.Equal(got.Notify, want.Notify) || got.Gone {
			t.Errorf("recipient %d: %+v, want %+v", i, got, want)
		}
	}
}

func TestReadOfWhatIsNotThere(t *testing.T) {
	m := startMachine(t)
	if _, _, err := m.helper.Read(t.Context(), Identity{ID: missing}); !errors.Is(err, ErrNotFound) {
		t.Errorf("read: %v, want ErrNotFound", err)
	}
	id := m.submit(t, held("<a@fast.test>"))[0]
	want := m.identity(t, id)
	want.Sender = ""
	_, _, err := m.helper.Read(t.Context(), want)
	if !errors.Is(err, ErrDifferent) || !strings.Contains(err.Error(), "its sender is ann@corp.test, not <>") {
		t.Errorf("read: %v, want ErrDifferent", err)
	}
	if err := m.helper.Ready(t.Context()); err != nil {
		t.Errorf("ready: %v", err)
	}
}

func TestExpireSendsItBack(t *testing.T) {
	m := startMachine(t)
	l := held("<a@fast.test>")
	l.mail = "<ann@slow.test>" // where the bounce goes
	ids := m.submit(t, l)
	results, err := m.helper.Expire(t.Context(), byID([]string{ids[0], missing}))
	expect(t, "expire", results, err, Expired, NotFound)
	eventually(t, "the bounce arrives", func() bool { return m.slow.messages() == 1 })
	if !strings.Contains(m.log(), "status=force-expired") {
		t.Error("Postfix does not say that it was force-expired")
	}
	if m.fast.messages() != 0 {
		t.Error("the message was delivered")
	}
}

func TestRemoveWaitsForADeliveryThatFails(t *testing.T) {
	m := startMachine(t)
	stalled := m.slow.stall()
	id := m.submit(t, straight("<a@fast.test>", "<b@slow.test>"))[0]
	answer := <-stalled // the whole content was sent to the slow one
	eventually(t, "the other recipient is served", func() bool { return m.fast.messages() == 1 })
	want := m.identity(t, id)
	results, err := m.helper.Delete(t.Context(), []Identity{want})
	expect(t, "delete during a delivery", results, err, InFlight)
	if m.queue(t)[id].Queue != "hold" {
		t.Errorf("what is in flight must be held: %+v", m.queue(t)[id])
	}

	removed := make(chan []Result)
	go func() { removed <- m.helper.Remove(t.Context(), []Identity{want}) }()
	select {
	case r := <-removed:
		t.Fatalf("removed during a delivery: %+v", r)
	case answer <- "451 4.3.0 Later":
	}
	results = <-removed
	expect(t, "remove", results, nil, Removed)
	gone := map[policy.Address]bool{}
	for _, r := range results[0].Recipients {
		gone[r.Address] = r.Gone
	}
	if len(gone) != 2 || !gone["a@fast.test"] || gone["b@slow.test"] {
		t.Errorf("gone: %v", gone)
	}
	if len(m.queue(t)) != 0 || m.slow.messages() != 0 {
		t.Error("the message was not removed")
	}
}

func TestRemoveLosesToADeliveryThatSucceeds(t *testing.T) {
	m := startMachine(t)
	stalled := m.slow.stall()
	id := m.submit(t, straight("<b@slow.test>"))[0]
	answer := <-stalled
	want := m.identity(t, id)
	results, err := m.helper.Delete(t.Context(), []Identity{want})
	expect(t, "delete during a delivery", results, err, InFlight)
	answer <- "250 2.0.0 Ok"
	results = m.helper.Remove(t.Context(), []Identity{want})
	expect(t, "remove", results, nil, Removed)
	if r := results[0].Recipients; len(r) != 1 || !r[0].Gone {
		t.Errorf("recipients: %+v, want the one gone", r)
	}
	if len(m.queue(t)) != 0 {
		t.Error("the held file was not removed")
	}
}

func TestRemoveFromTheDeferredQueue(t *testing.T) {
	m := startMachine(t)
	stalled := m.slow.stall()
	id := m.submit(t, straight("<b@slow.test>"))[0]
	answer := <-stalled
	want := m.identity(t, id)
	answer <- "451 4.3.0 Later"
	eventually(t, "the message is deferred", func() bool { return m.queue(t)[id].Queue == "deferred" })
	if r := m.queue(t)[id].Recipients; len(r) != 1 || !strings.Contains(r[0].Reason, "451 4.3.0 Later") {
		t.Errorf("recipients: %+v", r)
	}
	expect(t, "remove", m.helper.Remove(t.Context(), []Identity{want}), nil, Removed)
}

// TestManyHeldBetweenAttempts: their queue files name the next attempt, which is five minutes away,
// and a scan of the deferred queue respects that.
func TestManyHeldBetweenAttempts(t *testing.T) {
	m := startMachine(t)
	stalled := m.slow.stall()
	const many = 2 * (flushSingly + 1)
	var ids []string
	for range many {
		ids = append(ids, m.submit(t, straight("<b@slow.test>"))...)
	}
	for range many {
		answer := <-stalled
		answer <- "451 4.3.0 Later"
	}
	m.slow.flow()
	eventually(t, "all are deferred", func() bool {
		n := 0
		for _, q := range m.queue(t) {
			if q.Queue == "deferred" {
				n++
			}
		}
		return n == many
	})
	release, expire := ids[:many/2], ids[many/2:]
	if _, err := m.helper.Hold(t.Context(), byID(release)); err != nil {
		t.Fatal(err)
	}
	results, err := m.helper.Release(t.Context(), byID(release))
	expect(t, "release", results, err, slices.Repeat([]Outcome{Released}, many/2)...)
	eventually(t, "those released are delivered", func() bool { return m.slow.messages() == many/2 })
	results, err = m.helper.Expire(t.Context(), byID(expire))
	expect(t, "expire", results, err, slices.Repeat([]Outcome{Expired}, many/2)...)
	eventually(t, "the others go back", func() bool { return strings.Count(m.log(), "status=force-expired") == many/2 })
}

func TestHelperMayBeRestarted(t *testing.T) {
	m := startMachine(t)
	id := m.submit(t, held("<a@fast.test>"))[0]
	want := m.identity(t, id)
	if _, err := NewServer(t.Context(), m.serverConfig(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := listen(m.socket, 0); err == nil || !strings.Contains(err.Error(), "is in use by another process") {
		t.Errorf("a second helper on one socket: %v", err)
	}
	m.stopHelper()
	if _, err := m.helper.Release(t.Context(), []Identity{want}); !errors.Is(err, ErrAway) {
		t.Errorf("release without a helper: %v, want ErrAway", err)
	}
	expect(t, "remove without a helper", m.helper.Remove(t.Context(), []Identity{want}), nil, HelperAway)
	if err := m.helper.Ready(t.Context()); !errors.Is(err, ErrAway) {
		t.Errorf("ready without a helper: %v, want ErrAway", err)
	}
	m.startHelper(t)
	expect(t, "remove", m.helper.Remove(t.Context(), []Identity{want}), nil, Removed)
}

// TestPostfixAway: what is released while Postfix is stopped is sent when it starts.
func TestPostfixAway(t *testing.T) {
	m := startMachine(t)
	ids := m.submit(t, held("<a@fast.test>"), held("<b@fast.test>"), held("<c@fast.test>"), held("<d@fast.test>"),
		held("<e@fast.test>"), held("<f@fast.test>"))
	etc := filepath.Join(m.dir, "etc")
	run(t, postfixBin, "-c", etc, "stop")
	// Without postlogd, postsuper writes maillog_file itself, as this user, or dies at its first line.
	run(t, "/bin/chown", "postfix", filepath.Join(m.dir, "log", "mail.log"))
	results, err := m.helper.Release(t.Context(), byID(ids))
	expect(t, "release", results, err, Released, Released, Released, Released, Released, Released)
	eventually(t, "the log says that the queue manager is away", func() bool {
		return m.logged.FilterMessageSnippet("cannot wake the queue manager").Len() > 0
	})
	run(t, postfixBin, "-c", etc, "start")
	eventually(t, "six messages are delivered", func() bool { return m.fast.messages() == 6 })
}

func TestWhoMayAsk(t *testing.T) {
	m := startMachine(t)
	if err := os.Chmod(m.socket, 0o666); err != nil { // or the kernel refuses before we can
		t.Fatal(err)
	}
	child := filepath.Join(m.dir, "child")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run(t, "/bin/cp", self, child)
	for uid, want := range map[uint32]string{
		nobodyUID: "ready\n",
		1:         "postfix helper: user 1 may not ask: only root and user 65534 may\n",
	} {
		c := exec.Command(child)
		c.Env = []string{childSocket + "=" + m.socket}
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := c.Output()
		if err != nil || string(out) != want {
			t.Errorf("user %d: %q, %v, want %q", uid, out, err, want)
		}
	}
	if m.logged.FilterMessage("refused").Len() != 1 {
		t.Error("the refusal is not logged")
	}
}

// childSocket names the helper's socket to a child of TestWhoMayAsk.
const childSocket = "SENDGATE_TEST_HELPER_SOCKET"

func TestMain(m *testing.M) {
	if socket := os.Getenv(childSocket); socket != "" {
		os.Exit(askAsChild(socket))
	}
	os.Exit(m.Run())
}
