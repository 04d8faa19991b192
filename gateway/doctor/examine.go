package doctor

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"time"

	"github.com/sendgate/sendgate/gateway/postconf"
	"github.com/sendgate/sendgate/policy"
)

// A Subject is what the gateway's configuration says, as far as checks ask for it.
type Subject struct {
	MilterListen      []string // host:port, or unix: and a path; none when the front is off
	MilterNetworks    []netip.Prefix
	MilterIdle        time.Duration
	MilterConnections int
	IDHeader          bool // mail that comes back is known again
	AddsFields        bool // an id header or a missing Message-ID
	LongestHold       time.Duration
	Helper            string // the socket of the postfix helper
	StoreDir          string
	MinFreeMiB        int64
	Upstreams         []Upstream
}

// An Upstream is a server behind the gateway.
type Upstream struct {
	Name        string
	Servers     []string // host:port, or unix: and a path
	TrustedPath string   // network, xclient or login
}

// Tools are how the checks reach what is outside of their package.
type Tools struct {
	// Postconf runs postconf with arguments on the configuration that is examined.
	Postconf func(ctx context.Context, args ...string) (string, error)
	// AskHelper asks the postfix helper a question that changes nothing.
	AskHelper func(ctx context.Context) error
	// Upstreams connects to the servers behind and tries the trusted path.
	Upstreams func(ctx context.Context) error
	// User is as whom the gateway runs.
	User string
}

// An examination is one run of all checks.
type examination struct {
	Subject
	tools   Tools
	mta     *postconf.MTA // nil when Postfix's configuration could not be read
	unread  error         // why not
	euid    int           // as whom this runs
	current check
	report  *Report
}

// A check looks at one thing.
type check struct {
	name string
	why  policy.Label
	run  func(ctx context.Context, e *examination)
	of   scope
}

// A scope is what a check needs.
type scope int

const (
	anywhere   scope = iota
	ofPostfix        // Postfix's configuration
	ofMilter         // the milter front, and Postfix's configuration
	ofMilterUs       // the milter front alone
)

// Examine runs all checks.
func Examine(ctx context.Context, subject Subject, tools Tools) *Report {
	e := &examination{Subject: subject, tools: tools, euid: os.Geteuid(), report: &Report{Findings: []Finding{}}}
	e.mta, e.unread = postconf.Read(ctx, tools.Postconf)
	for _, c := range checks() {
		e.current = c
		if reason, missing := e.missing(c.of); missing {
			e.skip(reason)
			continue
		}
		c.run(ctx, e)
	}
	return e.report
}

// missing says why a check cannot run at all.
func (e *examination) missing(s scope) (reason policy.Label, missing bool) {
	if (s == ofMilter || s == ofMilterUs) && len(e.MilterListen) == 0 {
		return say("milter.listen is empty: the milter front is off", "milter.listen 为空：未启用 milter 前端"), true
	}
	if (s == ofMilter || s == ofPostfix) && e.mta == nil {
		return say("Postfix's configuration cannot be read: %v", "无法读取 Postfix 配置：%v", e.unread), true
	}
	return policy.Label{}, false
}

func (e *examination) find(s Status, found policy.Label, change []string) {
	if change == nil {
		change = []string{}
	}
	e.report.add(Finding{Check: e.current.name, Status: s, Found: found, Why: e.current.why, Change: change})
}

func (e *examination) ok(found policy.Label)                      { e.find(OK, found, nil) }
func (e *examination) warn(found policy.Label, change ...string)  { e.find(Warning, found, change) }
func (e *examination) wrong(found policy.Label, change ...string) { e.find(Error, found, change) }
func (e *examination) skip(reason policy.Label)                   { e.find(Skipped, reason, nil) }

// skipFor skips because of an error; what this user may not look at, root may.
func (e *examination) skipFor(what string, err error) {
	if errors.Is(err, os.ErrPermission) {
		e.skip(say("%s: %v: run this as root", "%s：%v：请以 root 运行", what, err))
		return
	}
	e.skip(say("%s: %v", "%s：%v", what, err))
}
