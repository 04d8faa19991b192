package web

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sendgate/sendgate/gateway/web/pages"
	"go.uber.org/zap"
)

// renewedEvery bounds how often what many look at is made anew.
const renewedEvery = time.Second

// A livePage is a page of which pieces are renewed while one looks.
type livePage struct {
	pause time.Duration // between two looks
	name  string
	parts []string // templates; each is sent under its name when it has changed
	build func(*visit) (any, error)
	// shared: what the pieces show depends on the address, the language and the reach of who looks, on nothing else.
	// They are made once for all whose page is the same, without the name of who looks.
	shared bool
}

// streamParts sends pieces of a page as server-sent events: build is called at once and then at every pause,
// and what has changed of its parts is sent under their names.
func (s *Server) streamParts(pause time.Duration, name string, parts []string, build func(*visit) (any, error)) http.Handler {
	return s.stream(livePage{pause: pause, name: name, parts: parts, build: build})
}

func (s *Server) stream(p livePage) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := s.visitOf(w, r)
		if v.session == nil {
			w.WriteHeader(http.StatusNoContent) // tells an EventSource not to come again
			return
		}
		look, left := s.looks.at(&p, v)
		defer left()
		w.Header().Set("Content-Type", eventStream)
		w.Header().Set("Cache-Control", "no-store")
		out := partsWriter{w: w, control: http.NewResponseController(w), before: map[string]string{}}
		tick := time.NewTicker(p.pause)
		defer tick.Stop()
		for s.sessionOf(r) != nil {
			texts, over := look.renewed(func() (map[string]string, bool) { return s.renderParts(&p, v) })
			if over || !out.write(p.parts, texts) {
				return
			}
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			case <-s.closing.Done():
				return
			}
		}
	})
}

// renderParts makes the pieces by name. Without them there is nothing to show now; over says that it will stay so.
func (s *Server) renderParts(p *livePage, v *visit) (texts map[string]string, over bool) {
	data, err := p.build(v)
	if err != nil {
		s.log.Warn("a live page could not be renewed", zap.String("page", p.name), zap.Error(err))
		return nil, false
	}
	frame := pages.Frame{Language: v.lang, Theme: v.theme, Path: v.r.URL.Path, Role: v.session.Role, Version: s.version, Data: data}
	if !p.shared {
		frame.User = v.session.User
	}
	texts = map[string]string{}
	for _, part := range p.parts {
		html, err := s.renderer.Text(p.name, part, frame)
		if err != nil {
			s.log.Error("a part could not be rendered", zap.String("page", p.name), zap.String("part", part), zap.Error(err))
			return nil, true
		}
		if strings.TrimSpace(html) == "" {
			html = "<!-- nothing -->" // a browser drops an event without data, and what stood there would stay
		}
		texts[part] = strings.ReplaceAll(strings.ReplaceAll(html, "\r", ""), "\n", "\ndata: ")
	}
	return texts, false
}

// A partsWriter sends one viewer what has changed.
type partsWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	before  map[string]string
}

// write sends what has changed, and a comment where nothing has. It is false when the client is gone.
func (o *partsWriter) write(parts []string, texts map[string]string) bool {
	if o.control.SetWriteDeadline(time.Now().Add(writeTimeout)) != nil {
		return false
	}
	frame := ": \n\n"
	if texts == nil {
		frame = ": not now\n\n"
	}
	for _, p := range parts {
		if html, ok := texts[p]; ok && html != o.before[p] {
			o.before[p] = html
			frame += "event: " + strings.TrimPrefix(p, "_") + "\ndata: " + html + "\n\n"
		}
	}
	if _, err := o.w.Write([]byte(frame)); err != nil {
		return false
	}
	return o.control.Flush() == nil
}

// looks are the live pages that are open, by what they show.
type looks struct {
	mu   sync.Mutex
	open map[string]*look
}

// A look is what the viewers of one live page are shown.
type look struct {
	viewers int // under the mutex of looks

	mu    sync.Mutex // one makes it, the others wait for that
	at    time.Time
	texts map[string]string
	over  bool
}

func newLooks() *looks { return &looks{open: map[string]*look{}} }

// at gives what somebody looks at, to be left later. What is not shared is everybody's own.
func (l *looks) at(p *livePage, v *visit) (*look, func()) {
	if !p.shared {
		return &look{}, func() {}
	}
	who := whoIs(v.ctx)
	v.r.Body = http.NoBody // a form in it would be in the pieces of everybody, and is not in the key
	key := strings.Join([]string{p.name, v.r.URL.RequestURI(), v.lang, v.theme, who.role, reachKey(who)}, "\x00")
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.open[key]
	if k == nil {
		k = &look{}
		l.open[key] = k
	}
	k.viewers++
	return k, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if k.viewers--; k.viewers == 0 {
			delete(l.open, key)
		}
	}
}

// renewed makes the pieces, unless that was done just now.
func (k *look) renewed(render func() (map[string]string, bool)) (parts map[string]string, over bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.at.IsZero() || time.Since(k.at) >= renewedEvery {
		k.texts, k.over = render()
		k.at = time.Now()
	}
	return k.texts, k.over
}
