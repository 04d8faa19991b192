package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

const (
	requestTimeout = 60 * time.Second
	longTimeout    = 11 * time.Minute // more than the server takes for a back-test
	maxAnswer      = 64 << 20
)

// A client speaks the API and prints its answers.
type client struct {
	http  *http.Client
	base  string // "http://host:port" without a path
	where string // the same for people
	token string
	in    io.Reader
	out   io.Writer
	err   io.Writer
	lang  string // "en" or "zh"
	json  bool
}

// clientFlags are the flags of every command that speaks the API.
type clientFlags struct {
	server, socket, token, tokenFile, lang string
	json                                   bool
}

// newClientCommand makes a command that speaks the API.
func newClientCommand(use, short string, args cobra.PositionalArgs, do func(ctx context.Context, c *client, args []string) error) *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  args,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.socket != "" && !cmd.Flags().Changed("server") {
				f.server = "" // SENDGATE_SERVER gives way to what is asked for here
			}
			c, err := f.client(cmd.OutOrStdout(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			c.in = cmd.InOrStdin()
			return do(cmd.Context(), c, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.server, "server", os.Getenv("SENDGATE_SERVER"), "URL of the API; also SENDGATE_SERVER")
	flags.StringVar(&f.socket, "socket", "", "unix socket of the API (default "+web.DefaultConfig().Socket+", unless there is a server or a token)")
	flags.StringVar(&f.token, "token", "", "token; everybody on this machine sees it in the list of processes: better SENDGATE_TOKEN or --token-file")
	flags.StringVar(&f.tokenFile, "token-file", "", "file with the token")
	flags.StringVar(&f.lang, "lang", "", "language, en or zh (default from LC_ALL, LC_MESSAGES, LANG)")
	flags.BoolVar(&f.json, "json", false, "print the answers of the API as they are")
	return cmd
}

// client decides whom to ask: the server that is named, else the socket that is named, else the
// socket of this machine when it exists and no token says otherwise, else the default address.
func (f *clientFlags) client(stdout, stderr io.Writer) (*client, error) {
	c := &client{out: stdout, err: stderr, json: f.json, http: &http.Client{}}
	var err error
	if c.lang, err = language(f.lang); err != nil {
		return nil, err
	}
	if c.token, err = f.secret(); err != nil {
		return nil, err
	}
	defaults := web.DefaultConfig()
	socket := f.socket
	if socket == "" && f.server == "" && c.token == "" {
		if _, err := os.Stat(defaults.Socket); err == nil {
			socket = defaults.Socket
		}
	}
	switch {
	case f.server != "" && f.socket != "":
		return nil, usageError{errors.New("--server and --socket exclude each other")}
	case socket != "":
		c.useSocket(socket)
		return c, nil
	case f.server != "":
		return c, c.useServer(f.server)
	}
	return c, c.useServer("http://" + defaults.Listen)
}

func (f *clientFlags) secret() (string, error) {
	switch {
	case f.token != "":
		return f.token, nil
	case f.tokenFile != "":
		b, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return "", fmt.Errorf("token file: %w", err)
		}
		return strings.TrimSpace(string(b)), nil
	}
	return os.Getenv("SENDGATE_TOKEN"), nil
}

func (c *client) useServer(server string) error {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return usageError{fmt.Errorf("--server %q: write it as http://host:port or https://host:port", server)}
	}
	c.base = u.Scheme + "://" + u.Host + strings.TrimSuffix(u.Path, "/")
	c.where = c.base
	return nil
}

