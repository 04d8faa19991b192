package web

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
	"golang.org/x/text/language"
)

// StatusLinks knows signed links to the status page. A [Journal] that is one, too, has the page served.
type StatusLinks interface {
	// Verify gives the message or recall that a link is about, and when the link ends, which may be past. It
	// is not ok for a link that was not made by us.
	Verify(token string) (id policy.ID, ends time.Time, ok bool)
}

// maxStatusRows bounds the recipients on the status page.
const maxStatusRows = 1000

// A statusView is what the page shows: states and progress, nothing else. It is for who has sent the messages:
// the members of a group are counted, not named.
type statusView struct {
	Language string
	Title    string
	Text     string
	Progress *statusProgress // of a recall
	Messages []statusMessage
	More     int // recipients left out
	Refresh  bool
}

type statusProgress struct {
	Percent                        int
	Success, Fail, Processing, All int
}

type statusMessage struct {
	Subject string
	Sent    string
	State   string
	Rows    []statusRow
}

type statusRow struct {
	Address string
	State   string
	Recall  string
}

// statusPage shows who has a signed link what became of a message or a recall, without a sign-in.
func (s *Server) statusPage() http.Handler {
	links, _ := s.journal.(StatusLinks)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lang := statusLanguage(r.Header.Get("Accept-Language"))
		v, status := s.status(r.Context(), links, r.PathValue("token"), lang)
		s.writeStatus(w, v, status)
	})
}

var statusLanguages = language.NewMatcher([]language.Tag{language.English, language.SimplifiedChinese, language.TraditionalChinese})

// statusLanguage chooses by Accept-Language (RFC 9110 12.5.4).
func statusLanguage(accepted string) string {
	if len(accepted) > 500 {
		return "en"
	}
	if _, i := language.MatchStrings(statusLanguages, accepted); i > 0 {
		return "zh-CN"
	}
	return "en"
}

// status gives what is shown for a token, and the status of the answer.
func (s *Server) status(ctx context.Context, links StatusLinks, token, lang string) (statusView, int) {
	if links == nil {
		return statusNotice(lang, statusUnknown), http.StatusNotFound
	}
	id, ends, ok := links.Verify(token)
	switch {
	case !ok:
		return statusNotice(lang, statusUnknown), http.StatusNotFound
	case !s.now().Before(ends):
		return statusNotice(lang, statusEnded), http.StatusGone
	}
	v, err := s.statusOf(ctx, id, lang)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return statusNotice(lang, statusPruned), http.StatusGone
	case err != nil:
		s.log.Error("status page", zap.Stringer("id", id), zap.Error(err))
		return statusNotice(lang, statusFailed), http.StatusInternalServerError
	}
	return v, http.StatusOK
}

func (s *Server) statusOf(ctx context.Context, id policy.ID, lang string) (statusView, error) {
	if s.recalls != nil {
		r, err := s.recalls.Report(ctx, id)
		if err == nil {
			return s.recallStatus(r, lang)
		}
		if !errors.Is(err, store.ErrNotFound) {
			return statusView{}, err
		}
	}
	m, rows, err := s.statusMessage(id)
	if err != nil {
		return statusView{}, err
	}
	p := statusPrinter{lang: lang, room: maxStatusRows}
	v := statusView{Language: lang, Title: statusTitle.In(lang), Messages: []statusMessage{p.message(&m, rows, nil)}, More: p.more}
	return v, nil
}

// statusMessage reads a message with its rows.
func (s *Server) statusMessage(id policy.ID) (store.Message, policy.Rows, error) {
	m, err := s.journal.Message(id)
	if err != nil {
		return m, nil, err
	}
	rows, err := s.journal.Recipients(id)
	return m, rows, err
}

func (s *Server) recallStatus(r *policy.RecallReport, lang string) (statusView, error) {
	c := r.Counts
	v := statusView{
		Language: lang, Title: statusRecall.In(lang), Text: statusOverall(r, lang), Refresh: r.Ended.IsZero(),
		Progress: &statusProgress{Percent: c.Percent(), Success: c.Success, Fail: c.Fail, Processing: c.Processing, All: c.Success + c.Fail + c.Processing},
	}
	p := statusPrinter{lang: lang, room: maxStatusRows}
	for _, id := range r.Request.Messages {
		m, rows, err := s.statusMessage(id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return v, err
		}
		v.Messages = append(v.Messages, p.message(&m, rows, r))
	}
	v.More = p.more
	return v, nil
}

// A statusPrinter turns messages into what is shown, as far as there is room.
type statusPrinter struct {
	lang string
	room int
	more int
}

const statusClock = "2006-01-02 15:04 UTC"

func (p *statusPrinter) message(m *store.Message, rows policy.Rows, r *policy.RecallReport) statusMessage {
	_, label := policy.Aggregate(m.States)
	sm := statusMessage{Subject: m.Envelope.Subject, Sent: m.Envelope.Received.UTC().Format(statusClock), State: label.In(p.lang)}
	codes, groups := recallOf(m.ID, r)
	for i := range rows {
		row := &rows[i]
		// Members stand for their group; of attempts the last one counts.
		if row.Group != 0 || row.Superseded {
			continue
		}
		if p.room == 0 {
			p.more++
			continue
		}
		p.room--
		_, label := rows.Aggregate(i)
		shown := statusRow{Address: string(row.Address), State: label.In(p.lang)}
		switch g, folded := groups[row.Address.Key()]; {
		case folded:
			shown.Recall = statusGroup(g).In(p.lang)
		case codes[i] != "":
			shown.Recall = codes[i].Label().In(p.lang)
		case r == nil && row.Recall.Code != "":
			shown.Recall = row.Recall.Code.Label().In(p.lang)
		}
		sm.Rows = append(sm.Rows, shown)
	}
	return sm
}

// recallOf gives what a recall says of the rows of a message, and of its groups by address.
func recallOf(id policy.ID, r *policy.RecallReport) (codes map[int]policy.RecallCode, groups map[string]*policy.RecallGroup) {
	codes, groups = map[int]policy.RecallCode{}, map[string]*policy.RecallGroup{}
	if r == nil {
		return codes, groups
	}
	for i := range r.Groups {
		if g := &r.Groups[i]; g.Message == id {
			groups[g.Address.Key()] = g
		}
	}
	for i := range r.Lines {
		if l := &r.Lines[i]; l.Message == id && l.Group == "" {
			codes[l.Index] = l.Code
		}
	}
	return codes, groups
}

// writeStatus sends the page. What is the same for all pages, the gate around all routes has set.
func (s *Server) writeStatus(w http.ResponseWriter, v statusView, status int) {
	var page bytes.Buffer
	if err := statusTemplate.Execute(&page, v); err != nil {
		s.log.Error("status page", zap.Error(err))
		http.Error(w, statusFailed.EN, http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", v.Language)
	h.Set("Content-Security-Policy", statusPolicy)
	h.Set("X-Robots-Tag", "noindex, nofollow")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Language")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // the client may be gone
}
