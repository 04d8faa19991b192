package webhook

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// dingtalkLimit is what DingTalk takes, in octets of the body, with some room.
const dingtalkLimit = 19_000

// layoutDingTalk signs with timestamp (in milliseconds), line feed and secret, keyed by the secret,
// in the query.
func layoutDingTalk(n Notice, t target, now time.Time) request {
	body := func(x text) []byte {
		return encode(object{"msgtype": "markdown", "markdown": object{"title": x.title, "text": dingtalkMarkdown(x)}})
	}
	r := request{url: t.url}
	r.body = body(n.in(t.language).fit(dingtalkLimit, func(x text) int { return len(body(x)) }))
	if u, err := url.Parse(t.url); err == nil && t.secret != "" {
		stamp := strconv.FormatInt(now.UnixMilli(), 10)
		q := u.Query()
		q.Set("timestamp", stamp)
		q.Set("sign", base64.StdEncoding.EncodeToString(sum([]byte(t.secret), stamp+"\n"+t.secret)))
		u.RawQuery = q.Encode()
		r.url = u.String()
	}
	return r
}

func dingtalkMarkdown(x text) string {
	var b strings.Builder
	b.WriteString("#### " + plain(x.title))
	for _, l := range x.lines {
		b.WriteString("\n\n" + plain(l))
	}
	for _, f := range x.facts {
		fmt.Fprintf(&b, "\n\n> **%s**: %s", plain(f[0]), plain(f[1]))
	}
	writeEnd(&b, x, "\n\n")
	return b.String()
}
