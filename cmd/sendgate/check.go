package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sendgate/sendgate/gateway"
	"github.com/sendgate/sendgate/gateway/config"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
)

func newCheckCommand() *cobra.Command {
	var file string
	var probe, quiet bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration and print what is in effect",
		Long: "Check the configuration file: every fault is reported at once, with line and column.\n" +
			"Prints the effective configuration, defaults included. With --probe it also connects to\n" +
			"every upstream and tries TLS and the trusted path by which held mail is released.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := gateway.Load(file)
			if err != nil {
				return err
			}
			if probe {
				ctx, cancel := context.WithTimeout(cmd.Context(), time.Minute)
				defer cancel()
				if err := gateway.Check(ctx, cfg, zap.NewNop()); err != nil {
					return err
				}
			}
			if quiet {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is in order\n", file)
				return err
			}
			return config.Print(cmd.OutOrStdout(), cfg)
		},
	}
	cmd.Flags().StringVar(&file, "config", defaultConfigFile, "configuration file")
	cmd.Flags().BoolVar(&probe, "probe", false, "connect to the upstreams, too")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "do not print the configuration")
	return cmd
}
