package web

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// lines gives the rows as people see them: indented members, attempts, what is not counted.
func lines(all []Recipient) (list []string) {
	for _, r := range all {
		s := r.Address + " " + string(r.State)
		if r.Group != "" {
			s = "  " + s
		}
		if r.Members > 0 {
			s += fmt.Sprint(" members:", r.Members)
		}
		if r.Attempt > 0 {
			s += fmt.Sprint(" attempt:", r.Attempt)
		}
		if r.Superseded {
			s += " superseded"
		}
		list = append(list, s)
	}
	return list
}

func TestGroupsStandBeforeTheirMembersAndAttemptsInARow(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "team@x.example", "bob@x.example", "Bob@X.example", "all@x.example")
	post[MessageDetail](r, "/api/v1/messages/"+id+"/release", "")
	try := r.now.Add(5 * time.Minute)
	bounce := policy.Event{Kind: policy.Bounced, Recipients: []int{1, 2}, Reply: "550 5.1.1 no such user"}
	r.observe(id, bounce)
	for _, e := range []policy.Event{
		{Kind: policy.DeliveredMailbox, Recipients: []int{3}, Member: "zoe@x.example", Evidence: "maildir"},
		{Kind: policy.DeliveredMailbox, Recipients: []int{0}, Member: "ann@x.example", Evidence: "maildir"},
		{Kind: policy.Bounced, Recipients: []int{0}, Member: "eve@x.example", Reply: "552 5.2.2 full"},
		{Kind: policy.Deferred, Recipients: []int{0}, Member: "sub@x.example", Reply: "451 later", NextTry: try, QueueID: "4bX"},
		{Kind: policy.Queued, Recipients: []int{3}, Member: "yan@x.example", QueueID: "4bY"},
	} {
		r.observe(id, e)
	}
	m := mustID(t, id)
	rows, err := r.store.Recipients(m)
	if err != nil {
		t.Fatal(err)
	}
	eve := slices.IndexFunc(rows, func(r policy.Row) bool { return r.Address == "eve@x.example" })
	for _, again := range [][]int{{1, 2}, {eve}} {
		if err := r.holder.Resend(t.Context(), m, again, "", "api:ops"); err != nil {
			t.Fatal(err)
		}
	}
	bounce.Recipients = []int{9} // the second attempt for the first bob
	r.observe(id, bounce)
	if err := r.holder.Resend(t.Context(), m, []int{9}, "", "api:ops"); err != nil {
		t.Fatal(err)
	}

	got := get[MessageDetail](r, "/api/v1/messages/"+id)
	want := []string{
		"team@x.example queued members:3",
		"  ann@x.example delivered_mailbox",
		"  eve@x.example bounced superseded",
		"  eve@x.example queued attempt:2",
		"  sub@x.example deferred",
		"bob@x.example bounced superseded",
		"bob@x.example bounced attempt:2 superseded",
		"bob@x.example queued attempt:3",
		"Bob@X.example bounced superseded",
		"Bob@X.example queued attempt:2",
		"all@x.example queued members:2",
		"  zoe@x.example delivered_mailbox",
		"  yan@x.example queued",
	}
	if !slices.Equal(lines(got.Recipients), want) {
		for _, l := range lines(got.Recipients) {
			t.Log(l)
		}
		t.Errorf("want %q", want)
	}
	if team := got.Recipients[0]; team.Label.EN != "Delivering (2/3)" || team.Label.ZH != "投递中 (2/3)" {
		t.Errorf("label of the group %+v", team.Label)
	}
	sub := got.Recipients[4]
	if sub.Group != "team@x.example" || sub.OriginalAddress != "team@x.example" || !sub.NextTry.Equal(try) {
		t.Errorf("member %+v", sub)
	}
	if next := got.Recipients[3].NextTry; !next.Equal(r.now) {
		t.Errorf("the resend is tried at %v", next)
	}
	list := get[MessageList](r, "/api/v1/messages")
	if list.Messages[0].Recipients != 7 || list.Messages[0].Label != got.Label || got.Label.EN != "Delivering (5/7)" {
		t.Errorf("list says %d recipients, %v; detail says %v", list.Messages[0].Recipients, list.Messages[0].Label, got.Label)
	}
}

func TestTimelineNamesMembers(t *testing.T) {
	r := newRig(t)
	id := r.accept("alice@corp.example", "Report", "team@x.example", "bob@x.example")
	try := r.now.Add(time.Minute)
	r.observe(id, policy.Event{Kind: policy.Deferred, Recipients: []int{0}, Member: "ann@x.example", NextTry: try})
	r.observe(id, policy.Event{Kind: policy.Dequeued, QueueID: "4bX", Upstream: "mx1/postfix"})
	got := get[MessageDetail](r, "/api/v1/messages/"+id).Timeline
	deferred, dequeued := got[2], got[3]
	if deferred.Member != "ann@x.example" || !slices.Equal(deferred.Recipients, []string{"team@x.example"}) || !deferred.NextTry.Equal(try) {
		t.Errorf("deferred %+v", deferred)
	}
	if dequeued.Kind != policy.Dequeued || !slices.Equal(dequeued.Recipients, []string{"team@x.example", "bob@x.example"}) {
		t.Errorf("dequeued %+v", dequeued)
	}
}

// Rows of a newer version, or damaged ones, are all shown.
func TestStrangeRowsAreShownOnce(t *testing.T) {
	rows := policy.Rows{
		{Recipient: policy.Recipient{Address: "a@x"}, Attempt: 2},
		{Recipient: policy.Recipient{Address: "b@x"}, Group: 2},
		{Recipient: policy.Recipient{Address: "c@x"}, Group: 9, Superseded: true},
		{Recipient: policy.Recipient{Address: "c@x"}, Group: 9, Attempt: 2, Superseded: true},
		{Recipient: policy.Recipient{Address: "c@x"}, Group: 9, Attempt: 2},
	}
	var got []string
	for _, v := range recipientViews(rows) {
		got = append(got, v.Address)
	}
	if want := []string{"a@x", "b@x", "c@x", "c@x", "c@x"}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestManyAliasesAreShownInOnePass(t *testing.T) {
	const n = 5000
	rows := make(policy.Rows, n, 2*n)
	for i := range n {
		rows[i] = policy.Row{Index: i, Recipient: policy.Recipient{Address: policy.Address(fmt.Sprint("a", i, "@x"))}, Fate: policy.Fate{State: policy.StateExpanded}}
	}
	for i := range n {
		rows = append(rows, policy.Row{Index: n + i, Group: n - i, Recipient: policy.Recipient{Address: "m@x"}, Fate: policy.Fate{State: policy.StateQueued}})
	}
	start := time.Now()
	views := recipientViews(rows)
	if views[1].Group != "a0@x" || len(views) != 2*n || views[0].Members != 1 {
		t.Errorf("%d views, %+v", len(views), views[1])
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}
