package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newTrackCommand() *cobra.Command {
	imports := false
	cmd := newClientCommand("track --import FILE...", "Read logs of the past into the running gateway", cobra.ArbitraryArgs,
		func(ctx context.Context, c *client, args []string) error {
			if !imports || len(args) == 0 {
				return usageError{errors.New("name the logs to read: --import FILE, and more of them")}
			}
			return c.importLogs(ctx, args)
		})
	cmd.Long = "Read logs of the past into the running gateway, oldest first: what was unknown becomes known. Files may\n" +
		"be compressed with gzip; - is the standard input. To read a log twice changes nothing.\n\n" +
		"  sendgate track --import /var/log/mail.log.2.gz /var/log/mail.log.1\n" +
		"  journalctl -o short-iso -u 'postfix@*' --since yesterday | sendgate track --import -"
	cmd.Flags().BoolVar(&imports, "import", false, "read these files")
	return cmd
}

// importLogs sends files in their order. What was read before one that fails stays, and is shown.
func (c *client) importLogs(ctx context.Context, files []string) error {
	var t table
	t.add(c.headings("log", "lines", "entries", "events")...)
	for _, file := range files {
		r, raw, err := c.importLog(ctx, file)
		if err != nil {
			return errors.Join(c.writeReports(&t), fmt.Errorf("import %s: %w", file, err))
		}
		if c.json {
			if err := c.printJSON(raw); err != nil {
				return err
			}
			continue
		}
		cells := []string{file}
		for _, n := range []int64{r.Lines, r.Entries, r.Events} {
			cells = append(cells, strconv.FormatInt(n, 10))
		}
		t.add(cells...)
	}
	return c.writeReports(&t)
}

// writeReports writes the table when there is more than its headings.
func (c *client) writeReports(t *table) error {
	if len(t.rows) == 1 {
		return nil
	}
	return t.write(c.out)
}

func (c *client) importLog(ctx context.Context, file string) (r *web.ImportReport, raw []byte, err error) {
	var log io.Reader = c.in
	name := "stdin"
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, nil, err
		}
		defer f.Close() // only read
		log, name = f, filepath.Base(file)
	}
	r = &web.ImportReport{}
	raw, err = c.upload(ctx, "/tracking/import?"+url.Values{"name": {name}}.Encode(), log, r)
	return r, raw, err
}
