package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/sendgate/sendgate/gateway"
	"github.com/sendgate/sendgate/gateway/doctor"
	"github.com/sendgate/sendgate/gateway/postconf"
	"github.com/sendgate/sendgate/gateway/postfix"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
)

func newDoctorCommand() *cobra.Command {
	var file, program, main, user, lang string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine how sendgate and the Postfix around it are set up",
		Long: "Examine how sendgate and the Postfix around it are set up, and name the line to change for\n" +
			"everything that is wrong. Nothing is changed. Root sees most; what another user may not look\n" +
			"at is skipped, with the reason. The exit code is 1 when there is an error.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lang, err := language(lang)
			if err != nil {
				return err
			}
			cfg, err := gateway.Load(file)
			if err != nil {
				return err
			}
			report := doctor.Examine(cmd.Context(), subjectOf(&cfg), doctor.Tools{
				Postconf:  postconf.Program(program, main),
				AskHelper: postfix.New(cfg.Postfix).Ready,
				Upstreams: func(ctx context.Context) error {
					ctx, cancel := context.WithTimeout(ctx, time.Minute)
					defer cancel()
					return gateway.Check(ctx, cfg, zap.NewNop())
				},
				User: user,
			})
			return printReport(cmd.OutOrStdout(), report, lang, asJSON)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&file, "config", defaultConfigFile, "configuration file")
	flags.StringVar(&main, "postfix-config", "/etc/postfix", "directory of Postfix's main.cf")
	flags.StringVar(&program, "postconf", "/usr/sbin/postconf", "the program postconf")
	flags.StringVar(&user, "user", "sendgate", "user as whom the gateway runs")
	flags.BoolVar(&asJSON, "json", false, "print JSON, in both languages")
	flags.StringVar(&lang, "lang", "", "en or zh; the locale decides without it")
	return cmd
}

// subjectOf is the configuration as the examination wants it.
func subjectOf(cfg *gateway.Config) doctor.Subject {
	s := doctor.Subject{
		MilterNetworks:    cfg.Milter.Networks,
		MilterIdle:        cfg.Milter.IdleTimeout,
		MilterConnections: cfg.Milter.Connections,
		IDHeader:          cfg.Milter.IDHeader.KeyFile != "",
		AddsFields:        cfg.Milter.IDHeader.KeyFile != "" || cfg.Milter.AddMessageID,
		LongestHold:       max(cfg.Delivery.LongestHold, cfg.Policy.Hold.Max),
		Helper:            cfg.Postfix.Helper,
		StoreDir:          cfg.Store.Dir,
		MinFreeMiB:        cfg.Store.MinFree,
	}
	for _, l := range cfg.Milter.Listen {
		s.MilterListen = append(s.MilterListen, l.Address)
	}
	for _, u := range cfg.Upstreams {
		d := doctor.Upstream{Name: u.Name, TrustedPath: u.TrustedPath}
		for _, server := range u.Servers {
			d.Servers = append(d.Servers, server.Address)
		}
		s.Upstreams = append(s.Upstreams, d)
	}
	return s
}

func printReport(w io.Writer, r *doctor.Report, lang string, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		if err := e.Encode(r); err != nil {
			return err
		}
	} else if _, err := io.WriteString(w, r.Text(lang)); err != nil {
		return err
	}
	if r.Errors > 0 {
		return fmt.Errorf("errors were found: %d", r.Errors)
	}
	return nil
}
