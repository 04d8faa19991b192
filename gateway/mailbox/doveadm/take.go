package doveadm

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
)

// Take moves a copy to the staging folder, looks at both ends, and does there what the mode says.
func (b *Backend) Take(ctx context.Context, user string, c mailbox.Copy, o mailbox.Options) (mailbox.Taken, error) {
	ctx, done, err := b.changing(ctx)
	if err != nil {
		return mailbox.Taken{}, err
	}
	defer done()
	if o.Mode == "" {
		o.Mode = b.config.Mode
	}
	t := &taking{session: session{client: b.client, user: user}, backend: b, found: c, options: o}
	outcome, err := t.run(ctx)
	return mailbox.Taken{Outcome: outcome, Copy: t.taken, Evidence: t.evidence.String()}, err
}

// A session speaks for one user and keeps what is said as evidence.
type session struct {
	client   *client
	user     string
	evidence strings.Builder
}

// maxEvidence bounds what is kept.
const maxEvidence = 16 << 10

func (s *session) do(ctx context.Context, calls ...call) ([]result, error) {
	results, err := s.client.do(ctx, s.user, calls...)
	for i, r := range results {
		if s.evidence.Len() < maxEvidence {
			fmt.Fprintf(&s.evidence, "%s: %s\n", calls[i], r)
		}
	}
	return results, err
}

func (s *session) note(text string) { s.evidence.WriteString(text + "\n") }

// taking is one Take.
type taking struct {
	session
	backend *Backend
	found   mailbox.Copy
	options mailbox.Options
	taken   policy.MailCopy
}

// messageFields are what is looked at before and after a move. A message that is moved keeps its guid.
var messageFields = []string{"mailbox", "mailbox-guid", "uid", "flags", "date.received.unixtime", "size.virtual", "modseq", "guid"}

func (t *taking) run(ctx context.Context) (mailbox.Outcome, error) {
	staging := t.backend.config.Staging
	results, err := t.do(ctx, fetch(t.where(), messageFields...), status(staging), status(t.found.Folder))
	if err != nil {
		return "", err
	}
	before, ok, err := results[0].message()
	if err != nil || !ok {
		return mailbox.Gone, err
	}
	c, err := before.copy()
	if err != nil {
		return "", err
	}
	if t.options.UnreadOnly && c.Read() != "" {
		if t.found.Staged { // an earlier try was interrupted before it looked at the flags
			return mailbox.ReadMeanwhile, t.back(ctx, c, before.GUID)
		}
		return mailbox.ReadMeanwhile, nil
	}
	if t.found.Staged {
		return t.finish(ctx, c, before.GUID)
	}
	return t.stage(ctx, before, results[1], results[2])
}

// home is the folder to which the message belongs. Where one was that is in staging already is not known.
func (t *taking) home() string {
	if t.found.Staged {
		return inbox
	}
	return t.found.Folder
}

// where is the query for the message as it was found.
func (t *taking) where() []string {
	if t.found.Staged {
		return inStaging(t.found.Folder, t.found.FolderID, t.found.UID)
	}
	return one(t.found.FolderID, t.found.UID)
}

// stage moves the message to the staging folder. The results are the states of that folder and its own.
func (t *taking) stage(ctx context.Context, before row, staging, folder result) (mailbox.Outcome, error) {
	name := t.backend.config.Staging
	var calls []call
	next, found := uint64(1), staging.folder(name)
	switch {
	case staging.missing():
		calls = append(calls, create(name)) // fails when somebody else was faster: no matter
	case staging.kind != "" || found == nil:
		return "", orElse(staging.err("mailbox status"), errNoStatus(name))
	default:
		next = found.UIDNext.number()
	}
	since := uint64(0)
	if f := folder.folder(t.found.Folder); f != nil {
		since = f.Highest.number()
	}
	query := t.where()
	if t.options.UnreadOnly {
		query = append(query, unread...)
	}
	first := len(calls)
	calls = append(calls,
		status(t.found.Folder),
		move(query, name),
		status(t.found.Folder),
		fetch(t.where(), messageFields...),
		fetch([]string{"mailbox-guid", t.found.FolderID, "MODSEQ", strconv.FormatUint(since+1, 10)}, "uid", "flags", "modseq"),
		fetch([]string{"mailbox", name, "uid", strconv.FormatUint(next, 10) + ":*"}, messageFields...))
	results, err := t.do(ctx, calls...)
	if err != nil {
		return "", err
	}
	return t.judge(ctx, before, next, results[first:])
}

func errNoStatus(folder string) error {
	return fmt.Errorf("%w: doveadm does not tell the state of %q", mailbox.ErrUnreachable, folder)
}

// judge says what the move came to, by the six results around it.
func (t *taking) judge(ctx context.Context, before row, next uint64, r []result) (mailbox.Outcome, error) {
	left, still, err := r[3].message()
	if err != nil {
		return "", err
	}
	if still {
		return t.judgeLeft(left, r[1])
	}
	if err := r[5].err("fetch"); err != nil {
		return "", err
	}
	staged := slices.IndexFunc(r[5].rows, func(s row) bool { return s.GUID == before.GUID && s.UID.number() >= next })
	if staged < 0 {
		return mailbox.Gone, r[1].ignoreMissing("move")
	}
	c, err := r[5].rows[staged].copy()
	if err != nil {
		return "", err
	}
	if !t.options.UnreadOnly {
		return t.finish(ctx, c, before.GUID)
	}
	if c.Read() != "" {
		return mailbox.ReadMeanwhile, t.back(ctx, c, before.GUID)
	}
	if !undisturbed(r[0].folder(t.found.Folder), r[2].folder(t.found.Folder), r[4]) {
		t.note("the folder changed in the moment of the move: that the message was read cannot be excluded")
		return mailbox.ReadMeanwhile, t.back(ctx, c, before.GUID)
	}
	return t.finish(ctx, c, before.GUID)
}

// judgeLeft is about a message that the move left where it was.
func (t *taking) judgeLeft(left row, moved result) (mailbox.Outcome, error) {
	if t.options.UnreadOnly && mailbox.ReadFlag(left.flags()) != "" {
		return mailbox.ReadMeanwhile, nil
	}
	if err := moved.err("move"); err != nil {
		return "", err
	}
	return "", fmt.Errorf("%w: the message was not moved although it is unread", mailbox.ErrUnreachable)
}

// undisturbed reports whether nothing happened to the message in the moment of its move. The folder's
// highest mod-sequence went up by one for the removal, and by one for each change of other messages. Messages
// that one command changes share a number: where another one is read now, that command may have been for both.
// With a server that does not count, there is nothing to go by.
func undisturbed(before, after *row, changed result) bool {
	if before == nil || after == nil || changed.kind != "" {
		return false
	}
	low, high := before.Highest.number(), after.Highest.number()
	if low == high {
		return true
	}
	others := map[uint64]bool{}
	for _, r := range changed.rows {
		if n := r.ModSeq.number(); n > low && n <= high && mailbox.ReadFlag(r.flags()) == "" {
			others[n] = true
		}
	}
	return high-low == uint64(len(others))+1
}

// lasting leaves out what a server sets by itself.
func lasting(flags []string) []string {
	return slices.DeleteFunc(slices.Clone(flags), func(f string) bool { return strings.EqualFold(f, `\Recent`) })
}
