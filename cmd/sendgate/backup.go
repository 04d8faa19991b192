package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/sendgate/sendgate/store"
	"github.com/spf13/cobra"
)

// progressEvery is how often it is said how far a backup or a restore has come.
const progressEvery = 5 * time.Second

func newBackupCommand() *cobra.Command {
	cmd := newClientCommand("backup FILE|-", "Make a backup of all that is stored, while mail goes on", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) error { return c.backup(ctx, args[0]) })
	cmd.Long = "Make a backup of all that is stored, at one moment, while mail goes on: messages with their bodies and timelines,\n" +
		"users, sessions, the audit log. It needs the role admin, or root on the same machine. The file gets the mode 0600;\n" +
		"where the store is encrypted the backup is, too, with the same key, which is not in it. It is checked as it is written, and\n" +
		"takes the place of an older file only when it is whole; with what cannot be read missing it becomes FILE.damaged, and\n" +
		"the command fails. The configuration is not in it.\n\n" +
		"  sendgate backup /srv/backup/sendgate.backup\n" +
		"  sendgate backup - | ssh vault 'cat > sendgate.backup'"
	return cmd
}

// backup writes a backup to a file or to the standard output.
func (c *client) backup(ctx context.Context, name string) error {
	resp, err := c.send(ctx, http.MethodPost, "/backup", nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	begun := time.Now()
	if name == "-" {
		return c.copyBackup(c.out, resp.Body, "the standard output", begun)
	}
	draft := name + ".new"
	f, err := freshFile(draft)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	err = errors.Join(c.copyBackup(f, resp.Body, name, begun), f.Sync(), f.Close())
	if errors.Is(err, errNotWhole) { // it has what could be read, and the older one stays
		return errors.Join(fmt.Errorf("%w; %s has the rest, and %s was left as it was", err, name+".damaged", name), os.Rename(draft, name+".damaged"))
	}
	if err == nil {
		err = os.Rename(draft, name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("there is no new backup in %s: %w", name, err), os.Remove(draft))
	}
	return syncDirectory(filepath.Dir(name))
}

// errNotWhole is the end of a backup from which something is missing.
var errNotWhole = errors.New("the gateway could not read everything: stop it and see \"sendgate store verify\"")

// freshFile makes a file that nobody else has open and only its owner can read, in place of what an interrupted
// backup has left.
func freshFile(name string) (*os.File, error) {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// copyBackup copies a backup, holds it against its checksum, and says what it has. What the gateway could not read
// makes it errNotWhole: the copy has the rest.
func (c *client) copyBackup(to io.Writer, from io.Reader, name string, begun time.Time) error {
	counted := &progress{to: to, out: c.err, said: begun}
	h, end, err := store.CopyBackup(counted, from)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.err, c.say("backup made", name, h.Node, h.Batch, end.Messages, octetsText(counted.octets), time.Since(begun).Round(time.Millisecond)))
	if !h.Encrypted {
		fmt.Fprintln(c.err, c.say("backup plain"))
	}
	for _, d := range end.Damaged {
		fmt.Fprintln(c.err, c.say("backup damaged", clean(d)))
	}
	if len(end.Damaged) > 0 {
		return errNotWhole
	}
	return nil
}

// A progress counts octets, and says now and then how many there were.
type progress struct {
	to     io.Writer
	out    io.Writer
	octets int64
	said   time.Time
}

func (p *progress) Write(b []byte) (int, error) {
	n, err := p.to.Write(b)
	p.octets += int64(n)
	if time.Since(p.said) > progressEvery {
		p.said = time.Now()
		fmt.Fprintln(p.out, octetsText(p.octets), "...")
	}
	return n, err
}
