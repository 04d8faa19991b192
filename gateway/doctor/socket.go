package doctor

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/sendgate/sendgate/gateway/postconf"
)

// checkSocket looks whether Postfix's user finds our unix sockets and may connect.
func checkSocket(_ context.Context, e *examination) {
	said := map[string]bool{}
	for _, s := range e.asking() {
		how, at := e.calls(s)
		m := e.mta.Milters(s)[at]
		path, unix := strings.CutPrefix(m.Address, "unix:")
		switch {
		case how == misplaced && !said[s.Name]:
			e.checkMisplaced(s, path)
		case unix && how == reached && !said[e.mta.File(s, path)]:
			e.checkUse(e.mta.File(s, path))
		}
		said[s.Name], said[e.mta.File(s, path)] = true, true
	}
	if len(said) == 0 {
		e.skip(nobodyAsks())
		return
	}
	if len(e.report.Findings) == 0 || e.report.Findings[len(e.report.Findings)-1].Check != e.current.name {
		e.ok(say("Postfix asks over TCP", "Postfix 通过 TCP 连接"))
	}
}

// checkMisplaced names a place that all services find.
func (e *examination) checkMisplaced(s *postconf.Service, path string) {
	found := say("%s runs in a chroot and looks for unix:%s at %s", "%s 在 chroot 中运行，unix:%s 对它而言是 %s", s.Name, path, e.mta.File(s, path))
	if entry := e.entry(); entry != "unix:"+path {
		e.wrong(found, setMain(s.MilterParameter(), e.first(e.mta.Value(s, s.MilterParameter()))))
		return
	}
	e.wrong(found, "milter.listen[0].address: unix:"+filepath.Join(e.mta.Queue(), "sendgate/milter.sock"),
		setMain(s.MilterParameter(), "unix:sendgate/milter.sock"))
}

// checkUse looks at owner, group and mode of a socket and of the directories above it.
func (e *examination) checkUse(path string) {
	name := e.mta.Values["mail_owner"]
	who, err := lookUp(name)
	if err == nil {
		err = who.may(path, writing)
	}
	switch blocked, is := asBlocked(err); {
	case err == nil:
		e.ok(say("user %s may connect to %s", "用户 %s 可以连接 %s", name, path))
	case !is:
		e.skipFor(path, err)
	case blocked.path == path:
		e.wrong(say("user %s may not write %s (%v)", "用户 %s 无权写 %s（%v）", name, path, blocked.info.Mode()),
			"milter.listen[0].group: "+name, `milter.listen[0].mode: "0660"`)
	default:
		e.wrong(say("user %s may not pass through %s (%v)", "用户 %s 无权进入 %s（%v）", name, blocked.path, blocked.info.Mode()),
			"chgrp "+postconf.Quoted(name)+" "+postconf.Quoted(blocked.path), "chmod g+x "+postconf.Quoted(blocked.path))
	}
}
