package setup

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/postconf"
)

// A Configured is what a sendgate.yaml that is in use already says.
type Configured struct {
	Fronts       bool   // it has a front: it is not written again
	MilterListen string // the first socket of the milter, unix:path or host:port
	Upstream     string // the first server behind that is a local address, host:port
	RelayListen  bool
}

// A Found is how a machine is set up.
type Found struct {
	place      Place
	configured Configured
	mta        *postconf.MTA
	main       map[string]string // as main.cf has it, without defaults
	free       func(address string) bool
	systemd    bool
	active     bool   // the units run
	group      string // the first group of the gateway's user
	memberOf   []string
	noUser     bool
	log        mailLog
}

// A mailLog is where Postfix's log is found.
type mailLog struct {
	file    string // or else
	journal bool
	group   string // whose members may read it; "" is everybody
	missing bool   // there is none: main.cf has to name one
}

// Look reads how Postfix and the machine are set up.
func Look(ctx context.Context, place Place, configured Configured, tools Tools) (*Found, error) {
	run := func(ctx context.Context, args ...string) (string, error) { return tools.postconf(ctx, place, args...) }
	mta, err := postconf.Read(ctx, run)
	if err != nil {
		return nil, NewFault("read Postfix's configuration (is Postfix installed? see --postconf and --postfix-config): %s",
			"读取 Postfix 的配置（Postfix 是否已安装？参见 --postconf 与 --postfix-config）：%s", err)
	}
	text, err := run(ctx, "-n")
	if err != nil {
		return nil, NewFault("read main.cf: %s", "读取 main.cf：%s", err)
	}
	f := &Found{place: place, configured: configured, mta: mta, free: tools.Free, main: map[string]string{}}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, "="); ok {
			f.main[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	if info, err := os.Stat(filepath.Join(place.Run, "systemd/system")); err == nil && info.IsDir() {
		f.systemd = true
		_, err := tools.Run(ctx, systemctl, "is-active", "--quiet", "sendgate.service")
		f.active = err == nil
	}
	f.group, f.memberOf, f.noUser = groupsOf(place.User)
	f.log = f.findLog(tools.Now())
	return f, nil
}

// groupsOf gives the first and all groups of a user, or that there is none.
func groupsOf(name string) (first string, names []string, none bool) {
	u, err := user.Lookup(name)
	if err != nil {
		return name, nil, true
	}
	first = u.Gid
	if g, err := user.LookupGroupId(u.Gid); err == nil {
		first = g.Name
	}
	ids, err := u.GroupIds()
	if err != nil {
		return first, nil, false
	}
	for _, id := range ids {
		if g, err := user.LookupGroupId(id); err == nil {
			names = append(names, g.Name)
		}
	}
	return first, names, false
}

// leftOver is how long nobody has written to a log that syslog keeps no more: longer than it is rotated after.
const leftOver = 8 * 24 * time.Hour

// findLog looks where Postfix logs: its own file, syslog's, or the journal.
func (f *Found) findLog(now time.Time) mailLog {
	if name := f.mta.Values["maillog_file"]; name != "" && !strings.HasPrefix(name, "/dev/") {
		return logFile(name)
	}
	_, err := os.Stat(filepath.Join(f.place.Run, "systemd/journal/socket"))
	journal := err == nil
	for _, name := range []string{"mail.log", "maillog"} {
		path := filepath.Join(f.place.Logs, name)
		if info, err := os.Stat(path); err == nil && (!journal || now.Sub(info.ModTime()) < leftOver) {
			return logFile(path)
		}
	}
	if journal {
		return mailLog{journal: true, group: "systemd-journal"}
	}
	return mailLog{file: filepath.Join(f.place.Logs, "mail.log"), missing: true, group: "adm"}
}

// logFile finds out who may read a log.
func logFile(path string) mailLog {
	l := mailLog{file: path}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o004 != 0 {
		return l
	}
	if _, gid, ok := ownerOf(info); ok {
		if g, err := user.LookupGroupId(fmt.Sprint(gid)); err == nil {
			l.group = g.Name
		}
	}
	return l
}

// networks are those of Postfix's trusted clients that are written as addresses, and what else stands there.
func (f *Found) networks() (known []netip.Prefix, others []string) {
	for _, word := range postconf.Words(f.mta.Values["mynetworks"]) {
		p, err := netip.ParsePrefix(strings.NewReplacer("[", "", "]", "").Replace(word))
		if a, bad := netip.ParseAddr(word); bad == nil {
			p, err = a.Prefix(a.BitLen())
		}
		if err != nil {
			others = append(others, word)
			continue
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if p = p.Masked(); !slices.Contains(known, p) {
			known = append(known, p)
		}
	}
	return known, others
}

// domains are the organisation's own that are written as names, and the tables among them.
func (f *Found) domains() (known, tables []string) {
	for _, name := range []string{"mydestination", "virtual_mailbox_domains", "virtual_alias_domains", "relay_domains"} {
		if name != "mydestination" && f.main[name] == "" {
			continue // the defaults are tables of addresses, and mydestination again
		}
		for _, word := range postconf.Words(f.mta.Values[name]) {
			switch {
			case strings.ContainsAny(word, ":/"):
				tables = append(tables, name+" = "+word)
			case isDomain(word) && !slices.Contains(known, word):
				known = append(known, word)
			}
		}
	}
	if domain := f.mta.Values["mydomain"]; isDomain(domain) && !slices.Contains(known, domain) {
		known = append(known, domain)
	}
	return known, tables
}

// isDomain leaves out single labels and the names that every machine has for itself.
func isDomain(s string) bool {
	return strings.Contains(s, ".") && !strings.HasPrefix(s, "localhost") && !strings.HasSuffix(s, ".localdomain") &&
		!strings.HasPrefix(s, ".") && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}

// logsIn reports whether any listener offers a login.
func (f *Found) logsIn() bool {
	return slices.ContainsFunc(f.mta.Receivers(), func(s *postconf.Service) bool { return f.mta.Value(s, "smtpd_sasl_auth_enable") == "yes" })
}

// filters names the content filters.
func (f *Found) filters() (all []string) {
	services := append(f.mta.Receivers(), f.mta.Named("pickup/unix"))
	for _, s := range services {
		if v := f.mta.Value(s, "content_filter"); v != "" && !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}
