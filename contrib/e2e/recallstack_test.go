package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// recalling is a sendgate that takes mail back out of mailboxes, with everything around it.
type recalling struct {
	*gateway
	front string // relay or milter
	boxes *recallBoxes
	mta   *postfix
	world *sink
	entry string // where mail goes in
	gates map[string]*gate
}

// backends are the ways to mailboxes. Each has domains of its own, which tell what is special about its
// mailboxes: those of slow mail come when a gate is opened, those of late mail never; the others cannot be
// reached, or lock us out, or are read by somebody at the wrong moment.
var backends = []string{"imap", "http"}

// kinds of mailboxes; the empty one is the usual one.
var kinds = []string{"", "slow", "late", "down", "locked", "race", "nowhere"}

// domainOf is where mailboxes of a kind are, of a front: both fronts share the mail server.
func domainOf(front, backend, kind string) string {
	return strings.Trim(strings.Join([]string{kind, backend, front}, "-"), "-") + ".test"
}

// recallWindow is for how long administrators take back in these tests what is late or down; everything else has an
// hour.
const recallWindow = 45 * time.Second

// startRecalling runs everything but the mail server until the test ends.
func startRecalling(t *testing.T, front string, boxes *recallBoxes, aliases string) *recalling {
	t.Helper()
	r := &recalling{front: front, boxes: boxes, gates: map[string]*gate{}}
	for _, b := range backends {
		for _, kind := range []string{"slow", "late"} {
			r.gates[domainOf(front, b, kind)] = startGate(t, boxes.lmtp)
		}
	}
	aliasFile := write(t, aliases, directory(t), "aliases")
	mainCf := r.mainCf(aliasFile)
	rules := rules{policy: r.internal(), sections: "similar: {enabled: false}\n" + r.sections(t)}
	if front == "milter" {
		h := startHolding(t, holdSettings{
			hold: 100 * time.Millisecond, boxes: boxes.dovecot, mainCf: mainCf, rules: rules,
			track: func(mta *postfix) string { return following(mta, "127.0.0.1:9") },
		})
		r.gateway, r.mta, r.world, r.entry = h.gateway, h.mta, h.world, h.mta.smtp
	} else {
		r.world = startSink(t)
		r.mta = startPostfix(t, boxes.dovecot, r.world.address, append(mainCf,
			"smtpd_data_restrictions = check_recipient_access inline:{ { wait.test = 450 4.2.0 come later } }")...)
		r.gateway = startGateway(t, settings{
			upstream: plainUpstream(r.mta), hold: 100 * time.Millisecond, rules: rules,
			track: strings.Replace(following(r.mta, "127.0.0.1:9"), "upstreams: []", "upstreams: [mx]", 1),
		})
		r.entry = r.smtp
	}
	r.world.answering(choosy)
	return r
}

// domains lists those of all mailboxes.
func (r *recalling) domains() []string {
	all := []string{"corp.test"}
	for _, b := range backends {
		for _, kind := range kinds {
			all = append(all, domainOf(r.front, b, kind))
		}
	}
	return all
}

func (r *recalling) mainCf(aliases string) []string {
	var routes []string
	for domain, g := range r.gates {
		routes = append(routes, fmt.Sprintf("{ %s = lmtp:inet:%s }", domain, g.address))
	}
	return []string{
		"virtual_mailbox_domains = " + strings.Join(r.domains(), " "),
		"virtual_mailbox_maps = static:all",
		"virtual_alias_maps = texthash:" + aliases,
		"transport_maps = inline:{ " + strings.Join(routes, ", ") + " }",
		"recipient_delimiter = +",
		// The gates keep their clients waiting, one for each message.
		"default_destination_concurrency_limit = 100",
	}
}

// internal names the organisation's domains.
func (r *recalling) internal() string {
	return `internal: ["@` + strings.Join(r.domains(), `", "@`) + `"]`
}

