package main

import (
	"errors"
	"fmt"

	"github.com/sendgate/sendgate/store"
	"github.com/spf13/cobra"
)

func newStoreRepairCommand() *cobra.Command {
	var flags storeFlags
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Give up lost parts of a damaged journal, so that sendgate starts again",
		Long: "A journal in which durable batches are missing is refused at the start. Restore a backup if\n" +
			"you have one. Otherwise this command records what is lost, reads everything that is left, and\n" +
			"marks messages that can no longer be sent as unknown. It restores nothing. Stop sendgate first.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := flags.settings()
			if err != nil {
				return err
			}
			report, err := store.Repair(cfg)
			if err = errors.Join(err, handBack(cfg.Dir)); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			for _, l := range report.Lost {
				fmt.Fprintf(out, "given up: %s\n", l)
			}
			for _, id := range report.Unreadable {
				fmt.Fprintf(out, "cannot be read: message %s\n", id)
			}
			for _, id := range report.Bodiless {
				fmt.Fprintf(out, "lost its body: message %s\n", id)
			}
			_, err = fmt.Fprintf(out, "%d messages are sound; the journal goes on after batch %d\n", report.Messages, report.LastBatch)
			return err
		},
	}
	return flags.offline(cmd)
}
