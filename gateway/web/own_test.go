package web

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/policy"
)

// TestTheTimelineDoesNotTellWhoBlocksAGroup: events of recalls name members by their rows.
func TestTheTimelineDoesNotTellWhoBlocksAGroup(t *testing.T) {
	c := newCrew(t)
	recall := policy.ID{15: 1}.String()
	c.observe(c.own, policy.Event{Kind: policy.DeliveredMailbox, Recipients: []int{0}, Member: "reader@corp.example"})
	c.observe(c.own, policy.Event{Kind: policy.RecallOutcome, Subject: recall, Recipients: []int{1}, Reason: string(policy.AlreadyRead), Evidence: `FLAGS (\Seen)`})
	for who, tells := range map[byte]bool{'U': false, 'A': true} {
		w := c.request(who, "GET", "/api/v1/messages/"+c.own, "")
		if w.Code != http.StatusOK || strings.Contains(w.Body.String(), string(policy.AlreadyRead)) != tells {
			t.Errorf("%c: %d %s", who, w.Code, w.Body)
		}
	}
}
