package policy

import (
	"slices"
	"testing"
	"time"
)

func rowsOf(addresses ...Address) (rows Rows) {
	for i, a := range addresses {
		rows = append(rows, Row{Index: i, Recipient: Recipient{Address: a, Notify: []string{"NEVER"}}})
	}
	rows, _ = rows.Apply(at(0, Accepted))
	return rows
}

func member(second int, k Kind, group int, a Address) Event {
	e := at(second, k)
	e.Recipients, e.Member = []int{group}, a
	return e
}

// shown gives what a person sees of rows: address, group, state.
func shown(rows Rows) (list []string) {
	for i := range rows {
		r := &rows[i]
		s := string(r.Address) + " " + string(r.State)
		if r.Group > 0 {
			s += " of " + string(rows[r.Group-1].Address)
		}
		if r.Superseded {
			s += " superseded"
		}
		list = append(list, s)
	}
	return list
}

func resent(second int, recipients ...int) Event {
	e := at(second, Resent)
	e.Recipients, e.Until = recipients, e.Time
	return e
}

func TestRows(t *testing.T) {
	bounced := at(5, Bounced)
	bounced.Recipients = []int{0}
	tests := []struct {
		name   string
		events []Event
		want   []string
	}{
		{"a group shows its members", []Event{
			at(1, Released), member(2, DeliveredMailbox, 1, "bob@x.example"), member(2, Bounced, 1, "eve@x.example"),
			member(3, DeliveredMailbox, 1, "BOB@X.example"),
		}, []string{"ann@x.example queued", "team@x.example expanded", "bob@x.example delivered_mailbox of team@x.example", "eve@x.example bounced of team@x.example"}},
		{"a group in a group is flat", []Event{
			member(2, Expanded, 1, "inner@x.example"), member(3, DeliveredMailbox, 2, "bob@x.example"),
		}, []string{"ann@x.example accepted", "team@x.example expanded", "inner@x.example queued of team@x.example superseded", "bob@x.example delivered_mailbox of team@x.example"}},
		{"a late delivery to a member of a recalled group", []Event{
			at(1, Canceled), member(2, DeliveredMailbox, 1, "bob@x.example"), member(3, Deferred, 1, "eve@x.example"),
		}, []string{"ann@x.example canceled", "team@x.example expanded", "bob@x.example delivered_mailbox of team@x.example", "eve@x.example deferred of team@x.example"}},
		{"what is said of the group is said of its members", []Event{
			member(2, Queued, 1, "bob@x.example"), member(2, DeliveredMailbox, 1, "eve@x.example"),
			{Kind: Canceled, Time: noon.Add(3 * time.Second), Recipients: []int{1}},
		}, []string{"ann@x.example accepted", "team@x.example expanded", "bob@x.example canceled of team@x.example", "eve@x.example delivered_mailbox of team@x.example"}},
		{"a resend is a new row", []Event{
			at(1, Released), bounced, resent(6, 0, 1), {Kind: DeliveredMailbox, Time: noon.Add(9 * time.Second), Recipients: []int{2}},
			{Kind: AsyncBounced, Time: noon.Add(10 * time.Second), Recipients: []int{0}},
		}, []string{"ann@x.example async_bounced superseded", "team@x.example queued", "ann@x.example delivered_mailbox"}},
		{"a resend to nobody in particular goes to who failed", []Event{
			bounced, member(6, Bounced, 1, "bob@x.example"), member(6, DeliveredMailbox, 1, "eve@x.example"), at(7, Resent),
		}, []string{
			"ann@x.example bounced superseded", "team@x.example expanded", "bob@x.example bounced of team@x.example superseded",
			"eve@x.example delivered_mailbox of team@x.example", "ann@x.example queued", "bob@x.example queued of team@x.example",
		}},
		{"a late word about the first attempt of a member", []Event{
			member(6, Bounced, 1, "bob@x.example"), resent(7, 2), member(9, DeliveredMailbox, 1, "bob@x.example"),
		}, []string{
			"ann@x.example accepted", "team@x.example expanded",
			"bob@x.example delivered_mailbox of team@x.example superseded", "bob@x.example queued of team@x.example",
		}},
		{"members of the second attempt of a group", []Event{
			{Kind: Bounced, Time: noon.Add(5 * time.Second), Recipients: []int{1}}, resent(6, 1), member(7, Bounced, 2, "bob@x.example"), member(8, DeliveredMailbox, 2, "bob@x.example"),
		}, []string{
			"ann@x.example accepted", "team@x.example bounced superseded", "team@x.example expanded",
			"bob@x.example delivered_mailbox of team@x.example",
		}},
		{"nothing to resend", []Event{at(1, Released), at(2, Resent), resent(2, 0, 0, 9, -1)}, []string{"ann@x.example queued", "team@x.example queued"}},
		{"a member of nobody", []Event{member(2, Bounced, 7, "bob@x.example"), {Kind: Bounced, Member: "bob@x.example"}},
			[]string{"ann@x.example accepted", "team@x.example accepted"}},
		{"a member of whom nothing is said", []Event{member(2, Login, 1, "bob@x.example")},
			[]string{"ann@x.example accepted", "team@x.example accepted"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rows := rowsOf("ann@x.example", "team@x.example")
			for _, e := range tt.events {
				rows, _ = rows.Apply(e)
			}
			if got := shown(rows); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			for i := range rows {
				if rows[i].Index != i || !slices.Equal(rows[i].Notify, []string{"NEVER"}) {
					t.Errorf("row %d: %+v", i, rows[i])
				}
			}
		})
	}
}

