package postconf

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A Milter is an entry of smtpd_milters (MILTER_README).
type Milter struct {
	Text     string            // as written
	Address  string            // inet:host:port or unix:path
	Settings map[string]string // { address, name=value ... }
}

// ParseMilters reads a list: entries are separated by commas and blanks; one in braces has settings of
// its own.
func ParseMilters(list string) (all []Milter) {
	for _, word := range Words(list) {
		m := Milter{Text: word, Address: word, Settings: map[string]string{}}
		if inner, ok := strings.CutPrefix(word, "{"); ok {
			parts := Words(strings.TrimSuffix(inner, "}"))
			if len(parts) == 0 {
				continue
			}
			m.Address = parts[0]
			for _, p := range parts[1:] {
				name, value, _ := strings.Cut(strings.Trim(p, "{} "), "=")
				m.Settings[strings.TrimSpace(name)] = strings.TrimSpace(value)
			}
		}
		all = append(all, m)
	}
	return all
}

// Words splits at commas and blanks outside of braces.
func Words(list string) (all []string) {
	depth, start := 0, -1
	for i, c := range []byte(list) {
		separates := depth == 0 && strings.IndexByte(", \t\r\n", c) >= 0
		switch c {
		case '{':
			depth++
		case '}':
			depth = max(depth-1, 0)
		}
		if separates && start >= 0 {
			all, start = append(all, list[start:i]), -1
		} else if !separates && start < 0 {
			start = i
		}
	}
	if start >= 0 {
		all = append(all, list[start:])
	}
	return all
}

// Join writes a list.
func Join(all []Milter) string {
	texts := make([]string, len(all))
	for i := range all {
		texts[i] = all[i].Text
	}
	return strings.Join(texts, ", ")
}

// Tight writes a list without blanks, as master.cf takes it: postconf -P refuses a value that has any.
func Tight(list string) string {
	all := Words(list)
	for i, word := range all {
		if inner, ok := strings.CutPrefix(word, "{"); ok {
			parts := Words(strings.TrimSuffix(inner, "}"))
			for j, p := range parts {
				parts[j] = strings.Join(strings.Fields(p), "")
			}
			all[i] = "{" + strings.Join(parts, ",") + "}"
		}
	}
	return strings.Join(all, ",")
}

// units are the letters of a time in main.cf.
var units = map[byte]time.Duration{
	's': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour,
}

// Duration reads a time of main.cf; 0 when it is none.
func Duration(text string, unit time.Duration) time.Duration {
	if text == "" {
		return 0
	}
	if u, ok := units[text[len(text)-1]]; ok {
		text, unit = text[:len(text)-1], u
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n > uint64(1<<62/unit) {
		return 0
	}
	return time.Duration(n) * unit
}

// Number reads a number of main.cf; 0 when it is none.
func Number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// Lists reports whether a list of networks has an address. Without a match it is not known when there
// are files, tables or names in it. The first entry that fits decides (postconf(5), mynetworks).
func Lists(list string, ip netip.Addr) (found, known bool) {
	known = true
	for _, word := range Words(list) {
		pattern, not := strings.CutPrefix(word, "!")
		network, ok := parseNetwork(pattern, ip)
		switch {
		case !ok:
			known = false
		case network.Contains(ip):
			return !not, known
		}
	}
	return false, known
}

// parseNetwork reads 192.0.2.0/24, [2001:db8::]/32, an address, or localhost.
func parseNetwork(text string, ip netip.Addr) (netip.Prefix, bool) {
	if text == "localhost" && ip.IsLoopback() {
		return netip.PrefixFrom(ip, ip.BitLen()), true
	}
	text = strings.NewReplacer("[", "", "]", "").Replace(text)
	if network, err := netip.ParsePrefix(text); err == nil {
		return network.Masked(), true
	}
	one, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(one, one.BitLen()), true
}
