package postconf

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

// An MTA is the configuration of a Postfix.
type MTA struct {
	Values   map[string]string // main.cf and defaults, with $name expanded
	Services []*Service        // in the order of master.cf
}

// A service is a line of master.cf.
type Service struct {
	Name    string            // "smtp/inet", as postconf names it
	Command string            // the program, without its arguments
	Chroot  bool              // sees the queue directory as /
	Limit   string            // how many processes
	Own     map[string]string // parameters of its own, expanded
}

// Read asks postconf, which run runs with arguments and gives its output.
func Read(ctx context.Context, run func(context.Context, ...string) (string, error)) (*MTA, error) {
	var texts [3]string
	for i, args := range [][]string{{"-x"}, {"-F"}, {"-P", "-x"}} {
		var err error
		if texts[i], err = run(ctx, args...); err != nil {
			return nil, err
		}
	}
	m := &MTA{Values: maps.Collect(settings(texts[0]))}
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
func (m *MTA) readServices(fields, parameters string) {
	known := map[string]*Service{}
	for path, value := range settings(fields) {
		name, field := splitLast(path)
		s := known[name]
		if s == nil {
			s = &Service{Name: name, Own: map[string]string{}}
			known[name] = s
			m.Services = append(m.Services, s)
		}
		switch field {
		case "command":
			s.Command, _, _ = strings.Cut(value, " ")
		case "chroot":
			s.Chroot = value == "y"
		case "process_limit":
			s.Limit = value
		}
	}
	for path, value := range settings(parameters) {
		name, parameter := splitLast(path)
		if s := known[name]; s != nil {
			s.Own[parameter] = value
		}
	}
}

func splitLast(path string) (before, last string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

// Value is a parameter as a service sees it; nil is main.cf.
func (m *MTA) Value(s *Service, name string) string {
	if s != nil {
		if v, ok := s.Own[name]; ok {
			return v
		}
	}
	return m.Values[name]
}

// Duration reads a time; 0 is none. unit is the one of numbers without a letter (postconf(5)).
func (m *MTA) Duration(s *Service, name string, unit time.Duration) time.Duration {
	return Duration(m.Value(s, name), unit)
}

// Queue is the queue directory.
func (m *MTA) Queue() string { return m.Values["queue_directory"] }

// Receivers are the services that take mail over SMTP.
func (m *MTA) Receivers() (all []*Service) {
	for _, s := range m.Services {
		if s.Command == "smtpd" {
			all = append(all, s)
		}
	}
	return all
}

// Cleanup is the service that asks the milters of mail from sendmail(1).
func (m *MTA) Cleanup() *Service { return m.Named("cleanup/unix") }

// Named finds a service by its name, such as "pickup/unix"; nil is none.
func (m *MTA) Named(name string) *Service {
	i := slices.IndexFunc(m.Services, func(s *Service) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return m.Services[i]
}

// Milters are those that a service asks; non-SMTP mail has parameters of its own.
func (m *MTA) Milters(s *Service) []Milter {
	if strings.Contains(m.Value(s, "receive_override_options"), "no_milters") {
		return nil
	}
	return ParseMilters(m.Value(s, s.MilterParameter()))
}

// MilterParameter names the parameter with the milters of a service.
func (s *Service) MilterParameter() string {
	if s.Command == "cleanup" {
		return "non_smtpd_milters"
	}
	return "smtpd_milters"
}

// File is a path of main.cf as a service in or out of a chroot finds it. It works in the queue
// directory.
func (m *MTA) File(s *Service, path string) string {
	if s.Chroot || !filepath.IsAbs(path) {
		return filepath.Join(m.Queue(), path)
	}
	return filepath.Clean(path)
}

// Endpoint is the address that a listener of master.cf is bound to: an empty host is that of
// inet_interfaces.
func (s *Service) Endpoint() (host, port string) {
	address, kind := splitLast(s.Name)
	if kind != "inet" {
		return "", ""
	}
	if i := strings.LastIndexByte(address, ':'); i >= 0 {
		host, address = strings.Trim(address[:i], "[]"), address[i+1:]
	}
	return host, address
}

// Internal reports whether a listener is bound to loopback alone.
func (s *Service) Internal() bool {
	host, _ := s.Endpoint()
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Listener finds the service that answers on a local address.
func (m *MTA) Listener(ip netip.Addr, port int) *Service {
	for _, s := range m.Receivers() {
		host, name := s.Endpoint()
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

// Processes is how many processes of a service there may be; 0 is any number.
func (m *MTA) Processes(s *Service) int {
	return Number(cmp.Or(strings.Trim(s.Limit, "-?"), m.Values["default_process_limit"]))
}
