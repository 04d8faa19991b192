package web

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sendgate/sendgate/store"
	"go.uber.org/zap"
)

// maxExport bounds the messages of one export: as many as a spreadsheet is still pleasant with.
const maxExport = 100_000

// utf8Mark tells spreadsheet programs that a file is UTF-8; without it they read Chinese as something else.
const utf8Mark = "\uFEFF"

// messagesCSV streams what a query finds as a table (RFC 4180), a page of the API at a time.
func (s *Server) messagesCSV() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := s.visitOf(w, r)
		if v.session == nil {
			http.Redirect(w, r, "/sign-in?back="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
			return
		}
		in := &listMessagesInput{Q: v.form("q"), Limit: store.MaxPage}
		page, err := call[listMessagesInput, listMessagesOutput](s, v, "list-messages", in)
		if err != nil {
			s.showError(v, err)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/csv; charset=utf-8")
		h.Set("Content-Disposition", `attachment; filename="messages-`+s.now().UTC().Format("20060102-150405")+`.csv"`)
		if err := s.writeExport(v, in, page, maxExport); err != nil {
			s.log.Warn("an export broke off", zap.String("user", v.session.User), zap.Error(err))
			panic(http.ErrAbortHandler) // a file that ends early must not look whole
		}
	})
}

// writeExport writes the page and those that follow, until most messages are written, and says so if there are more.
func (s *Server) writeExport(v *visit, in *listMessagesInput, page *listMessagesOutput, most int) error {
	if _, err := v.w.Write([]byte(utf8Mark)); err != nil {
		return err
	}
	out := csv.NewWriter(v.w)
	out.UseCRLF = true
	_ = out.Write(s.exportHead(v.lang)) // its error stays until Flush
	deadline := http.NewResponseController(v.w)
	for left := most; ; left -= len(page.Body.Messages) {
		for i := range page.Body.Messages {
			_ = out.Write(exportRow(v.lang, &page.Body.Messages[i]))
		}
		in.Cursor = page.Body.Next
		if in.Cursor != "" && left <= len(page.Body.Messages) {
			_ = out.Write([]string{s.renderer.Say(v.lang, "messages.csv.more", most)})
			in.Cursor = ""
		}
		if out.Flush(); out.Error() != nil || in.Cursor == "" {
			return out.Error()
		}
		_ = deadline.SetWriteDeadline(time.Now().Add(writeTimeout)) // where it cannot be prolonged, the export ends with it
		var err error
		if page, err = call[listMessagesInput, listMessagesOutput](s, v, "list-messages", in); err != nil {
			return err
		}
	}
}

func (s *Server) exportHead(lang string) []string {
	head := []string{
		"messages.csv.time", "messages.csv.id", "messages.csv.from", "messages.csv.identity", "messages.csv.to", "messages.csv.recipients",
		"messages.csv.subject", "messages.csv.state", "messages.csv.label", "messages.csv.size", "messages.csv.held", "messages.csv.message_id",
	}
	for i := range head {
		head[i] = s.renderer.Say(lang, head[i])
	}
	return head
}

func exportRow(lang string, m *Message) []string {
	held := ""
	if !m.HeldUntil.IsZero() {
		held = m.HeldUntil.Format(time.RFC3339)
	}
	row := []string{
		m.Received.Format(time.RFC3339), m.ID, m.From, m.Identity, strings.Join(m.To, ", "), strconv.Itoa(m.Recipients),
		m.Subject, string(m.State), m.Label.In(lang), strconv.FormatInt(m.Size, 10), held, m.MessageID,
	}
	for i := range row {
		row[i] = harmlessCell(row[i])
	}
	return row
}

// harmlessCell keeps spreadsheet programs from computing what a cell says: a leading apostrophe makes it text (OWASP,
// CSV injection). They skip space before looking at the first character, and take full-width forms for the others.
func harmlessCell(text string) string {
	text = strings.ReplaceAll(text, "\x00", "")
	inside := strings.TrimLeft(text, " \t\r\n\u00a0\u3000")
	if strings.HasPrefix(text, "\t") || strings.HasPrefix(text, "\r") || strings.HasPrefix(text, "\n") || startsFormula(inside) {
		return "'" + text
	}
	return text
}

func startsFormula(text string) bool {
	for _, first := range []string{"=", "+", "-", "@", "|", "%", "＝", "＋", "－", "＠"} {
		if strings.HasPrefix(text, first) {
			return true
		}
	}
	return false
}
