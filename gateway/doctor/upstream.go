package doctor

import (
	"context"
	"net"
	"net/netip"
	"strings"

	"github.com/sendgate/sendgate/gateway/postconf"
	"github.com/sendgate/sendgate/policy"
)

// checkTrustedPath lets the upstreams be tried.
func checkTrustedPath(ctx context.Context, e *examination) {
	if err := e.tools.Upstreams(ctx); err != nil {
		for line := range strings.Lines(err.Error()) {
			e.wrong(say("%s", "%s", strings.TrimSpace(line)), "sendgate check --probe")
		}
		return
	}
	for i := range e.Upstreams {
		u := &e.Upstreams[i]
		if u.TrustedPath != "network" {
			e.ok(say("upstream %s answers, trusted_path %s works", "上游 %s 有应答，trusted_path %s 可用", u.Name, u.TrustedPath))
			continue
		}
		e.ok(say("upstream %s answers", "上游 %s 有应答", u.Name))
		if e.mta == nil || !e.allLocal(u) {
			e.skip(say("whether upstream %s permits our address cannot be asked", "无法询问上游 %s 是否许可我们的地址", u.Name))
		}
	}
}

// checkUpstreamListeners looks at those listeners of this Postfix that are our upstreams.
func checkUpstreamListeners(_ context.Context, e *examination) {
	found := false
	for i := range e.Upstreams {
		for _, server := range e.Upstreams[i].Servers {
			if s, us := e.local(server); s != nil {
				found = true
				e.checkPermission(&e.Upstreams[i], s, us)
				e.checkForward(s, us)
				e.checkLoop(s)
			}
		}
	}
	if !found {
		e.skip(say("no upstream is a listener of this Postfix", "没有上游是本机 Postfix 的监听端口"))
	}
}

// local finds the service that answers on an address of this machine, and the address that it sees us
// come from.
func (e *examination) local(server string) (*postconf.Service, netip.Addr) {
	host, text, err := net.SplitHostPort(server)
	if err != nil {
		return nil, netip.Addr{}
	}
	port, err := net.LookupPort("tcp", text)
	ip := asAddress(host)
	if err != nil || !ofThisMachine(ip) {
		return nil, netip.Addr{}
	}
	return e.mta.Listener(ip, port), ip
}

// ofThisMachine reports whether an address is ours.
func ofThisMachine(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == ip {
			return true
		}
	}
	return false
}

func (e *examination) allLocal(u *Upstream) bool {
	for _, server := range u.Servers {
		if s, _ := e.local(server); s == nil {
			return false
		}
	}
	return true
}

func (e *examination) isUpstream(s *postconf.Service) bool {
	for _, u := range e.Upstreams {
		for _, server := range u.Servers {
			if found, _ := e.local(server); found == s {
				return true
			}
		}
	}
	return false
}

// checkPermission looks whether the listener takes mail from us without a login.
func (e *examination) checkPermission(u *Upstream, s *postconf.Service, us netip.Addr) {
	switch u.TrustedPath {
	case "xclient":
		e.checkList(s, "smtpd_authorized_xclient_hosts", us, e.wrong)
	case "network":
		restrictions := e.mta.Value(s, "smtpd_relay_restrictions") + " " + e.mta.Value(s, "smtpd_recipient_restrictions")
		if !strings.Contains(restrictions, "permit_mynetworks") {
			e.wrong(say("%s does not permit mynetworks: smtpd_relay_restrictions = %s", "%s 不许可 mynetworks：smtpd_relay_restrictions = %s",
				s.Name, e.mta.Value(s, "smtpd_relay_restrictions")), setService(s.Name, "smtpd_relay_restrictions", "permit_mynetworks,reject"))
			return
		}
		e.checkList(s, "mynetworks", us, e.wrong)
	}
}

// checkForward looks whether Postfix learns in its log whom the mail is from.
func (e *examination) checkForward(s *postconf.Service, us netip.Addr) {
	e.checkList(s, "smtpd_authorized_xforward_hosts", us, e.warn)
}

// checkList looks for our address in a list of networks.
func (e *examination) checkList(s *postconf.Service, name string, us netip.Addr, complain func(found policy.Label, change ...string)) {
	list := e.mta.Value(s, name)
	switch found, known := postconf.Lists(list, us); {
	case found:
		e.ok(say("%s: %s = %s has %v", "%s：%s = %s 包含 %v", s.Name, name, list, us))
	case !known:
		e.skip(say("%s: %s = %s cannot be looked into", "%s：无法展开 %s = %s", s.Name, name, list))
	default:
		complain(say("%s: %s = %s lacks %v", "%s：%s = %s 不含 %v", s.Name, name, list, us),
			setService(s.Name, name, strings.TrimLeft(strings.Join(append(postconf.Words(list), us.String()), ","), ",")))
	}
}

// checkLoop looks whether what we let go asks us again. Mail of the relay has no id header.
func (e *examination) checkLoop(s *postconf.Service) {
	if how, _ := e.calls(s); how == never {
		return
	}
	found := say("%s asks sendgate about what sendgate has let go", "%s 会就 sendgate 已放行的邮件再次询问 sendgate", s.Name)
	if e.IDHeader {
		e.warn(found, setService(s.Name, "smtpd_milters", ""))
		return
	}
	e.wrong(found, setService(s.Name, "smtpd_milters", ""))
}
