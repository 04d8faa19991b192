package doctor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/postconf"
)

// greetTime is how long a milter may take to answer the negotiation.
const greetTime = 5 * time.Second

// checkListening greets each of our sockets as Postfix would.
func checkListening(ctx context.Context, e *examination) {
	for _, address := range e.MilterListen {
		err := greet(ctx, address)
		switch {
		case err == nil:
			e.ok(say("a milter answers on %s", "%s 上有 milter 应答", address))
		case errors.Is(err, os.ErrPermission):
			e.skipFor(address, err)
		default:
			e.wrong(say("nobody answers on %s: %v", "%s 无应答：%v", address, err), "systemctl enable --now sendgate")
		}
	}
}

// greet connects and negotiates: SMFIC_OPTNEG, and SMFIC_QUIT when it was answered.
func greet(ctx context.Context, address string) error {
	network, target := "tcp", address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, target = "unix", path
	}
	ctx, cancel := context.WithTimeout(ctx, greetTime)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, network, target)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(greetTime)); err != nil {
		return err
	}
	// What Postfix 3 offers: version 6, all actions, all events that can be left out.
	offer := []byte{0, 0, 0, 13, 'O', 0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0x1f, 0xff, 0xff}
	if _, err := c.Write(offer); err != nil {
		return err
	}
	var head [5]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return fmt.Errorf("read the answer to the negotiation: %w", err)
	}
	if size := binary.BigEndian.Uint32(head[:]); head[4] != 'O' || size < 13 || size > 1<<16 {
		return errNoMilter
	}
	_, err = c.Write([]byte{0, 0, 0, 1, 'Q'})
	return err
}

var errNoMilter = errors.New("what answers there is no milter")

// A call is how a service reaches us.
type call int

const (
	never     call = iota
	misplaced      // it means our socket, but looks for it elsewhere, because of a chroot
	reached
)

// calls finds us among the milters of a service; the index is that of the entry.
func (e *examination) calls(s *postconf.Service) (how call, at int) {
	for i, m := range e.mta.Milters(s) {
		if c := e.means(s, m.Address); c != never {
			return c, i
		}
	}
	return never, -1
}

// means reports whether an address of a service is one that we listen on.
func (e *examination) means(s *postconf.Service, address string) call {
	kind, rest, _ := strings.Cut(address, ":")
	for _, ours := range e.MilterListen {
		path, unix := strings.CutPrefix(ours, "unix:")
		switch {
		case unix && kind == "unix" && e.mta.File(s, rest) == filepath.Clean(path):
			return reached
		case unix && kind == "unix" && filepath.Clean(rest) == filepath.Clean(path):
			return misplaced
		case !unix && kind == "inet" && sameEndpoint(rest, ours):
			return reached
		}
	}
	return never
}

// sameEndpoint reports whether a connection to address reaches a listener.
func sameEndpoint(address, listener string) bool {
	host, port, err := net.SplitHostPort(address)
	listenHost, listenPort, bad := net.SplitHostPort(listener)
	if err != nil || bad != nil || port != listenPort {
		return false
	}
	if strings.EqualFold(host, listenHost) || listenHost == "" {
		return true
	}
	a, b := asAddress(host), asAddress(listenHost)
	return b.IsUnspecified() || a.IsValid() && a == b || host == "localhost" && b.IsLoopback()
}

