package setup

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// Apply carries a plan out, or leaves everything as it was.
func Apply(ctx context.Context, p *Plan, tools Tools) error {
	if len(p.Obstacles) > 0 {
		return NewFault("nothing was done: first see to what stands in the way", "未执行任何操作：请先解决上述阻碍")
	}
	if p.Empty() {
		return nil
	}
	r, err := begin(p, tools)
	if err != nil {
		return err
	}
	if err := r.do(ctx, p, tools); err != nil {
		back := r.takeBack(ctx, p.place, tools, true)
		if back != nil {
			return NewFault("%s; and it could not all be put back, \"sendgate setup --undo\" tries again: %s",
				"%s；且未能全部恢复，可运行 “sendgate setup --undo” 重试：%s", err, back)
		}
		return NewFault("everything was put back as it was: %s", "已全部恢复原状：%s", err)
	}
	return nil
}

// begin makes the copies. A second setup on top of the first would lose what was there before it.
func begin(p *Plan, tools Tools) (*Record, error) {
	old, err := readRecord(p.place)
	switch {
	case err == nil && !old.Done:
		return nil, NewFault("an earlier run was cut off: \"sendgate setup --undo\" puts back what was there, then try again",
			"上一次运行被中断：请先运行 “sendgate setup --undo” 恢复原状，然后重试")
	case err == nil:
		return nil, NewFault("setup was applied before, and something has been changed since: \"sendgate setup --undo\" first, then apply again; or type the commands above",
			"此前已执行过 setup，之后又有改动：请先运行 “sendgate setup --undo”，再重新执行；或手动输入上面的命令")
	case !errors.Is(err, ErrNotSetUp):
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(p.place.Config), 0o755); err != nil {
		return nil, err
	}
	if err := os.Mkdir(p.place.copies(), 0o700); err != nil {
		return nil, NewFault("make the directory of copies (is another setup running?): %s", "创建备份目录（是否有另一个 setup 正在运行？）：%s", err)
	}
	r := &Record{Mode: p.Mode, Begun: tools.Now().UTC(), Settings: p.Settings}
	if err := r.copyAll(p); err != nil {
		return nil, errors.Join(NewFault("nothing was done: %s", "未执行任何操作：%s", err), os.RemoveAll(p.place.copies()))
	}
	return r, nil
}

func (r *Record) copyAll(p *Plan) error {
	for _, name := range []string{"main.cf", "master.cf"} {
		if err := r.keep(p.place, filepath.Join(p.place.PostfixConfig, name), true); err != nil {
			return err
		}
	}
	for i := range p.Files {
		if err := r.keep(p.place, p.Files[i].Path, false); err != nil {
			return err
		}
		r.Files[len(r.Files)-1].Log = p.Files[i].Content == "" && !p.Files[i].secret
	}
	return r.write(p.place)
}

// do does everything in the order of the plan's steps.
func (r *Record) do(ctx context.Context, p *Plan, tools Tools) error {
	for _, step := range []func(context.Context, *Plan, Tools) error{
		r.makeDirectories, r.joinGroups, r.writeFiles, r.start, r.configure, r.reload,
	} {
		if err := step(ctx, p, tools); err != nil {
			return err
		}
	}
	if err := r.seal(); err != nil {
		return err
	}
	return r.write(p.place)
}

func (r *Record) makeDirectories(_ context.Context, p *Plan, _ Tools) error {
	for _, d := range p.Directories {
		err := os.Mkdir(d.Path, 0o700)
		if err == nil {
			r.Directories = append(r.Directories, d.Path)
			err = r.write(p.place)
		} else if errors.Is(err, fs.ErrExist) {
			err = nil
		}
		uid, gid, lookup := ids(d.Owner, d.Group)
		// The mode comes last: a change of the owner takes the bit that gives the group on.
		if err = errors.Join(err, lookup, os.Chown(d.Path, uid, gid), os.Chmod(d.Path, d.Mode)); err != nil {
			return NewFault("make %s: %s", "创建 %s：%s", d.Path, err)
		}
	}
	return nil
}

func (r *Record) joinGroups(ctx context.Context, p *Plan, tools Tools) error {
	for _, g := range p.Groups {
		if _, err := tools.Run(ctx, usermod, "-aG", g.Name, p.place.User); err != nil {
			return err
		}
		r.Groups = append(r.Groups, g.Name)
		if err := r.write(p.place); err != nil {
			return err
		}
	}
	return nil
}

func (r *Record) writeFiles(_ context.Context, p *Plan, tools Tools) error {
	for i := range p.Files {
		f := &p.Files[i]
		data := []byte(f.Content)
		if f.secret {
			var key [32]byte
			if _, err := rand.Read(key[:]); err != nil {
				return err
			}
			data = []byte(hex.EncodeToString(key[:]) + "\n")
		}
		_, gid, err := ids("", f.Group)
		if err != nil {
			return err
		}
		if err := replace(f.Path, data, f.Mode, 0, gid); err != nil {
			return NewFault("write %s: %s", "写入 %s：%s", f.Path, err)
		}
	}
	if len(p.Files) == 0 {
		return nil
	}
	if err := tools.Check(p.place.Config); err != nil {
		return NewFault("sendgate does not accept what was written: %s", "sendgate 不接受所写入的配置：%s", err)
	}
	return nil
}

// start starts the units, so that the milter answers when Postfix first asks.
func (r *Record) start(ctx context.Context, p *Plan, tools Tools) error {
	if !p.Start {
		return nil
	}
	r.Started = p.Mode.units()
	if err := r.write(p.place); err != nil {
		return err
	}
	_, err := tools.Run(ctx, systemctl, append([]string{"enable", "--now"}, r.Started...)...)
	return err
}

// configure changes Postfix's files by its own program.
func (r *Record) configure(ctx context.Context, p *Plan, tools Tools) error {
	for i := range p.Settings {
		if _, err := tools.postconf(ctx, p.place, p.Settings[i].arguments()...); err != nil {
			return err
		}
	}
	if len(p.Settings) == 0 {
		return nil
	}
	if err := tools.postfix(ctx, p.place, "check"); err != nil {
		return NewFault("the new configuration is not accepted by Postfix: %s", "Postfix 不接受新的配置：%s", err)
	}
	return nil
}

// reload tells Postfix when it runs.
func (r *Record) reload(ctx context.Context, p *Plan, tools Tools) error {
	if len(p.Settings) == 0 {
		return nil
	}
	return reload(ctx, p.place, tools)
}

func reload(ctx context.Context, place Place, tools Tools) error {
	if err := tools.postfix(ctx, place, "status"); err != nil {
		return nil // it does not run, and reads its files when it starts
	}
	return tools.postfix(ctx, place, "reload")
}

// ids finds a user, root when the name is empty, and a group.
func ids(owner, group string) (uid, gid int, err error) {
	if owner != "" {
		u, err := user.Lookup(owner)
		if err != nil {
			return 0, 0, err
		}
		if uid, err = strconv.Atoi(u.Uid); err != nil {
			return 0, 0, err
		}
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(g.Gid)
	return uid, gid, err
}

// fits reports whether a directory of the milter's socket is as it has to be.
func fits(path, owner, group string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return false
	}
	uid, gid, err := ids(owner, group)
	have, of, ok := ownerOf(info)
	return err == nil && ok && have == uid && of == gid && info.Mode().Perm() == 0o710 && info.Mode()&fs.ModeSetgid != 0
}
