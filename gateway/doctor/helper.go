package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// startHelper is the line for a helper that does not run.
const startHelper = "systemctl enable --now sendgate-postfix-helper"

// checkHelper asks the helper, and looks who it is.
func checkHelper(ctx context.Context, e *examination) {
	e.checkHelperDirectory()
	peer, err := peerAt(ctx, e.Helper)
	switch {
	case errors.Is(err, os.ErrPermission):
		e.skipFor(e.Helper, err)
		return
	case errors.Is(err, errors.ErrUnsupported):
		e.skipFor(e.Helper, err)
	case err != nil:
		e.wrong(say("nobody answers on %s: %v", "%s 无应答：%v", e.Helper, err), startHelper)
		return
	case peer.uid != 0:
		e.wrong(say("%s belongs to a process of uid %d, not of root", "%s 属于 uid 为 %d 的进程，而不是 root", e.Helper, peer.uid), startHelper)
		return
	}
	if err := e.tools.AskHelper(ctx); err != nil {
		e.checkHelperRefusal(err)
		return
	}
	e.ok(say("the helper answers on %s", "%s 上的辅助进程有应答", e.Helper))
	if err == nil {
		e.checkProgram(peer)
	}
}

// checkHelperRefusal tells a helper that does not talk to this user from one that does not work.
func (e *examination) checkHelperRefusal(err error) {
	if who, lookup := lookUp(e.tools.User); e.euid != 0 && (lookup != nil || int(who.uid) != e.euid) {
		e.skip(say("%v: only root and the gateway's user may ask", "%v：只有 root 和网关用户可以查询", err))
		return
	}
	e.wrong(say("%s: %v", "%s：%v", e.Helper, err), "systemctl restart sendgate-postfix-helper")
}

// checkHelperDirectory looks who could put another file in the place of a socket that root makes.
func (e *examination) checkHelperDirectory() {
	dir := filepath.Dir(e.Helper)
	info, err := os.Stat(dir)
	if err != nil {
		return // there is no socket either, which is said
	}
	uid, _, err := ownerOf(info)
	if err == nil && (uid != 0 || info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0) {
		e.warn(say("%s can be written by others than root (%v, uid %d)", "%s 可被 root 以外的用户写入（%v，uid %d）", dir, info.Mode(), uid),
			"postfix.helper: /run/sendgate-helper/postfix.sock")
	}
}

// checkProgram compares the helper's program with ours.
func (e *examination) checkProgram(p peer) {
	name := fmt.Sprintf("/proc/%d/exe", p.pid)
	theirs, err := os.Stat(name)
	if err != nil {
		e.skipFor("the helper's program", err)
		return
	}
	ours, err := os.Stat("/proc/self/exe")
	if err != nil {
		e.skipFor("/proc/self/exe", err)
		return
	}
	program, err := os.Readlink(name)
	if err != nil {
		e.skipFor(name, err)
		return
	}
	if !os.SameFile(theirs, ours) {
		e.warn(say("the helper (pid %d) runs another program: %s", "辅助进程（pid %d）运行的是另一个程序：%s", p.pid, program),
			"systemctl restart sendgate-postfix-helper")
		return
	}
	e.ok(say("the helper (pid %d) runs this same program: %s", "辅助进程（pid %d）运行的是同一程序：%s", p.pid, program))
}

// A peer is the process behind a socket.
type peer struct{ uid, pid int }

// peerAt connects and asks the kernel who listens.
func peerAt(ctx context.Context, path string) (peer, error) {
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return peer{}, err
	}
	defer c.Close()
	socket, ok := c.(*net.UnixConn)
	if !ok {
		return peer{}, errors.ErrUnsupported
	}
	return peerOf(socket)
}
