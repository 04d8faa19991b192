package hold

import (
	"testing"
	"testing/synctest"
	"time"
)

// The age of what waits grows from its acceptance on, whatever its hold; late is only what is due.
func TestAgeAndDelayAreMeasured(t *testing.T) {
	virtual(t, func(b *bench) {
		b.accept(time.Hour, to("bob@x.example")...)
		b.run()
		later(10 * time.Minute)
		synctest.Wait()
		got := gathered(t, b.s)
		if age := got["sendgate_hold_oldest_message_seconds"]; age < 600 || age > 602 {
			t.Errorf("the oldest is %v s old", age)
		}
		if late := got["sendgate_hold_overdue_seconds"]; late != 0 {
			t.Errorf("%v s late, and it is not due", late)
		}
		b.s.mu.Lock()
		for _, e := range b.s.waiting.byTime {
			e.at -= 2 * time.Hour // as if nobody had let it go
		}
		b.s.mu.Unlock()
		if late := gathered(t, b.s)["sendgate_hold_overdue_seconds"]; late < 70*60-2 || late > 70*60+2 {
			t.Errorf("%v s late, want 70 minutes", late)
		}
	})
}
