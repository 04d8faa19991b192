package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFindings changes one thing in a Postfix on which all is right, and expects one finding.
func TestFindings(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *fake)
		check  string
		status Status
		found  string // in the finding
		line   string // among the lines to change; "" is none
	}{
		"Postfix is too old":           {func(f *fake) { f.main["mail_version"] = "3.4.29" }, "postfix", Error, "Postfix 3.4.29", ""},
		"a snapshot of Postfix is new": {func(f *fake) { f.main["mail_version"] = "3.12-20260821" }, "postfix", OK, "3.12-20260821", ""},
		"queue ids are short": {func(f *fake) { f.main["enable_long_queue_ids"] = "no" }, "long-queue-ids", Warning, "= no",
			"postconf -e 'enable_long_queue_ids = yes'"},
		"queue ids are long": {func(*fake) {}, "long-queue-ids", OK, "= yes", ""},

		"a milter answers": {func(*fake) {}, "milter-listening", OK, "a milter answers on 127.0.0.1:", ""},
		"what answers is no milter": {func(f *fake) { f.subject.MilterListen = []string{startMilter(f.t, answerSMTP)} }, "milter-listening",
			Error, "no milter", "systemctl enable --now sendgate"},
		"nobody answers": {func(f *fake) { f.subject.MilterListen = []string{"unix:" + f.dir + "/none"} }, "milter-listening",
			Error, "nobody answers on unix:", "systemctl enable --now sendgate"},

		"a listener asks the milter":                 {func(*fake) {}, "milter-asked", OK, "smtp/inet asks sendgate", ""},
		"the listener for mail given back asks none": {func(*fake) {}, "milter-asked", OK, "127.0.0.1:10025/inet, on loopback, asks no milter", ""},
		"nothing asks the milter": {func(f *fake) { f.main["smtpd_milters"] = "inet:localhost:8891" }, "milter-asked", Error,
			"no service asks sendgate", "postconf -e 'smtpd_milters = inet:127.0.0.1:PORT, inet:localhost:8891'"},
		"submission has its own milters": {func(f *fake) { f.own = append(f.own, "submission/inet/smtpd_milters = inet:localhost:8891") },
			"milter-asked", Warning, "submission/inet has its own smtpd_milters = inet:localhost:8891",
			"postconf -P -e 'submission/inet/smtpd_milters=inet:127.0.0.1:PORT,inet:localhost:8891'"},
		"submission has its milters switched off": {func(f *fake) {
			f.own = append(f.own, "submission/inet/receive_override_options = no_milters,no_header_body_checks")
		}, "milter-asked", Warning, "submission/inet asks no milter: receive_override_options = no_milters,no_header_body_checks", ""},
		"mail of local programs passes by": {func(f *fake) { f.main["non_smtpd_milters"] = "" }, "milter-asked", Warning,
			"non_smtpd_milters = : mail from sendmail(1) passes by", "postconf -e 'non_smtpd_milters = $smtpd_milters'"},
		"milters differ by client": {func(f *fake) { f.main["smtpd_milter_maps"] = "cidr:/etc/postfix/m" }, "milter-asked", Skipped,
			"smtpd_milter_maps = cidr:/etc/postfix/m: some clients", ""},
		"the milter stands before a proxy filter": {func(f *fake) { f.own = append(f.own, "smtp/inet/smtpd_proxy_filter = 127.0.0.1:10024") },
			"milter-asked", Error, "smtp/inet asks sendgate before smtpd_proxy_filter", "postconf -P -e 'smtp/inet/smtpd_milters='"},

		"alone is in order":           {func(*fake) {}, "milter-order", OK, "smtpd_milters = inet:127.0.0.1:", ""},
		"before OpenDKIM is in order": {func(f *fake) { f.main["smtpd_milters"] += ", inet:localhost:8891" }, "milter-order", OK, "8891", ""},
		"behind a milter that does not sign is in order": {func(f *fake) { f.main["smtpd_milters"] = "unix:clamav.sock " + f.main["smtpd_milters"] },
			"milter-order", OK, "clamav", ""},
		"behind OpenDKIM adds nothing": {func(f *fake) { f.main["smtpd_milters"] = "inet:localhost:8891, " + f.main["smtpd_milters"] },
			"milter-order", Warning, "inet:localhost:8891 stands before sendgate", "postconf -e 'smtpd_milters = inet:127.0.0.1:PORT, inet:localhost:8891'"},
		"behind rspamd adds unsigned fields": {func(f *fake) {
			f.subject.AddsFields = true
			f.main["smtpd_milters"] = "{ unix:rspamd/milter.sock, default_action=accept }, " + f.main["smtpd_milters"]
		}, "milter-order", Error, "{ unix:rspamd/milter.sock, default_action=accept } stands before sendgate",
			"postconf -e 'smtpd_milters = inet:127.0.0.1:PORT, { unix:rspamd/milter.sock, default_action=accept }'"},
		"one listener has its own wrong order": {func(f *fake) {
			f.own = append(f.own, "submission/inet/smtpd_milters = inet:localhost:8891 "+f.main["smtpd_milters"])
		}, "milter-order", Warning, "inet:localhost:8891 stands before sendgate", "postconf -P -e 'submission/inet/smtpd_milters=inet:127.0.0.1:PORT,inet:localhost:8891'"},
		"without a listener there is no order": {asksNobody, "milter-order", Skipped, "no service asks sendgate", ""},

		"clients try again":          {func(*fake) {}, "milter-default-action", OK, "tempfail at smtp/inet, submission/inet, cleanup/unix", ""},
		"clients are hung up on":     {func(f *fake) { f.main["milter_default_action"] = "shutdown" }, "milter-default-action", OK, "shutdown at", ""},
		"mail passes without us":     {func(f *fake) { f.main["milter_default_action"] = "accept" }, "milter-default-action", Warning, "mail passes", "postconf -e 'milter_default_action = tempfail'"},
		"mail is refused without us": {func(f *fake) { f.main["milter_default_action"] = "reject" }, "milter-default-action", Error, "reject at", "postconf -e 'milter_default_action = tempfail'"},
		"mail is stuck without us":   {func(f *fake) { f.main["milter_default_action"] = "quarantine" }, "milter-default-action", Error, "nobody lets it go", "postconf -e 'milter_default_action = tempfail'"},
		"an entry has its own action": {func(f *fake) {
			f.main["smtpd_milters"] = "{ " + f.main["smtpd_milters"] + ", default_action=accept }"
		},
			"milter-default-action", Warning, "accept at smtp/inet, submission/inet", "postconf -e 'milter_default_action = tempfail'"},
		"without a listener there is no action": {asksNobody, "milter-default-action", Skipped, "no service asks sendgate", ""},

		"the time-outs fit":       {func(*fake) {}, "milter-timeouts", OK, "longer than the 25s", ""},
		"Postfix waits too short": {func(f *fake) { f.main["milter_command_timeout"] = "10" }, "milter-timeouts", Warning, "milter_command_timeout = 10 at smtp/inet; sendgate may take 25s", "postconf -e 'milter_command_timeout = 30s'"},
		"an entry waits too short": {func(f *fake) { f.main["smtpd_milters"] = "{ " + f.main["smtpd_milters"] + ", content_timeout=20s }" },
			"milter-timeouts", Warning, "milter_content_timeout = 20s", "postconf -e 'milter_content_timeout = 300s'"},
		"sendgate waits too short": {func(f *fake) { f.subject.MilterIdle = 2 * time.Minute }, "milter-timeouts", Warning,
			"milter.idle_timeout is 2m, but Postfix may be silent for smtpd_timeout = 5m", "milter.idle_timeout: 2h"},
		"without a listener there are no time-outs": {asksNobody, "milter-timeouts", Skipped, "no service asks sendgate", ""},

		"the connections suffice":        {func(*fake) {}, "milter-connections", OK, "up to 150 smtpd processes; milter.connections is 2000", ""},
		"the connections do not suffice": {func(f *fake) { f.main["default_process_limit"] = "3000" }, "milter-connections", Warning, "up to 3050 smtpd", "milter.connections: 6100"},
		"processes without a limit": {func(f *fake) { f.fields = append(f.fields, "submission/inet/process_limit = 0") }, "milter-connections", Warning,
			"submission/inet may run any number of processes", "milter.connections: 10000"},
		"without a listener there are no connections": {asksNobody, "milter-connections", Skipped, "no service asks sendgate", ""},

		"the macros are sent":     {func(*fake) {}, "milter-macros", OK, "login and queue id are sent", ""},
		"the login is missing":    {func(f *fake) { f.main["milter_mail_macros"] = "i" }, "milter-macros", Error, "{auth_authen} is missing", "postconf -X milter_mail_macros"},
		"the queue id is missing": {func(f *fake) { f.main["milter_end_of_data_macros"] = "" }, "milter-macros", Error, "i is missing", "postconf -X milter_end_of_data_macros"},
		"the protocol is old":     {func(f *fake) { f.main["milter_protocol"] = "2" }, "milter-macros", Warning, "milter_protocol = 2", "postconf -X milter_protocol"},

		"the hold is short":         {func(*fake) {}, "hold-and-lifetime", OK, "longest_hold is 24h, maximal_queue_lifetime is 120h", ""},
		"the hold is long":          {func(f *fake) { f.main["maximal_queue_lifetime"] = "36h" }, "hold-and-lifetime", Warning, "36h", "postconf -e 'maximal_queue_lifetime = 4d'"},
		"the hold outlives Postfix": {func(f *fake) { f.main["maximal_queue_lifetime"] = "1" }, "hold-and-lifetime", Error, "is 24h", "delivery.longest_hold: 12h"},

		"no content filter": {func(*fake) {}, "content-filter", OK, "no content_filter", ""},
		"a content filter and no way back": {func(f *fake) { f.main["content_filter"] = "amavis:[127.0.0.1]:10024" }, "content-filter", Error,
			"no listener on loopback that does not ask sendgate", "milter.id_header.key_file: /etc/sendgate/id-key"},
		"a content filter whose way back asks us": {func(f *fake) {
			f.main["content_filter"] = "amavis:[127.0.0.1]:10024"
			f.service("127.0.0.1:10027/inet", "smtpd", "n", "-")
		}, "content-filter", Error, "no id header", "postconf -P -e '127.0.0.1:10027/inet/smtpd_milters='"},
		"a content filter with a way back": {func(f *fake) {
			f.main["content_filter"] = "amavis:[127.0.0.1]:10024"
			f.service("localhost:10027/inet", "smtpd", "n", "-")
			f.own = append(f.own, "localhost:10027/inet/receive_override_options = no_milters")
		}, "content-filter", OK, "can come back on localhost:10027/inet", ""},
		"a content filter and an id header": {func(f *fake) {
			f.main["content_filter"] = "amavis:[127.0.0.1]:10024"
			f.subject.IDHeader, f.subject.MilterNetworks = true, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		}, "content-filter", OK, "known by the id header", ""},
		"an id header that is not believed": {func(f *fake) {
			f.main["content_filter"] = "amavis:[127.0.0.1]:10024"
			f.subject.IDHeader, f.subject.MilterNetworks = true, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		}, "content-filter", Warning, "milter.networks has no loopback", `milter.networks: [127.0.0.0/8, "::1/128"]`},
		"a content filter that is a program": {func(f *fake) {
			f.main["content_filter"] = "scan:dummy"
			f.service("scan/unix", "pipe", "n", "-")
		}, "content-filter", Error, "is a pipe(8)", "milter.id_header.key_file: /etc/sendgate/id-key"},

		"the mail log is a terminal": {func(*fake) {}, "mail-log", Skipped, "maillog_file = /dev/stdout", ""},
		"the mail log can be read":   {func(f *fake) { f.main["maillog_file"] = f.file("mail.log", 0o600) }, "mail-log", OK, "may read", ""},
		"the gateway's user is unknown": {func(f *fake) {
			f.main["maillog_file"] = f.file("mail.log", 0o600)
			f.tools.User = "nobody-of-this-name"
		}, "mail-log", Skipped, "unknown user nobody-of-this-name", ""},

		"the upstream answers": {func(*fake) {}, "trusted-path", OK, "upstream postfix answers", ""},
		"the upstream is away": {func(f *fake) { f.tools.Upstreams = func(context.Context) error { return errAway } }, "trusted-path", Error,
			"upstream other: no XCLIENT", "sendgate check --probe"},
		"another machine's permission cannot be asked": {func(f *fake) { f.subject.Upstreams[0].Servers = []string{"192.0.2.1:25"} }, "trusted-path", Skipped,
			"whether upstream postfix permits our address cannot be asked", ""},
		"XCLIENT works": {func(f *fake) { f.subject.Upstreams[0].TrustedPath = "xclient" }, "trusted-path", OK, "trusted_path xclient works", ""},

		"our address is permitted": {func(*fake) {}, "upstream-listeners", OK, "mynetworks = 127.0.0.0/8 [::1]/128 has 127.0.0.1", ""},
		"our address is not permitted": {func(f *fake) { f.main["mynetworks"] = "192.0.2.0/24" }, "upstream-listeners", Error,
			"mynetworks = 192.0.2.0/24 lacks 127.0.0.1", "postconf -P -e '127.0.0.1:10025/inet/mynetworks=192.0.2.0/24,127.0.0.1'"},
		"our address may stand in a file": {func(f *fake) { f.main["mynetworks"] = "/etc/postfix/networks" }, "upstream-listeners", Skipped,
			"mynetworks = /etc/postfix/networks cannot be looked into", ""},
		"addresses permit nothing": {func(f *fake) { f.main["smtpd_relay_restrictions"] = "permit_sasl_authenticated, reject" }, "upstream-listeners", Error,
			"does not permit mynetworks", "postconf -P -e '127.0.0.1:10025/inet/smtpd_relay_restrictions=permit_mynetworks,reject'"},
		"XCLIENT is not granted": {func(f *fake) { f.subject.Upstreams[0].TrustedPath = "xclient" }, "upstream-listeners", Error,
			"smtpd_authorized_xclient_hosts =  lacks 127.0.0.1", "postconf -P -e '127.0.0.1:10025/inet/smtpd_authorized_xclient_hosts=127.0.0.1'"},
		"XFORWARD is granted": {func(*fake) {}, "upstream-listeners", OK, "smtpd_authorized_xforward_hosts = 127.0.0.0/8 has", ""},
		"XFORWARD is not granted": {func(f *fake) { f.own = f.own[:1] }, "upstream-listeners", Warning,
			"smtpd_authorized_xforward_hosts =  lacks 127.0.0.1", "postconf -P -e '127.0.0.1:10025/inet/smtpd_authorized_xforward_hosts=127.0.0.1'"},
		"what was let go is asked about again": {func(f *fake) { f.own = f.own[1:] }, "upstream-listeners", Error,
			"asks sendgate about what sendgate has let go", "postconf -P -e '127.0.0.1:10025/inet/smtpd_milters='"},
		"the same with an id header": {func(f *fake) { f.own, f.subject.IDHeader = f.own[1:], true }, "upstream-listeners", Warning,
			"asks sendgate about what sendgate has let go", "postconf -P -e '127.0.0.1:10025/inet/smtpd_milters='"},
		"no upstream is here": {func(f *fake) { f.subject.Upstreams = nil }, "upstream-listeners", Skipped, "no upstream is a listener", ""},

		"UTF-8 is taken":     {func(*fake) {}, "smtputf8", OK, "= yes", ""},
		"UTF-8 is not taken": {func(f *fake) { f.main["smtputf8_enable"] = "no" }, "smtputf8", Warning, "= no", "postconf -e 'smtputf8_enable = yes'"},

		"the disk is empty":      {func(*fake) {}, "disk-space", OK, "reserved (store.min_free_mib)", ""},
		"the disk is full":       {func(f *fake) { f.subject.MinFreeMiB = 1 << 40 }, "disk-space", Error, "reserved (store.min_free_mib)", "df -h "},
		"Postfix's disk is full": {func(f *fake) { f.main["queue_minfree"] = "1152921504606846976" }, "disk-space", Error, "queue_minfree)", "df -h "},
		"the store is not there": {func(f *fake) { f.subject.StoreDir += "/none" }, "disk-space", Skipped, "no such file", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			_, port, _ := strings.Cut(f.subject.MilterListen[0], ":")
			c.change(f)
			found := f.of(c.check)
			at := slices.IndexFunc(found, func(g Finding) bool { return g.Status == c.status && strings.Contains(g.Found.EN, c.found) })
			if at < 0 {
				t.Fatalf("no %s with %q in %+v", c.status, c.found, found)
			}
			g := found[at]
			if g.Found.ZH == "" || g.Why.EN == "" || g.Why.ZH == "" {
				t.Errorf("a text is missing in %+v", g)
			}
			line := strings.ReplaceAll(c.line, "PORT", port)
			if line == "" && len(g.Change) > 0 || !slices.ContainsFunc(append(g.Change, ""), func(l string) bool { return strings.HasPrefix(l, line) }) {
				t.Errorf("change %q, want %q", g.Change, line)
			}
		})
	}
}

