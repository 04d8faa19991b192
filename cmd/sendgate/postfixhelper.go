package main

import (
	"context"
	"fmt"
	"os/user"
	"strconv"

	"github.com/sendgate/sendgate/gateway"
	"github.com/sendgate/sendgate/gateway/postfix"
	"github.com/spf13/cobra"
)

func newPostfixHelperCommand() *cobra.Command {
	var config postfix.ServerConfig
	var name string
	logging := gateway.LogConfig{Level: "info", Format: "json"}
	cmd := &cobra.Command{
		Use:   "postfix-helper",
		Short: "Run the root process that works Postfix's queue for the gateway",
		Long: "Run until SIGTERM or SIGINT the small process that needs root: it lists, holds, releases,\n" +
			"deletes, expires and reads messages in Postfix's queue for the gateway, which runs as --user.\n" +
			"It answers on a unix socket to that user and to root, and logs everything it does.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if config.UID, config.GID, err = lookUp(name); err != nil {
				return err
			}
			return helpPostfix(cmd.Context(), config, logging)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&config.Socket, "socket", postfix.DefaultSocket, "unix socket to listen on")
	flags.StringVar(&config.Config, "postfix-config", "/etc/postfix", "directory of Postfix's main.cf")
	flags.StringVar(&config.Postconf, "postconf", "/usr/sbin/postconf", "the program postconf")
	flags.StringVar(&name, "user", "sendgate", "user as whom the gateway runs")
	flags.StringVar(&logging.Level, "log-level", logging.Level, "debug, info, warn or error")
	return cmd
}

func helpPostfix(ctx context.Context, config postfix.ServerConfig, logging gateway.LogConfig) error {
	log, err := newLogger(logging)
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	s, err := postfix.NewServer(ctx, config, log)
	if err != nil {
		return err
	}
	if err := s.Listen(); err != nil {
		return err
	}
	newManager(log).tell("READY=1")
	return s.Serve(ctx)
}

// lookUp finds the ids of a user.
func lookUp(name string) (uid, gid int, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, fmt.Errorf("--user: %w", err)
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, 0, fmt.Errorf("--user: %w", err)
	}
	if gid, err = strconv.Atoi(u.Gid); err != nil {
		return 0, 0, fmt.Errorf("--user: %w", err)
	}
	return uid, gid, nil
}
