package alert

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Receivers that are no mailbox of a sender.
const (
	Admins = "admins"
	Hooks  = "hooks"
)

// Bounds of what waits.
const (
	maxWaiting   = 100 // notices for one receiver
	maxOutbox    = 500
	maxReceivers = 5000
)

// A parcel is a notice on its way. Its id is that of the mail, so that it is written once.
type parcel struct {
	ID     policy.ID `json:"id"`
	To     string    `json:"to"` // Admins, Hooks or a mailbox
	Notice Notice    `json:"notice"`
	failed time.Time // when it failed last
}

// A receiver is somebody who is told, with what was sent in the last hour and what waits for room.
type receiver struct {
	Sent    []time.Time `json:"sent,omitempty"`
	Waiting []Notice    `json:"waiting,omitempty"`
	Lost    int         `json:"lost,omitempty"` // notices for which there was no room even there
}

// send hands a notice to a receiver, or lets it wait for the next digest.
func (b *book) send(now time.Time, to string, n Notice) {
	b.changed = true
	r := b.receivers[to]
	if r == nil {
		if len(b.receivers) >= maxReceivers {
			return
		}
		r = &receiver{}
		b.receivers[to] = r
	}
	r.forget(now)
	room := b.settings.HourlyMax - b.settings.HourlyMax/4
	if n.Severity == Critical {
		room = b.settings.HourlyMax
	}
	if len(r.Sent) < room {
		b.post(now, to, r, n)
		return
	}
	r.wait(n)
}

func (b *book) post(now time.Time, to string, r *receiver, n Notice) {
	r.Sent, b.changed = append(r.Sent, now), true
	if len(b.outbox) < maxOutbox {
		b.outbox = append(b.outbox, parcel{ID: b.newID(), To: to, Notice: n})
	}
}

// wait queues a notice in the place of one of the same incident, or at the end.
func (r *receiver) wait(n Notice) {
	if i := slices.IndexFunc(r.Waiting, func(w Notice) bool { return w.Incident == n.Incident }); i >= 0 {
		n.Update = n.Update && r.Waiting[i].Update // nobody has seen the first one
		n.Time = r.Waiting[i].Time                 // since when it waits
		r.Waiting[i] = n
		return
	}
	if len(r.Waiting) < maxWaiting {
		r.Waiting = append(r.Waiting, n)
		return
	}
	r.Lost++
}

// forget drops what was sent more than an hour ago.
func (r *receiver) forget(now time.Time) {
	r.Sent = slices.DeleteFunc(r.Sent, func(t time.Time) bool { return now.Sub(t) >= time.Hour })
}

// flush sends what has waited long enough, and forgets receivers of whom nothing is left.
func (b *book) flush(now time.Time) {
	for to, r := range b.receivers {
		r.forget(now)
		if len(r.Waiting) > 0 && len(r.Sent) < b.settings.HourlyMax && now.Sub(r.Waiting[0].Time) >= b.settings.Quiet {
			b.post(now, to, r, digest(now, r.Waiting, r.Lost))
			r.Waiting, r.Lost = nil, 0
		}
		if len(r.Sent)+len(r.Waiting) == 0 {
			delete(b.receivers, to)
		}
	}
}

// digest makes one notice of several.
func digest(now time.Time, notices []Notice, lost int) Notice {
	if len(notices) == 1 && lost == 0 {
		return notices[0]
	}
	worst := slices.MaxFunc(notices, func(x, y Notice) int { return cmp.Compare(x.Severity.rank(), y.Severity.rank()) })
	n := len(notices) + lost
	d := Notice{
		Kind: Digest, Severity: worst.Severity, Time: now,
		Title: policy.Label{EN: fmt.Sprintf("%d notices", n), ZH: fmt.Sprintf("%d 条通知", n)},
	}
	for _, n := range notices {
		line := n.Title
		if len(n.Lines) > 0 {
			line.EN += ": " + n.Lines[0].EN
			line.ZH += "：" + n.Lines[0].ZH
		}
		d.Lines = append(d.Lines, line)
	}
	if lost > 0 {
		d.Lines = append(d.Lines, policy.Label{EN: fmt.Sprintf("and %d more", lost), ZH: fmt.Sprintf("另有 %d 条", lost)})
	}
	return d
}
