package recall

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

var errDead = errors.New("the program is dead")

// A life lets a program die at one of its steps: nothing that it does from then on has an effect.
type life struct {
	mu     sync.Mutex
	steps  int
	dieAt  int  // 0 for never
	effect bool // the step at which it dies still happens, but its answer is lost
}

// step reports whether a step happens, and whether its answer arrives.
func (l *life) step() (happens, answered bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steps++
	switch {
	case l.dieAt == 0 || l.steps < l.dieAt:
		return true, true
	case l.steps == l.dieAt:
		return l.effect, false
	}
	return false, false
}

func (l *life) died() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dieAt > 0 && l.steps >= l.dieAt
}

func (l *life) revive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dieAt = 0
}

// A memory is a Journal without a disk.
type memory struct {
	life      *life
	now       func() time.Time
	mu        sync.Mutex
	serial    uint64
	batch     uint64
	messages  map[policy.ID]*store.Message
	rows      map[policy.ID]policy.Rows
	timelines map[policy.ID][]store.Record
	kept      map[string][]byte
	feeds     map[*feed]bool
	commits   int
	broken    error // of each look at a message
}

// unreadable makes every look at a message fail.
func (m *memory) unreadable(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = err
}

func newMemory(l *life) *memory {
	return &memory{
		life: l, now: time.Now, messages: map[policy.ID]*store.Message{}, rows: map[policy.ID]policy.Rows{},
		timelines: map[policy.ID][]store.Record{}, kept: map[string][]byte{}, feeds: map[*feed]bool{},
	}
}

func (m *memory) NewID() (id policy.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.serial++
	_ = id.SetTime(ulid.Timestamp(m.now()))
	binary.BigEndian.PutUint64(id[8:], m.serial)
	return id
}

func (m *memory) Commit(_ context.Context, c store.Change) (uint64, error) {
	happens, answered := m.life.step()
	if !happens {
		return 0, errDead
	}
	revision, err := m.commit(c)
	if !answered {
		return 0, errDead
	}
	return revision, err
}

func (m *memory) commit(c store.Change) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	msg := m.messages[c.Message]
	decides := slices.ContainsFunc(c.Events, func(e policy.Event) bool { return e.Kind.Decision() })
	if c.Envelope != nil {
		msg = &store.Message{ID: c.Message, Envelope: *c.Envelope}
		m.messages[c.Message] = msg
		for i, r := range c.Envelope.Recipients {
			m.rows[c.Message] = append(m.rows[c.Message], policy.Row{Index: i, Recipient: r})
		}
		msg.Envelope.Recipients = nil
	} else if decides && (msg == nil || msg.Revision != c.Revision) {
		return 0, store.ErrConflict
	}
	c.Events = slices.Clone(c.Events)
	for i := range c.Events {
		c.Events[i].Time = c.Events[i].Time.UTC().Truncate(time.Microsecond)
	}
	m.batch++
	m.commits++
	r := store.Record{Batch: m.batch, Message: c.Message, Events: c.Events}
	m.timelines[c.Message] = append(m.timelines[c.Message], r)
	if msg != nil {
		m.project(msg, c.Events, decides)
	}
	for f := range m.feeds {
		f.put(r)
	}
	if msg == nil {
		return 0, nil
	}
	return msg.Revision, nil
}

func (m *memory) project(msg *store.Message, events []policy.Event, decides bool) {
	rows := m.rows[msg.ID]
	for _, e := range events {
		rows, _ = rows.Apply(e)
	}
	m.rows[msg.ID] = rows
	msg.Recipients, msg.States = len(rows), map[policy.State]int{}
	for i := range rows {
		if rows[i].Counted() {
			msg.States[rows[i].State]++
		}
	}
	if decides {
		msg.Revision++
	}
}

func (m *memory) Message(id policy.ID) (store.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return store.Message{}, m.broken
	}
	if msg := m.messages[id]; msg != nil {
		return *msg, nil
	}
	return store.Message{}, store.ErrNotFound
}

func (m *memory) Recipients(id policy.ID) (policy.Rows, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.messages[id] == nil {
		return nil, store.ErrNotFound
	}
	return slices.Clone(m.rows[id]), nil
}

func (m *memory) Timeline(id policy.ID) ([]store.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.timelines[id]) == 0 {
		return nil, store.ErrNotFound
	}
	return slices.Clone(m.timelines[id]), nil
}

