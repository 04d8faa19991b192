package main

import (
	"context"
	"fmt"
	"io"

	"github.com/sendgate/sendgate/gateway"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
)

func newSetUpLinkCommand() *cobra.Command {
	var another bool
	cmd := newClientCommand("setup-link", "Make a link by which an administrator of the dashboard is made", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) error {
			var link web.SetUpLink
			raw, err := c.post(ctx, "/set-up-link", web.SetUpRequest{Another: another}, &link)
			if err != nil {
				return err
			}
			if c.json {
				_, err = c.out.Write(append(raw, '\n'))
				return err
			}
			_, err = fmt.Fprintf(c.out, "%s\n\n  %s\n", c.say("setup link"), link.URL)
			return err
		})
	cmd.Long = "Make a link that works once, within a day: whoever opens it makes an administrator of the dashboard.\n" +
		"A link from before ends. Ask as root on this machine, over the socket."
	cmd.Flags().BoolVar(&another, "another", false, "although there is an administrator: the password is lost, for example")
	return cmd
}

// tellSetUpLink says at the first start how to make the first administrator.
func tellSetUpLink(g *gateway.Gateway, log *zap.Logger, out io.Writer) error {
	link, err := g.SetUpLink()
	if err != nil {
		return fmt.Errorf("make the set-up link: %w", err)
	}
	if link == "" {
		return nil
	}
	log.Warn("the dashboard has no administrator yet: open the link to make one", zap.String("link", link))
	_, err = fmt.Fprintf(out, "The dashboard has no administrator yet. Open this link to make one / 仪表盘尚无管理员，请打开此链接创建:\n\n  %s\n\n", link)
	return err
}
