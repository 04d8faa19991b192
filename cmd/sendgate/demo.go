package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sendgate/sendgate/gateway"
	"github.com/sendgate/sendgate/gateway/demo"
	"github.com/sendgate/sendgate/gateway/postfix"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// demoAddresses are where the demo listens.
type demoAddresses struct{ smtp, http, imap, milter string }

func newDemoCommand() *cobra.Command {
	at := demoAddresses{smtp: "127.0.0.1:2525", http: "127.0.0.1:8025", imap: "127.0.0.1:1143", milter: "127.0.0.1:7357"}
	var data string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a gateway with a mail server behind it, and some mail, in one process",
		Long: "Run everything in one process on loopback: the gateway, a mail server with the mailboxes of\n" +
			"corp.example behind it, and a sink for the rest of the world. It sends itself some mail.\n" +
			"Nothing leaves this machine. Ctrl-C ends it.\n\n" +
			"It also listens as a milter. As root on a machine with Postfix it works Postfix's hold queue.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd.Context(), at, data, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "data directory (default: a temporary one, removed at the end)")
	cmd.Flags().StringVar(&at.smtp, "smtp", at.smtp, "address of the gateway's SMTP")
	cmd.Flags().StringVar(&at.http, "http", at.http, "address of the gateway's HTTP API")
	cmd.Flags().StringVar(&at.imap, "imap", at.imap, "address of the IMAP mailboxes")
	cmd.Flags().StringVar(&at.milter, "milter", at.milter, "address of the milter; empty for none")
	return cmd
}

func runDemo(ctx context.Context, at demoAddresses, data string, out io.Writer) error {
	if data == "" {
		dir, err := os.MkdirTemp("", "sendgate-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		data = dir
	}
	data, err := filepath.Abs(data)
	if err != nil {
		return err
	}
	log, err := newLogger(gateway.LogConfig{Level: "error", Format: "console"})
	if err != nil {
		return err
	}
	defer zap.RedirectStdLog(log)()
	behind, err := demo.New(demo.Config{SMTP: "127.0.0.1:0", IMAP: at.imap}, log.Named("upstream"))
	if err != nil {
		return err
	}
	cfg := gateway.DemoConfig(data, behind.SMTPAddr())
	if err := cfg.DemoMailboxes(behind.IMAPAddr()); err != nil {
		return err
	}
	cfg.Relay.Listen[0].Address, cfg.API.Listen = at.smtp, at.http
	if cfg.Milter.Listen[0].Address = at.milter; at.milter == "" {
		cfg.Milter.Listen = nil
	}
	var helper *postfix.Server
	if at.milter != "" {
		helper = demoHelper(ctx, cfg.Postfix.Helper, log)
	}
	if helper == nil {
		cfg.Postfix.Helper = postfix.DefaultSocket // somebody may start one of its own
	}
	g, err := gateway.New(cfg, version(), log)
	if err != nil {
		return err
	}
	if err := g.AddDemoUser(); err != nil {
		return errors.Join(err, g.Close())
	}
	if err := g.Listen(); err != nil {
		return fmt.Errorf("%w; --smtp, --http, --imap and --milter give the demo other addresses", errors.Join(err, g.Close()))
	}
	group, ctx := errgroup.WithContext(ctx)
	// The gateway drains into what stands behind it, which therefore ends last.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group.Go(func() error { return behind.Run(serving) })
	if helper != nil {
		group.Go(func() error { return helper.Serve(serving) })
	}
	group.Go(func() error { defer stop(); return g.Run(ctx) })
	group.Go(func() error {
		fmt.Fprintf(out, demoGreeting, g.SMTPAddrs()[0], g.APIAddr(), behind.IMAPAddr(), milterLine(at.milter), data)
		sent, err := demo.Traffic(ctx, g.SMTPAddrs()[0].String(), time.Now())
		if ctx.Err() != nil {
			return nil
		}
		for _, s := range sent {
			fmt.Fprintf(out, "  %-24s %-34q %s\n", s.From, s.Subject, s.Reply)
		}
		fmt.Fprintf(out, demoHints, g.APIAddr(), g.SMTPAddrs()[0], g.APIAddr(), g.APIAddr())
		return err
	})
	return group.Wait()
}

// milterLine says how to have Postfix ask the demo.
func milterLine(address string) string {
	if address == "" {
		return "none"
	}
	return address + "   for main.cf: smtpd_milters = { inet:" + address + ", default_action=accept }"
}

// demoHelper is the process that works Postfix's hold queue, in this process; nil where there is no
// Postfix or we are not root. It keeps quiet: that Postfix does not run is no fault of a demo.
func demoHelper(ctx context.Context, socket string, log *zap.Logger) *postfix.Server {
	s, err := postfix.NewServer(ctx, postfix.ServerConfig{Socket: socket, Config: "/etc/postfix", Postconf: "/usr/sbin/postconf"}, zap.NewNop())
	if err == nil {
		err = s.Listen()
	}
	if err != nil {
		log.Debug("no helper for Postfix's hold queue", zap.Error(err))
		return nil
	}
	return s
}

const demoGreeting = `sendgate demo / 演示
  SMTP      %s   send mail here, from any address at corp.example
  HTTP      http://%s   dashboard: admin / demo, or alice, bob, ... / demo; API: token "demo"
  IMAP      %s   mailboxes of corp.example: alice, bob, carol, ...; password "demo"
  milter    %s
  data      %s

Some mail, and what the gateway answered / 部分邮件及网关的应答:
`

const demoHints = `
Mail is held for 60 seconds. Until then you can take it back. In another terminal:
邮件暂缓 60 秒发出，其间可以撤回。请在另一个终端中：

  export SENDGATE_SERVER=http://%s SENDGATE_TOKEN=demo
  go run ./cmd/sendgate messages                      what there is / 邮件列表
  go run ./cmd/sendgate show ID                       one message with its recipients / 单封邮件
  go run ./cmd/sendgate recall ID --reason "wrong"    take it back / 撤回
  go run ./cmd/sendgate release ID                    let it go now / 立即发出
  go run ./cmd/sendgate tail                          watch / 实时查看

  swaks --server %s --from alice@corp.example --to bob@corp.example
  curl -H "Authorization: Bearer demo" "http://%s/api/v1/messages?q=state:held"
  curl -H "Authorization: Bearer demo" http://%s/api/v1/openapi.json

Ctrl-C ends it / 按 Ctrl-C 结束。
`
