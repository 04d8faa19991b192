package imap

import (
	"context"

	"github.com/sendgate/sendgate/gateway/mailbox"
	"github.com/sendgate/sendgate/policy"
)

// A Backend reaches mailboxes by IMAP.
type Backend struct {
	config mailbox.Config
	pool   *pool
}

var _ mailbox.Backend = (*Backend)(nil)

// New reads the files that a valid configuration names. It does not connect.
func New(c mailbox.Config) (*Backend, error) {
	d, err := newDialer(c)
	if err != nil {
		return nil, err
	}
	return &Backend{config: c, pool: newPool(d, c.IMAP.Connections)}, nil
}

// Find implements [mailbox.Backend].
func (b *Backend) Find(ctx context.Context, user string, m *mailbox.Match) (copies []mailbox.Copy, err error) {
	err = b.do(ctx, user, func(s *session) (err error) {
		copies, err = s.find(m, b.config.Staging)
		return err
	})
	return copies, err
}

// Take implements [mailbox.Backend]. Once it has begun, only the timeout ends it: a message must not stay
// half way.
func (b *Backend) Take(ctx context.Context, user string, c mailbox.Copy, o mailbox.Options) (t mailbox.Taken, err error) {
	if o.Mode == "" {
		o.Mode = b.config.Mode
	}
	err = b.finish(ctx, user, func(s *session) (err error) {
		r := &removal{session: s, copy: c, unread: o.UnreadOnly, staging: b.config.Staging}
		t, err = r.run(o.Mode)
		return err
	})
	t.Copy.Backend = b.config.Name
	return t, err
}

// Restore implements [mailbox.Backend].
func (b *Backend) Restore(ctx context.Context, user string, t policy.MailCopy) error {
	return b.finish(ctx, user, func(s *session) error { return s.restore(t) })
}

// Purge implements [mailbox.Backend].
func (b *Backend) Purge(ctx context.Context, user string, t policy.MailCopy) error {
	return b.finish(ctx, user, func(s *session) error { return s.purge(t, b.config.Staging) })
}

// Check implements [mailbox.Backend].
func (b *Backend) Check(ctx context.Context, user string) error {
	return b.do(ctx, user, (*session).isMailbox)
}

// Close ends all connections; operations under way come to their end.
func (b *Backend) Close() error {
	b.pool.close()
	return nil
}

// finish is do for what must not be cut short by a context that ends.
func (b *Backend) finish(ctx context.Context, user string, f func(*session) error) error {
	if err := b.pool.wait(ctx); err != nil {
		return err
	}
	return b.within(context.WithoutCancel(ctx), user, f)
}

// do runs an operation as a user, when it is its turn.
func (b *Backend) do(ctx context.Context, user string, f func(*session) error) error {
	if err := b.pool.wait(ctx); err != nil {
		return err
	}
	return b.within(ctx, user, f)
}

// within runs it until the time is over: then the connection is closed, which ends every wait. After an error
// nobody knows what else will come over a connection: it is not used again.
func (b *Backend) within(ctx context.Context, user string, f func(*session) error) error {
	ctx, cancel := context.WithTimeout(ctx, b.config.Timeout)
	defer cancel()
	s, err := b.pool.get(ctx, user)
	if err != nil {
		b.pool.done(nil)
		return err
	}
	stop := context.AfterFunc(ctx, s.close)
	err = f(s)
	if stop() && err == nil {
		b.pool.done(s)
		return nil
	}
	s.close()
	b.pool.done(nil)
	return late(ctx, err)
}
