// Command sendgate is the whole program: the gateway, and the commands that speak its API.
//
// There is a file per subcommand and no logic here. Commands that speak the API print tables for
// people and, with --json, the API's own answers for programs. The exit code is 0 when it worked,
// 1 when it did not, 2 when the command line is wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sendgate:", err)
		os.Exit(exitCode(err))
	}
}

// run is the whole program.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	root := newRootCommand()
	root.SetArgs(append([]string{}, args...)) // of nil cobra would make the arguments of the process
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}

// A usageError is a command line that cannot be understood.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func exitCode(err error) int {
	if errors.As(err, new(usageError)) {
		return 2
	}
	return 1
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "sendgate",
		Short:         "An outbound-mail gateway: holds mail for a moment, and takes it back when asked",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("there is no command %q: sendgate help lists what there is", args[0])}
			}
			return cmd.Help()
		},
	}
	root.AddCommand(
		newServeCommand(), newDemoCommand(), newCheckCommand(), newStoreCommand(), newBackupCommand(), newRestoreCommand(), newHealthcheckCommand(), newPostfixHelperCommand(), newDoctorCommand(),
		newMessagesCommand(), newShowCommand(), newReleaseCommand(), newHoldCommand(), newCancelCommand(), newResendCommand(),
		newExplainCommand(), newApprovalsCommand(), newApproveCommand(), newLimitsCommand(), newSendersCommand(), newRulesCommand(), newAlertsCommand(), newAuditCommand(), newCampaignsCommand(),
		newBypassCommand(), newDrainCommand(), newExportHeldCommand(),
		newRecallCommand(), newRecallsCommand(), newTailCommand(), newStatsCommand(), newTrackingCommand(), newTrackCommand(), newWebhooksCommand(),
		newTokenCommand(), newSetUpLinkCommand(), newSetupCommand(), newManualCommand(), newVersionCommand(),
	)
	markUsageErrors(root)
	return root
}

// markUsageErrors makes every complaint about flags and arguments a usageError.
func markUsageErrors(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{fmt.Errorf("%w; usage: %s", err, cmd.UseLine())}
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		markUsageErrors(c)
	}
}
