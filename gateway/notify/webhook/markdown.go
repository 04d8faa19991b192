package webhook

import (
	"fmt"
	"strings"
)

// writeEnd says in markdown what is left out, and where to look.
func writeEnd(b *strings.Builder, x text, gap string) {
	if rest := x.rest(); rest != "" {
		b.WriteString(gap + rest)
	}
	if x.link != "" {
		fmt.Fprintf(b, "%s[%s](%s)", gap, plain(x.open), bare(x.link))
	}
}

// plain replaces what is markup to WeCom and DingTalk by characters that look like it: neither has
// an escape that works on all of their clients. <@user> and links are the dangerous ones.
func plain(s string) string {
	return strings.NewReplacer("<", "＜", ">", "＞", "[", "［", "]", "］", "*", "＊", "`", "｀", "\\", "＼").Replace(s)
}

// bare makes a URL that cannot end a link in markdown.
func bare(link string) string {
	return strings.NewReplacer(" ", "%20", "(", "%28", ")", "%29", "<", "%3C", ">", "%3E", "|", "%7C").Replace(clean(link))
}
