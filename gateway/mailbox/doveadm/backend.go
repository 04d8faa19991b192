package doveadm

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"

	"github.com/sendgate/sendgate/gateway/mailbox"
)

const inbox = "INBOX" // every user has it (RFC 9051 5.1)

// A Backend reaches the mailboxes of one Dovecot.
type Backend struct {
	client *client
	config mailbox.Config
	turns  chan struct{} // holds one for each operation under way
}

var _ mailbox.Backend = (*Backend)(nil)

// New makes a backend of a valid configuration, whose key file it reads. The TLS configuration says which
// certificates are believed; nil means those of the system. The server is not asked yet: see Check.
func New(c mailbox.Config, trust *tls.Config) (*Backend, error) {
	client, err := newClient(c.Doveadm, trust)
	if err != nil {
		return nil, err
	}
	return &Backend{client: client, config: c, turns: make(chan struct{}, c.Doveadm.Connections)}, nil
}

// Close gives idle connections back. Operations under way end by their context.
func (b *Backend) Close() error {
	b.client.http.CloseIdleConnections()
	return nil
}

// turn waits until an operation may begin and bounds it. The caller calls done at its end.
func (b *Backend) turn(ctx context.Context) (bounded context.Context, done func(), err error) {
	if ctx.Err() == nil { // select chooses by chance
		select {
		case b.turns <- struct{}{}:
			bounded, cancel := context.WithTimeout(ctx, b.config.Timeout)
			return bounded, func() { cancel(); <-b.turns }, nil
		case <-ctx.Done():
		}
	}
	return nil, nil, fmt.Errorf("%w: it was not our turn yet: %w", mailbox.ErrUnreachable, ctx.Err())
}

// changing is turn for what changes a mailbox: once it has begun, only the timeout ends it, for a message must
// not stay half way.
func (b *Backend) changing(ctx context.Context) (bounded context.Context, done func(), err error) {
	waited, release, err := b.turn(ctx)
	if err != nil {
		return nil, nil, err
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(waited), b.config.Timeout)
	return bounded, func() { cancel(); release() }, nil
}

// Check asks for the state of INBOX.
func (b *Backend) Check(ctx context.Context, user string) error {
	ctx, done, err := b.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	results, err := b.client.do(ctx, user, status(inbox))
	if err != nil {
		return err
	}
	return results[0].err("mailbox status")
}

// Find looks into all folders in private namespaces.
func (b *Backend) Find(ctx context.Context, user string, m *mailbox.Match) ([]mailbox.Copy, error) {
	ctx, done, err := b.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	fields := []string{"mailbox", "mailbox-guid", "uid", "flags", "date.received.unixtime", "size.virtual", "modseq", "hdr"}
	staging := append([]string{"mailbox", b.config.Staging}, candidates(m)...) // in case its namespace is not listed
	results, err := b.client.do(ctx, user, fetch(candidates(m), fields...), status(inbox), fetch(staging, fields...))
	if err != nil {
		return nil, err
	}
	for i, command := range []string{"fetch", "mailbox status"} { // the fetch alone says nothing about folders that it cannot open
		if err := results[i].err(command); err != nil {
			return nil, err
		}
	}
	if err := results[2].ignoreMissing("fetch"); err != nil {
		return nil, err
	}
	elsewhere := slices.DeleteFunc(results[0].rows, func(r row) bool { return string(r.Mailbox) == b.config.Staging })
	var copies []mailbox.Copy
	for _, r := range append(elsewhere, results[2].rows...) {
		c, err := r.copy()
		if err != nil {
			return nil, err
		}
		if c.Staged = c.Folder == b.config.Staging; m.Verify([]byte(r.Header), &c) {
			copies = append(copies, c)
		}
	}
	return b.received(ctx, user, copies)
}

// received leaves out what lies in folders for sent mail and drafts, and in views of other folders.
func (b *Backend) received(ctx context.Context, user string, copies []mailbox.Copy) ([]mailbox.Copy, error) {
	var folders []string
	for _, c := range copies {
		if c.Folder != inbox && !c.Staged && !slices.Contains(folders, c.Folder) {
			folders = append(folders, c.Folder)
		}
	}
	uses, err := b.client.uses(ctx, user, folders)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(copies, func(c mailbox.Copy) bool {
		return uses[c.Folder].any(`\sent`, `\drafts`, `\all`, `\flagged`, `\important`)
	}), nil
}
