package setup

import (
	"cmp"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/postconf"
	"github.com/sendgate/sendgate/policy"
)

// First ports of the listeners that sendgate has at Postfix; where one is taken, the next is.
const (
	backPort  = 10025 // milter mode: there comes back what sendgate sends itself
	frontPort = 10026 // relay mode: there goes in what sendgate has accepted
)

// oldest is the first version of Postfix that is supported, as major*1000+minor.
const oldest = 3005

// Propose makes the plan.
func (f *Found) Propose(mode Mode) *Plan {
	p := &Plan{Mode: mode, place: f.place}
	f.tell(p)
	f.obstruct(p)
	f.record(p)
	listener := f.listener(p)
	if mode == Milter {
		f.proposeMilter(p)
	}
	f.proposeListener(p, listener)
	if f.mta.Values["enable_long_queue_ids"] != "yes" {
		f.set(p, "enable_long_queue_ids", "yes", say("short queue ids are used again, for somebody else's mail", "短队列号会被重复用于其他邮件"))
	}
	if !f.configured.Fronts {
		f.proposeConfig(p, listener)
	}
	p.Start = f.systemd && !f.active && len(p.Obstacles) == 0
	if !f.systemd && !p.Empty() {
		p.Notes = append(p.Notes, f.byHand(mode))
	}
	return p
}

// byHand names what to start where there is no systemd.
func (f *Found) byHand(mode Mode) policy.Label {
	text := "install -d -o " + f.place.User + " -m 711 " + filepath.Join(f.place.Run, "sendgate") + "; setpriv --reuid " + f.place.User + " --regid " + f.place.User + " --init-groups sendgate serve --config " + f.place.Config
	if mode == Milter {
		text = "sendgate postfix-helper --user " + f.place.User + " --socket " + f.place.Helper + "; " + text
	}
	return say("systemd does not run here: start what the units would, or Postfix answers 451: %s", "此处未运行 systemd：请自行启动以下进程，否则 Postfix 会回复 451：%s", text)
}

// tell says what was found.
func (f *Found) tell(p *Plan) {
	add := func(en, zh string, values ...any) { p.Found = append(p.Found, say(en, zh, values...)) }
	v := f.mta.Values
	add("Postfix %s, %s, queue in %s", "Postfix %s，%s，队列目录 %s", v["mail_version"], filepath.Join(f.place.PostfixConfig, "main.cf"), f.mta.Queue())
	for _, s := range f.mta.Receivers() {
		chroot := say("", "")
		if s.Chroot {
			chroot = say(", in a chroot", "，在 chroot 中")
		}
		add("it listens as %s%s", "监听 %s%s", s.Name, chroot.EN)
		p.Found[len(p.Found)-1].ZH = postconf.Shown("监听 " + s.Name + chroot.ZH)
	}
	add("trusted clients: mynetworks = %s", "可信客户端：mynetworks = %s", v["mynetworks"])
	add("milters: %s", "milter：%s", cmp.Or(v["smtpd_milters"], "-"))
	if filters := f.filters(); len(filters) > 0 {
		add("content filters: %s", "内容过滤器：%s", strings.Join(filters, ", "))
	}
	if f.logsIn() {
		add("clients may log in (smtpd_sasl_auth_enable)", "客户端可以登录（smtpd_sasl_auth_enable）")
	}
	switch {
	case f.log.missing:
		add("no mail log is seen", "没有找到邮件日志")
	case f.log.journal:
		add("the mail log is in the journal of systemd", "邮件日志在 systemd 日志中")
	default:
		add("the mail log is %s", "邮件日志为 %s", f.log.file)
	}
}

