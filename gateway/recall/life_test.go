package recall

import (
	"errors"
	"sync"
)

var errDead = errors.New("the program is dead")

// A life lets a program die at one of its steps: nothing that it does from then on has an effect.
type life struct {
	mu     sync.Mutex
	steps  int
	dieAt  int  // 0 for never
	effect bool // the step at which it dies still happens, but its answer is lost
}

// step reports whether a step happens, and whether its answer arrives.
func (l *life) step() (happens, answered bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steps++
	switch {
	case l.dieAt == 0 || l.steps < l.dieAt:
		return true, true
	case l.steps == l.dieAt:
		return l.effect, false
	}
	return false, false
}

func (l *life) died() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dieAt > 0 && l.steps >= l.dieAt
}

func (l *life) revive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dieAt = 0
}