func (m *memory) Records(_ context.Context, kind policy.Kind, limit int, before policy.ID) (ids []policy.ID, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, records := range m.timelines {
		has := slices.ContainsFunc(records, func(r store.Record) bool {
			return slices.ContainsFunc(r.Events, func(e policy.Event) bool { return e.Kind == kind })
		})
		if m.messages[id] == nil && has && (before == policy.ID{} || id.Compare(before) < 0) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b policy.ID) int { return b.Compare(a) })
	return ids[:min(limit, len(ids))], nil
}

func (m *memory) ByReference(messageID string) (ids []policy.ID, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, msg := range m.messages {
		if slices.Contains(msg.Envelope.References, messageID) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b policy.ID) int { return b.Compare(a) })
	return ids, nil
}

func (m *memory) Keep(name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept[name] = value
	return nil
}

func (m *memory) Kept(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kept[name], nil
}

// A feed gives the records of a memory.
type feed struct {
	mu      sync.Mutex
	records []store.Record
	more    chan struct{}
}

func (m *memory) subscribe() *feed {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &feed{more: make(chan struct{}, 1)}
	m.feeds = map[*feed]bool{f: true} // who subscribed before is dead
	return f
}

func (f *feed) put(r store.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records = append(f.records, r)
	select {
	case f.more <- struct{}{}:
	default:
	}
}

func (f *feed) Next(ctx context.Context) (store.Record, error) {
	for {
		f.mu.Lock()
		if len(f.records) > 0 {
			r := f.records[0]
			f.records = f.records[1:]
			f.mu.Unlock()
			return r, nil
		}
		f.mu.Unlock()
		select {
		case <-f.more:
		case <-ctx.Done():
			return store.Record{}, ctx.Err()
		}
	}
}

const staging = "staging"

// A letter is a message in a mailbox.
type letter struct {
	id        policy.ID
	messageID string
	folder    string
	uid       uint32
	flags     []string
	body      byte // letters with different ones are different
}

// A server is a Backend. Its hooks are called without its lock.
type server struct {
	life *life
	mode mailbox.Mode
	// hook is called before an operation acts: "find", "take", "restore", "purge".
	hook func(op, user string) error
	// work is how long an operation takes.
	work time.Duration

	mu    sync.Mutex
	boxes map[string][]*letter
	uid   uint32
	busy  int
	most  int
	ops   map[string]int
}

func newServer(l *life) *server {
	return &server{life: l, mode: mailbox.Staging, boxes: map[string][]*letter{}, ops: map[string]int{}}
}

func (s *server) begin(op, user string) (end func(), answered bool, err error) {
	happens, answered := s.life.step()
	if !happens {
		return func() {}, false, fmt.Errorf("%w: %w", mailbox.ErrUnreachable, errDead)
	}
	s.mu.Lock()
	hook := s.hook
	s.mu.Unlock()
	if hook != nil {
		if err := hook(op, user); err != nil {
			return func() {}, false, err
		}
	}
	s.mu.Lock()
	s.ops[op]++
	s.busy++
	s.most = max(s.most, s.busy)
	if s.work > 0 {
		s.mu.Unlock()
		time.Sleep(s.work)
		s.mu.Lock()
	}
	if _, ok := s.boxes[user]; !ok {
		err = fmt.Errorf("%w: %s", mailbox.ErrNoMailbox, user)
	}
	return func() { s.busy--; s.mu.Unlock() }, answered, err
}

