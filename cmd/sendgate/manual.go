package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sendgate/sendgate/gateway"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newManualCommand writes what a package brings along. It is for those who build one.
func newManualCommand() *cobra.Command {
	var date int64
	cmd := &cobra.Command{
		Use:    "manual DIR",
		Short:  "Write the manual pages and the completions of shells",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true // it has the day of the build
			header := &doc.GenManHeader{Section: "8", Source: "sendgate", Manual: "sendgate"}
			when := time.Unix(date, 0).UTC()
			header.Date = &when
			if err := writePages(root, header, filepath.Join(args[0], "man")); err != nil {
				return err
			}
			return writeCompletions(root, filepath.Join(args[0], "completion"))
		},
	}
	cmd.Flags().Int64Var(&date, "date", 0, "date of the pages, in seconds since 1970")
	return cmd
}

// writePages makes a page for each command.
func writePages(root *cobra.Command, header *doc.GenManHeader, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root.InitDefaultCompletionCmd()
	plain(root)
	root.Long += contents(root)
	if err := doc.GenManTree(root, header, dir); err != nil {
		return fmt.Errorf("write the manual pages: %w", err)
	}
	return nil
}

// contents are the commands, each with what it does, and the files, in the Markdown of the first page.
func contents(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString(root.Short + ". Each command has a page of its own: sendgate-backup(8) is that of sendgate backup.\n\n# COMMANDS\n")
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			fmt.Fprintf(&b, "\n**%s**\n: %s\n", c.Name(), c.Short)
		}
	}
	b.WriteString("\n# FILES\n")
	for _, f := range [][2]string{
		{defaultConfigFile, "the configuration, explained line by line"},
		{gateway.DefaultConfig().Store.Dir, "the journal: all mail that is held, and what became of all other"},
		{gateway.DefaultConfig().API.Socket, "where the commands ask the gateway, as root"},
		{"/usr/share/doc/sendgate", "the README, the reference of configuration and API, security, changes"},
	} {
		fmt.Fprintf(&b, "\n**%s**\n: %s\n", f[0], f[1])
	}
	return b.String() + "\n"
}

// plain keeps what is no markup from being taken for it: the pages are made by way of Markdown.
func plain(cmd *cobra.Command) {
	cmd.Long = strings.NewReplacer("<", `\<`, "*", `\*`, "_", `\_`).Replace(cmd.Long)
	for _, c := range cmd.Commands() {
		plain(c)
	}
}

// writeCompletions writes a file for each shell, under the name by which it is looked for.
func writeCompletions(root *cobra.Command, dir string) error {
	for name, write := range map[string]func(string) error{
		"sendgate":      func(path string) error { return root.GenBashCompletionFileV2(path, true) },
		"_sendgate":     root.GenZshCompletionFile,
		"sendgate.fish": func(path string) error { return root.GenFishCompletionFile(path, true) },
	} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := write(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("write the completions: %w", err)
		}
	}
	return nil
}
