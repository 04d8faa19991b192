package web

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html/template"

	"github.com/sendgate/sendgate/policy"
)

func statusGroup(g *policy.RecallGroup) policy.Label {
	all := g.Counts.Success + g.Counts.Fail + g.Counts.Processing
	percent := 0
	if all > 0 {
		percent = 100 * g.Counts.Success / all
	}
	l := policy.Label{
		EN: fmt.Sprintf("taken back from %d of %s (%d %%)", g.Counts.Success, counted(all, "member", "members"), percent),
		ZH: fmt.Sprintf("已从 %d/%d 名成员处撤回（%d%%）", g.Counts.Success, all, percent),
	}
	if g.BlockedBy > 0 {
		l.EN += fmt.Sprintf("; %d of them kept it from being taken back", g.BlockedBy)
		l.ZH += fmt.Sprintf("；因 %d 名成员不满足撤回条件而未撤回", g.BlockedBy)
	}
	return l
}

var (
	statusTitle   = policy.Label{EN: "Delivery status", ZH: "投递状态"}
	statusRecall  = policy.Label{EN: "Recall", ZH: "邮件撤回"}
	statusUnknown = policy.Label{EN: "This link is not valid.", ZH: "链接无效。"}
	statusEnded   = policy.Label{EN: "This link has expired.", ZH: "链接已过期。"}
	statusPruned  = policy.Label{EN: "Nothing is kept about this any more.", ZH: "相关记录已过保留期。"}
	statusFailed  = policy.Label{EN: "The status cannot be read just now. Try again later.", ZH: "暂时无法读取状态，请稍后重试。"}
)

var overallTexts = map[string]policy.Label{
	policy.RecallInProgress:       {EN: "In progress", ZH: "撤回进行中"},
	policy.RecallAwaitingApproval: {EN: "Waits for an administrator's approval", ZH: "等待管理员批准"},
	policy.RecallAllSuccess:       {EN: "Taken back from everyone", ZH: "全部撤回成功"},
	policy.RecallPartial:          {EN: "Taken back from some", ZH: "部分撤回成功"},
	policy.RecallAllFailed:        {EN: "Could not be taken back", ZH: "撤回失败"},
	policy.RecallRejected:         {EN: "Nobody approved it in time", ZH: "未在规定时间内获得批准"},
	policy.RecallCancelled:        {EN: "Cancelled", ZH: "已取消"},
}

func statusOverall(r *policy.RecallReport, lang string) string {
	text := overallTexts[r.Overall].In(lang)
	if r.Corrected {
		text += policy.Label{EN: " (corrected)", ZH: "（已更正）"}.In(lang)
	}
	return text
}

func statusNotice(lang string, text policy.Label) statusView {
	return statusView{Language: lang, Title: statusTitle.In(lang), Text: text.In(lang)}
}

// T gives the words of the page itself.
func (v statusView) T(en, zh string) string { return policy.Label{EN: en, ZH: zh}.In(v.Language) }

const statusStyle = `:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem;background:#fff;color:#1b1f24}
h1{font-size:1.4rem}h2{font-size:1.1rem;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid #d0d7de;vertical-align:top;overflow-wrap:anywhere}
progress{width:100%;height:1rem}p.soft{color:#57606a}
@media (prefers-color-scheme:dark){body{background:#14171c;color:#e6e8eb}th,td{border-color:#3a414b}p.soft{color:#9aa4b0}}
`

var statusTemplate = template.Must(template.New("status").Parse(`<!doctype html>
<html lang="{{.Language}}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex, nofollow">
{{if .Refresh}}<meta http-equiv="refresh" content="15">
{{end}}<title>{{.Title}}</title><style>` + statusStyle + `</style></head>
<body>
<h1>{{.Title}}</h1>
{{if .Text}}<p>{{.Text}}</p>
{{end}}{{with .Progress}}<progress max="100" value="{{.Percent}}">{{.Percent}} %</progress>
<p>{{$.T "Taken back" "已撤回"}}: {{.Success}} / {{.All}} · {{$.T "not taken back" "未撤回"}}: {{.Fail}} · {{$.T "open" "处理中"}}: {{.Processing}}</p>
{{end}}{{range .Messages}}<h2>{{if .Subject}}{{.Subject}}{{else}}({{$.T "no subject" "无主题"}}){{end}}</h2>
<p class="soft">{{.Sent}} · {{.State}}</p>
<table>
<tr><th scope="col">{{$.T "Recipient" "收件人"}}</th><th scope="col">{{$.T "Status" "状态"}}</th><th scope="col">{{$.T "Recall" "撤回"}}</th></tr>
{{range .Rows}}<tr><td>{{.Address}}</td><td>{{.State}}</td><td>{{.Recall}}</td></tr>
{{end}}</table>
{{end}}{{if .More}}<p class="soft">… +{{.More}}</p>
{{end}}</body>
</html>
`))

// statusPolicy lets the browser load nothing; the style is known by its hash.
var statusPolicy = func() string {
	sum := sha256.Sum256([]byte(statusStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()
