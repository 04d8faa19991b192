package doctor

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// An mta is the configuration of a Postfix.
type mta struct {
	values   map[string]string // main.cf and defaults, with $name expanded
	services []*service        // in the order of master.cf
}

// A service is a line of master.cf.
type service struct {
	name    string            // "smtp/inet", as postconf names it
	command string            // the program, without its arguments
	chroot  bool              // sees the queue directory as /
	limit   string            // how many processes
	own     map[string]string // parameters of its own, expanded
}

// readMTA asks postconf.
func readMTA(ctx context.Context, run func(context.Context, ...string) (string, error)) (*mta, error) {
	var texts [3]string
	for i, args := range [][]string{{"-x"}, {"-F"}, {"-P", "-x"}} {
		var err error
		if texts[i], err = run(ctx, args...); err != nil {
			return nil, err
		}
	}
	m := &mta{values: maps.Collect(settings(texts[0]))}
	m.readServices(texts[1], texts[2])
	return m, nil
}

// settings gives the lines "name = value".
func settings(text string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for line := range strings.Lines(text) {
			name, value, ok := strings.Cut(line, "=")
			if ok && !yield(strings.TrimSpace(name), strings.TrimSpace(value)) {
				return
			}
		}
	}
}

// readServices takes "smtp/inet/chroot = y" of postconf -F, and "smtp/inet/mynetworks = ..." of -P. The
// name of a service may have slashes of its own.
func (m *mta) readServices(fields, parameters string) {
	known := map[string]*service{}
	for path, value := range settings(fields) {
		name, field := splitLast(path)
		s := known[name]
		if s == nil {
			s = &service{name: name, own: map[string]string{}}
			known[name] = s
			m.services = append(m.services, s)
		}
		switch field {
		case "command":
			s.command, _, _ = strings.Cut(value, " ")
		case "chroot":
			s.chroot = value == "y"
		case "process_limit":
			s.limit = value
		}
	}
	for path, value := range settings(parameters) {
		name, parameter := splitLast(path)
		if s := known[name]; s != nil {
			s.own[parameter] = value
		}
	}
}

func splitLast(path string) (before, last string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

// value is a parameter as a service sees it; nil is main.cf.
func (m *mta) value(s *service, name string) string {
	if s != nil {
		if v, ok := s.own[name]; ok {
			return v
		}
	}
	return m.values[name]
}

// seconds reads a time; 0 is none. unit is the one of numbers without a letter (postconf(5)).
func (m *mta) duration(s *service, name string, unit time.Duration) time.Duration {
	return parseDuration(m.value(s, name), unit)
}

// queue is the queue directory.
func (m *mta) queue() string { return m.values["queue_directory"] }

// receivers are the services that take mail over SMTP.
func (m *mta) receivers() (all []*service) {
	for _, s := range m.services {
		if s.command == "smtpd" {
			all = append(all, s)
		}
	}
	return all
}

// cleanup is the service that asks the milters of mail from sendmail(1).
func (m *mta) cleanup() *service { return m.named("cleanup/unix") }

func (m *mta) named(name string) *service {
	i := slices.IndexFunc(m.services, func(s *service) bool { return s.name == name })
	if i < 0 {
		return nil
	}
	return m.services[i]
}

// milters are those that a service asks; non-SMTP mail has parameters of its own.
func (m *mta) milters(s *service) []milter {
	if strings.Contains(m.value(s, "receive_override_options"), "no_milters") {
		return nil
	}
	return parseMilters(m.value(s, milterParameter(s)))
}

// milterParameter names the parameter with the milters of a service.
func milterParameter(s *service) string {
	if s.command == "cleanup" {
		return "non_smtpd_milters"
	}
	return "smtpd_milters"
}

// file is a path of main.cf as a service in or out of a chroot finds it. It works in the queue
// directory.
func (m *mta) file(s *service, path string) string {
	if s.chroot || !filepath.IsAbs(path) {
		return filepath.Join(m.queue(), path)
	}
	return filepath.Clean(path)
}

// endpoint is the address that a listener of master.cf is bound to: an empty host is that of
// inet_interfaces.
func (s *service) endpoint() (host, port string) {
	address, kind := splitLast(s.name)
	if kind != "inet" {
		return "", ""
	}
	if i := strings.LastIndexByte(address, ':'); i >= 0 {
		host, address = strings.Trim(address[:i], "[]"), address[i+1:]
	}
	return host, address
}

// internal reports whether a listener is bound to loopback alone.
func (s *service) internal() bool {
	host, _ := s.endpoint()
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// listener finds the service that answers on a local address.
func (m *mta) listener(ip netip.Addr, port int) *service {
	for _, s := range m.receivers() {
		host, name := s.endpoint()
		n, err := net.LookupPort("tcp", name)
		if err != nil || n != port {
			continue
		}
		bound, err := netip.ParseAddr(host)
		switch {
		case host == "", host == "localhost" && ip.IsLoopback(), err == nil && (bound == ip || bound.IsUnspecified()):
			return s
		}
	}
	return nil
}

// processes is how many processes of a service there may be; 0 is any number.
func (m *mta) processes(s *service) int {
	return number(cmp.Or(strings.Trim(s.limit, "-?"), m.values["default_process_limit"]))
}
