package web

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"
)

// importPath takes bodies without a bound.
const importPath = apiPath + "/tracking/import"

// An ImportReport says what a log of the past has told.
type ImportReport struct {
	Lines   int64 `json:"lines" doc:"read"`
	Entries int64 `json:"entries" doc:"lines that tell what became of some mail"`
	Events  int64 `json:"events" doc:"about mail that sendgate knows; those known before are among them"`
}

var (
	errNotTracked = problem(http.StatusConflict, "not_tracked", "this gateway follows no logs, so that it cannot read any: configure tracking first")
	errUnreadable = problem(http.StatusUnprocessableEntity, "unreadable",
		"the compressed log is damaged or cut off: what stands before that place was imported")
)

// huma would read a body that it knows of into memory; as a resolver the input keeps its stream.
type importInput struct {
	Name   string `query:"name" minLength:"1" maxLength:"1000" required:"true" doc:"of the file, for the logs" example:"mail.log.1.gz"`
	stream *uploadReader
}

// Resolve keeps the body of the request.
func (in *importInput) Resolve(hc huma.Context) []error {
	r, w := humago.Unwrap(hc)
	in.stream = &uploadReader{ctx: r.Context(), body: r.Body, control: http.NewResponseController(w)}
	return nil
}

type importOutput struct{ Body ImportReport }

func (s *Server) importLog(ctx context.Context, in *importInput) (*importOutput, error) {
	if role(ctx) != "admin" {
		s.log.Warn("request refused", zap.String("actor", actor(ctx)), zap.String("path", importPath), zap.String("code", errRoleAdmin.Code))
		return nil, errRoleAdmin
	}
	if s.importer == nil {
		return nil, errNotTracked
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()
	in.stream.ctx = ctx
	report, err := s.importer(ctx, in.Name, in.stream)
	in.stream.done()
	fields := []zap.Field{
		zap.String("verb", "import"), zap.String("name", in.Name), zap.String("actor", actor(ctx)), zap.Int64("lines", report.Lines),
		zap.Int64("entries", report.Entries), zap.Int64("events", report.Events), zap.Error(err),
	}
	s.log.Info("act", fields...)
	s.audit(ctx, "import", in.Name, fields[3:]...)
	switch {
	case err == nil:
		return &importOutput{report}, nil
	case s.closing.Err() != nil:
		return nil, errClosed
	case damaged(err):
		return nil, errUnreadable
	}
	return nil, s.refused("import", err)
}

// damaged reports whether an error is one of a compressed file.
func damaged(err error) bool {
	return errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, new(flate.CorruptInputError))
}

// An uploadReader reads a body of any length: as long as octets come, no deadline ends it.
type uploadReader struct {
	ctx     context.Context
	body    io.Reader
	control *http.ResponseController
}

// Read fails when nothing came for as long as other requests may take as a whole.
func (u *uploadReader) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	u.deadlines(time.Now().Add(readTimeout), time.Time{})
	return u.body.Read(p)
}

// done gives the answer the time that others have.
func (u *uploadReader) done() {
	now := time.Now()
	u.deadlines(now.Add(readTimeout), now.Add(writeTimeout))
}

// deadlines sets those of the connection, where there is one.
func (u *uploadReader) deadlines(read, write time.Time) {
	_ = u.control.SetReadDeadline(read) // not over a test's recorder
	_ = u.control.SetWriteDeadline(write)
}
