package setup

import (
	"fmt"
	"path/filepath"
	"strings"
)

// proposeConfig writes a sendgate.yaml out of what Postfix says.
func (f *Found) proposeConfig(p *Plan, listener string) {
	var b strings.Builder
	fmt.Fprintf(&b, `# Written by "sendgate setup". What does not stand here has its default: "sendgate check" prints all of it, and
# /usr/share/doc/sendgate/examples/sendgate.yaml explains every key. After a change: "sendgate check", then "systemctl reload sendgate".
hostname: %s
store:
  dir: %s
`, scalar(f.mta.Values["myhostname"]), scalar(f.place.Store))
	if p.Mode == Milter {
		f.writeMilter(p, &b)
	} else {
		f.writeRelay(p, &b)
	}
	path := "network"
	if f.xclient(p) != "" {
		path = "xclient"
	}
	fmt.Fprintf(&b, "\n# The listener of this Postfix that is for sendgate alone.\nupstreams:\n"+
		"  - {name: postfix, servers: [{address: %q}], tls: none, accepts_for: hop, trusted_path: %s}\n", listener, path)
	fmt.Fprintf(&b, "\n# What became of mail: Postfix's log.\ntrack:\n  sources:\n%s  upstreams: [postfix]\n", f.sources())
	f.writePolicy(p, &b)
	p.Files = append(p.Files, File{Path: f.place.Config, Content: b.String(), Mode: 0o640, Group: f.group,
		Why: say("the configuration, shown below", "配置文件，内容见下")})
}

// writeMilter is the front that Postfix asks.
func (f *Found) writeMilter(p *Plan, b *strings.Builder) {
	b.WriteString("\n# Postfix asks sendgate about its mail, and holds it in its own queue.\nmilter:\n  listen:\n")
	if strings.HasPrefix(f.socket(), "unix:") {
		fmt.Fprintf(b, "    - {address: %q, mode: \"0660\", group: %s}\n", f.socket(), scalar(f.mta.Values["mail_owner"]))
	}
	f.writeNetworks(p, b)
	if len(f.filters()) > 0 {
		key := filepath.Join(filepath.Dir(f.place.Config), "id-key")
		fmt.Fprintf(b, "  # There is a content filter: what it gives back is known again by a field with a keyed check.\n  id_header: {key_file: %s}\n", scalar(key))
		p.Files = append(p.Files, File{Path: key, secret: true, Mode: 0o640, Group: f.group,
			Why: say("the key by which mail that a content filter gives back is known again", "用于识别内容过滤器交回的邮件的密钥")})
	}
	fmt.Fprintf(b, "postfix:\n  helper: %s\n\n# Nobody speaks SMTP to sendgate itself.\nrelay:\n  listen: []\n", scalar(f.place.Helper))
}

// writeRelay is the front that clients speak SMTP to.
func (f *Found) writeRelay(p *Plan, b *strings.Builder) {
	b.WriteString("\n# Clients speak SMTP to sendgate. Loopback only, until you name an address that they reach.\nrelay:\n  listen:\n    - {address: \"127.0.0.1:2525\", tls: none}\n")
	f.writeNetworks(p, b)
}

// writeNetworks names the clients whose mail is outbound without a login: those whom Postfix trusts.
func (f *Found) writeNetworks(p *Plan, b *strings.Builder) {
	known, others := f.networks()
	texts := make([]string, len(known))
	for i, n := range known {
		texts[i] = fmt.Sprintf("%q", n)
	}
	if len(texts) > 0 {
		fmt.Fprintf(b, "  networks: [%s]   # mynetworks\n", strings.Join(texts, ", "))
	}
	if len(others) > 0 {
		p.Notes = append(p.Notes, say("mynetworks also has %s, which was not read: add these clients to networks in %s, or their mail counts as inbound and is not held",
			"mynetworks 中还有未读取的 %s：请将这些客户端加入 %s 的 networks，否则其邮件按入站处理，不会暂缓", strings.Join(others, ", "), f.place.Config))
	}
}

// writePolicy names the organisation's own domains, and who hears of trouble.
func (f *Found) writePolicy(p *Plan, b *strings.Builder) {
	known, tables := f.domains()
	if len(tables) > 0 {
		p.Notes = append(p.Notes, say("domains in tables were not read: add your own to policy.internal in %s (%s)", "未读取查找表中的域名：请将本单位域名加入 %s 的 policy.internal（%s）", f.place.Config, strings.Join(tables, ", ")))
	}
	b.WriteString("\n# The organisation's own domains: all others are external.\npolicy:\n")
	if len(known) == 0 {
		b.WriteString("  internal: []\n")
		p.Notes = append(p.Notes, say("Postfix names no domain of yours: add them to policy.internal in %s, or all recipients count as external", "Postfix 未给出本单位域名：请加入 %s 的 policy.internal，否则所有收件人都按外部计算", f.place.Config))
		return
	}
	texts := make([]string, len(known))
	for i, d := range known {
		texts[i] = fmt.Sprintf("%q", "@"+d)
	}
	fmt.Fprintf(b, "  internal: [%s]\n", strings.Join(texts, ", "))
	admin := "postmaster@" + f.mta.Values["mydomain"]
	if !isDomain(f.mta.Values["mydomain"]) {
		admin = "postmaster@" + known[0]
	}
	fmt.Fprintf(b, "\nnotices:\n  admins: [%s]\n", admin)
	p.Notes = append(p.Notes, say("alerts go to %s; notices.admins in %s says otherwise", "告警发往 %s；可在 %s 的 notices.admins 中更改", admin, f.place.Config))
}

// scalar writes a value that is a plain word as it is, and quotes everything else.
func scalar(s string) string {
	if s != "" && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-_./") == "" {
		return s
	}
	return fmt.Sprintf("%q", s)
}
