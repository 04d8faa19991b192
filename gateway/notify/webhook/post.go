package webhook

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxReply bounds what is read of an answer.
const maxReply = 64 << 10

// A service is what is known about a kind of hook.
type service struct {
	layout layout
	limit  limit
	merges bool // several notices may become one message
	// check reads the result in an answer with status 200; nil where there is none.
	check func(reply []byte) error
}

// services by kind. The limits stay below those of the services, which others may use up too.
var services = map[string]service{
	JSON:     {layout: layoutJSON},
	WeCom:    {layout: layoutWeCom, limit: limit{perMinute: 18, gap: time.Second}, merges: true, check: checkErrcode},
	DingTalk: {layout: layoutDingTalk, limit: limit{perMinute: 18, gap: time.Second}, merges: true, check: checkErrcode},
	Feishu:   {layout: layoutFeishu, limit: limit{perMinute: 60, gap: time.Second}, merges: true, check: checkFeishu},
	Slack:    {layout: layoutSlack, limit: limit{perMinute: 50, gap: time.Second}, merges: true},
	Teams:    {layout: layoutTeams, limit: limit{perMinute: 50, gap: time.Second}, merges: true},
}

// A failure is a delivery that did not succeed. Its text holds nothing of the URL.
type failure struct {
	text  string
	final bool          // trying again is of no use
	after time.Duration // when the server says so
}

func (f *failure) Error() string { return f.text }

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// post makes one request.
func (h *hook) post(ctx context.Context, n Notice, id string) error {
	r := h.service.layout(n, h.target, time.Now())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(r.body))
	if err != nil {
		return &failure{text: "the URL cannot be used", final: true} // the error would repeat it
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", "sendgate")
	req.Header.Set("X-Sendgate-Delivery", id)
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	res, err := h.client.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer res.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(res.Body, maxReply))
	if err != nil {
		return fmt.Errorf("read answer: %w", withoutURL(err))
	}
	return h.redact(h.judge(res, reply))
}

// judge says whether an answer means success.
func (h *hook) judge(res *http.Response, reply []byte) error {
	switch code := res.StatusCode; {
	case code >= 200 && code < 300:
		if h.service.check == nil {
			return nil
		}
		return h.service.check(reply)
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code == http.StatusTooEarly, code >= 500:
		return &failure{text: "HTTP status " + strconv.Itoa(code), after: retryAfter(res.Header, time.Now())}
	default:
		return &failure{text: "HTTP status " + strconv.Itoa(code), final: true}
	}
}

// retryAfter reads how long the server wants us to wait; 0 when it does not say.
func retryAfter(h http.Header, now time.Time) time.Duration {
	for _, name := range []string{"Retry-After", "X-Ogw-Ratelimit-Reset"} { // the second is Feishu's
		value := strings.TrimSpace(h.Get(name))
		if s, err := strconv.ParseUint(value, 10, 31); err == nil {
			return time.Duration(s) * time.Second
		}
		if t, err := http.ParseTime(value); err == nil {
			return max(t.Sub(now), 0)
		}
	}
	return 0
}

// errAnswer stands for errors that repeat what a server has sent, which may be the URL.
var errAnswer = errors.New("its answer cannot be read as HTTP")

// withoutURL takes the URL out of an error of net/http, and what the server has sent: errors of the network, of TLS
// and of time are its own words.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var network net.Error
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &certificate):
		return errors.New("its certificate is not accepted: " + shorten(clean(certificate.Err.Error()), 200))
	case errors.As(err, &record):
		return errors.New("it does not speak TLS")
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.Canceled):
		return errors.New(shorten(clean(err.Error()), 200))
	}
	return errAnswer
}

// redact takes parts of the URL out of what a server said.
func (h *hook) redact(err error) error {
	var f *failure
	u, bad := url.Parse(h.target.url)
	if !errors.As(err, &f) || bad != nil {
		return err
	}
	parts := strings.Split(u.Path, "/")
	for _, values := range u.Query() {
		parts = append(parts, values...)
	}
	for _, part := range append(parts, h.target.secret) {
		if len(part) >= 8 {
			f.text = strings.ReplaceAll(f.text, part, "<secret>")
		}
	}
	return f
}

// Codes that mean "later": with these the same message succeeds in a while.
var (
	// WeCom: system busy; too many calls. DingTalk: system busy; more than 20 messages a minute.
	laterErrcodes = map[int]time.Duration{-1: 0, 45009: time.Minute, 130101: time.Minute}
	// Feishu: too many messages (also at full hours, when everybody sends); too many calls.
	laterFeishu = []int{11232, 99991400}
)

// checkErrcode reads the result of WeCom and DingTalk.
func checkErrcode(reply []byte) error {
	var r struct {
		Code *int   `json:"errcode"`
		Text string `json:"errmsg"`
	}
	if err := json.Unmarshal(reply, &r); err != nil || r.Code == nil {
		return &failure{text: "the answer has no errcode: the URL may be another's"}
	}
	if *r.Code == 0 {
		return nil
	}
	after, later := laterErrcodes[*r.Code]
	return refused("errcode", *r.Code, r.Text, !later, after)
}

// checkFeishu reads the result of Feishu, in its new or old form.
func checkFeishu(reply []byte) error {
	var r struct {
		Code    *int   `json:"code"`
		Text    string `json:"msg"`
		OldCode *int   `json:"StatusCode"`
		OldText string `json:"StatusMessage"`
	}
	if err := json.Unmarshal(reply, &r); err != nil || r.Code == nil && r.OldCode == nil {
		return &failure{text: "the answer has no code: the URL may be another's"}
	}
	if r.Code == nil {
		r.Code, r.Text = r.OldCode, r.OldText
	}
	if *r.Code == 0 {
		return nil
	}
	return refused("code", *r.Code, r.Text, !slices.Contains(laterFeishu, *r.Code), 0)
}

func refused(name string, code int, text string, final bool, after time.Duration) error {
	return &failure{text: fmt.Sprintf("%s %d: %q", name, code, shorten(clean(text), 200)), final: final, after: after}
}
