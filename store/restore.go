package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
	"golang.org/x/sync/errgroup"
)

const (
	// restoringFile lies in a directory while a backup is written into it.
	restoringFile = "restoring"
	// reviewTime is how long people have to look at mail of a backup; what nobody has let go then goes back to
	// its sender.
	reviewTime = 7 * 24 * time.Hour
	// restoredName is where it is kept after which batch a restore has written.
	restoredName = "restored"
	// reviewAtOnce is how many messages are put up at a time: the committer batches them.
	reviewAtOnce = 64
)

// RestoredRule is the rule by which mail of a backup waits, and RestoredKind the kind of its finding.
const (
	RestoredRule = "restored"
	RestoredKind = "restored"
)

// A RestoreReport says what a restore has brought back.
type RestoreReport struct {
	BackupHeader
	BackupEnd
	LastBatch uint64 // the journal goes on after it
	// Waiting is how many messages wait for a person, all as the batch Review; with release none.
	Waiting int
	Review  policy.ID
	Queued  int // messages that go at their time, with release; they are marked as possible duplicates
	// Bypassed is until when the rules were bypassed when the backup was made; they apply at the start. Zero when they
	// did all the time, or would by now.
	Bypassed time.Time
	// Bodiless are messages whose body the backup lacks, and Unreadable those whose rows cannot be read: what was
	// damaged when the backup was made.
	Bodiless, Unreadable []policy.ID
}

// Restore makes the journal of a backup anew in cfg.Dir, which has to be empty. cfg.EncryptionKeyFile opens an encrypted
// backup, and encrypts the new journal; with it also a backup that is not encrypted becomes a journal that is.
//
// What was waiting when the backup was made may have been sent since. Unless release is set it therefore waits for a
// person, as one batch; either way it is marked as a possible duplicate. Errors: [ErrBackup], and what the directory or the
// disk says. A restore that fails leaves a directory that Open refuses.
func Restore(ctx context.Context, cfg Config, from io.Reader, release bool) (report RestoreReport, err error) {
	if err := empty(cfg.Dir); err != nil {
		return report, err
	}
	r, err := openBackup(from, nil)
	if err != nil {
		return report, err
	}
	if r.Schema > schema {
		return report, fmt.Errorf("%w: sendgate %s made it, with schema %d, and this sendgate knows up to %d: install that version", ErrBackup, r.Version, r.Schema, schema)
	}
	mark := filepath.Join(cfg.Dir, restoringFile)
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return report, err
	}
	if err := errors.Join(os.WriteFile(mark, nil, 0o600), syncDir(cfg.Dir)); err != nil {
		return report, err
	}
	if err := fill(ctx, cfg, r); err != nil {
		return report, err
	}
	report.BackupHeader, report.BackupEnd = r.BackupHeader, r.End
	if len(r.End.Damaged) > 0 {
		repaired, err := repair(cfg)
		if err != nil {
			return report, err
		}
		report.Bodiless, report.Unreadable = repaired.Bodiless, repaired.Unreadable
	}
	if err := review(ctx, cfg, &report, release); err != nil {
		return report, err
	}
	return report, errors.Join(os.Remove(mark), syncDir(cfg.Dir))
}

// restored is an error for a directory in which a restore was cut off.
func restored(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, restoringFile)); err == nil {
		return fmt.Errorf("%w: a restore into %s did not come to its end: empty the directory and restore the backup again", ErrDamaged, dir)
	}
	return nil
}

// empty is an error for a directory in which there is something.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != "lost+found" { // a file system of its own
			return fmt.Errorf("%s is not empty (%s): a backup is restored into an empty directory only", dir, e.Name())
		}
	}
	return nil
}

// fill writes what is in a backup, and the mark of its last batch.
func fill(ctx context.Context, cfg Config, r *backupReader) (err error) {
	s, err := open(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.release()) }()
	wb := s.db.NewWriteBatch()
	defer wb.Cancel()
	written := int64(0)
	err = r.each(s.key, func(key, value []byte) error {
		if written += int64(len(key) + len(value)); written >= frameSize {
			written = 0
			if err := errors.Join(ctx.Err(), s.room()); err != nil {
				return err
			}
		}
		return wb.Set([]byte(string(key)), []byte(string(value))) // it keeps them
	})
	if err != nil {
		return err
	}
	if err := wb.Flush(); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if err := s.failed(); err != nil {
		return err
	}
	s.lastBatch.Store(r.Batch)
	return s.writeWatermark()
}

