package upstream

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
)

var (
	errClearPassword = errors.New("our password is not sent in clear text: the connection has no TLS")
	errNoMechanism   = errors.New("the server offers neither AUTH PLAIN nor AUTH LOGIN")
)

// maxInitial is how long an initial response may be before it gets a line of its own: AUTH is bound to
// the 512 octets of a command (RFC 4954 4).
const maxInitial = 400

// Auth passes a SASL exchange through. The Reply is the server's last word: 235 when it let the
// client in. When the mechanism itself fails, the exchange is called off with "*" and the error is
// the mechanism's.
func (c *Conn) Auth(ctx context.Context, mechanism string, client sasl.Client) (Reply, error) {
	stop := c.guard(ctx)
	r, err := c.auth(mechanism, client)
	c.unguard(stop)
	return r, because(ctx, "AUTH", err)
}

func (c *Conn) auth(mechanism string, client sasl.Client) (Reply, error) {
	if mechanism == "" || strings.ContainsFunc(mechanism, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return Reply{}, fmt.Errorf("mechanism %q: %w", mechanism, ErrUnsafe)
	}
	_, initial, err := client.Start()
	if err != nil {
		return Reply{}, err
	}
	line := "AUTH " + mechanism
	pending := false // the initial response waits for an empty challenge
	switch {
	case initial == nil:
	case len(initial) == 0:
		line += " ="
	case len(initial) > maxInitial:
		pending = true
	default:
		line += " " + base64.StdEncoding.EncodeToString(initial)
	}
	r, err := c.command(line)
	for err == nil && r.Code == 334 {
		response := initial
		if !pending {
			response, err = next(client, r.Text)
		}
		if err != nil {
			return c.callOff(err)
		}
		pending = false
		r, err = c.command(base64.StdEncoding.EncodeToString(response))
	}
	c.authed = c.authed || err == nil && r.Positive()
	return r, err
}

func next(client sasl.Client, text string) ([]byte, error) {
	challenge, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("the server's challenge: %w", err)
	}
	return client.Next(challenge)
}

// callOff ends an exchange that cannot go on (RFC 4954 4).
func (c *Conn) callOff(why error) (Reply, error) {
	r, err := c.command("*")
	return r, errors.Join(why, err)
}

// login signs us in with our own account, once.
func (c *Conn) login() error {
	config := &c.up.config
	if config.TrustedPath != TrustLogin || c.authed {
		return nil
	}
	if !c.secure && !c.server.loopback() {
		return errClearPassword
	}
	password, err := readPassword(config.PasswordFile)
	if err != nil {
		return err
	}
	var r Reply
	switch {
	case slices.Contains(c.caps.Auth, sasl.Plain):
		r, err = c.auth(sasl.Plain, sasl.NewPlainClient("", config.Login, password))
	case slices.Contains(c.caps.Auth, sasl.Login):
		r, err = c.auth(sasl.Login, sasl.NewLoginClient(config.Login, password))
	default:
		return errNoMechanism
	}
	if err == nil && !r.Positive() {
		err = &replyError{"AUTH as " + config.Login, r}
	}
	return err
}

// readPassword reads the file anew for each connection, so that a changed password needs no restart.
func readPassword(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return "", fmt.Errorf("read password: %s is empty", file)
	}
	return string(line), nil
}