// sections are those about recalls.
func (r *recalling) sections(t *testing.T) string {
	files := r.boxes.dir
	var extended []string
	mailboxes := "mailboxes:\n"
	add := func(name, how string, domains ...string) {
		mailboxes += fmt.Sprintf("  - {name: %s, domains: [\"@%s\"], %s, staging: %s, timeout: 30s}\n", name, strings.Join(domains, `", "@`), how, staging)
		extended = append(extended, name)
	}
	imap := func(address, password string) string {
		return fmt.Sprintf("imap: {address: %q, tls: none, login: %s, password_file: %s/%s}", address, masterLogin, files, password)
	}
	http := func(address, key string) string {
		return fmt.Sprintf("doveadm: {url: \"http://%s/doveadm/v1\", api_key_file: %s/%s}", address, files, key)
	}
	domain := func(backend, kind string) string { return domainOf(r.front, backend, kind) }
	closed := addresses(t, 1)[0]
	add("imap", imap(r.boxes.imap, "password"), "corp.test", domain("imap", ""), domain("imap", "slow"))
	add("http", http(r.boxes.http, "key"), domain("http", ""), domain("http", "slow"))
	add("imap-locked", imap(r.boxes.imap, "wrong"), domain("imap", "locked"))
	add("http-locked", http(r.boxes.http, "wrong"), domain("http", "locked"))
	add("imap-race", imap(r.boxes.imapReader(t, "reader@"+domain("imap", "race")), "password"), domain("imap", "race"))
	add("http-race", http(r.boxes.httpReader(t, "reader@"+domain("http", "race")), "key"), domain("http", "race"))
	inWindow := slices.Clone(extended)
	add("imap-late", imap(r.boxes.imap, "password"), domain("imap", "late"))
	add("http-late", http(r.boxes.http, "key"), domain("http", "late"))
	add("imap-down", imap(closed, "password"), domain("imap", "down"))
	add("http-down", http(closed, "key"), domain("http", "down"))
	return fmt.Sprintf(`recall:
  admin_window: %v
  sender_window: %v
  extended_window: 1h
  extended_for: {backends: [%s]}
  per_hour: 4
  alarm_over: 0
  approval_over: 20
  legal_hold: [%s]
  opt_out: [%s]
  service_address: recall@corp.test
  trust_networks: true
  status_url: http://status.corp.test
`, recallWindow, recallWindow, strings.Join(inWindow, ", "), r.special("held"), r.special("robot")) + mailboxes
}

// special names somebody in each backend.
func (r *recalling) special(name string) string {
	var all []string
	for _, b := range backends {
		all = append(all, name+"@"+domainOf(r.front, b, ""))
	}
	return strings.Join(all, ", ")
}

// recallAnswer is what the tests read of a recall.
type recallAnswer struct {
	ID, Status, Overall string
	Restriction         struct{ Code string }
	Success             int `json:"success_count"`
	Failure             int `json:"failure_count"`
	Processing          int `json:"processing_count"`
	DryRun              bool
	Corrected           bool
	Recipients          []struct {
		Address, Group, Code, Detail string
		Text                         struct{ EN string }
	}
	Groups []struct {
		Address   string
		BlockedBy int `json:"blocked_by"`
		Blockers  []string
	}
	Related []struct {
		MessageID string `json:"message_id"`
		Held      bool
	}
}

// results gives "address code" of everybody, sorted.
func (a *recallAnswer) results() (all []string) {
	for _, r := range a.Recipients {
		all = append(all, r.Address+" "+r.Code)
	}
	slices.Sort(all)
	return all
}

// takeBack asks for a recall. more are further keys of the request.
func (g *gateway) takeBack(t *testing.T, id string, more map[string]any) (a recallAnswer) {
	t.Helper()
	body := map[string]any{"message_ids": []string{id}, "reason": "wrong attachment"}
	for k, v := range more {
		body[k] = v
	}
	g.call(t, "POST", "/recalls", body, &a)
	return a
}

// recallOf reads a recall.
func (g *gateway) recallOf(t *testing.T, id string) (a recallAnswer) {
	t.Helper()
	g.call(t, "GET", "/recalls/"+id, nil, &a)
	return a
}

// awaitRecall waits for the end of a recall.
func (g *gateway) awaitRecall(t *testing.T, id string) (a recallAnswer) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("the recall is %+v", a)
		}
	}()
	// What is under way is looked at again after 5, 15 and 60 s: one try more than that.
	within(t, 3*time.Minute, "recall "+id+" has ended", func() bool {
		a = g.recallOf(t, id)
		return a.Status == "done" && a.Processing == 0
	})
	return a
}

// mailboxFiles lists the directory of a mailbox, for logs.
func (d *recallBoxes) mailboxFiles(user string) string {
	var all []string
	_ = filepath.WalkDir(filepath.Join(d.dir, "mail", user), func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && strings.Contains(path, ",S=") {
			all = append(all, strings.TrimPrefix(path, d.dir))
		}
		return nil
	})
	return strings.Join(all, "\n")
}
