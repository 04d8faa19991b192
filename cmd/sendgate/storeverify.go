package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
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
			"sendgate store repair then goes on with what is left, if there is no backup. What a repair has given up is named\n" +
			"with its date, and is no failure any more: new damage is.",
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
				err = fmt.Errorf("%s in %s: restore a backup, or go on with what is left after \"sendgate store repair --data %s\"", numbered(report.FaultCount, "fault", "faults"), cfg.Dir, cfg.Dir)
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
	var lines []string
	for _, g := range r.GivenUp {
		lines = append(lines, clean(g.String()))
	}
	if more := r.GivenUpCount - len(r.GivenUp); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more given up", more))
	}
	for _, f := range r.Faults {
		lines = append(lines, "fault: "+clean(f))
	}
	switch more := r.FaultCount - len(r.Faults); {
	case more > 0:
		lines = append(lines, fmt.Sprintf("and %d more", more))
	case r.FaultCount > 0:
	case r.GivenUpCount > 0:
		lines = append(lines, "everything else is in order")
	default:
		lines = append(lines, "everything is in order")
	}
	_, err := fmt.Fprintln(out, strings.Join(lines, "\n"))
	return err
}