// hooked sets the hook.
func (s *server) hooked(f func(op, user string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = f
}

func lost(answered bool, err error) error {
	if err == nil && !answered {
		return fmt.Errorf("%w: connection lost", mailbox.ErrUnreachable)
	}
	return err
}

func (s *server) Find(_ context.Context, user string, m *mailbox.Match) (copies []mailbox.Copy, err error) {
	end, answered, err := s.begin("find", user)
	defer end()
	if err == nil && answered {
		for _, l := range s.boxes[user] {
			c := mailbox.Copy{Folder: l.folder, FolderID: "1", UID: l.uid, Flags: slices.Clone(l.flags), Staged: l.folder == staging, Digest: [32]byte{l.body}}
			switch {
			case l.id == m.ID:
				c.By = mailbox.ByID
			case l.id == policy.ID{} && m.MessageID != "" && l.messageID == m.MessageID:
				c.By = mailbox.ByMessageID
			default:
				continue
			}
			copies = append(copies, c)
		}
	}
	return copies, lost(answered, err)
}

func (s *server) at(user, folder string, uid uint32) *letter {
	for _, l := range s.boxes[user] {
		if l.folder == folder && l.uid == uid {
			return l
		}
	}
	return nil
}

func (s *server) move(l *letter, folder string) {
	s.uid++
	l.folder, l.uid = folder, s.uid
}

func (s *server) drop(user string, l *letter) {
	s.boxes[user] = slices.DeleteFunc(s.boxes[user], func(x *letter) bool { return x == l })
}

func (s *server) Take(_ context.Context, user string, c mailbox.Copy, o mailbox.Options) (t mailbox.Taken, err error) {
	end, answered, err := s.begin("take", user)
	defer end()
	if err != nil {
		return t, err
	}
	l := s.at(user, c.Folder, c.UID)
	if l == nil {
		return mailbox.Taken{Outcome: mailbox.Gone, Evidence: "OK nothing there"}, lost(answered, nil)
	}
	from := c.Folder
	if c.Staged {
		from = "INBOX"
	}
	if o.UnreadOnly && mailbox.ReadFlag(l.flags) != "" {
		if c.Staged {
			s.move(l, "INBOX")
		}
		return mailbox.Taken{Outcome: mailbox.ReadMeanwhile, Evidence: "FLAGS (" + strings.Join(l.flags, " ") + ")"}, lost(answered, nil)
	}
	mode := o.Mode
	if mode == "" {
		mode = s.mode
	}
	mc := policy.MailCopy{User: user, Folder: from, Flags: l.flags, Mode: string(mode)}
	switch mode {
	case mailbox.Expunge:
		s.drop(user, l)
	case mailbox.Trash:
		s.move(l, "Trash")
	default:
		if !c.Staged {
			s.move(l, staging)
		}
	}
	if mode != mailbox.Expunge {
		mc.Staged, mc.StagedID, mc.UID = l.folder, "1", l.uid
	}
	return mailbox.Taken{Outcome: mailbox.Removed, Copy: mc, Evidence: "OK [COPYUID 1 4 5] moved"}, lost(answered, nil)
}

func (s *server) Restore(_ context.Context, user string, c policy.MailCopy) error {
	end, answered, err := s.begin("restore", user)
	defer end()
	if err != nil {
		return err
	}
	l := s.at(user, c.Staged, c.UID)
	if l == nil {
		return mailbox.ErrGone
	}
	s.move(l, c.Folder)
	return lost(answered, nil)
}

func (s *server) Purge(_ context.Context, user string, c policy.MailCopy) error {
	end, answered, err := s.begin("purge", user)
	defer end()
	if err != nil {
		return err
	}
	if l := s.at(user, c.Staged, c.UID); l != nil {
		s.drop(user, l)
	}
	return lost(answered, nil)
}

func (s *server) Check(context.Context, string) error { return nil }
func (s *server) Close() error                        { return nil }

// put delivers a message.
func (s *server) put(user, folder string, l letter) *letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uid++
	l.folder, l.uid = folder, s.uid
	s.boxes[user] = append(s.boxes[user], &l)
	return &l
}

// read marks all letters in the folders of a user as read.
func (s *server) read(user string) { s.flag(user, `\Seen`) }

func (s *server) flag(user, flag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.boxes[user] {
		if l.folder != staging {
			l.flags = append(l.flags, flag)
		}
	}
}

// holds lists the folders in which a user has letters.
func (s *server) holds(user string) (folders []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.boxes[user] {
		folders = append(folders, l.folder)
	}
	slices.Sort(folders)
	return folders
}

// A queue is what Cancel acts on: our own hold, and a Postfix.
type queue struct {
	journal Journal
	// postfix says what Postfix makes of a message that is in its queue; nil has it in flight.
	postfix func(id policy.ID, row int) policy.RecallCode
	mu      sync.Mutex
	fail    error
	calls   int
}

func (q *queue) failing(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fail = err
}

func (q *queue) Cancel(ctx context.Context, id policy.ID, recipients []int, reason, actor string) (all []Outcome, err error) {
	q.mu.Lock()
	q.calls++
	fail := q.fail
	q.mu.Unlock()
	if fail != nil {
		return nil, fail
	}
	for {
		all = nil
		m, err := q.journal.Message(id)
		if err != nil {
			return nil, err
		}
		rows, _ := q.journal.Recipients(id)
		var taken []int
		for _, i := range rows.Resolve(recipients) {
			code := q.code(id, &rows[i])
			if code == policy.RemovedFromHold || code == policy.RemovedFromQueue {
				taken = append(taken, i)
			}
			all = append(all, Outcome{i, code})
		}
		if len(taken) == 0 {
			return all, nil
		}
		_, err = q.journal.Commit(ctx, store.Change{Message: id, Revision: m.Revision, Events: []policy.Event{
			{Kind: policy.RecallRequested, Time: time.Now(), Actor: actor, Recipients: taken, Reason: reason},
			{Kind: policy.Canceled, Time: time.Now(), Actor: actor, Recipients: taken, Reason: reason, Evidence: "taken out"},
		}})
		if !errors.Is(err, store.ErrConflict) {
			return all, err
		}
	}
}

