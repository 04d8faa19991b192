package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// backupType is the media type of a backup.
const backupType = "application/vnd.sendgate.backup"

// backupTimeout is how long a client may take for a piece of a backup.
const backupTimeout = time.Minute

var errBackupRuns = problem(http.StatusConflict, "backup_running", "another backup is being made: wait until it has ended")

// A Storage says what the journal takes on disk, and what it may.
type Storage struct {
	Total     int64     `json:"total" doc:"octets of the journal on disk"`
	Bodies    int64     `json:"bodies" doc:"octets of messages that are kept"`
	Garbage   int64     `json:"garbage" doc:"octets of bodies that were deleted, and whose space comes back by itself"`
	Rows      int64     `json:"rows" doc:"octets of messages and recipients without bodies, about"`
	Events    int64     `json:"events" doc:"octets of timelines, about"`
	Indexes   int64     `json:"indexes" doc:"octets of indexes, about"`
	Other     int64     `json:"other" doc:"octets of the audit log, users, sessions and counts, about"`
	Recent    int64     `json:"recent" doc:"octets of what is not sorted by kind yet"`
	Logs      int64     `json:"logs" doc:"octets of the engine's logs"`
	Free      int64     `json:"free" doc:"octets that are free on the file system"`
	Reserve   int64     `json:"reserve" doc:"with fewer octets free no mail is accepted"`
	MaxSize   int64     `json:"max_size" doc:"octets that the journal may take; 0: no bound"`
	Oldest    time.Time `json:"oldest,omitzero" doc:"when the oldest message that is kept came in"`
	EventsFor Span      `json:"events_for" doc:"how long messages are kept"`
	BodiesFor Span      `json:"bodies_for" doc:"how long a body is kept after the last delivery"`
	Early     *Early    `json:"early,omitempty" doc:"what was deleted before its time since the start, because of max_size"`
}

// Early says what was deleted before its time.
type Early struct {
	Bodies   int       `json:"bodies"`
	Messages int       `json:"messages"`
	Last     time.Time `json:"last,omitzero" doc:"when something was deleted last"`
	UpTo     time.Time `json:"up_to,omitzero" doc:"messages from before are gone"`
	Over     bool      `json:"over" doc:"the journal takes more than it may, and nothing is left that may be deleted"`
}

type storageOutput struct{ Body Storage }

func (s *Server) getStorage(context.Context, *struct{}) (*storageOutput, error) {
	u, err := s.journal.Usage()
	if err != nil {
		return nil, s.fail("usage of the store", err)
	}
	v := Storage{
		Total: u.Total, Bodies: u.Bodies, Garbage: u.Garbage, Rows: u.Rows, Events: u.Events, Indexes: u.Indexes, Other: u.Other, Recent: u.Recent,
		Logs: u.Logs, Free: u.Free, Reserve: u.Reserve, MaxSize: u.MaxSize, Oldest: u.Oldest, EventsFor: Span(u.EventsFor), BodiesFor: Span(u.BodiesFor),
	}
	if u.Early != (store.Early{}) {
		v.Early = &Early{Bodies: u.Early.Bodies, Messages: u.Early.Messages, Last: u.Early.Last, UpTo: u.Early.UpTo, Over: u.Early.Over}
	}
	return &storageOutput{v}, nil
}

// makeBackup streams all of the journal. It is in the audit before the first octet leaves: a backup has all mail. One
// that fails on the way ends the connection, so that nobody takes what came for a whole one.
func (s *Server) makeBackup(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
	if err := s.journal.Ready(); errors.Is(err, store.ErrClosed) {
		return nil, errClosed
	}
	if !s.backups.TryLock() {
		return nil, errBackupRuns
	}
	s.log.Info("act", zap.String("verb", "backup"), zap.String("actor", actor(ctx)))
	if err := s.journal.Audit(store.AuditEntry{Time: s.now(), Act: "backup", Actor: auditText(actor(ctx))}); err != nil {
		s.backups.Unlock()
		return nil, s.fail("audit", err)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer s.backups.Unlock()
		r, w := humago.Unwrap(hc)
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(s.closing, cancel)()
		w.Header().Set("Content-Type", backupType)
		w.Header().Set("Content-Disposition", `attachment; filename="sendgate.backup"`)
		begun := time.Now()
		end, err := s.journal.Backup(ctx, s.version, &patientWriter{w: w, control: http.NewResponseController(w)})
		s.log.Info("backup", zap.Int64("entries", end.Entries), zap.Int64("octets", end.Octets), zap.Strings("damaged", end.Damaged),
			zap.Duration("took", time.Since(begun)), zap.Error(err))
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

// A patientWriter writes an answer of any length: as long as octets are taken, no deadline ends it.
type patientWriter struct {
	w       io.Writer
	control *http.ResponseController
}

// Write fails when the client takes nothing for a minute.
func (p *patientWriter) Write(b []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(backupTimeout)) // not over a test's recorder
	return p.w.Write(b)
}

// registerKeeping adds the operations about what is kept.
func (s *Server) registerKeeping(api huma.API, op operations) {
	publish(s, api, op.get("get-store", "/store", "What the journal takes on disk, by kind, and how long it keeps it"), s.getStorage)
	publish(s, api, op.backup("make-backup", "/backup", "A backup of all that is stored, at one moment"), s.makeBackup)
}

func (o operations) backup(id, path, summary string) huma.Operation {
	op := o.post(id, path, summary)
	op.Description = "Needs the role admin: a backup has all mail and all accounts; it is encrypted only where the store is. Mail goes on meanwhile. " +
		"The answer is the backup; sendgate restore makes a store of it. One that ends before its checksum is not whole: the connection is cut then."
	op.Responses["200"] = &huma.Response{Description: "The backup", Content: map[string]*huma.MediaType{
		backupType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
	}}
	return op
}