// review opens the journal, as every start does, and puts up what waits in it.
func review(ctx context.Context, cfg Config, report *RestoreReport, release bool) (err error) {
	s, err := start(ctx, cfg)
	if err != nil {
		return fmt.Errorf("the backup was written, but not whole: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	report.Review = s.NewID()
	what := fmt.Sprintf("restored from the backup of batch %d of %s, made at %s by sendgate %s", report.Batch, report.Node, report.Time.Format(time.RFC3339), report.Version)
	_, err = s.Commit(ctx, Change{Message: report.Review, Events: []policy.Event{{Kind: policy.ConfigChanged, Actor: "restore", Reason: what}}})
	if err == nil {
		err = s.Keep(restoredName, binary.BigEndian.AppendUint64(nil, report.Batch))
	}
	if err == nil {
		err = s.Audit(AuditEntry{Time: s.cfg.Now(), Act: "restore", Actor: "restore", Object: report.Review.String(), Detail: what})
	}
	if err != nil {
		return err
	}
	var waiting []policy.ID
	if err := s.Due(func(d DueMessage) bool { waiting = append(waiting, d.ID); return true }); err != nil {
		return err
	}
	if release {
		report.Review = policy.ID{}
		report.Queued, err = eachWaiting(ctx, waiting, s.doubtOne)
	} else {
		report.Waiting, err = eachWaiting(ctx, waiting, func(ctx context.Context, id policy.ID) (bool, error) { return s.putUpOne(ctx, id, report) })
	}
	report.LastBatch = s.LastBatch()
	if err == nil {
		report.Bypassed, err = s.bypassed(ctx)
	}
	return err
}

// bypassed gives until when the rules are bypassed; zero when they apply.
func (s *Store) bypassed(ctx context.Context) (until time.Time, err error) {
	ids, err := s.Records(ctx, policy.BypassStarted, 1, policy.ID{})
	for _, id := range ids {
		var records []Record
		if records, err = s.Timeline(id); err != nil {
			break
		}
		for i := range records {
			for _, e := range records[i].Events { // of an end it is zero
				until = e.Until
			}
		}
	}
	if !s.cfg.Now().Before(until) {
		until = time.Time{}
	}
	return until, err
}

// Restored gives the batch after which a restore has written what people are to be told, as long as they are asked
// about the mail in it; 0 when there was none.
func (s *Store) Restored() (after uint64, err error) {
	v, err := s.Kept(restoredName)
	if err != nil || len(v) != 8 {
		return 0, err
	}
	after = binary.BigEndian.Uint64(v)
	if at, ok := s.batchTime(after + 1); !ok || s.cfg.Now().Sub(at) > reviewTime {
		return 0, nil
	}
	return after, nil
}

// eachWaiting does something with messages, and gives with how many it was done.
func eachWaiting(ctx context.Context, ids []policy.ID, do func(context.Context, policy.ID) (bool, error)) (messages int, err error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(reviewAtOnce)
	done := make([]bool, len(ids))
	for i, id := range ids {
		group.Go(func() (err error) { done[i], err = do(ctx, id); return err })
	}
	err = group.Wait()
	for _, ok := range done {
		if ok {
			messages++
		}
	}
	return messages, err
}

// doubtOne leaves a message its time, and marks it as a possible duplicate.
func (s *Store) doubtOne(ctx context.Context, id policy.ID) (goes bool, err error) {
	m, err := s.Message(id)
	if err != nil {
		return false, err
	}
	rows, err := s.Recipients(id)
	if err != nil {
		return false, err
	}
	events := doubts(rows, "restore", "restored from a backup: it may have been sent since")
	if len(events) == 0 {
		return false, nil
	}
	_, err = s.Commit(ctx, Change{Message: id, Revision: m.Revision, Events: events, Patient: true})
	return err == nil, err
}

// putUpOne leaves alone what was offered: it is never sent again, and the next start says so.
func (s *Store) putUpOne(ctx context.Context, id policy.ID, report *RestoreReport) (put bool, err error) {
	m, err := s.Message(id)
	if err != nil {
		return false, err
	}
	rows, err := s.Recipients(id)
	if err != nil {
		return false, err
	}
	e := report.request(s.cfg.Now())
	for i := range rows {
		if !rows[i].Due.IsZero() && rows[i].State != policy.StateOffered {
			e.Recipients = append(e.Recipients, i)
		}
	}
	if len(e.Recipients) == 0 {
		return false, nil
	}
	_, err = s.Commit(ctx, Change{Message: id, Revision: m.Revision, Events: []policy.Event{e}, Patient: true})
	return true, err
}

// request is the event by which a message waits.
func (report *RestoreReport) request(now time.Time) policy.Event {
	at := report.Time.Local().Format("2006-01-02 15:04")
	why := policy.Label{
		EN: "Restored from a backup of " + at + ": it may have been sent since. Look into the log of the server behind before you let it go",
		ZH: "由 " + at + " 的备份恢复：此后可能已经发出，放行前请先核对后端服务器的日志",
	}
	until := now.Add(reviewTime)
	batch := report.Review.String()
	return policy.Event{
		Kind: policy.ApprovalRequested, Actor: "restore", Until: until, Rule: RestoredRule, Reason: why.EN, Subject: batch, MayBeDuplicate: true,
		Findings: []policy.Finding{
			{Rule: RestoredRule, Kind: RestoredKind, Key: strings.ToLower(report.Node), Source: batch, Decided: true, Action: policy.Approval, Next: until, Detail: why},
			{Rule: RestoredRule, Kind: "approval", Action: policy.Reject, Next: until},
		},
	}
}