// asksNobody takes us out of all lists.
func asksNobody(f *fake) { f.main["smtpd_milters"], f.main["non_smtpd_milters"] = "", "" }

// TestSkippedIsNotOK runs the checks without what they need.
func TestSkippedIsNotOK(t *testing.T) {
	t.Run("without Postfix", func(t *testing.T) {
		f := newFake(t)
		f.tools.Postconf = func(context.Context, ...string) (string, error) { return "", errors.New("no postconf here") }
		for _, g := range Examine(t.Context(), f.subject, f.tools).Findings {
			known := slices.Contains([]string{"milter-listening", "helper", "trusted-path", "disk-space", "clock"}, g.Check)
			if !known && (g.Status != Skipped || !strings.Contains(g.Found.EN, "no postconf here")) {
				t.Errorf("%+v", g)
			}
		}
	})
	t.Run("without the milter front", func(t *testing.T) {
		f := newFake(t)
		f.subject.MilterListen = nil
		for _, check := range []string{"milter-listening", "milter-asked", "milter-order", "milter-default-action", "milter-socket", "helper", "content-filter"} {
			for _, g := range f.of(check) {
				if g.Status != Skipped || !strings.Contains(g.Found.EN, "milter.listen is empty") {
					t.Errorf("%+v", g)
				}
			}
		}
	})
}