// obstruct finds what a person has to decide first.
func (f *Found) obstruct(p *Plan) {
	add := func(en, zh string, values ...any) { p.Obstacles = append(p.Obstacles, say(en, zh, values...)) }
	major, rest, _ := strings.Cut(f.mta.Values["mail_version"], ".")
	minor := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	if postconf.Number(major)*1000+postconf.Number(minor) < oldest {
		add("Postfix %s is too old: 3.5 or later is needed", "Postfix %s 版本过低：需要 3.5 或更高版本", f.mta.Values["mail_version"])
	}
	if f.noUser {
		add("there is no user %[1]s: the package makes it, or useradd --system --home-dir /var/lib/sendgate --shell /usr/sbin/nologin %[1]s",
			"没有用户 %[1]s：可由软件包创建，或运行 useradd --system --home-dir /var/lib/sendgate --shell /usr/sbin/nologin %[1]s", f.place.User)
	}
	for _, s := range f.mta.Receivers() {
		if proxy := f.mta.Value(s, "smtpd_proxy_filter"); proxy != "" && p.Mode == Milter {
			add("%s has smtpd_proxy_filter = %s: a milter sees no content there. Ask sendgate on the listener behind the filter, by hand, or use --relay",
				"%s 设有 smtpd_proxy_filter = %s：milter 在此看不到内容。请手动在过滤器之后的监听端口上连接 sendgate，或使用 --relay", s.Name, proxy)
		}
	}
	switch {
	case f.configured.Fronts && p.Mode == Milter && f.configured.MilterListen == "":
		add("%s is in use and has no milter.listen: add it there, or use --relay", "%s 已在使用但没有 milter.listen：请在其中添加，或使用 --relay", f.place.Config)
	case f.configured.Fronts && p.Mode == Relay && !f.configured.RelayListen:
		add("%s is in use and has no relay.listen: add it there, or leave out --relay", "%s 已在使用但没有 relay.listen：请在其中添加，或去掉 --relay", f.place.Config)
	case f.configured.Fronts && f.configured.Upstream == "":
		add("%s is in use and names no listener of this Postfix in upstreams: add one there", "%s 已在使用，但 upstreams 中没有本机 Postfix 的监听端口：请在其中添加", f.place.Config)
	}
}

// set plans a parameter of main.cf.
func (f *Found) set(p *Plan, name, value string, why policy.Label) {
	s := Setting{In: "-e", Name: name, Value: value, Why: why}
	if was, ok := f.main[name]; ok {
		s.Was = &was
	}
	p.Settings = append(p.Settings, s)
}

// setService plans a parameter of one service.
func (f *Found) setService(p *Plan, s *postconf.Service, name, value string, why policy.Label) {
	setting := Setting{In: "-P", Name: s.Name + "/" + name, Value: value, Why: why}
	if was, ok := s.Own[name]; ok {
		setting.Was = &was
	}
	p.Settings = append(p.Settings, setting)
}

// socket is where the milter listens: below the queue directory, which services in a chroot see, too.
func (f *Found) socket() string {
	return cmp.Or(f.configured.MilterListen, "unix:"+filepath.Join(f.mta.Queue(), "sendgate/milter.sock"))
}

// entry is how Postfix names the socket: relative to its queue directory where it lies in it.
func (f *Found) entry() string {
	path, unix := strings.CutPrefix(f.socket(), "unix:")
	if !unix {
		return "inet:" + path
	}
	if relative, err := filepath.Rel(f.mta.Queue(), path); err == nil && filepath.IsLocal(relative) {
		return "unix:" + relative
	}
	return "unix:" + path
}

// ours reports whether an entry of a list of milters is us.
func (f *Found) ours(m postconf.Milter) bool {
	return m.Address == f.entry() || m.Address == f.socket()
}

// first is a list of milters with us before all others.
func (f *Found) first(list string) string {
	all := postconf.ParseMilters(list)
	if len(all) > 0 && f.ours(all[0]) {
		return list
	}
	others := slices.DeleteFunc(all, f.ours)
	us := postconf.Milter{Text: f.entry()}
	if len(others) > 0 && f.mta.Values["milter_default_action"] != "tempfail" {
		us.Text = "{ " + us.Text + ", default_action=tempfail }" // the others keep what they have
	}
	return postconf.Join(append([]postconf.Milter{us}, others...))
}

var (
	whyFirst = policy.Label{EN: "Postfix asks sendgate first: milters that sign see the mail after it", ZH: "Postfix 先询问 sendgate：负责签名的 milter 排在其后"}
	whyTemp  = policy.Label{EN: "while sendgate is away clients hear 451 and try again; \"accept\" would let everything pass", ZH: "sendgate 不在时客户端收到 451 并重试；若为 accept 则全部直接放行"}
	whyTime  = policy.Label{EN: "sendgate may take 25 s to decide", ZH: "sendgate 最长需要 25 秒作出决定"}
)

