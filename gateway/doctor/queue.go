package doctor

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/postconf"
)

// checkVersion looks at the first two numbers of mail_version, such as 3.7.11 or 3.12-20260821.
func checkVersion(_ context.Context, e *examination) {
	version := e.mta.Values["mail_version"]
	major, rest, _ := strings.Cut(version, ".")
	minor := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	if postconf.Number(major)*1000+postconf.Number(minor) < 3005 {
		e.wrong(say("Postfix %s", "Postfix %s", version))
		return
	}
	e.ok(say("Postfix %s, queue in %s", "Postfix %s，队列目录 %s", version, e.mta.Queue()))
}

func checkLongIDs(_ context.Context, e *examination) {
	const name = "enable_long_queue_ids"
	if v := e.mta.Values[name]; v != "yes" {
		e.warn(say("%s = %s", "%s = %s", name, v), setMain(name, "yes"))
		return
	}
	e.ok(say("%s = yes", "%s = yes", name))
}

// checkLifetime compares the longest hold with how long Postfix keeps a message.
func checkLifetime(_ context.Context, e *examination) {
	const name = "maximal_queue_lifetime"
	const day = 24 * time.Hour
	lifetime := e.mta.Duration(nil, name, day)
	found := say("delivery.longest_hold is %s, %s is %s", "delivery.longest_hold 为 %s，%s 为 %s", short(e.LongestHold), name, short(lifetime))
	days := int(3*e.LongestHold/day) + 1
	change := []string{setMain(name, say("%dd", "%dd", days).EN), "delivery.longest_hold: " + say("%dh", "%dh", int(lifetime.Hours())/2).EN}
	switch {
	case e.LongestHold >= lifetime:
		e.wrong(found, change...)
	case e.LongestHold > lifetime/2:
		e.warn(found, change...)
	default:
		e.ok(found)
	}
}

// checkUTF8 looks whether Postfix takes internationalised mail (RFC 6531).
func checkUTF8(_ context.Context, e *examination) {
	const name = "smtputf8_enable"
	if v := e.mta.Values[name]; v != "yes" {
		e.warn(say("%s = %s", "%s = %s", name, v), setMain(name, "yes"))
		return
	}
	e.ok(say("%s = yes", "%s = yes", name))
}

// checkContentFilter looks how mail that a filter gives back is known again.
func checkContentFilter(_ context.Context, e *examination) {
	filters := e.filters()
	list := strings.Join(filters, ", ")
	switch {
	case len(filters) == 0:
		e.ok(say("no content_filter", "未使用 content_filter"))
	case e.IDHeader && !slices.ContainsFunc(e.MilterNetworks, func(p netip.Prefix) bool { return p.Addr().IsLoopback() }):
		e.warn(say("content_filter = %s, but milter.networks has no loopback, and the id header is believed from there alone",
			"content_filter = %s，但 milter.networks 不含回环地址，编号头只采信其中的客户端", list), `milter.networks: [127.0.0.0/8, "::1/128"]`)
	case e.IDHeader:
		e.ok(say("content_filter = %s; mail that comes back is known by the id header", "content_filter = %s；交回的邮件由编号头识别", list))
	case e.filtersByPipe(filters):
		e.wrong(say("content_filter = %s is a pipe(8): its mail comes back by sendmail(1) and passes non_smtpd_milters", "content_filter = %s 是 pipe(8)：邮件经 sendmail(1) 交回并经过 non_smtpd_milters", list), idHeader...)
	default:
		e.checkReturn(list)
	}
}

// idHeader are the lines by which mail that comes back is known.
var idHeader = []string{
	"openssl rand -hex 32 | install -m 640 -g sendgate /dev/stdin /etc/sendgate/id-key",
	"milter.id_header.key_file: /etc/sendgate/id-key",
}

// checkReturn looks for a listener on loopback by which a filter can give mail back without asking us.
// Those of our own upstreams do not count.
func (e *examination) checkReturn(filters string) {
	var asking []*postconf.Service
	for _, s := range e.mta.Receivers() {
		how, _ := e.calls(s)
		switch {
		case !s.Internal() || e.isUpstream(s):
		case how == never:
			e.ok(say("content_filter = %s; mail can come back on %s, which does not ask sendgate", "content_filter = %s；邮件可经 %s 交回，该端口不询问 sendgate", filters, s.Name))
			return
		default:
			asking = append(asking, s)
		}
	}
	change := slices.Clone(idHeader)
	for _, s := range asking {
		change = append(change, setService(s.Name, "smtpd_milters", ""))
	}
	e.wrong(say("content_filter = %s, no id header, and no listener on loopback that does not ask sendgate", "content_filter = %s，未启用编号头，且没有不询问 sendgate 的回环监听端口", filters), change...)
}

// filters are the content filters of services whose mail we see.
func (e *examination) filters() (all []string) {
	services := e.callers()
	if s := e.mta.Named("pickup/unix"); s != nil {
		services = append(services, s)
	}
	for _, s := range services {
		if v := e.mta.Value(s, "content_filter"); v != "" && !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}

// filtersByPipe reports whether a filter's transport is a program, which has sendmail(1) alone, while
// such mail asks us.
func (e *examination) filtersByPipe(filters []string) bool {
	c := e.mta.Cleanup()
	if c == nil {
		return false
	}
	how, _ := e.calls(c)
	return how != never && slices.ContainsFunc(filters, func(f string) bool {
		transport, _, _ := strings.Cut(f, ":")
		s := e.mta.Named(transport + "/unix")
		return s != nil && s.Command == "pipe"
	})
}
