package webhook

import (
	"fmt"
	"strings"
	"time"
)

// wecomLimit is the size of markdown that WeCom takes, in octets.
const wecomLimit = 4096

func layoutWeCom(n Notice, t target, _ time.Time) request {
	x := n.in(t.language).fit(wecomLimit, func(x text) int { return len(wecomMarkdown(x)) })
	return request{url: t.url, body: encode(object{
		"msgtype": "markdown", "markdown": object{"content": wecomMarkdown(x)},
	})}
}

func wecomMarkdown(x text) string {
	colour := "info"
	if x.severity.rank() > Info.rank() {
		colour = "warning"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "**<font color=\"%s\">%s</font>**", colour, plain(x.title))
	for _, l := range x.lines {
		b.WriteString("\n" + plain(l))
	}
	for _, f := range x.facts {
		fmt.Fprintf(&b, "\n>%s: <font color=\"comment\">%s</font>", plain(f[0]), plain(f[1]))
	}
	writeEnd(&b, x, "\n")
	return b.String()
}
