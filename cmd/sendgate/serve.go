package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/sendgate/sendgate/gateway"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// defaultConfigFile is read when --config is not given.
const defaultConfigFile = "/etc/sendgate/sendgate.yaml"

func newServeCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the gateway",
		Long: "Run the gateway until SIGTERM or SIGINT: listeners close, sessions have 30 s to finish.\n" +
			"SIGHUP reads the configuration again; no connection is lost.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), file, cmd.OutOrStdout()) },
	}
	cmd.Flags().StringVar(&file, "config", defaultConfigFile, "configuration file")
	return cmd
}

func serve(ctx context.Context, file string, out io.Writer) error {
	cfg, err := gateway.Load(file)
	if err != nil {
		return err
	}
	log, err := newLogger(cfg.Log)
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	defer zap.RedirectStdLog(log)() // libraries that know no better
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	systemd := newManager(log)
	var g *gateway.Gateway
	err = systemd.patiently(func() (err error) { g, err = gateway.Open(ctx, cfg, version(), log); return err })
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		log.Info("stopped before it was ready; the next start goes on with what was begun")
		return nil
	}
	if err != nil {
		return err
	}
	if err := g.Listen(); err != nil {
		return errors.Join(err, g.Close())
	}
	go func() {
		for {
			select {
			case <-hup:
				g.ReopenLogs() // also where the configuration is not reloaded
				systemd.reloading(func() { reload(g, file, log) })
			case <-ctx.Done():
				return
			}
		}
	}()
	if err := tellSetUpLink(g, log, out); err != nil {
		return errors.Join(err, g.Close())
	}
	log.Info("serving", zap.String("version", version()), zap.Stringers("smtp", g.SMTPAddrs()))
	systemd.tell("READY=1")
	defer context.AfterFunc(ctx, func() { systemd.tell("STOPPING=1") })()
	watched, end := context.WithCancel(ctx)
	watching := make(chan struct{})
	go func() { defer close(watching); systemd.watch(watched, g.Alive) }()
	err = g.Run(ctx)
	end()
	<-watching
	return err
}

// reload keeps what is running when the new file is wrong.
func reload(g *gateway.Gateway, file string, log *zap.Logger) {
	cfg, err := gateway.Load(file)
	if err != nil {
		g.ReloadFailed()
		log.Error("the configuration was not reloaded; the old one stays", zap.Error(err))
		return
	}
	if err := g.Reload(cfg); err != nil {
		log.Warn("configuration reloaded in part", zap.Error(err))
		return
	}
	log.Info("configuration reloaded")
}

func newLogger(cfg gateway.LogConfig) (*zap.Logger, error) {
	zc, err := loggerConfig(cfg)
	if err != nil {
		return nil, err
	}
	return zc.Build()
}

func loggerConfig(cfg gateway.LogConfig) (zap.Config, error) {
	zc := zap.NewProductionConfig()
	if cfg.Format == "console" {
		zc = zap.NewDevelopmentConfig()
		zc.Development = false
	}
	zc.DisableStacktrace = true // errors are of mail and machines, hardly ever of the code
	zc.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	level, err := zap.ParseAtomicLevel(cfg.Level)
	if err != nil {
		return zc, fmt.Errorf("log.level: %w", err)
	}
	zc.Level, zc.Sampling = level, nil // every line of the mail log counts
	return zc, nil
}
