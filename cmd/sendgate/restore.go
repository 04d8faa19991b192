package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sendgate/sendgate/store"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
)

func newRestoreCommand() *cobra.Command {
	var flags storeFlags
	release, check := false, false
	cmd := &cobra.Command{
		Use:   "restore FILE|-",
		Short: "Make a store of a backup, in an empty data directory",
		Long: "Make a store of a backup, in an empty data directory. sendgate must not run on it. What is altered, torn or\n" +
			"made by a newer sendgate is refused; an older one is brought up to date.\n\n" +
			"Mail that was waiting when the backup was made may have been sent since. It does not go by itself: it waits\n" +
			"for a person as one batch, marked as a possible duplicate. Look into the log of the server behind, and let it go or\n" +
			"take it back with sendgate approvals approve|cancel BATCH. With --release it goes at its time, marked all\n" +
			"the same. In milter mode the mail itself is in Postfix: what it got after the backup stays in its hold queue until\n" +
			"contrib/postfix/free-held lets it go. A bypass that was on when the backup was made is off.\n\n" +
			"  systemctl stop sendgate; mv /var/lib/sendgate /var/lib/sendgate.old\n" +
			"  sendgate restore sendgate.backup --config /etc/sendgate/sendgate.yaml\n" +
			"  chown -R sendgate: /var/lib/sendgate; systemctl start sendgate\n\n" +
			"With --encryption-key-file a backup that is not encrypted becomes a store that is.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, size, err := openInput(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			defer from.Close() // only read
			in := io.TeeReader(from, &progress{to: io.Discard, out: cmd.ErrOrStderr(), said: time.Now()})
			if check {
				return checkBackup(cmd.OutOrStdout(), in, args[0], size)
			}
			cfg, err := flags.settings()
			if err != nil {
				return err
			}
			zc := zap.NewDevelopmentConfig()
			zc.Level, zc.DisableCaller, zc.DisableStacktrace = zap.NewAtomicLevelAt(zap.WarnLevel), true, true
			if cfg.Log, err = zc.Build(); err != nil {
				return err
			}
			report, err := store.Restore(cmd.Context(), cfg, in, release)
			if err = errors.Join(err, handBack(cfg.Dir)); err != nil {
				return err
			}
			return writeRestored(cmd.OutOrStdout(), cfg.Dir, &report)
		},
	}
	cmd.Flags().BoolVar(&release, "release", false, "let waiting mail go at its time, even if it may have been sent since")
	cmd.Flags().BoolVar(&check, "check", false, "only read the backup and hold it against its checksum")
	return flags.offline(cmd)
}

// openInput opens a file, or takes the standard input for "-".
func openInput(stdin io.Reader, name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(stdin), 0, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func checkBackup(out io.Writer, from io.Reader, name string, size int64) error {
	h, end, err := store.CopyBackup(io.Discard, from)
	if err != nil {
		return err
	}
	var t table
	t.add("made by", "sendgate "+h.Version+" on "+h.Node)
	t.add("made at", clock(h.Time))
	t.add("schema", fmt.Sprint(h.Schema))
	t.add("up to batch", fmt.Sprint(h.Batch))
	t.add("messages", fmt.Sprint(end.Messages))
	if size > 0 {
		t.add("size", octetsText(size))
	}
	t.add("size unpacked", octetsText(end.Octets))
	t.add("encrypted", map[bool]string{true: "yes", false: "no"}[h.Encrypted])
	if err := t.write(out); err != nil {
		return err
	}
	for _, d := range end.Damaged {
		fmt.Fprintln(out, "could not be read when it was made:", clean(d))
	}
	if len(end.Damaged) > 0 {
		return fmt.Errorf("%s is as it was made, and what is named above is not in it: prefer a backup that has everything", name)
	}
	_, err = fmt.Fprintf(out, "%s is whole\n", name)
	return err
}

func writeRestored(out io.Writer, dir string, r *store.RestoreReport) error {
	fmt.Fprintf(out, "%s has the backup of %s, made at %s: %s, up to batch %d; the journal goes on after batch %d\n",
		dir, clean(r.Node), clock(r.Time), numbered(r.Messages, "message", "messages"), r.Batch, r.LastBatch)
	for _, d := range r.Damaged {
		fmt.Fprintln(out, "could not be read when the backup was made:", clean(d))
	}
	for _, id := range r.Unreadable {
		fmt.Fprintf(out, "cannot be read: message %s\n", id)
	}
	for _, id := range r.Bodiless {
		fmt.Fprintf(out, "lost its body: message %s\n", id)
	}
	switch {
	case r.Queued > 0:
		fmt.Fprintln(out, numbered(r.Queued, "message goes at its time, marked as a possible duplicate; it", "messages go at their time, marked as possible duplicates; some")+
			" may have been sent since the backup was made")
	case r.Waiting > 0:
		fmt.Fprintf(out, "%s:\n  sendgate approvals --batch %s\n  sendgate approvals approve %s\n  sendgate approvals cancel %s --reason TEXT\n",
			numbered(r.Waiting, "message may have been sent since the backup was made, and waits for you", "messages may have been sent since the backup was made, and wait for you"),
			r.Review, r.Review, r.Review)
	default:
		fmt.Fprintln(out, "no mail was waiting in it")
	}
	if !r.Bypassed.IsZero() {
		fmt.Fprintf(out, "the rules were bypassed until %s when the backup was made: they apply again from the start on, unless you say\n  sendgate bypass --reason TEXT --for 1h\n", clock(r.Bypassed))
	}
	_, err := fmt.Fprintln(out, "give the directory to the user that sendgate runs as before you start it")
	return err
}
