package web

import (
	"strings"
	"testing"
)

// The version that the program was built as stands at the foot of every page, and in the description of the API.
func TestTheVersionStandsOnEveryPage(t *testing.T) {
	d := newDash(t)
	for _, path := range []string{"/overview", "/senders", "/settings/about"} {
		d.as("operator").sees(path, `<footer class="version soft small">sendgate 1.2.3</footer>`)
	}
	d.as("user").sees("/mine", `sendgate 1.2.3</footer>`)
	if w := d.ask(d.server, "secret-auditor", "GET", "/api/v1/openapi.json", ""); !strings.Contains(w.Body.String(), `"version":"1.2.3"`) {
		t.Errorf("%.300s", w.Body)
	}
}
