package relay

import (
	"strings"

	"github.com/sendgate/sendgate/policy"
)

// mailbox makes an address of a path as go-smtp hands it on: without angle brackets, and with the
// quotes of the local part lost, so that it may hold anything (quirk test
// TestQuirkQuotesAreStripped). The domain begins after the last @, because none can stand in it.
func mailbox(path string) (policy.Address, error) {
	at := strings.LastIndexByte(path, '@')
	if at < 0 {
		return policy.NewAddress(path, "")
	}
	return policy.NewAddress(path[:at], path[at+1:])
}
