package web

import "net/http"

// page says where the API is, in the two languages.
const page = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>sendgate</title><meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body>
<h1>sendgate</h1>
<p>The API is under <code>/api/v1</code>, described in <a href="/api/v1/openapi.json">OpenAPI</a>. It asks for a token.
On this machine, <code>sendgate messages</code> shows the mail.</p>
<p>State: <a href="/healthz">healthz</a>, <a href="/readyz">readyz</a>, <a href="/metrics">metrics</a>.</p>
<hr>
<p lang="zh">接口位于 <code>/api/v1</code>，其说明见 <a href="/api/v1/openapi.json">OpenAPI</a>，访问需要令牌。
在本机上可用 <code>sendgate messages</code> 查看邮件。</p>
<p lang="zh">运行状态：<a href="/healthz">healthz</a>、<a href="/readyz">readyz</a>、<a href="/metrics">metrics</a>。</p>
</body>
</html>
`

func frontPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(page)) // the client may be gone
}
