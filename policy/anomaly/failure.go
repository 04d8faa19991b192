package anomaly

import "strings"

// A Failure says why a message came back for good.
type Failure uint8

// The failures.
const (
	Returned   Failure = iota // any permanent failure
	NoSuchUser                // the mailbox does not exist
)

// said are the words of servers that give no enhanced status, or one that says too little.
var said = []string{"user unknown", "unknown user", "no such user", "no such recipient", "no such mailbox", "mailbox not found", "does not exist", "用户不存在"}

// FailureOf reads the reply or diagnostic of a permanent failure: X.1.1 and X.1.10 are about a mailbox
// that is not there (RFC 3463 3.2, RFC 7505 4), as is the text of many 550 without a status. The octets are a
// stranger's.
func FailureOf(reply string) Failure {
	for _, word := range strings.FieldsFunc(reply, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }) {
		if word == "5.1.1" || word == "5.1.10" {
			return NoSuchUser
		}
	}
	reply = strings.ToLower(reply)
	for _, words := range said {
		if strings.Contains(reply, words) {
			return NoSuchUser
		}
	}
	return Returned
}
