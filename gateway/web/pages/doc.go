// Package pages renders the dashboard: templates, texts in two languages, style and script, all embedded.
//
//	renderer.go   a page or a part of one, in the language and theme of who looks
//	catalog.go    the texts of messages/*.json
//	funcs.go      what templates may call
//	assets.go     static files under names that change with their content
//	guard.go      header fields that keep a browser from doing what it should not
//	templates/    layout.html is the frame; a page defines "title" and "main"; parts begin with "_"
//	static/       app.css, app.js, live.js (one connection for all tabs), and vendor/ with htmx, its SSE extension and uPlot
//
// It knows nothing of mail: package web hands it values, and templates name their fields.
//
// # Trust
//
// Everything that is shown may be hostile: subjects, addresses, replies, file names. html/template escapes by
// context; no template uses template.HTML, and there is no inline script, style or event handler, which the
// Content-Security-Policy would refuse. htmx may not evaluate code (allowEval is false) and asks this host
// only (selfRequestsOnly).
//
// # Texts
//
// A template says {{t "key"}} or {{t "key" arg...}}; the arguments fill {0}, {1} in the text. A key that a
// language lacks is an error of the package's test, and shows as the key itself. Words of policy (labels,
// findings) come with both languages and are chosen by {{l .Label}}.
//
// # Failure
//
// A template that fails gives 500 and a logged error, and nothing of the page: pages are rendered into
// memory first.
//
// # Concurrency
//
// A Renderer is immutable and safe for concurrent use.
//
// # Standards
//
// CSP Level 3, RFC 4647 (languages), WAI-ARIA 1.2, WCAG 2.2 AA for contrast and focus.
package pages
