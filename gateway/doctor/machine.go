package doctor

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/postconf"
)

// mailLogs are where syslog puts the mail log on Debian and on Red Hat.
var mailLogs = []string{"/var/log/mail.log", "/var/log/maillog"}

// journals are the files of journald; those of single users are none of ours.
var journals = []string{"/var/log/journal/*/system.journal", "/run/log/journal/*/system.journal"}

// checkMailLog looks whether the gateway's user may read what Postfix logs.
func checkMailLog(_ context.Context, e *examination) {
	name := e.mta.Values["maillog_file"]
	if strings.HasPrefix(name, "/dev/") {
		e.skip(say("maillog_file = %s: the log goes to whoever started Postfix", "maillog_file = %s：日志输出到启动 Postfix 的进程", name))
		return
	}
	candidates := slices.Concat(mailLogs, journals)
	if name != "" {
		candidates = []string{name}
	}
	for _, pattern := range candidates {
		// The only error is a bad pattern. What this user may not look into is not found.
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			e.checkReadable(found[0])
			return
		}
	}
	if e.euid != 0 {
		e.skip(say("no mail log is seen by this user: run this as root", "当前用户看不到邮件日志：请以 root 运行"))
		return
	}
	e.warn(say("there is no mail log: looked for %s", "没有找到邮件日志：%s", strings.Join(candidates, ", ")), setMain("maillog_file", "/var/log/mail.log"))
}

// checkReadable computes whether the gateway's user may read a file.
func (e *examination) checkReadable(path string) {
	name := e.tools.User
	who, err := lookUp(name)
	if err != nil {
		e.skipFor("--user", err)
		return
	}
	err = who.may(path, reading)
	switch blocked, is := asBlocked(err); {
	case err == nil:
		e.ok(say("user %s may read %s", "用户 %s 可以读取 %s", name, path))
	case !is:
		e.skipFor(path, err)
	default:
		e.warn(say("user %s may not read %s: %s is %v", "用户 %s 无权读取 %s：%s 为 %v", name, path, blocked.path, blocked.info.Mode()),
			"usermod -aG adm "+postconf.Quoted(name), "chgrp adm "+postconf.Quoted(blocked.path)+" && chmod g+rX "+postconf.Quoted(blocked.path))
	}
}

const mib = 1 << 20

// checkDisk looks at both places where mail lies.
func checkDisk(_ context.Context, e *examination) {
	e.checkFree(e.StoreDir, e.MinFreeMiB, "store.min_free_mib")
	if e.mta == nil {
		e.skip(say("Postfix's configuration cannot be read: %v", "无法读取 Postfix 配置：%v", e.unread))
		return
	}
	// smtpd(8) wants 1.5 times message_size_limit, unless queue_minfree asks for more.
	need := max(postconf.Number(e.mta.Values["queue_minfree"]), postconf.Number(e.mta.Values["message_size_limit"])/2*3)
	e.checkFree(e.mta.Queue(), int64(need)/mib+1, "message_size_limit, queue_minfree")
}

// checkFree wants three times what is reserved, so that there is time to do something.
func (e *examination) checkFree(dir string, reserve int64, name string) {
	free, err := freeBytes(dir)
	if err != nil {
		e.skipFor(dir, err)
		return
	}
	found := say("%s: %d MiB free, %d reserved (%s)", "%s：剩余 %d MiB，预留 %d（%s）", dir, free/mib, reserve, name)
	switch {
	case free/mib < reserve:
		e.wrong(found, "df -h "+postconf.Quoted(dir))
	case free/mib < 3*reserve:
		e.warn(found, "df -h "+postconf.Quoted(dir))
	default:
		e.ok(found)
	}
}

// checkClock asks the kernel whether something keeps the clock right.
func checkClock(_ context.Context, e *examination) {
	synchronized, off, err := clockState()
	switch {
	case err != nil:
		e.skipFor("clock", err)
	case !synchronized:
		e.warn(say("nothing keeps the clock right", "时钟未同步"), "systemctl enable --now systemd-timesyncd")
	default:
		e.ok(say("the clock is kept right, within %v", "时钟已同步，误差不超过 %v", off.Round(time.Millisecond)))
	}
}