// TestEveryCheckSpeaks finds checks without a finding, and names that are there twice.
func TestEveryCheckSpeaks(t *testing.T) {
	f := newFake(t)
	seen := map[string]bool{}
	for _, g := range Examine(t.Context(), f.subject, f.tools).Findings {
		seen[g.Check] = true
	}
	names := map[string]bool{}
	for _, c := range checks() {
		if !seen[c.name] || names[c.name] {
			t.Errorf("%s: speaks %v, twice %v", c.name, seen[c.name], names[c.name])
		}
		names[c.name] = true
	}
}

// TestReport counts, and shows nothing that a terminal would take for a command.
func TestReport(t *testing.T) {
	f := newFake(t)
	f.main["enable_long_queue_ids"] = "no\x1b[2J'; reboot '"
	f.tools.Upstreams = func(context.Context) error { return errAway }
	r := Examine(t.Context(), f.subject, f.tools)
	if r.Errors < 2 || r.Warnings < 1 {
		t.Errorf("%d errors, %d warnings", r.Errors, r.Warnings)
	}
	for lang, want := range map[string][]string{
		"en": {"[warning] long-queue-ids: enable_long_queue_ids = no?[2J", "    why: short queue ids", "    change: postconf -e 'enable_long_queue_ids = yes'", " errors, "},
		"zh": {"[警告] long-queue-ids", "    影响: 短队列号", "    修改: postconf -e", " 个错误，"},
	} {
		text := r.Text(lang)
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("no %q in\n%s", w, text)
			}
		}
		if strings.ContainsRune(text, '\x1b') {
			t.Error("an escape reaches the terminal")
		}
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []string{`"check":"postfix","status":"ok","found":{"en":"Postfix 3.7.11`, `"change":[]`, `"warnings":`} {
		if !strings.Contains(string(data), w) {
			t.Errorf("no %s in %s", w, data)
		}
	}
}

// TestQuoted keeps a value one word of the shell.
func TestQuoted(t *testing.T) {
	if got := setMain("smtpd_milters", "a'; reboot; '\nb"); got != `postconf -e 'smtpd_milters = a'\''; reboot; '\'' b'` {
		t.Error(got)
	}
}