// proposeMilter lets Postfix ask.
func (f *Found) proposeMilter(p *Plan) {
	if path, unix := strings.CutPrefix(f.socket(), "unix:"); unix {
		f.proposeDirectory(p, filepath.Dir(path))
	}
	others := len(postconf.ParseMilters(f.mta.Values["smtpd_milters"])) > 0
	if want := f.first(f.mta.Values["smtpd_milters"]); want != f.mta.Values["smtpd_milters"] {
		f.set(p, "smtpd_milters", want, whyFirst)
	}
	if own := f.mta.Values["non_smtpd_milters"]; own == "" {
		f.set(p, "non_smtpd_milters", "$smtpd_milters", say("mail that programs hand to sendmail(1) is asked about, too", "程序经 sendmail(1) 提交的邮件也会询问 sendgate"))
	} else if want := f.first(own); want != own && f.main["non_smtpd_milters"] != "$smtpd_milters" {
		f.set(p, "non_smtpd_milters", want, whyFirst)
	}
	if action := f.mta.Values["milter_default_action"]; action != "tempfail" && !others {
		f.set(p, "milter_default_action", "tempfail", whyTemp)
	}
	for _, limit := range []struct{ name, usual string }{{"milter_connect_timeout", "30s"}, {"milter_command_timeout", "30s"}, {"milter_content_timeout", "300s"}} {
		if f.mta.Duration(nil, limit.name, time.Second) < 30*time.Second {
			f.set(p, limit.name, limit.usual, whyTime)
		}
	}
	if postconf.Number(f.mta.Values["milter_protocol"]) < 6 {
		f.set(p, "milter_protocol", "6", say("older versions cost more round trips", "旧版本协议往返次数更多"))
	}
	f.proposeServices(p)
}

// proposeServices lets listeners with milters of their own ask, too.
func (f *Found) proposeServices(p *Plan) {
	for _, s := range f.mta.Receivers() {
		own, has := s.Own["smtpd_milters"]
		switch {
		case has && own == "" && s.Internal():
			continue // there filters give mail back
		case has && f.first(own) != own:
			f.setService(p, s, "smtpd_milters", postconf.Tight(f.first(own)), say("%s has milters of its own", "%s 另设有 milter", s.Name))
		}
		if strings.Contains(f.mta.Value(s, "receive_override_options"), "no_milters") && !s.Internal() {
			p.Notes = append(p.Notes, say("%s asks no milter (receive_override_options): its mail passes by sendgate", "%s 不询问任何 milter（receive_override_options）：其邮件不经过 sendgate", s.Name))
		}
	}
	if maps := f.mta.Values["smtpd_milter_maps"]; maps != "" {
		p.Notes = append(p.Notes, say("smtpd_milter_maps = %s: clients in it may have other milters, and pass by sendgate", "smtpd_milter_maps = %s：其中的客户端可能使用其他 milter 而不经过 sendgate", maps))
	}
}

// proposeDirectory makes the place of the socket: it lets the group through, and gives it to the socket.
func (f *Found) proposeDirectory(p *Plan, path string) {
	if fits(path, f.place.User, f.mta.Values["mail_owner"]) {
		return
	}
	p.Directories = append(p.Directories, Directory{
		Path: path, Owner: f.place.User, Group: f.mta.Values["mail_owner"], Mode: 0o710 | fs.ModeSetgid,
		Why: say("for the milter's socket, which Postfix's user has to reach", "存放 milter 套接字，Postfix 的用户必须能够访问"),
	})
}

// listener is the address at which sendgate gives mail to Postfix.
func (f *Found) listener(p *Plan) string {
	if f.configured.Upstream != "" {
		return f.configured.Upstream
	}
	port := backPort
	if p.Mode == Relay {
		port = frontPort
	}
	for _, s := range f.mta.Receivers() {
		host, name := s.Endpoint()
		if s.Own["syslog_name"] == "postfix/sendgate" && s.Own["smtpd_authorized_xclient_hosts"] == f.xclient(p) {
			return net.JoinHostPort(host, name) // from an earlier run
		}
	}
	for n := port; n < port+50; n++ {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(n))
		if f.mta.Named(address+"/inet") == nil && f.free(address) && !f.taken(n) {
			return address
		}
	}
	p.Obstacles = append(p.Obstacles, say("no port from %d to %d is free for a listener of Postfix", "%d 到 %d 之间没有可供 Postfix 监听的空闲端口", port, port+49))
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// taken reports whether a service of master.cf, which may not run, has a port.
func (f *Found) taken(port int) bool {
	return slices.ContainsFunc(f.mta.Services, func(s *postconf.Service) bool {
		_, name := s.Endpoint()
		return name == strconv.Itoa(port)
	})
}