func (q *queue) code(id policy.ID, r *policy.Row) policy.RecallCode {
	switch r.State {
	case policy.StateAccepted, policy.StateHeld, policy.StateApprovalPending:
		return policy.RemovedFromHold
	case policy.StateQueued, policy.StateDeferred, policy.StateOffered:
		switch {
		case !r.Due.IsZero():
			return policy.RemovedFromQueue
		case q.postfix != nil:
			return q.postfix(id, r.Index)
		}
		return policy.WaitingInFlight
	case policy.StateCanceled, policy.StateRecalled:
		return policy.AlreadyRecalled
	case policy.StateDeliveredMailbox:
		return policy.DeliveredBeforeRecall
	case policy.StateHandedOver, policy.StateRelayedRemote:
		return policy.ExternalRecipient
	case policy.StateUnknown:
		return policy.RecallUnknown
	}
	return policy.NeverDelivered
}

// A desk is the mailboxes, the organisation, the reporter and the alarm.
type desk struct {
	*server
	life    *life
	mu      sync.Mutex
	reports []*policy.RecallReport
	alarms  []Alarm
	fail    error
}

func (d *desk) For(a policy.Address) (mailbox.Backend, string, string, bool) {
	switch a.Domain() {
	case "corp.example":
		user, _, _ := strings.Cut(policy.Address(a.Key()).Local(), "+")
		return d.server, user + "@corp.example", "dovecot", true
	case "old.example":
		return d.server, a.Key(), "exchange", true
	}
	return nil, "", "", false
}

func (d *desk) Named(name string) (mailbox.Backend, bool) {
	return d.server, name == "dovecot" || name == "exchange"
}

func (d *desk) Internal(a policy.Address) bool {
	return slices.Contains([]string{"corp.example", "old.example", "bare.example"}, a.Domain())
}

func (d *desk) Owns(identity string, a policy.Address) bool {
	return identity == "ann" && a.Key() == "ann@corp.example"
}

func (d *desk) Report(_ context.Context, r *policy.RecallReport) (policy.ID, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.life.died() {
		return policy.ID{}, errDead
	}
	if d.fail != nil {
		return policy.ID{}, d.fail
	}
	d.reports = append(d.reports, r)
	return policy.ID{1}, nil
}

func (d *desk) alarm(a Alarm) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.alarms = append(d.alarms, a)
}

func (d *desk) told() []*policy.RecallReport {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.reports)
}

// A world is an engine with all that it needs. It lives in a bubble of synctest.
type world struct {
	testing.TB
	life    *life
	journal *memory
	queue   *queue
	desk    *desk
	cfg     Config
	tracked func(time.Time) bool
	format  Format
	*Engine
	stop func()
}

func newWorld(t *testing.T) *world {
	l := &life{}
	j := newMemory(l)
	w := &world{TB: t, life: l, journal: j, queue: &queue{journal: j}, desk: &desk{server: newServer(l), life: l}, cfg: DefaultConfig()}
	w.tracked = func(time.Time) bool { return true }
	return w
}

// run starts the engine, again if it has been stopped.
func (w *world) run() {
	w.Helper()
	w.Engine = New(w.cfg, Needs{
		Journal: w.journal, Feed: w.journal.subscribe(), Queue: w.queue, Mailboxes: w.desk, Directory: w.desk, Reporter: w.desk, Alarm: w.desk.alarm,
		Tracked: func(t time.Time) bool { return w.tracked(t) }, Formats: func(*store.Message) Format { return w.format },
		Gateway: "gate.corp.example", IDHeader: "X-Sendgate-ID", Now: time.Now, Log: zap.NewNop(),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-ended; err != nil && !w.life.died() {
			w.Errorf("run: %v", err)
		}
	}
	synctest.Wait()
}

func inWorld(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f(w)
		if w.stop != nil {
			w.stop()
		}
	})
}

const sender = policy.Address("ann@corp.example")

