package main

import "github.com/spf13/cobra"

func newReleaseCommand() *cobra.Command {
	return newMessagesActCommand("release ID...", "Let held messages go now", "released")
}
