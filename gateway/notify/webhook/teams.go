package webhook

import (
	"strings"
	"time"
)

// teamsLimit is what Teams takes, in octets of the body, with some room.
const teamsLimit = 27_000

func layoutTeams(n Notice, t target, _ time.Time) request {
	body := func(x text) []byte {
		return encode(object{"type": "message", "attachments": []object{{
			"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": nil, "content": adaptiveCard(x),
		}}})
	}
	x := n.in(t.language).fit(teamsLimit, func(x text) int { return len(body(x)) })
	return request{url: t.url, body: body(x)}
}

func adaptiveCard(x text) object {
	colour := map[Severity]string{Warning: "Warning", Critical: "Attention"}[x.severity]
	if colour == "" {
		colour = "Accent"
	}
	block := func(s string) object { return object{"type": "TextBlock", "text": escapeTeams(s), "wrap": true} }
	title := block(x.title)
	title["weight"], title["size"], title["color"] = "Bolder", "Medium", colour
	body := []object{title}
	for _, l := range x.lines {
		body = append(body, block(l))
	}
	var facts []object
	for _, f := range x.facts {
		facts = append(facts, object{"title": escapeTeams(f[0]), "value": escapeTeams(f[1])})
	}
	if len(facts) > 0 {
		body = append(body, object{"type": "FactSet", "facts": facts})
	}
	if rest := x.rest(); rest != "" {
		body = append(body, block(rest))
	}
	card := object{
		"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
		"body": body, "msteams": object{"width": "Full"},
	}
	if x.link != "" {
		card["actions"] = []object{{"type": "Action.OpenUrl", "title": x.open, "url": x.link}}
	}
	return card
}

// escapeTeams escapes the subset of markdown that text in Adaptive Cards may hold.
func escapeTeams(s string) string {
	return strings.NewReplacer("\\", "\\\\", "[", "\\[", "]", "\\]", "*", "\\*", "_", "\\_", "`", "\\`", "<", "\\<", "#", "\\#").Replace(s)
}
