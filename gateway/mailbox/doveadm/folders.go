package doveadm

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/sendgate/sendgate/gateway/mailbox"
)

// A use says what a folder is for: attributes of RFC 6154 in lower case.
type use []string

func (u use) any(attributes ...string) bool {
	return slices.ContainsFunc(u, func(a string) bool { return slices.Contains(attributes, a) })
}

// maxAsked bounds how many folders one request asks about.
const maxAsked = 500

// uses gives the uses of folders, by what the server says, else by their names.
func (c *client) uses(ctx context.Context, user string, folders []string) (map[string]use, error) {
	uses := map[string]use{}
	for some := range slices.Chunk(folders, maxAsked) {
		var calls []call
		for _, f := range some {
			calls = append(calls, specialUse(f))
		}
		results, err := c.do(ctx, user, calls...)
		if err != nil {
			return nil, err
		}
		for i, r := range results {
			if err := r.err("mailbox metadata get"); errors.Is(err, mailbox.ErrUnreachable) {
				return nil, err // any other error: the server keeps no metadata
			}
			uses[some[i]] = useOf(some[i], r.rows)
		}
	}
	return uses, nil
}

func useOf(folder string, metadata []row) use {
	if len(metadata) > 0 && metadata[0].Value != "" {
		return strings.Fields(strings.ToLower(string(metadata[0].Value)))
	}
	return useByName[strings.ToLower(folder)]
}

// useByName is for folders that have no special use in the server's configuration.
var useByName = map[string]use{
	"sent": {`\sent`}, "sent messages": {`\sent`}, "sent items": {`\sent`}, "sent mail": {`\sent`}, "已发送": {`\sent`}, "已发送邮件": {`\sent`},
	"drafts": {`\drafts`}, "草稿": {`\drafts`}, "草稿箱": {`\drafts`},
	"trash": {`\trash`}, "deleted messages": {`\trash`}, "deleted items": {`\trash`}, "已删除": {`\trash`}, "已删除邮件": {`\trash`},
}

// trash finds the user's folder for deleted mail; empty when there is none.
func (s *session) trash(ctx context.Context) (string, error) {
	results, err := s.do(ctx, call{"mailboxList", nil})
	if err != nil {
		return "", err
	}
	if err := results[0].err("mailbox list"); err != nil {
		return "", err
	}
	var folders []string
	for _, r := range results[0].rows {
		folders = append(folders, string(r.Mailbox))
	}
	uses, err := s.client.uses(ctx, s.user, folders)
	if err != nil {
		return "", err
	}
	slices.Sort(folders)
	if i := slices.IndexFunc(folders, func(f string) bool { return uses[f].any(`\trash`) }); i >= 0 {
		return folders[i], nil
	}
	return "", nil
}
