package mailboxtest

import (
	"slices"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
)

// An Owner is a program by which somebody uses a mailbox.
type Owner struct {
	t      testing.TB
	client *imapclient.Client
}

// Stored is a message as its owner sees it.
type Stored struct {
	UID      uint32
	Flags    []string // sorted, without \Recent
	Internal time.Time
	Raw      string
}

// NewOwner takes a client that is logged in. It ends with the test.
func NewOwner(t testing.TB, client *imapclient.Client) *Owner {
	t.Cleanup(func() { _ = client.Close() })
	return &Owner{t, client}
}

func authenticate(client *imapclient.Client, authzid, login, password string) error {
	return client.Authenticate(sasl.NewPlainClient(authzid, login, password))
}

// Put stores a message in a folder, which is made if need be.
func (o *Owner) Put(folder, raw string, at time.Time, flags ...string) {
	o.t.Helper()
	if folder != "INBOX" {
		_ = o.client.Create(folder, nil).Wait() // it may be there
	}
	var all []imap.Flag
	for _, f := range flags {
		all = append(all, imap.Flag(f))
	}
	cmd := o.client.Append(folder, int64(len(raw)), &imap.AppendOptions{Flags: all, Time: at})
	_, err := cmd.Write([]byte(raw))
	must(o.t, err)
	must(o.t, cmd.Close())
	_, err = cmd.Wait()
	must(o.t, err)
}

// Open selects a folder.
func (o *Owner) Open(folder string) *imap.SelectData {
	o.t.Helper()
	data, err := o.client.Select(folder, nil).Wait()
	must(o.t, err)
	return data
}

// All reads the messages of a folder without making them read. A folder that is not there is empty.
func (o *Owner) All(folder string) []Stored {
	o.t.Helper()
	data, err := o.client.Select(folder, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil || data.NumMessages == 0 {
		return nil
	}
	var set imap.SeqSet
	set.AddRange(1, 0)
	found, err := o.client.Fetch(set, &imap.FetchOptions{
		UID: true, Flags: true, InternalDate: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}},
	}).Collect()
	must(o.t, err)
	var all []Stored
	for _, m := range found {
		if len(m.BodySection) != 1 {
			continue
		}
		s := Stored{UID: uint32(m.UID), Internal: m.InternalDate, Raw: string(m.BodySection[0].Bytes)}
		for _, f := range m.Flags {
			if f != `\Recent` {
				s.Flags = append(s.Flags, string(f))
			}
		}
		slices.Sort(s.Flags)
		all = append(all, s)
	}
	return all
}

// Flag sets flags of a message, as reading it does.
func (o *Owner) Flag(folder string, uid uint32, flags ...string) {
	o.t.Helper()
	o.store(folder, uid, imap.StoreFlagsAdd, flags)
}

// Unflag takes flags off a message.
func (o *Owner) Unflag(folder string, uid uint32, flags ...string) {
	o.t.Helper()
	o.store(folder, uid, imap.StoreFlagsDel, flags)
}

// Read marks a message as read and reports whether it was still there then.
func (o *Owner) Read(folder string, uid uint32) bool {
	o.t.Helper()
	o.store(folder, uid, imap.StoreFlagsAdd, []string{`\Seen`})
	must(o.t, o.client.Noop().Wait()) // tells of what is gone
	found, err := o.client.Fetch(imap.UIDSetNum(imap.UID(uid)), &imap.FetchOptions{UID: true, Flags: true}).Collect()
	return err == nil && slices.ContainsFunc(found, func(m *imapclient.FetchMessageBuffer) bool {
		return m.UID == imap.UID(uid) && slices.Contains(m.Flags, imap.FlagSeen)
	})
}

func (o *Owner) store(folder string, uid uint32, op imap.StoreFlagsOp, flags []string) {
	o.t.Helper()
	o.Open(folder)
	var all []imap.Flag
	for _, f := range flags {
		all = append(all, imap.Flag(f))
	}
	must(o.t, o.client.Store(imap.UIDSetNum(imap.UID(uid)), &imap.StoreFlags{Op: op, Flags: all, Silent: true}, nil).Close())
}

// Remove deletes a message for good.
func (o *Owner) Remove(folder string, uid uint32) {
	o.t.Helper()
	o.Flag(folder, uid, `\Deleted`)
	must(o.t, o.client.UIDExpunge(imap.UIDSetNum(imap.UID(uid))).Close())
}

// Drop deletes a folder.
func (o *Owner) Drop(folder string) {
	o.t.Helper()
	must(o.t, o.client.Unselect().Wait())
	must(o.t, o.client.Delete(folder).Wait())
}

// Folders lists all folders, and those that are subscribed.
func (o *Owner) Folders() (all, subscribed []string) {
	o.t.Helper()
	for _, d := range o.list(nil) {
		all = append(all, d.Mailbox)
	}
	for _, d := range o.list(&imap.ListOptions{SelectSubscribed: true}) {
		subscribed = append(subscribed, d.Mailbox)
	}
	return all, subscribed
}

func (o *Owner) list(options *imap.ListOptions) []*imap.ListData {
	o.t.Helper()
	all, err := o.client.List("", "*", options).Collect()
	must(o.t, err)
	return all
}