func TestApplyTellsWhatChanged(t *testing.T) {
	rows := rowsOf("ann@x.example", "team@x.example")
	for _, tt := range []struct {
		e    Event
		want []int
	}{
		{at(1, Released), []int{0, 1}},
		{at(1, Released), nil},
		{member(2, Deferred, 1, "bob@x.example"), []int{1, 2}},
		{member(2, Deferred, 1, "bob@x.example"), []int{2}}, // one more try
		{member(3, Login, 1, "bob@x.example"), nil},
		{Event{Kind: Bounced, Time: noon, Recipients: []int{1, 2, 2, 0}}, []int{2, 0}},
		{at(9, Resent), []int{0, 3, 2, 4}},
	} {
		var got []int
		if rows, got = rows.Apply(tt.e); !slices.Equal(got, tt.want) {
			t.Errorf("%s changed %v, want %v", tt.e.Kind, got, tt.want)
		}
	}
}

func TestAMemberLeavesUsNothingToDo(t *testing.T) {
	rows := rowsOf("team@x.example")
	held := at(1, Held)
	held.Until = noon.Add(time.Minute)
	rows, _ = rows.Apply(held)
	rows, _ = rows.Apply(member(2, Queued, 0, "bob@x.example"))
	for i := range rows {
		if !rows[i].Due.IsZero() {
			t.Errorf("row %d is due at %v", i, rows[i].Due)
		}
	}
}

func TestAggregateOfAGroup(t *testing.T) {
	rows := rowsOf("ann@x.example", "team@x.example")
	rows, _ = rows.Apply(member(2, DeliveredMailbox, 1, "bob@x.example"))
	rows, _ = rows.Apply(member(2, Deferred, 1, "eve@x.example"))
	if s, l := rows.Aggregate(1); s != StateDeferred || l.EN != "Delivering (1/2)" {
		t.Errorf("%s %q", s, l.EN)
	}
	if s, l := rows.Aggregate(0); s != StateAccepted || l != LabelDelivering {
		t.Errorf("%s %q", s, l.EN)
	}
	if got := rows.Resolve(nil); !slices.Equal(got, []int{0, 2, 3}) {
		t.Errorf("all: %v", got)
	}
	if got := rows.Resolve([]int{1, 3, 0, 9}); !slices.Equal(got, []int{2, 3, 0}) {
		t.Errorf("the group and others: %v", got)
	}
}
