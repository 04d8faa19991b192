package web

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// openRecalls are the recalls that have not come to an end, between two looks at them.
type openRecalls struct {
	mu   sync.Mutex
	jobs []*recallJob
}

func (o *openRecalls) add(job *recallJob) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.jobs = append(o.jobs, job)
}

// take empties the list; whoever carries a job out adds it again while it is open.
func (o *openRecalls) take() []*recallJob {
	o.mu.Lock()
	defer o.mu.Unlock()
	jobs := o.jobs
	o.jobs = nil
	return jobs
}

// followRecalls carries open recalls on until the context ends.
func (s *Server) followRecalls(ctx context.Context) {
	tick := time.NewTicker(recallPause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, job := range s.recalls.take() {
			s.carryOut(ctx, job)
		}
	}
}

// recoverRecalls finds the recalls that an earlier process left open. It looks at the last days
// only: an attempt in flight ends within hours.
func (s *Server) recoverRecalls() {
	for day := range 3 {
		jobs, err := s.recallsOf(recallDay(s.now().AddDate(0, 0, -day)))
		if err != nil {
			s.log.Error("open recalls could not be read", zap.Error(err))
			return
		}
		for _, job := range slices.Backward(jobs) {
			if job.open() {
				s.recalls.add(job)
			}
		}
	}
}
