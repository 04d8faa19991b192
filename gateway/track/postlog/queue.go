package postlog

import "strings"

// pickup reads "uid=0 from=<root>" and "uid=0 from=<root> orig_id=4XyZ".
func (e *Entry) pickup(s string) bool {
	s, ok := strings.CutPrefix(s, "uid=")
	if !ok {
		return false
	}
	e.UID, s, _ = cutNumber(s)
	if s, ok = strings.CutPrefix(s, " from="); !ok {
		return false
	}
	e.Kind = PickedUp
	if i := strings.LastIndex(s, " orig_id="); i >= 0 && IsQueueID(s[i+len(" orig_id="):]) {
		s, e.OrigID = s[:i], s[i+len(" orig_id="):]
	}
	e.From = unbracket(s)
	return true
}

// cleanup reads what cleanup says while it receives a message.
func (e *Entry) cleanup(s string) bool {
	rest, resent := strings.CutPrefix(s, "resent-")
	if id, ok := strings.CutPrefix(rest, "message-id="); ok {
		e.Kind, e.Resent, e.MessageID = Message, resent, messageID(id)
		return true
	}
	return e.removal(s) || e.act(s)
}

// messageID gives the id without what may follow it; a client may write anything there.
func messageID(s string) string {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "<") {
		if i := strings.IndexByte(s, '>'); i >= 0 {
			s = s[:i+1]
		}
	}
	if s == "<>" {
		return ""
	}
	return s
}

// qmgr reads what the queue manager says of a message as a whole. A sender may be anything, the end of
// the line is Postfix's own.
func (e *Entry) qmgr(s string) bool {
	if from, ok := strings.CutPrefix(s, "from="); ok {
		return e.active(from) || e.expired(from)
	}
	if strings.HasPrefix(s, "skipped, still being delivered") {
		e.Kind = Skipped
		return true
	}
	return e.removal(s)
}

// active reads "<a>, size=1234, nrcpt=2 (queue active)".
func (e *Entry) active(s string) bool {
	i := strings.LastIndex(s, ", size=")
	if i < 0 {
		return false
	}
	size, rest, _ := cutNumber(s[i+len(", size="):])
	rest, ok := strings.CutPrefix(rest, ", nrcpt=")
	if !ok {
		return false
	}
	e.Kind, e.From, e.Size = Active, unbracket(s[:i]), int64(size)
	e.Recipients, _, _ = cutNumber(rest)
	return true
}

// expired reads "<a>, status=expired, returned to sender".
func (e *Entry) expired(s string) bool {
	i := strings.LastIndex(s, ", status=")
	if i < 0 {
		return false
	}
	state, _, _ := strings.Cut(s[i+len(", status="):], ",")
	if state != "expired" && state != "force-expired" {
		return false
	}
	e.Kind, e.From, e.Status = Expired, unbracket(s[:i]), state
	return true
}

// removal reads "removed", "removed (canceled)", "removed (discarded)".
func (e *Entry) removal(s string) bool {
	if s != "removed" && !strings.HasPrefix(s, "removed (") {
		return false
	}
	e.Kind, e.Canceled = Removed, s != "removed"
	return true
}

// postsuper reads what an administrator did.
func (e *Entry) postsuper(s string) bool {
	switch s {
	case "placed on hold":
		e.Kind = Held
	case "released from hold":
		e.Kind = Unheld
	case "requeued":
		e.Kind = Requeued
	case "expired":
		e.Kind = Doomed
	default:
		return e.removal(s)
	}
	return true
}

// notification reads "sender non-delivery notification: 4XyZ" and its like.
func (e *Entry) notification(s string) bool {
	kind, id, ok := strings.Cut(s, " notification: ")
	if !ok || !IsQueueID(id) {
		return false
	}
	switch kind {
	case SenderNonDelivery, SenderDelay, SenderDeliveryStatus, PostmasterNonDelivery, PostmasterDelay:
		e.Kind, e.NotificationKind, e.NotificationID = Notification, kind, id
		return true
	}
	return false
}

// unbracket takes the angle brackets off.
func unbracket(s string) string {
	return strings.TrimSuffix(strings.TrimPrefix(s, "<"), ">")
}
