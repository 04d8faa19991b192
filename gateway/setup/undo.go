package setup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sendgate/sendgate/policy"
)

// A HeldError refuses to take sendgate away while it holds mail.
type HeldError struct{ Messages int }

func (e *HeldError) Error() string { return e.in("en") }

func (e *HeldError) in(lang string) string {
	what := policy.Label{EN: fmt.Sprintf("%d messages, which nobody else would let go; \"sendgate drain\" lets them go", e.Messages)}
	if e.Messages == 1 {
		what.EN = "1 message, which nobody else would let go; \"sendgate drain\" lets it go"
	}
	return policy.Label{
		EN: "nothing was done: sendgate holds " + what.EN + ", and --leave-held undoes all the same",
		ZH: fmt.Sprintf("未执行任何操作：sendgate 仍暂存 %d 封邮件，撤除后无人放行；“sendgate drain” 可将其放行，加 --leave-held 则仍然撤除", e.Messages),
	}.In(lang)
}

// A ChangedError refuses to overwrite what somebody has changed since.
type ChangedError struct {
	Names    []string
	Commands []string // by which a person takes our lines out
}

func (e *ChangedError) Error() string { return e.in("en") }

func (e *ChangedError) in(lang string) string {
	return fmt.Sprintf(policy.Label{
		EN: "nothing was done: %s was changed since setup. These commands take its lines out, then remove the directory before-setup:\n  %s",
		ZH: "未执行任何操作：%s 在 setup 之后被改动过。以下命令可移除其中由 sendgate 添加的行，之后请删除目录 before-setup：\n  %s",
	}.In(lang), strings.Join(e.Names, ", "), strings.Join(e.Commands, "\n  "))
}

// Undo puts back what was there before Apply. What it says is for people. With leaveHeld it does so
// although the gateway holds mail.
func Undo(ctx context.Context, place Place, tools Tools, leaveHeld bool) (said []policy.Label, err error) {
	r, err := readRecord(place)
	if err != nil {
		return nil, err
	}
	changed, err := r.changed(true)
	if err != nil {
		return nil, err
	}
	if len(changed) > 0 {
		return nil, &ChangedError{changed, r.commands()}
	}
	if err := held(ctx, tools, leaveHeld); err != nil {
		return nil, err
	}
	edited, err := r.changed(false)
	if err != nil {
		return nil, err
	}
	if err := r.takeBack(ctx, place, tools, leaveHeld); err != nil {
		return nil, err
	}
	said = append(said, say("Postfix is as it was before, and asks sendgate no more", "Postfix 已恢复原状，不再连接 sendgate"))
	for _, name := range edited {
		said = append(said, say("%s was edited since and stays as it is", "%s 之后被编辑过，保持不变", name))
	}
	return append(said, r.remains()...), nil
}

// held refuses while mail waits that only the gateway would let go. A gateway that does not run holds it in
// any case.
func held(ctx context.Context, tools Tools, leave bool) error {
	n, err := tools.Held(ctx)
	if err == nil && n > 0 && !leave {
		return &HeldError{n}
	}
	return nil
}

// takeBack undoes in the opposite order. What was made is taken away only when nothing uses it any more.
func (r *Record) takeBack(ctx context.Context, place Place, tools Tools, leaveHeld bool) error {
	if err := r.restore(place, true, nil); err != nil {
		return err
	}
	if err := reload(ctx, place, tools); err != nil {
		return NewFault("the files are as they were, but Postfix does not reload: %s", "文件已恢复原状，但 Postfix 无法重新加载：%s", err)
	}
	// Mail may have come in while Postfix still asked.
	if err := held(ctx, tools, leaveHeld); err != nil {
		return NewFault("the files of Postfix are as they were, but the units go on until its mail has gone; then run this again: %s",
			"Postfix 的文件已恢复原状，但服务单元会继续运行，直到其中的邮件全部发出；之后请再次运行：%s", err)
	}
	if len(r.Started) > 0 {
		if _, err := tools.Run(ctx, systemctl, append([]string{"disable", "--now"}, r.Started...)...); err != nil {
			return err
		}
	}
	edited, err := r.changed(false)
	if err != nil {
		return err
	}
	if err := r.restore(place, false, edited); err != nil {
		return err
	}
	for _, g := range r.Groups {
		if _, err := tools.Run(ctx, gpasswd, "-d", place.User, g); err != nil {
			return err
		}
	}
	for _, d := range r.Directories {
		_ = os.Remove(filepath.Join(d, "milter.sock"))
		_ = os.Remove(d) // not while somebody listens in it, or has put something there
	}
	return os.RemoveAll(place.copies())
}

// restore puts the files back, of Postfix or of sendgate, but for those that were edited.
func (r *Record) restore(place Place, postfix bool, edited []string) error {
	var errs []error
	for i := range r.Files {
		if b := &r.Files[i]; b.Postfix == postfix && !b.Log && !slices.Contains(edited, b.Path) {
			errs = append(errs, b.restore(place))
		}
	}
	return errors.Join(errs...)
}

// commands take the settings out by hand, the last one first.
func (r *Record) commands() (all []string) {
	for i := len(r.Settings) - 1; i >= 0; i-- {
		s := &r.Settings[i]
		if s.In == "-P" && r.added(s.Name) {
			continue // it goes with its service
		}
		all = append(all, s.back())
	}
	return append(all, "postfix reload")
}

// added reports whether the service of a parameter was added by us.
func (r *Record) added(parameter string) bool {
	for i := range r.Settings {
		if s := &r.Settings[i]; s.In == "-M" && s.Was == nil && strings.HasPrefix(parameter, s.Name+"/") {
			return true
		}
	}
	return false
}

// remains names what is left.
func (r *Record) remains() (said []policy.Label) {
	for _, d := range r.Directories {
		if _, err := os.Stat(d); err == nil {
			said = append(said, say("%s stays: something is in it", "%s 未删除：其中还有文件", d))
		}
	}
	for i := range r.Files {
		if b := &r.Files[i]; b.Log {
			said = append(said, say("%s stays: it is a log", "%s 保留：它是日志", b.Path))
		}
	}
	return said
}
