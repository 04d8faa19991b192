package recall

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
	"go.uber.org/zap"
)

// maxLooks bounds how often a mailbox is looked into before a pause: copies that move about are found again.
const maxLooks = 4

// A seat is the mailbox of a row and the message in it.
type seat struct {
	mailbox.Backend
	name  string // of the backend
	user  string
	match mailbox.Match
	row   int
	job   *job
	part  *part // nil where nothing is to be taken
	// marked is true once a copy with our id was seen: others are not the message then, also when they alone
	// are left.
	marked bool
}

// admit gives the mailbox of a row, or why nothing is taken out of it.
func (e *Engine) admit(j *job, w *work, i int) (*seat, outcome) {
	r := &w.rows[i]
	cfg := e.config()
	b, user, name, ok := e.Mailboxes.For(r.Address)
	switch {
	case !ok && !e.Directory.Internal(r.Address) && r.State != policy.StateDeliveredMailbox:
		return nil, outcome{code: e.left(j, w, i), evidence: proof(r)}
	case !ok:
		e.Log.Warn("mail cannot be taken back: no mailboxes are configured for the address", zap.Stringer("recall", j.id),
			zap.Stringer("id", w.Message), zap.Stringer("recipient", r.Address))
		return nil, outcome{code: policy.NoBackend}
	case !w.again[i] && e.now().After(e.windowEnd(j, w, i).Add(j.lateness(w.part, i))):
		return nil, outcome{code: policy.WindowExpired}
	case e.listed(cfg.LegalHold, r.Address):
		return nil, outcome{code: policy.HoldPolicyForbids}
	case e.listed(cfg.OptOut, r.Address):
		return nil, outcome{code: policy.RecipientOptOut}
	case w.protected(e, cfg):
		return nil, outcome{code: policy.ProtectedFormat}
	}
	if j.unread() {
		if o, ok := e.remember(w).read[i]; ok {
			return nil, o
		}
		if o, ok := e.remember(w).answered[r.Address.Key()]; ok {
			return nil, o
		}
	}
	return &seat{Backend: b, user: user, name: name, row: i, match: e.match(w), job: j, part: w.part}, outcome{}
}

// LegalHold reports whether an address, or another one of the same mailbox, is under legal hold.
func (e *Engine) LegalHold(a policy.Address) bool { return e.listed(e.config().LegalHold, a) }

// listed reports whether one of the patterns names an address, or another address of its mailbox: with an extension
// it is the same one.
func (e *Engine) listed(patterns []string, a policy.Address) bool {
	_, user, name, _ := e.Mailboxes.For(a)
	return matches(patterns, a) || slices.ContainsFunc(patterns, func(p string) bool {
		if strings.HasPrefix(p, "@") {
			return false
		}
		_, u, n, ok := e.Mailboxes.For(policy.Address(p))
		return ok && u == user && n == name
	})
}

// protected reports whether the format of the message is one that is not taken.
func (w *work) protected(e *Engine, cfg *Config) bool {
	if e.Formats == nil || len(cfg.Protected) == 0 {
		return false
	}
	return slices.Contains(cfg.Protected, string(e.Formats(&w.message)))
}

func (e *Engine) match(w *work) mailbox.Match {
	m := &w.message.Envelope
	return mailbox.Match{
		ID: w.Message, Gateway: e.Gateway, IDHeader: e.IDHeader,
		MessageID: m.MessageID, From: m.From, Subject: m.Subject, Received: m.Received, Size: m.Size,
	}
}

// A sight is what there is of a message in a mailbox.
type sight struct {
	live   []mailbox.Copy // in its owner's folders
	staged []mailbox.Copy
}

// look finds the copies in a mailbox. Those that were taken and lie in the folder for deleted mail now are
// where they should be.
func (s *seat) look(ctx context.Context, taken []policy.MailCopy) (v sight, err error) {
	copies, err := s.Find(ctx, s.user, &s.match)
	if err != nil {
		return v, err
	}
	s.marked = s.marked || slices.ContainsFunc(copies, func(c mailbox.Copy) bool { return c.By == mailbox.ByID })
	foreign := s.foreign(copies, taken)
	for _, c := range copies {
		switch {
		case s.marked && c.By != mailbox.ByID:
		case c.Staged && foreign[place(&c)]:
		case c.Staged:
			v.staged = append(v.staged, c)
		case slices.IndexFunc(taken, func(t policy.MailCopy) bool { return lies(t, c) }) < 0:
			v.live = append(v.live, c)
		}
	}
	return v, nil
}

// foreign gives the staged copies without our id that lay there before this recall did anything in the mailbox: an
// earlier one has taken them, of another message with the same Message-ID. Of a recall that another process began
// one that nobody has written down can also be its own, and counts as that until the row is at an end.
func (s *seat) foreign(copies []mailbox.Copy, taken []policy.MailCopy) map[string]bool {
	if s.part == nil { // only its owner's folders are looked at
		return nil
	}
	s.job.mu.Lock()
	defer s.job.mu.Unlock()
	key := s.name + "\x00" + s.user
	if found, ok := s.part.foreign[key]; ok {
		return found
	}
	found := map[string]bool{}
	l := s.part.known[s.row]
	for k := range copies {
		c := &copies[k]
		own := slices.ContainsFunc(taken, func(t policy.MailCopy) bool { return lies(t, *c) }) || s.job.resumed && !l.done()
		if c.Staged && c.By != mailbox.ByID && !own {
			found[place(c)] = true
		}
	}
	s.part.foreign[key] = found
	return found
}

