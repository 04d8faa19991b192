package pages

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

//go:embed templates/*.html
var templateFiles embed.FS

// A Frame is what every page knows of who looks at it.
type Frame struct {
	Language string // one of Languages
	Theme    string // light, dark, or empty for that of the system
	Path     string // of the request, to mark the place in the navigation and to come back after a switch
	Title    string // key of the text; the template may define its own
	User     string // who is signed in, empty for nobody
	Role     string
	Version  string
	// Flash is said once, on top: what came of the act before.
	Flash *Flash
	// Bypass and Draining stand on every page while the rules are bypassed, or the gateway is emptied.
	Bypass   *Bypass
	Draining bool
	Data     any
}

// A Bypass is the banner about rules that are bypassed.
type Bypass struct {
	Until       time.Time
	Left        time.Duration
	Author      string // empty for who need not know, as Reason
	Reason      string
	Suspensions bool
	MayEnd      bool
}

// A Flash says what came of an act.
type Flash struct {
	Kind string // good, bad or note
	Key  string // of the text
	Args []any
	Text string // in place of Key: words that come with the act
}

// A Renderer makes pages. It is immutable.
type Renderer struct {
	texts    catalog
	assets   *assets
	vendored []Vendored
	pages    map[string]map[string]page // by language and name
	log      *zap.Logger
}

// A page puts its templates together when it is asked for the first time: all pages in all languages are 20 MB, and
// a gateway that nobody looks at needs none of them.
type page func() (*template.Template, error)

// New reads the embedded files. Its errors are faults of the program.
func New(log *zap.Logger) (*Renderer, error) {
	texts, err := newCatalog()
	if err != nil {
		return nil, err
	}
	files, err := newAssets()
	if err != nil {
		return nil, err
	}
	foreign, err := vendored()
	if err != nil {
		return nil, err
	}
	r := &Renderer{texts: texts, assets: files, vendored: foreign, pages: map[string]map[string]page{}, log: log}
	for _, lang := range Languages {
		if r.pages[lang], err = r.parse(lang); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// parse finds the pages of a language: each with the frame and all parts.
func (r *Renderer) parse(lang string) (map[string]page, error) {
	base, err := template.New("layout.html").Funcs(r.funcs(lang)).ParseFS(templateFiles, "templates/layout.html", "templates/_*.html")
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	pages := map[string]page{}
	for _, file := range names {
		name := path.Base(file)
		if name == "layout.html" || strings.HasPrefix(name, "_") {
			continue
		}
		pages[strings.TrimSuffix(name, ".html")] = sync.OnceValues(func() (*template.Template, error) {
			t, err := base.Clone()
			if err == nil {
				t, err = t.ParseFS(templateFiles, file)
			}
			if err != nil {
				return nil, fmt.Errorf("template %s: %w", name, err)
			}
			return t, nil
		})
	}
	return pages, nil
}

// Page writes a whole page.
func (r *Renderer) Page(w http.ResponseWriter, status int, name string, f Frame) {
	r.render(w, status, name, "layout.html", f)
}

// Part writes one template of a page, for a request of htmx that replaces a piece of it.
func (r *Renderer) Part(w http.ResponseWriter, name, part string, f Frame) {
	r.render(w, http.StatusOK, name, part, f)
}

// Text renders one template of a page to a string, for server-sent events.
func (r *Renderer) Text(name, part string, f Frame) (string, error) {
	templates, ok := r.pages[f.Language][name]
	if !ok {
		return "", fmt.Errorf("page %q in %q: there is none", name, f.Language)
	}
	t, err := templates()
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = t.ExecuteTemplate(&b, part, f)
	return b.String(), err
}

func (r *Renderer) render(w http.ResponseWriter, status int, name, part string, f Frame) {
	text, err := r.Text(name, part, f)
	if err != nil {
		r.log.Error("a page could not be rendered", zap.String("page", name), zap.String("part", part), zap.Error(err))
		http.Error(w, "this page could not be rendered; the log says why", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", f.Language)
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept-Language, Cookie")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // the client may be gone
}

// Assets serves the static files below AssetPath.
func (r *Renderer) Assets() http.Handler { return r.assets }

// Say gives a text in a language.
func (r *Renderer) Say(lang, key string, args ...any) string { return r.texts.text(lang, key, args...) }
