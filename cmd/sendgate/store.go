package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/sendgate/sendgate/gateway"
	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/store"
	"github.com/spf13/cobra"
)

func newStoreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Look at what is stored, check it, repair it",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newStoreUsageCommand(), newStoreVerifyCommand(), newStoreRepairCommand())
	return cmd
}

// storeFlags say which data directory is meant, for commands that work on one which no process has open.
type storeFlags struct{ config, dir, key string }

// offline gives a command the flags.
func (f *storeFlags) offline(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&f.config, "config", "", "configuration file that names the data directory and its key")
	cmd.Flags().StringVar(&f.dir, "data", "", "data directory (default "+store.DefaultConfig().Dir+")")
	cmd.Flags().StringVar(&f.key, "encryption-key-file", "", "file with the key, when the store is encrypted")
	return cmd
}

// settings gives the store's part of the configuration; single flags outweigh the file.
func (f *storeFlags) settings() (store.Config, error) {
	cfg := store.DefaultConfig()
	if f.config != "" {
		all, err := gateway.Load(f.config)
		if err != nil {
			return cfg, err
		}
		cfg = all.Store
		cfg.Node = all.Hostname
	}
	if f.dir != "" {
		cfg.Dir = f.dir
	}
	if f.key != "" {
		cfg.EncryptionKeyFile = f.key
	}
	return cfg, nil
}

func newStoreUsageCommand() *cobra.Command {
	return newClientCommand("usage", "Show what the store takes on disk, by kind, and what it may", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) error {
			var u web.Storage
			raw, err := c.get(ctx, "/store", nil, &u)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(raw)
			}
			return c.printStorage(&u)
		})
}

func (c *client) printStorage(u *web.Storage) error {
	var t table
	row := func(key string, octets int64, more ...string) {
		t.add(c.say("store "+key), octetsText(octets), strings.Join(more, " "))
	}
	total := ""
	if u.MaxSize > 0 {
		total = c.say("store max", octetsText(u.MaxSize))
	}
	row("total", u.Total, total)
	row("bodies", u.Bodies, c.say("store bodies for", u.BodiesFor))
	row("garbage", u.Garbage, c.say("store garbage why"))
	row("messages", u.Rows)
	row("events", u.Events, c.say("store events for", u.EventsFor))
	row("indexes", u.Indexes)
	row("other", u.Other)
	row("recent", u.Recent)
	row("logs", u.Logs)
	row("free", u.Free, c.say("store reserve", octetsText(u.Reserve)))
	if !u.Oldest.IsZero() {
		t.add(c.say("store oldest"), clock(u.Oldest))
	}
	if err := t.write(c.out); err != nil || u.Early == nil {
		return err
	}
	_, err := fmt.Fprintln(c.out, c.say("store early", u.Early.Bodies, u.Early.Messages))
	if err == nil && u.Early.Over {
		_, err = fmt.Fprintln(c.out, c.say("store over"))
	}
	return err
}

// octetsText writes octets for people, in binary units.
func octetsText(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
}
