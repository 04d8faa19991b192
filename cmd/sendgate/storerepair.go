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
			"marks messages that can no longer be sent as unknown. It restores nothing, and notes what it gave\n" +
			"up for sendgate store verify. Stop sendgate first.",
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
			for _, f := range report.Faults {
				fmt.Fprintf(out, "wrong as before: %s\n", clean(f))
			}
			if report.GivenUpCount > 0 {
				fmt.Fprintf(out, "given up in all: %d; \"sendgate store verify --data %s\" names it with its date\n", report.GivenUpCount, cfg.Dir)
			}
			_, err = fmt.Fprintf(out, "%s sound; the journal goes on after batch %d\n", numbered(report.Messages, "message is", "messages are"), report.LastBatch)
			return err
		},
	}
	return flags.offline(cmd)
}
