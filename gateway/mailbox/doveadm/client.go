package doveadm

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/mailbox"
)

// A call is one command of the API.
type call struct {
	name   string
	params map[string]any
}

// A client sends commands.
type client struct {
	url           string
	authorization string
	http          *http.Client
}

func newClient(c mailbox.Doveadm, roots *tls.Config) (*client, error) {
	authorization, err := credentials(c)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		TLSClientConfig:        roots,
		MaxConnsPerHost:        c.Connections,
		MaxIdleConnsPerHost:    c.Connections,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}
	return &client{url: c.URL, authorization: authorization, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// credentials reads the key or password and makes the header field of it.
func credentials(c mailbox.Doveadm) (string, error) {
	scheme, prefix, file := "X-Dovecot-API ", "", c.APIKeyFile
	if file == "" {
		scheme, prefix, file = "Basic ", c.User+":", c.PasswordFile
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the doveadm key: %w", err)
	}
	secret, _, _ := strings.Cut(string(content), "\n")
	if secret = strings.TrimSuffix(secret, "\r"); secret == "" {
		return "", fmt.Errorf("the first line of %s is empty", file)
	}
	return scheme + base64.StdEncoding.EncodeToString([]byte(prefix+secret)), nil
}

// do runs commands for a user, one after the other, and gives a result for each. A command that fails
// does not keep the next from being run.
func (c *client) do(ctx context.Context, user string, calls ...call) ([]result, error) {
	if user == "" || strings.ContainsAny(user, "*?") || strings.ContainsFunc(user, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, fmt.Errorf("%q is no name of one user: %w", user, mailbox.ErrNoMailbox)
	}
	body, err := encode(user, calls)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", c.authorization)
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", mailbox.ErrUnreachable, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, statusError(response)
	}
	return parse(response.Body, len(calls))
}

func encode(user string, calls []call) ([]byte, error) {
	var list []any
	for i, c := range calls {
		params := map[string]any{"user": user}
		for name, value := range c.params {
			params[name] = value
		}
		list = append(list, []any{c.name, params, strconv.Itoa(i)})
	}
	return json.Marshal(list)
}

// statusError makes an error of an answer that carries no results.
func statusError(response *http.Response) error {
	words, _ := io.ReadAll(io.LimitReader(response.Body, 200))
	err := fmt.Errorf("doveadm answered %s %q", response.Status, words)
	switch code := response.StatusCode; {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return fmt.Errorf("%w: %w", mailbox.ErrDenied, err)
	case code >= 500 || code == http.StatusTooManyRequests:
		return fmt.Errorf("%w: %w", mailbox.ErrUnreachable, err)
	}
	return err
}
