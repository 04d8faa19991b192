package main

import (
	"errors"
	"fmt"

	"github.com/sendgate/sendgate/gateway"
	"github.com/sendgate/sendgate/store"
	"github.com/spf13/cobra"
)

func newExportHeldCommand() *cobra.Command {
	cfg := store.DefaultConfig()
	var file, data, key string
	cmd := &cobra.Command{
		Use:   "export-held DIR",
		Short: "Write all mail that has not left yet into a directory, also from a damaged store",
		Long: "Write every message that is still in sendgate's hands into a new directory: ID.eml, octet for octet what would be\n" +
			"sent, ID.json with sender, recipients and state, a script that sends them, and a summary of what is damaged. sendgate\n" +
			"must not run; the store is only read. What Postfix holds (milter mode) is there, and named:\n" +
			"contrib/postfix/free-held lets it go.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file != "" && data != "" {
				return usageError{errors.New("--config and --data exclude each other")}
			}
			switch {
			case data != "":
				cfg.Dir = data
			case file != "":
				all, err := gateway.Load(file)
				if err != nil {
					return fmt.Errorf("%w; --data DIR needs no configuration", err)
				}
				cfg = all.Store
			}
			if key != "" {
				cfg.EncryptionKeyFile = key
			}
			report, err := gateway.ExportHeld(cfg, args[0])
			if err != nil {
				return err
			}
			if _, err := fmt.Fprint(cmd.OutOrStdout(), report.Text(args[0])); err != nil {
				return err
			}
			if !report.Whole() {
				return errors.New("not everything could be read")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file, for the data directory and the key")
	cmd.Flags().StringVar(&data, "data", "", "data directory (default "+cfg.Dir+")")
	cmd.Flags().StringVar(&key, "encryption-key-file", "", "file with the key, when the store is encrypted")
	return cmd
}
