package setup

import (
	"io/fs"
	"strconv"

	"github.com/sendgate/sendgate/gateway/postconf"
	"github.com/sendgate/sendgate/policy"
)

// A Mode is the way in which sendgate stands next to Postfix.
type Mode string

// The modes.
const (
	Milter Mode = "milter" // Postfix asks, and holds
	Relay  Mode = "relay"  // sendgate stands in front
)

// A Plan is all that is to be done. It is made in full before anything happens.
type Plan struct {
	Mode      Mode           `json:"mode"`
	Found     []policy.Label `json:"found"`     // what is there
	Obstacles []policy.Label `json:"obstacles"` // with any of these nothing is done
	Notes     []policy.Label `json:"notes"`     // what a person has to know or decide

	Directories []Directory `json:"directories"`
	Groups      []Group     `json:"groups"`
	Files       []File      `json:"files"`
	Settings    []Setting   `json:"settings"` // of Postfix, in order
	Start       bool        `json:"start"`    // the units are to be started

	place Place
}

// A Directory is to be made.
type Directory struct {
	Path  string       `json:"path"`
	Owner string       `json:"owner"`
	Group string       `json:"group"`
	Mode  fs.FileMode  `json:"mode"`
	Why   policy.Label `json:"why"`
}

// A Group is one that the gateway's user is to be in.
type Group struct {
	Name string       `json:"name"`
	Why  policy.Label `json:"why"`
}

// A File is to be written.
type File struct {
	Path    string       `json:"path"`
	Content string       `json:"content"` // of a secret, nothing: it is made when it is written
	Group   string       `json:"group"`
	Mode    fs.FileMode  `json:"mode"`
	Why     policy.Label `json:"why"`
	secret  bool
}

// shown is the content as it may be seen.
func (f *File) shown() string {
	if f.secret {
		return "(openssl rand -hex 32)\n"
	}
	return f.Content
}

// A Setting is a change of Postfix's configuration by postconf(1).
type Setting struct {
	In    string       `json:"in"`    // "-e" main.cf, "-M" a service, "-P" a parameter of a service
	Name  string       `json:"name"`  // as postconf takes it
	Value string       `json:"value"` // what it becomes
	Was   *string      `json:"was"`   // what the file said; null when it said nothing
	Why   policy.Label `json:"why"`
}

// arguments are those of postconf(1). Main.cf is written with blanks around the sign, as postconf prints it.
func (s *Setting) arguments() []string {
	if s.In == "-e" {
		return []string{"-e", s.Name + " = " + s.Value}
	}
	return []string{s.In, "-e", s.Name + "=" + s.Value}
}

// back is the command that takes the change out again.
func (s *Setting) back() string {
	in := s.In + " "
	if s.In == "-e" {
		in = ""
	}
	switch {
	case s.Was == nil && s.In == "-M":
		return "postconf -MX " + postconf.Quoted(s.Name)
	case s.Was == nil && s.In == "-P":
		return "postconf -PX " + postconf.Quoted(s.Name)
	case s.Was == nil:
		return "postconf -X " + postconf.Quoted(s.Name)
	case s.In == "-e":
		return "postconf -e " + postconf.Quoted(s.Name+" = "+*s.Was)
	}
	return "postconf " + in + "-e " + postconf.Quoted(s.Name+"="+*s.Was)
}

func (s *Setting) command() string {
	args := s.arguments()
	text := "postconf"
	for _, a := range args[:len(args)-1] {
		text += " " + a
	}
	return text + " " + postconf.Quoted(args[len(args)-1])
}

// A Step is one command of a plan, for people.
type Step struct {
	Command string
	Why     policy.Label
}

// Empty reports whether there is nothing to do.
func (p *Plan) Empty() bool {
	return len(p.Directories)+len(p.Groups)+len(p.Files)+len(p.Settings) == 0 && !p.Start
}

// Steps are the commands that do the same as Apply, in its order.
func (p *Plan) Steps() (all []Step) {
	for _, d := range p.Directories {
		all = append(all, Step{"install -d -o " + d.Owner + " -g " + d.Group + " -m " + octal(d.Mode) + " " + postconf.Quoted(d.Path), d.Why})
	}
	for _, g := range p.Groups {
		all = append(all, Step{"usermod -aG " + postconf.Quoted(g.Name) + " " + p.place.User, g.Why})
	}
	for _, f := range p.Files {
		all = append(all, Step{"install -m " + octal(f.Mode) + " -g " + f.Group + " /dev/stdin " + postconf.Quoted(f.Path), f.Why})
	}
	if len(p.Files) > 0 {
		all = append(all, Step{"sendgate check --quiet --config " + postconf.Quoted(p.place.Config), say("what was written has to be right", "检查写入的配置")})
	}
	if p.Start {
		all = append(all, Step{"systemctl enable --now" + p.unitNames(), say("sendgate runs before Postfix asks it", "先启动 sendgate，再让 Postfix 连接")})
	}
	for i := range p.Settings {
		all = append(all, Step{p.Settings[i].command(), p.Settings[i].Why})
	}
	if len(p.Settings) > 0 {
		why := say("Postfix takes it over", "让 Postfix 应用更改")
		all = append(all, Step{"postfix check", why}, Step{"postfix reload", why})
	}
	return all
}

// unit gives the units of a mode: the helper works Postfix's hold queue.
func (m Mode) units() []string {
	if m == Milter {
		return units
	}
	return units[1:]
}

func (p *Plan) unitNames() (text string) {
	for _, u := range p.Mode.units() {
		text += " " + u
	}
	return text
}

func octal(m fs.FileMode) string {
	n := uint32(m.Perm())
	if m&fs.ModeSetgid != 0 {
		n |= 0o2000
	}
	return strconv.FormatUint(uint64(n), 8)
}

// next is what a person does then.
func (p *Plan) next() (all []policy.Label) {
	if p.Mode == Relay {
		all = append(all, say("let clients and applications send to relay.listen of %s", "让客户端和应用程序向 %s 中 relay.listen 的地址发信", p.place.Config))
	}
	return append(all, say("\"sendgate doctor\" looks at everything again", "运行 “sendgate doctor” 再次检查全部设置"),
		say("\"sendgate setup-link\" makes the first administrator of the dashboard", "运行 “sendgate setup-link” 创建仪表盘的第一个管理员"))
}
