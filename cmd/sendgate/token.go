package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/spf13/cobra"
)

func newTokenCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Tokens of the API", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return cmd.Help()
	}}
	cmd.AddCommand(newTokenNewCommand())
	return cmd
}

func newTokenNewCommand() *cobra.Command {
	var role, lang string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Make a token and the line of the configuration that accepts it",
		Long:  "Make a token. It is printed once and stored nowhere; the configuration gets its hash only.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			secret := "sgt_" + rand.Text()
			sum := sha256.Sum256([]byte(secret))
			t := web.Token{Name: args[0], Role: role, SHA256: hex.EncodeToString(sum[:])}
			if err := t.Validate(); err != nil {
				return usageError{err}
			}
			lang, err := language(lang)
			if err != nil {
				return err
			}
			return printToken(cmd.OutOrStdout(), secret, &t, &client{lang: lang, json: asJSON})
		},
	}
	cmd.Flags().StringVar(&role, "role", "operator", "admin, operator, auditor or user")
	cmd.Flags().StringVar(&lang, "lang", "", "language, en or zh (default from LC_ALL, LC_MESSAGES, LANG)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printToken(w io.Writer, secret string, t *web.Token, c *client) error {
	if c.json {
		return json.NewEncoder(w).Encode(map[string]string{
			"token": secret, "name": t.Name, "role": t.Role, "sha256": t.SHA256,
		})
	}
	_, err := fmt.Fprintf(w, "%s\n\n  %s\n\n%s\n\n  - {name: %q, role: %s, sha256: %s}\n",
		c.say("token"), secret, c.say("token config"), t.Name, t.Role, t.SHA256)
	return err
}