// send stores a message to recipients, which is held.
func (w *world) send(recipients ...policy.Address) policy.ID {
	w.Helper()
	return w.sendAs(policy.Envelope{Front: policy.Relay, Direction: policy.Outbound, Sender: sender, Identity: "ann", MessageID: "<1@corp.example>", From: "Ann <ann@corp.example>", Size: 1000}, recipients...)
}

func (w *world) sendAs(m policy.Envelope, recipients ...policy.Address) policy.ID {
	w.Helper()
	id := w.journal.NewID()
	if m.Received.IsZero() {
		m.Received = time.Now()
	}
	for _, a := range recipients {
		m.Recipients = append(m.Recipients, policy.Recipient{Address: a})
	}
	_, err := w.journal.commit(store.Change{Message: id, Envelope: &m, Events: []policy.Event{
		{Kind: policy.Accepted, Time: time.Now()}, {Kind: policy.Held, Time: time.Now(), Until: time.Now().Add(time.Minute)},
	}})
	if err != nil {
		w.Fatal(err)
	}
	return id
}

// happen records what happened to some rows.
func (w *world) happen(id policy.ID, kind policy.Kind, rows ...int) {
	w.Helper()
	w.record(id, policy.Event{Kind: kind, Recipients: rows, Reply: "250 2.0.0 Ok"})
}

func (w *world) record(id policy.ID, e policy.Event) {
	w.Helper()
	e.Time = time.Now()
	m, err := w.journal.Message(id)
	if err == nil {
		_, err = w.journal.commit(store.Change{Message: id, Revision: m.Revision, Events: []policy.Event{e}})
	}
	if err != nil {
		w.Fatal(err)
	}
}

// deliver puts a message into the mailboxes of rows and records that.
func (w *world) deliver(id policy.ID, rows ...int) {
	w.Helper()
	all, _ := w.journal.Recipients(id)
	m, _ := w.journal.Message(id)
	for _, i := range rows {
		w.desk.put(all[i].Address.Key(), "INBOX", letter{id: id, messageID: m.Envelope.MessageID})
		w.happen(id, policy.DeliveredMailbox, i)
	}
}

// expand replaces row g by members that have it in their mailboxes.
func (w *world) expand(id policy.ID, g int, members ...policy.Address) {
	w.Helper()
	for _, a := range members {
		w.desk.put(a.Key(), "INBOX", letter{id: id})
		w.record(id, policy.Event{Kind: policy.DeliveredMailbox, Recipients: []int{g}, Member: a})
	}
}

func (w *world) request(ids ...policy.ID) policy.RecallRequest {
	return policy.RecallRequest{
		Messages: ids, Reason: "wrong attachment", UnreadOnly: true,
		Requester: policy.RecallRequester{Actor: "api:ann", Role: user, Identity: "ann"},
	}
}

func (w *world) asAdmin(r policy.RecallRequest) policy.RecallRequest {
	r.Requester = policy.RecallRequester{Actor: "api:root", Role: admin, Identity: "root"}
	return r
}

func (w *world) start(r policy.RecallRequest) *policy.RecallReport {
	w.Helper()
	report, err := w.Start(w.Context(), r)
	if err != nil {
		w.Fatal(err)
	}
	return report
}

// recall starts a recall of whole messages, waits until nothing moves, and gives the report.
func (w *world) recall(ids ...policy.ID) *policy.RecallReport {
	w.Helper()
	synctest.Wait()
	id := w.start(w.request(ids...)).ID
	synctest.Wait()
	return w.report(id)
}

func (w *world) report(id policy.ID) *policy.RecallReport {
	w.Helper()
	r, err := w.Report(context.Background(), id)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// after lets time pass.
func (w *world) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// codes gives the codes of a report by address.
func codes(r *policy.RecallReport) map[policy.Address]policy.RecallCode {
	all := map[policy.Address]policy.RecallCode{}
	for _, l := range r.Lines {
		all[l.Address] = l.Code
	}
	return all
}

func (w *world) want(r *policy.RecallReport, overall string, want map[policy.Address]policy.RecallCode) {
	w.Helper()
	if got := codes(r); !maps.Equal(got, want) {
		w.Errorf("codes are %v, want %v", got, want)
	}
	if r.Overall != overall {
		w.Errorf("overall is %s, want %s", r.Overall, overall)
	}
}

// lies checks in which folders a user has the message.
func (w *world) lies(user string, folders ...string) {
	w.Helper()
	if got := w.desk.holds(user); !slices.Equal(got, folders) {
		w.Errorf("%s has it in %v, want %v", user, got, folders)
	}
}

func address(i int) policy.Address { return policy.Address(fmt.Sprintf("u%d@corp.example", i)) }