func (c *client) useSocket(path string) {
	c.base, c.where = "http://sendgate", path // the host goes nowhere
	c.http.Transport = &http.Transport{ExpectContinueTimeout: time.Second, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
}

// get reads one answer into v; raw is the answer as it came.
func (c *client) get(ctx context.Context, path string, query url.Values, v any) (raw []byte, err error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.exchange(ctx, http.MethodGet, path, nil, v)
}

// post sends a request, nil for none, and reads the answer into v.
func (c *client) post(ctx context.Context, path string, body, v any) (raw []byte, err error) {
	return c.exchange(ctx, http.MethodPost, path, body, v)
}

// postLong is post for what takes its time.
func (c *client) postLong(ctx context.Context, path string, body, v any) (raw []byte, err error) {
	return c.exchangeIn(ctx, longTimeout, http.MethodPost, path, body, v)
}

func (c *client) exchange(ctx context.Context, method, path string, body, v any) ([]byte, error) {
	return c.exchangeIn(ctx, requestTimeout, method, path, body, v)
}

func (c *client) exchangeIn(ctx context.Context, timeout time.Duration, method, path string, body, v any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, err := c.request(ctx, method, path, body, nil)
	if err != nil {
		return nil, err
	}
	return c.decode(resp, v)
}

// upload sends octets of any number for as long as it takes. They are sent when the server wants them.
func (c *client) upload(ctx context.Context, path string, octets io.Reader, v any) ([]byte, error) {
	resp, err := c.send(ctx, http.MethodPost, path, io.NopCloser(octets), http.Header{
		"Content-Type": {"application/octet-stream"}, "Expect": {"100-continue"}, // RFC 9110 10.1.1
	})
	if err != nil {
		return nil, err
	}
	return c.decode(resp, v)
}

// decode reads an answer into v and gives it as it came.
func (c *client) decode(resp *http.Response, v any) ([]byte, error) {
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", c.where, err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return nil, fmt.Errorf("%s does not answer like sendgate: %w", c.where, err)
	}
	return raw, nil
}

// request sends a body as JSON, nil for none; header is for requests without one.
func (c *client) request(ctx context.Context, method, path string, body any, header http.Header) (*http.Response, error) {
	if body == nil {
		return c.send(ctx, method, path, nil, header)
	}
	b, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	return c.send(ctx, method, path, bytes.NewReader(b), http.Header{"Content-Type": {"application/json"}})
}

// send gives the response when it is a success, else the problem as an error.
func (c *client) send(ctx context.Context, method, path string, body io.Reader, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/api/v1"+path, body)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, c.refusal(resp)
	}
	return resp, nil
}

// unreachable says whom we wanted to ask, and leaves out the URL that net/http repeats.
func (c *client) unreachable(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("cannot ask sendgate at %s (only root may: name --server with a token otherwise): %w", c.where, err)
	}
	return fmt.Errorf("cannot ask sendgate at %s (is it running? see --server and --socket): %w", c.where, err)
}

// refusal makes an error of a problem.
func (c *client) refusal(resp *http.Response) error {
	var p web.Problem
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || json.Unmarshal(b, &p) != nil || p.Detail == "" {
		return fmt.Errorf("%s answers %s", c.where, resp.Status)
	}
	detail := p.Detail
	for _, e := range p.Errors {
		detail += fmt.Sprintf("; %s: %s", e.Location, e.Message)
	}
	if resp.StatusCode == http.StatusUnauthorized {
		detail = c.where + " does not know this token; its configuration lists those that it knows (api.tokens, see sendgate token new)"
		if c.token == "" {
			detail = c.where + " wants a token: give one with --token-file or SENDGATE_TOKEN (sendgate token new makes one)"
		}
	}
	return refusedError{errors.New(clean(detail))}
}

// A refusedError is a problem that the server answered with.
type refusedError struct{ error }

// resolve gives the whole id of a message of which at least six characters are given, its last or
// its first ones. It looks among the newest thousand.
func (c *client) resolve(ctx context.Context, part string) (string, error) {
	return c.wholeID(part, "messages", func() (ids []string, err error) {
		var list web.MessageList
		if _, err := c.get(ctx, "/messages", url.Values{"limit": {"1000"}}, &list); err != nil {
			return nil, err
		}
		for i := range list.Messages {
			ids = append(ids, list.Messages[i].ID)
		}
		return ids, nil
	})
}

// wholeID finds the one id that begins or ends with a part, which may be all of it. newest gives the
// ids to look among.
func (c *client) wholeID(part, what string, newest func() ([]string, error)) (string, error) {
	part = strings.ToUpper(strings.TrimSpace(part))
	if len(part) >= 26 {
		return part, nil
	}
	if len(part) < 6 {
		return "", usageError{fmt.Errorf("%q: give at least six characters of the id", part)}
	}
	ids, err := newest()
	if err != nil {
		return "", err
	}
	var found string
	for _, id := range ids {
		if !strings.HasSuffix(id, part) && !strings.HasPrefix(id, part) {
			continue
		}
		if found != "" {
			return "", fmt.Errorf("%q is part of several ids: give more of it", part)
		}
		found = id
	}
	if found == "" {
		return "", fmt.Errorf("none of the newest thousand %s has %q at the end or the beginning of its id", what, part)
	}
	return found, nil
}
