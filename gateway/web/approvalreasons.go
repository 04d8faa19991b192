package web

import (
	"sync"

	"github.com/sendgate/sendgate/policy"
	"github.com/sendgate/sendgate/store"
)

// maxReasons bounds what is remembered of messages that wait: as many as a list of batches looks at, twice.
const maxReasons = 2 * maxBatchLook

// approvalReasons remember why messages wait for a person, so that a list does not read the timelines of all of them each
// time. A request for approval is a decision: for the same revision it is the same.
type approvalReasons struct {
	mu  sync.Mutex
	all map[policy.ID]approvalReason
}

type approvalReason struct {
	revision uint64
	view     ApprovalRequest // without its message
}

func newApprovalReasons() *approvalReasons {
	return &approvalReasons{all: map[policy.ID]approvalReason{}}
}

func (r *approvalReasons) get(m *store.Message) (ApprovalRequest, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.all[m.ID]
	return known.view, ok && known.revision == m.Revision
}

// put remembers one more. When there are too many all are forgotten: most of them wait no longer.
func (r *approvalReasons) put(m *store.Message, v ApprovalRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) >= maxReasons {
		clear(r.all)
	}
	r.all[m.ID] = approvalReason{m.Revision, v}
}

// forget forgets all of them.
func (r *approvalReasons) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.all)
}
