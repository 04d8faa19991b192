package webhook

import (
	"strings"
	"time"
)

// slackLimit is what Slack takes in a section, in characters; octets are never fewer.
const slackLimit = 3000

func layoutSlack(n Notice, t target, _ time.Time) request {
	x := n.in(t.language).fit(slackLimit, func(x text) int { return len(mrkdwn(x)) })
	blocks := []object{{"type": "header", "text": object{"type": "plain_text", "text": x.title, "emoji": false}}}
	if m := mrkdwn(x); m != "" {
		blocks = append(blocks, object{"type": "section", "text": object{"type": "mrkdwn", "text": m, "verbatim": true}})
	}
	return request{url: t.url, body: encode(object{"text": escapeSlack(x.title), "blocks": blocks})}
}

// mrkdwn is Slack's markup.
func mrkdwn(x text) string {
	var lines []string
	for _, l := range x.lines {
		lines = append(lines, escapeSlack(l))
	}
	for _, f := range x.facts {
		lines = append(lines, "*"+escapeSlack(f[0])+":* "+escapeSlack(f[1]))
	}
	if rest := x.rest(); rest != "" {
		lines = append(lines, rest)
	}
	if x.link != "" {
		lines = append(lines, "<"+bare(x.link)+"|"+escapeSlack(x.open)+">")
	}
	return strings.Join(lines, "\n")
}

// escapeSlack escapes the three characters that begin and end Slack's links and mentions.
func escapeSlack(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
