package recall

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// load reads a job from its own timeline, without its lines. store.ErrNotFound when the id is that of
// something else.
func (e *Engine) load(id policy.ID) (*job, error) {
	records, err := e.Journal.Timeline(id)
	if err != nil {
		return nil, fmt.Errorf("read recall: %w", err)
	}
	var j *job
	for _, r := range records {
		for i := range r.Events {
			ev := &r.Events[i]
			if j == nil {
				rec, ok := request(ev)
				if !ok {
					return nil, fmt.Errorf("recall %s: %w", id, store.ErrNotFound)
				}
				j = newJob(id, ev.Time, rec)
				j.resumed = true
				continue
			}
			j.replay(ev)
		}
	}
	return j, nil
}

// request reads the event with which the timeline of a recall begins.
func request(ev *policy.Event) (r record, ok bool) {
	if ev.Kind != policy.RecallRequested {
		return r, false
	}
	err := json.Unmarshal([]byte(ev.Evidence), &r)
	return r, err == nil && r.Version == recordVersion
}

// replay applies an event of the job's own timeline.
func (j *job) replay(ev *policy.Event) {
	switch ev.Kind {
	case policy.RecallApproved:
		j.begun, j.approvedBy = ev.Time, ev.Actor
	case policy.RecallEnded:
		j.summary = summary{}
		_ = json.Unmarshal([]byte(ev.Evidence), &j.summary) // ours, and the result stands in the reason, too
		j.summary.Overall = ev.Reason
		j.ended = ev.Time
		j.corrected = j.corrected || j.summary.Corrected
		if j.ends++; j.ends == 1 || j.summary.Corrected {
			j.due = true
		}
	case policy.RecallOutcome:
		switch ev.Reason {
		case reasonReopened:
			j.ended = time.Time{}
		case reasonStopped:
			j.stopped = ev.Actor
		case reasonPurged:
			j.purged = true
		}
	case policy.Notified:
		j.due = false
	}
}

// fold reads what the job has come to from the timelines of its messages.
func (e *Engine) fold(j *job) error {
	for _, p := range j.parts {
		w, err := e.read(p)
		if errors.Is(err, store.ErrNotFound) { // pruned: whoever acts on it says so
			w = &work{part: p, rows: make(policy.Rows, p.Rows)}
		} else if err != nil {
			return err
		}
		records, err := e.Journal.Timeline(p.Message)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("read timeline of %s: %w", p.Message, err)
		}
		for _, r := range records {
			for i := range r.Events {
				p.replay(j.id.String(), &r.Events[i])
			}
		}
		p.tidy(w)
	}
	return nil
}

// replay applies an event of the message's timeline.
func (p *part) replay(job string, ev *policy.Event) {
	if ev.Subject != job || ev.Kind != policy.RecallOutcome && ev.Kind != policy.Restored {
		return
	}
	for _, i := range ev.Recipients {
		l := line{code: policy.RecallCode(ev.Reason), time: ev.Time, evidence: ev.Evidence, copies: copiesOf(ev, i)}
		if ev.Kind == policy.Restored {
			l.code, l.actor = policy.RecallRestored, ev.Actor
		}
		p.lines[i], p.known[i] = l, l
	}
}

func copiesOf(ev *policy.Event, i int) (copies []policy.MailCopy) {
	for _, c := range ev.Copies {
		if c.Recipient == i {
			copies = append(copies, c)
		}
	}
	return copies
}

// tidy forgets the lines of rows for which others stand now, and counts the rows that are meant. The caller
// has the lock, or the job is nobody else's yet. It gives the rows.
func (p *part) tidy(w *work) []int {
	indexes := w.indexes()
	meant := make(map[int]bool, len(indexes))
	for _, i := range indexes {
		meant[i] = true
	}
	extra := 0
	for i, l := range p.known {
		if meant[i] {
			continue
		}
		if i < len(w.rows) && w.rows[i].State != policy.StateExpanded && l.done() {
			extra++ // sent once more since: what it came to is still so
			continue
		}
		delete(p.known, i)
		delete(p.lines, i)
		delete(p.tries, i)
	}
	p.targets = len(indexes) + extra
	return indexes
}
