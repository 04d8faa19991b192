package setup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A Record says what was there before, and what was done. It lies in a directory of root's alone, together
// with the copies.
type Record struct {
	Mode        Mode      `json:"mode"`
	Begun       time.Time `json:"begun"`
	Done        bool      `json:"done"` // false: a crash came between
	Files       []Before  `json:"files"`
	Directories []string  `json:"directories"` // that were made
	Groups      []string  `json:"groups"`      // that the user was put into
	Started     []string  `json:"started"`     // units that did not run before
	Settings    []Setting `json:"settings"`
}

// A Before is a file as it was.
type Before struct {
	Path    string      `json:"path"`
	Postfix bool        `json:"postfix"` // main.cf or master.cf
	Existed bool        `json:"existed"`
	Copy    string      `json:"copy"` // its name among the copies
	Mode    fs.FileMode `json:"mode"`
	UID     int         `json:"uid"`
	GID     int         `json:"gid"`
	ModTime time.Time   `json:"mod_time"`
	Was     string      `json:"was"`   // SHA-256 of what was there, in hex; "" is no file
	After   string      `json:"after"` // and of what we left
	Log     bool        `json:"log"`   // others write to it: it stays
}

const recordName = "record.json"

// ErrNotSetUp says that there is no record.
var ErrNotSetUp = NewFault("sendgate setup --apply was not used here, or has been undone", "此处未执行过 sendgate setup --apply，或已经撤销")

// readRecord gives what an earlier run has left.
func readRecord(p Place) (*Record, error) {
	b, err := os.ReadFile(filepath.Join(p.copies(), recordName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotSetUp
	}
	if err != nil {
		return nil, NewFault("read what setup has done: %s", "读取 setup 的执行记录：%s", err)
	}
	r := &Record{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, NewFault("%s is damaged; the copies beside it are main.cf and master.cf as they were: %s",
			"%s 已损坏；同一目录下的副本是 main.cf 与 master.cf 的原件：%s", filepath.Join(p.copies(), recordName), err)
	}
	return r, nil
}

// write puts the record in place at once.
func (r *Record) write(p Place) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return replace(filepath.Join(p.copies(), recordName), append(b, '\n'), 0o600, 0, 0)
}

// keep copies a file before it is changed.
func (r *Record) keep(p Place, path string, postfix bool) error {
	b := Before{Path: path, Postfix: postfix, Copy: fmt.Sprintf("%d-%s", len(r.Files), filepath.Base(path))}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		r.Files = append(r.Files, b)
		return nil
	}
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b.Existed, b.Mode, b.ModTime = true, info.Mode(), info.ModTime()
	b.UID, b.GID, _ = ownerOf(info)
	b.Was = sum(data)
	if err := replace(filepath.Join(p.copies(), b.Copy), data, 0o600, 0, 0); err != nil {
		return NewFault("copy %s: %s", "复制 %s：%s", path, err)
	}
	r.Files = append(r.Files, b)
	return nil
}

// seal notes how the files were left.
func (r *Record) seal() error {
	for i := range r.Files {
		var err error
		if r.Files[i].After, err = digest(r.Files[i].Path); err != nil {
			return err
		}
	}
	r.Done = true
	return nil
}

// changed names the files, of Postfix or of sendgate, that are not as they were left.
func (r *Record) changed(postfix bool) (names []string, err error) {
	for i := range r.Files {
		b := &r.Files[i]
		if b.Postfix != postfix || !r.Done || b.Log {
			continue
		}
		now, err := digest(b.Path)
		if err != nil {
			return nil, err
		}
		if now != b.After && now != b.Was { // a run before this one may have put it back
			names = append(names, b.Path)
		}
	}
	return names, nil
}

// restore puts a file back: octets, owner, mode and time.
func (b *Before) restore(p Place) error {
	if !b.Existed {
		if err := os.Remove(b.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	data, err := os.ReadFile(filepath.Join(p.copies(), b.Copy))
	if err != nil {
		return err
	}
	if err := replace(b.Path, data, b.Mode, b.UID, b.GID); err != nil {
		return NewFault("put back %s: %s", "恢复 %s：%s", b.Path, err)
	}
	return os.Chtimes(b.Path, b.ModTime, b.ModTime)
}

// digest is empty for a file that is not there.
func digest(path string) (string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return sum(data), nil
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// replace writes a file at once, synced, with its owner and mode from the beginning.
func replace(path string, data []byte, mode fs.FileMode, uid, gid int) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Chown(uid, gid), f.Chmod(mode.Perm()), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
