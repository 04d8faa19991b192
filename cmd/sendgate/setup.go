package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway"
	"github.com/sendgate/sendgate/gateway/postfix"
	"github.com/sendgate/sendgate/gateway/setup"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/store"
	"github.com/spf13/cobra"
)

// setupFlags are those of the command.
type setupFlags struct {
	place                              setup.Place
	relay, apply, undo, leave, jsonOut bool
	lang                               string
}

func newSetupCommand() *cobra.Command {
	var f setupFlags
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Look at this machine's Postfix, and put sendgate next to it",
		Long: "Look at the Postfix of this machine, and propose a sendgate.yaml and the lines of main.cf and master.cf\n" +
			"by which Postfix asks sendgate as its milter, or, with --relay, by which sendgate stands in front of it.\n" +
			"Nothing is changed without --apply. With it copies are made first, both configurations are checked, and\n" +
			"everything is put back when something fails. --undo puts back exactly what was there; it leaves alone\n" +
			"what somebody has changed since, and refuses while sendgate holds mail.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.place.Config, "config", defaultConfigFile, "configuration file")
	flags.StringVar(&f.place.PostfixConfig, "postfix-config", "/etc/postfix", "directory of Postfix's main.cf")
	flags.StringVar(&f.place.Postconf, "postconf", "/usr/sbin/postconf", "the program postconf")
	flags.StringVar(&f.place.Postfix, "postfix", "/usr/sbin/postfix", "the program postfix")
	flags.StringVar(&f.place.User, "user", "sendgate", "user as whom the gateway runs")
	flags.BoolVar(&f.relay, "relay", false, "sendgate stands in front, instead of being asked by Postfix")
	flags.BoolVar(&f.apply, "apply", false, "do it")
	flags.BoolVar(&f.undo, "undo", false, "put back what was there before --apply")
	flags.BoolVar(&f.leave, "leave-held", false, "with --undo: although sendgate holds mail")
	flags.BoolVar(&f.jsonOut, "json", false, "print the plan as JSON, in both languages")
	flags.StringVar(&f.lang, "lang", "", "en or zh; the locale decides without it")
	return cmd
}

// A spoken error says itself in the language of who asked.
type spoken struct {
	error
	text string
}

func (s spoken) Error() string { return s.text }

// Unwrap gives the error itself.
func (s spoken) Unwrap() error { return s.error }

// run does what the flags say; what it refuses it says in their language.
func (f *setupFlags) run(ctx context.Context, out io.Writer) error {
	lang, err := language(f.lang)
	if err != nil {
		return err
	}
	if err := f.do(ctx, out, lang); err != nil {
		return spoken{err, setup.Words(err, lang)}
	}
	return nil
}

func (f *setupFlags) do(ctx context.Context, out io.Writer, lang string) error {
	if f.apply && f.undo {
		return setup.NewFault("--apply and --undo exclude each other", "--apply 与 --undo 不能同时使用")
	}
	f.place.Helper, f.place.Store = postfix.DefaultSocket, store.DefaultConfig().Dir
	f.place.Logs, f.place.Run = "/var/log", "/run"
	socket := web.DefaultConfig().Socket
	configured, cfg, err := configuredIn(f.place.Config)
	if cfg != nil {
		socket = cfg.API.Socket
	}
	tools := setupTools(socket)
	if f.undo {
		return f.takeBack(ctx, out, lang, tools)
	}
	if err != nil {
		return err
	}
	found, err := setup.Look(ctx, f.place, configured, tools)
	if err != nil {
		return err
	}
	mode := setup.Milter
	if f.relay {
		mode = setup.Relay
	}
	return f.carryOut(ctx, out, lang, found.Propose(mode), tools)
}

// carryOut shows a plan, and does it when asked to.
func (f *setupFlags) carryOut(ctx context.Context, out io.Writer, lang string, plan *setup.Plan, tools setup.Tools) error {
	if f.jsonOut {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		if err := e.Encode(plan); err != nil {
			return err
		}
	} else if _, err := io.WriteString(out, plan.Text(lang)); err != nil {
		return err
	}
	if !f.apply {
		if f.jsonOut {
			return nil
		}
		_, err := io.WriteString(out, plan.Closing(lang))
		return err
	}
	if err := setup.Apply(ctx, plan, tools); err != nil || plan.Empty() || f.jsonOut {
		return err
	}
	_, err := fmt.Fprintln(out, words["set up"].In(lang))
	return err
}

func (f *setupFlags) takeBack(ctx context.Context, out io.Writer, lang string, tools setup.Tools) error {
	said, err := setup.Undo(ctx, f.place, tools, f.leave)
	for _, s := range said {
		fmt.Fprintln(out, s.In(lang))
	}
	return err
}

// configuredIn reads a configuration that is there already. One that says nothing yet is none.
func configuredIn(file string) (c setup.Configured, cfg *gateway.Config, err error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && saysNothing(string(text)) {
		return c, nil, nil
	}
	if err != nil {
		return c, nil, err
	}
	read, err := gateway.Load(file)
	if err != nil {
		return c, nil, setup.NewFault("%s is in use, but not in order: %s", "%s 正在使用，但内容有误：%s", file, err)
	}
	c = setup.Configured{Fronts: true, RelayListen: len(read.Relay.Listen) > 0}
	if len(read.Milter.Listen) > 0 {
		c.MilterListen = read.Milter.Listen[0].Address
	}
	for _, u := range read.Upstreams {
		for _, s := range u.Servers {
			if c.Upstream == "" && isLoopback(s.Address) {
				c.Upstream = s.Address
			}
		}
	}
	return c, &read, nil
}

// saysNothing reports whether a file has comments alone.
func saysNothing(text string) bool {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return true
}

// isLoopback reports whether a server is one of this machine.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip, bad := netip.ParseAddr(host)
	return err == nil && bad == nil && ip.IsLoopback()
}

func setupTools(socket string) setup.Tools {
	return setup.Tools{
		Run: setup.Run,
		Check: func(file string) error {
			_, err := gateway.Load(file)
			return err
		},
		Held: func(ctx context.Context) (int, error) {
			c := &client{http: &http.Client{}}
			c.useSocket(socket)
			var list web.MessageList
			_, err := c.get(ctx, "/messages", url.Values{"q": {"state:held"}, "limit": {"1000"}}, &list)
			return len(list.Messages), err
		},
		Free: func(address string) bool {
			l, err := net.Listen("tcp", address)
			return err == nil && l.Close() == nil
		},
		Now: time.Now,
	}
}
