package doctor

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/postconf"
	"github.com/sendgate/sendgate/policy"
)

// mailLogs are where syslog puts the mail log on Debian and on Red Hat.
var mailLogs = []string{"/var/log/mail.log", "/var/log/maillog"}

// journals are the files of journald; those of single users are none of ours.
var journals = []string{"/var/log/journal/*/system.journal", "/run/log/journal/*/system.journal"}

// checkMailLog looks whether Postfix still writes its log, and the gateway's user may read it.
func checkMailLog(_ context.Context, e *examination) {
	name := e.mta.Values["maillog_file"]
	if strings.HasPrefix(name, "/dev/") {
		e.skip(say("maillog_file = %s: the log goes to whoever started Postfix", "maillog_file = %s：日志输出到启动 Postfix 的进程", name))
		return
	}
	if name != "" {
		e.checkLogs([]string{name}, nil)
		return
	}
	e.checkLogs(mailLogs, journals)
}

// checkLogs looks at the first of these files that Postfix logs to. Of a journal it is not known whose lines it has.
func (e *examination) checkLogs(files, journals []string) {
	journal := firstOf(journals)
	seen := false
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil { // it is not there, or this user may not look
			continue
		}
		seen = true
		if e.checkWritten(path, info.ModTime(), journal) {
			e.checkReadable(path, say(", last written to at %s", "，最后写入于 %s", clock(info.ModTime())))
			return
		}
	}
	switch {
	case journal != "":
		e.checkReadable(journal, policy.Label{})
	case seen:
	case e.euid != 0:
		e.skip(say("no mail log is seen by this user: run this as root", "当前用户看不到邮件日志：请以 root 运行"))
	default:
		e.warn(say("there is no mail log: looked for %s", "没有找到邮件日志：%s", strings.Join(slices.Concat(files, journals), ", ")), setMain("maillog_file", "/var/log/mail.log"))
	}
}

// firstOf gives the first file that a pattern fits.
func firstOf(patterns []string) string {
	for _, pattern := range patterns {
		// The only error is a bad pattern. What this user may not look into is not found.
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// logDelay is more than Postfix works on mail without a line in its log: the longest of its timeouts is ten minutes.
const logDelay = time.Hour

// checkWritten reports whether Postfix writes a log, as far as can be told: where it has worked long after the last
// line it does not.
func (e *examination) checkWritten(path string, last time.Time, journal string) bool {
	worked := lastWork(e.mta.Queue())
	if worked.Sub(last) < logDelay {
		return true
	}
	found := say("%s was last written to at %s, and Postfix was at work at %s: it does not log there",
		"%s 最后写入于 %s，而 Postfix 在 %s 仍在工作：日志没有写到这里", path, clock(last), clock(worked))
	switch {
	case e.mta.Values["maillog_file"] != "":
		e.warn(found, "postfix reload", "postconf -M postlog/unix-dgram")
	case journal != "":
		e.warn(found, "track.sources: journald: true, in place of file: "+path)
	default:
		e.warn(found, "apt-get install rsyslog", setMain("maillog_file", path))
	}
	return false
}

// lastWork is when Postfix was started, or a message last came or went, whichever was later: Postfix logs both. It is
// zero for one that was never started, whose queue is as old as its installation.
func lastWork(queue string) time.Time {
	started, err := os.Stat(filepath.Join(queue, "pid", "master.pid"))
	if err != nil {
		return time.Time{}
	}
	last := started.ModTime()
	for _, name := range []string{"incoming", "active"} {
		if info, err := os.Stat(filepath.Join(queue, name)); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}

func clock(t time.Time) string { return t.Local().Format(time.DateTime) }

// checkReadable computes whether the gateway's user may read a file, of which more is known.
func (e *examination) checkReadable(path string, more policy.Label) {
	name := e.tools.User
	who, err := lookUp(name)
	if err != nil {
		e.skipFor("--user", err)
		return
	}
	err = who.may(path, reading)
	switch blocked, is := asBlocked(err); {
	case err == nil:
		found := say("user %s may read %s", "用户 %s 可以读取 %s", name, path)
		e.ok(policy.Label{EN: found.EN + more.EN, ZH: found.ZH + more.ZH})
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