// xclient is who may say in whose name mail comes: sendgate, when Postfix knows logins.
func (f *Found) xclient(p *Plan) string {
	if p.Mode == Relay && f.logsIn() {
		return "127.0.0.1"
	}
	return ""
}

// proposeListener adds the listener for what sendgate gives to Postfix.
func (f *Found) proposeListener(p *Plan, address string) {
	name := address + "/inet"
	s := f.mta.Named(name)
	why := say("a listener for sendgate alone: its notices, and what is left of mail that was taken back from some", "仅供 sendgate 使用的监听端口：退信通知，以及部分收件人撤回后的其余邮件")
	options := [][2]string{
		{"syslog_name", "postfix/sendgate"}, {"mynetworks", "127.0.0.0/8"},
		{"smtpd_client_restrictions", "permit_mynetworks,reject"}, {"smtpd_relay_restrictions", "permit_mynetworks,reject"},
		{"smtpd_authorized_xforward_hosts", "127.0.0.0/8"}, {"smtpd_milters", ""}, {"content_filter", ""},
	}
	if p.Mode == Relay {
		why = say("a listener for sendgate alone: what it has accepted goes in here", "仅供 sendgate 使用的监听端口：由此交付已接收的邮件")
		options = f.relayOptions(p)
	}
	if s == nil {
		p.Settings = append(p.Settings, Setting{In: "-M", Name: name, Value: address + " inet n - n - - smtpd", Why: why})
		s = &postconf.Service{Name: name}
	}
	for _, o := range options {
		if was, has := s.Own[o[0]]; !has || was != o[1] {
			f.setService(p, s, o[0], o[1], why)
		}
	}
}

// relayOptions let sendgate in: in the client's name where there are logins, else because of its address.
func (f *Found) relayOptions(p *Plan) [][2]string {
	if hosts := f.xclient(p); hosts != "" {
		return [][2]string{
			{"syslog_name", "postfix/sendgate"}, {"smtpd_sasl_auth_enable", "yes"},
			{"smtpd_authorized_xclient_hosts", hosts}, {"smtpd_authorized_xforward_hosts", "127.0.0.1"},
		}
	}
	return [][2]string{
		{"syslog_name", "postfix/sendgate"}, {"mynetworks", "127.0.0.0/8"},
		{"smtpd_relay_restrictions", "permit_mynetworks,reject"}, {"smtpd_authorized_xforward_hosts", "127.0.0.1"},
	}
}

// record makes the mail log readable for the gateway.
func (f *Found) record(p *Plan) {
	if f.log.missing {
		p.Files = append(p.Files, File{Path: f.log.file, Mode: 0o640, Group: f.log.group, Why: say("the mail log, readable for sendgate", "邮件日志，sendgate 可读")})
		f.set(p, "maillog_file", f.log.file, say("without a mail log nobody knows what became of mail", "没有邮件日志就无法得知邮件去向"))
		p.Notes = append(p.Notes, say("rotate %[1]s with logrotate and \"create 640 root %[2]s\": \"postfix logrotate\" makes a file that only root may read",
			"请用 logrotate 轮转 %[1]s 并设置 “create 640 root %[2]s”：“postfix logrotate” 新建的文件只有 root 可读", f.log.file, f.log.group))
	}
	if f.log.group == "" || slices.Contains(f.memberOf, f.log.group) {
		return
	}
	if f.log.group == "root" {
		p.Notes = append(p.Notes, say("only root may read %s: chgrp adm and chmod 640, then run this again", "只有 root 可以读取 %s：请执行 chgrp adm 和 chmod 640 后重新运行", f.log.file))
		return
	}
	p.Groups = append(p.Groups, Group{f.log.group, say("sendgate reads the mail log to know what became of mail", "sendgate 读取邮件日志以了解邮件去向")})
}

// sources is the configuration's part about the mail log.
func (f *Found) sources() string {
	if f.log.journal {
		return "    - {name: journal, journald: true}\n"
	}
	return fmt.Sprintf("    - {name: mail, file: %s}\n", f.log.file)
}