func asAddress(host string) netip.Addr {
	if host == "localhost" {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	ip, _ := netip.ParseAddr(host)
	return ip.Unmap()
}

// callers are the receivers that ask us, or mean to.
func (e *examination) callers() (all []*postconf.Service) {
	for _, s := range e.mta.Receivers() {
		if how, _ := e.calls(s); how != never {
			all = append(all, s)
		}
	}
	return all
}

// entry is how Postfix is to name us: relative to the queue directory where the socket lies in it, which
// is right in and out of a chroot.
func (e *examination) entry() string {
	for _, ours := range e.MilterListen {
		path, unix := strings.CutPrefix(ours, "unix:")
		if relative, err := filepath.Rel(e.mta.Queue(), path); unix && err == nil && filepath.IsLocal(relative) {
			return "unix:" + relative
		}
	}
	ours := e.MilterListen[0]
	if strings.HasPrefix(ours, "unix:") {
		return ours
	}
	host, port, _ := net.SplitHostPort(ours)
	if ip := asAddress(host); host == "" || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "inet:" + net.JoinHostPort(host, port)
}

// first is a list of milters with us before all others, as it is to be written in main.cf.
func (e *examination) first(list string) string {
	others := slices.DeleteFunc(postconf.ParseMilters(list), func(m postconf.Milter) bool {
		return e.means(&postconf.Service{}, m.Address) != never || m.Address == e.entry()
	})
	return postconf.Join(append([]postconf.Milter{{Text: e.entry()}}, others...))
}

// checkAsked looks for a receiver that does not ask us.
func checkAsked(_ context.Context, e *examination) {
	if len(e.callers()) == 0 {
		e.wrong(say("smtpd_milters = %s: no service asks sendgate", "smtpd_milters = %s：没有服务询问 sendgate", e.mta.Values["smtpd_milters"]),
			setMain("smtpd_milters", e.first(e.mta.Values["smtpd_milters"])))
	}
	for _, s := range e.mta.Receivers() {
		e.checkReceiver(s)
	}
	if c := e.mta.Cleanup(); c != nil {
		if how, _ := e.calls(c); how == never {
			e.warn(say("non_smtpd_milters = %s: mail from sendmail(1) passes by", "non_smtpd_milters = %s：经 sendmail(1) 提交的邮件不经过 sendgate",
				e.mta.Value(c, "non_smtpd_milters")), setMain("non_smtpd_milters", "$smtpd_milters"))
		} else {
			e.ok(say("non_smtpd_milters names sendgate", "non_smtpd_milters 已包含 sendgate"))
		}
	}
	if maps := e.mta.Values["smtpd_milter_maps"]; maps != "" {
		e.skip(say("smtpd_milter_maps = %s: some clients may have other milters", "smtpd_milter_maps = %s：部分客户端可能使用其他 milter", maps))
	}
}

// checkReceiver looks at one listener. One on loopback without any milter is where filters and sendgate
// give mail back.
func (e *examination) checkReceiver(s *postconf.Service) {
	how, _ := e.calls(s)
	_, own := s.Own["smtpd_milters"]
	list := e.mta.Milters(s)
	switch {
	case how != never && e.mta.Value(s, "smtpd_proxy_filter") != "":
		e.wrong(say("%s asks sendgate before smtpd_proxy_filter, where a milter sees no content and cannot hold",
			"%s 在 smtpd_proxy_filter 之前询问 sendgate，此处 milter 看不到内容也无法暂缓", s.Name),
			setService(s.Name, "smtpd_milters", ""))
	case how != never:
		e.ok(say("%s asks sendgate", "%s 会询问 sendgate", s.Name))
	case len(list) == 0 && s.Internal():
		e.ok(say("%s, on loopback, asks no milter", "%s（仅本机）不询问任何 milter", s.Name))
	case own && len(e.callers()) > 0:
		e.warn(say("%s has its own smtpd_milters = %s", "%s 另设 smtpd_milters = %s", s.Name, s.Own["smtpd_milters"]),
			setService(s.Name, "smtpd_milters", postconf.Tight(e.first(s.Own["smtpd_milters"]))))
	case len(list) == 0 && e.mta.Values["smtpd_milters"] != "":
		e.warn(say("%s asks no milter: receive_override_options = %s", "%s 不询问任何 milter：receive_override_options = %s",
			s.Name, e.mta.Value(s, "receive_override_options")))
	}
}

// signers tell by a part of its address what a milter is.
var signers = []string{"dkim", "rspamd", "arc", ":8891", ":11332"}

// checkOrder looks for a milter before us that should be behind.
func checkOrder(_ context.Context, e *examination) {
	services := e.callers()
	if c := e.mta.Cleanup(); c != nil {
		services = append(services, c)
	}
	said := map[string]bool{} // one finding for each list, not for each service
	for _, s := range services {
		_, at := e.calls(s)
		list := e.mta.Value(s, s.MilterParameter())
		if at < 0 || said[list] {
			continue
		}
		said[list] = true
		e.checkBefore(s, e.mta.Milters(s)[:at])
	}
	if len(said) == 0 {
		e.skip(say("no service asks sendgate", "没有服务询问 sendgate"))
	}
}

func (e *examination) checkBefore(s *postconf.Service, before []postconf.Milter) {
	list := e.mta.Value(s, s.MilterParameter())
	i := slices.IndexFunc(before, func(m postconf.Milter) bool {
		return slices.ContainsFunc(signers, func(part string) bool { return strings.Contains(m.Address, part) })
	})
	if i < 0 {
		e.ok(say("%s = %s", "%s = %s", s.MilterParameter(), list))
		return
	}
	found := say("%s stands before sendgate: %s = %s", "%s 排在 sendgate 之前：%s = %s", before[i].Text, s.MilterParameter(), list)
	change := setMain(s.MilterParameter(), e.first(list))
	if _, own := s.Own[s.MilterParameter()]; own {
		change = setService(s.Name, s.MilterParameter(), postconf.Tight(e.first(list)))
	}
	if e.AddsFields {
		e.wrong(found, change)
		return
	}
	e.warn(found, change)
}
