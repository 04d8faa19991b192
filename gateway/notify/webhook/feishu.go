package webhook

import (
	"encoding/base64"
	"strconv"
	"time"
)

// feishuLimit is what Feishu takes, in octets of the body, with room for the signature.
const feishuLimit = 19_000

// layoutFeishu signs the empty text, keyed by timestamp (in seconds), line feed and secret, in the body.
// Everything is plain text to Feishu, so nothing has to be escaped.
func layoutFeishu(n Notice, t target, now time.Time) request {
	body := func(x text) object {
		return object{"msg_type": "interactive", "card": feishuCard(x)}
	}
	x := n.in(t.language).fit(feishuLimit, func(x text) int { return len(encode(body(x))) })
	o := body(x)
	if t.secret != "" {
		stamp := strconv.FormatInt(now.Unix(), 10)
		o["timestamp"] = stamp
		o["sign"] = base64.StdEncoding.EncodeToString(sum([]byte(stamp+"\n"+t.secret), ""))
	}
	return request{url: t.url, body: encode(o)}
}

func feishuCard(x text) object {
	colour := map[Severity]string{Warning: "orange", Critical: "red"}[x.severity]
	if colour == "" {
		colour = "blue"
	}
	words := func(s string) object { return object{"tag": "plain_text", "content": s} }
	elements := []object{}
	for _, l := range x.lines {
		elements = append(elements, object{"tag": "div", "text": words(l)})
	}
	for _, f := range x.facts {
		elements = append(elements, object{"tag": "div", "text": words(f[0] + ": " + f[1])})
	}
	if rest := x.rest(); rest != "" {
		elements = append(elements, object{"tag": "div", "text": words(rest)})
	}
	if x.link != "" {
		elements = append(elements, object{"tag": "action", "actions": []object{
			{"tag": "button", "text": words(x.open), "url": x.link, "type": "default"},
		}})
	}
	return object{
		"config":   object{"wide_screen_mode": true},
		"header":   object{"title": words(x.title), "template": colour},
		"elements": elements,
	}
}
