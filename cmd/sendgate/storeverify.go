package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sendgate/sendgate/store"
	"github.com/spf13/cobra"
)

func newStoreVerifyCommand() *cobra.Command {
	var flags storeFlags
	asJSON := false
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read everything that is stored and hold it against each other",
		Long: "Read every batch of the journal, every message, recipient, event and body, the indexes, timers, counts and\n" +
			"the audit log, and hold them against each other. Stop sendgate first. It exits with 1 when something is wrong;\n" +
			"sendgate store repair then goes on with what is left, if there is no backup.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := flags.settings()
			if err != nil {
				return err
			}
			begun := time.Now()
			report, err := store.Verify(cmd.Context(), cfg)
			if err = errors.Join(err, handBack(cfg.Dir)); err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(report)
			} else {
				err = writeVerified(cmd.OutOrStdout(), &report, time.Since(begun))
			}
			if err == nil && report.FaultCount > 0 {
				err = fmt.Errorf("%d faults in %s: restore a backup, or go on with what is left after \"sendgate store repair --data %s\"", report.FaultCount, cfg.Dir, cfg.Dir)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return flags.offline(cmd)
}

func writeVerified(out io.Writer, r *store.VerifyReport, took time.Duration) error {
	var t table
	count := func(what string, n any) { t.add(what, fmt.Sprint(n)) }
	count("schema", r.Schema)
	t.add("batches", fmt.Sprintf("%d to %d, durable up to %d", r.FirstBatch, r.LastBatch, r.Mark))
	t.add("messages", fmt.Sprintf("%d, %d of them wait", r.Messages, r.Waiting))
	count("recipients", r.Recipients)
	count("events", r.Events)
	count("other timelines", r.Records)
	t.add("bodies", fmt.Sprintf("%d, %s", r.Bodies, octetsText(r.BodyOctets)))
	count("audit entries", r.Audit)
	if !r.Oldest.IsZero() {
		t.add("oldest message", clock(r.Oldest))
	}
	t.add("took", took.Round(time.Millisecond).String())
	if err := t.write(out); err != nil {
		return err
	}
	for _, f := range r.Faults {
		if _, err := fmt.Fprintln(out, "fault:", clean(f)); err != nil {
			return err
		}
	}
	if more := r.FaultCount - len(r.Faults); more > 0 {
		_, err := fmt.Fprintf(out, "and %d more\n", more)
		return err
	}
	if r.FaultCount > 0 {
		return nil
	}
	_, err := fmt.Fprintln(out, "everything is in order")
	return err
}