// place names where a copy lies.
func place(c *mailbox.Copy) string { return fmt.Sprintf("%s\x00%s\x00%d", c.Folder, c.FolderID, c.UID) }

// lies reports whether a copy that was taken is the one that was found.
func lies(t policy.MailCopy, c mailbox.Copy) bool {
	return t.UID != 0 && t.UID == c.UID && t.StagedID == c.FolderID && t.Staged == c.Folder
}

// unknown gives the staged copies that nobody has written down: a try was cut off before it could.
func (v *sight) unknown(taken []policy.MailCopy) (copies []mailbox.Copy) {
	for _, c := range v.staged {
		if !slices.ContainsFunc(taken, func(t policy.MailCopy) bool { return lies(t, c) }) {
			copies = append(copies, c)
		}
	}
	return copies
}

// adopt gives a staged copy that nobody has written down as one that was taken. Where it was is not known.
func (s *seat) adopt(c *mailbox.Copy) policy.MailCopy {
	return policy.MailCopy{
		Recipient: s.row, Backend: s.name, User: s.user, Folder: "INBOX", Flags: c.Flags, Internal: c.Internal,
		Mode: string(mailbox.Staging), Staged: c.Folder, StagedID: c.FolderID, UID: c.UID,
	}
}

// adopted gives all that was taken: what was written down and what was not.
func (s *seat) adopted(v *sight, taken []policy.MailCopy) []policy.MailCopy {
	all := slices.Clone(taken)
	for _, c := range v.unknown(taken) {
		all = append(all, s.adopt(&c))
	}
	return all
}

// assess says what can be done with what was seen: RecallPlanned when there is something to take, RecallStaged
// when all there is was set aside, else why not.
func (e *Engine) assess(j *job, w *work, i int, v *sight) outcome {
	live, err := mailbox.Choose(v.live)
	if err != nil || len(live) > 0 && live[0].By != mailbox.ByID && !e.proven(j, w) {
		return outcome{code: policy.AmbiguousMatch, evidence: places(v.live)}
	}
	if len(live) == 0 {
		if len(v.staged) > 0 {
			return outcome{code: policy.RecallStaged, evidence: places(v.staged)}
		}
		return absent(w, i)
	}
	v.live = live
	if j.unread() {
		for k := range live {
			if flag := live[k].Read(); flag != "" {
				return outcome{code: readCode(flag), evidence: places(live[k : k+1])}
			}
		}
	}
	return outcome{code: policy.RecallPlanned, evidence: places(live)}
}

// proven reports whether Message-ID and author say which message it is where our id is missing. A user chooses both,
// and could have borrowed them from somebody else's mail: the author has to be the user.
func (e *Engine) proven(j *job, w *work) bool {
	m := &w.message.Envelope
	if j.Request.Requester.Role != user {
		return true
	}
	from, err := policy.ParseAddress(mailbox.Author(m.From))
	return err == nil && (from.Key() == m.Sender.Key() || e.Directory.Owns(m.Identity, from))
}

// absent is the outcome when a mailbox does not have the message: it was there, or it is not there yet.
func absent(w *work, i int) outcome {
	r := &w.rows[i]
	switch r.State {
	case policy.StateDeliveredMailbox, policy.StateRecalled:
		if w.message.Envelope.MessageID == "" {
			return outcome{code: policy.MessageIDMissing, evidence: proof(r)}
		}
		return outcome{code: policy.NotInMailbox, evidence: proof(r)}
	case policy.StateUnknown:
		return outcome{code: policy.WaitingArrival, evidence: proof(r), last: policy.RecallUnknown}
	}
	return outcome{code: policy.WaitingArrival, evidence: proof(r)}
}

// readCode tells what a reader has done from the flag that his program set.
func readCode(flag string) policy.RecallCode {
	switch {
	case strings.EqualFold(flag, "$Forwarded"):
		return policy.Forwarded
	case strings.EqualFold(flag, `\Answered`):
		return policy.Replied
	}
	return policy.AlreadyRead
}

// places says where copies lie and how they were known: `"INBOX" UID 4 by id FLAGS (\Seen)`.
func places(copies []mailbox.Copy) string {
	var lines []string
	for _, c := range copies {
		lines = append(lines, fmt.Sprintf("%q UID %d by %s FLAGS (%s)", c.Folder, c.UID, c.By, strings.Join(c.Flags, " ")))
	}
	return strings.Join(lines, "\n")
}

// trouble is the outcome of an error of a mail server.
func trouble(w *work, i int, err error) outcome {
	o := outcome{evidence: err.Error()}
	switch {
	case errors.Is(err, mailbox.ErrDenied):
		o.code = policy.PermissionDenied
	case errors.Is(err, mailbox.ErrNoMailbox) && w.rows[i].State == policy.StateDeliveredMailbox:
		o.code = policy.NoBackend // it is somewhere else
	case errors.Is(err, mailbox.ErrNoMailbox):
		// The address of a group, as long as nobody has said who its members are.
		o.code, o.last = policy.WaitingArrival, policy.GroupNotExpandable
	default:
		o.code, o.last = policy.Retrying, policy.MailboxUnreachable
	}
	return o
}
