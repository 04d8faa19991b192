package web

import (
	"net/http"
)

// senderActs are what can be done with a sender. Each leads back to the sender's page.
func (s *Server) senderActs(mux *http.ServeMux) {
	for name, do := range map[string]func(*visit, string) (string, error){
		"boost": s.pageBoost, "override": s.pageOverride, "revoke": s.pageRevoke, "reset": s.pageReset,
		"suspend": s.pageSuspend, "unsuspend": s.pageUnsuspend,
	} {
		mux.Handle("POST /senders/{identity}/"+name, s.act(func(v *visit) (string, string, error) {
			identity := v.r.PathValue("identity")
			said, err := do(v, identity)
			return senderAt(identity), said, s.worded(v, "senders", err)
		}))
	}
}

// pageBoost raises a limit, and so lets go what waits for it.
func (s *Server) pageBoost(v *visit, identity string) (string, error) {
	span, until, err := v.ending()
	if err != nil {
		return "", err
	}
	amount, err := v.amount("amount")
	if err != nil {
		return "", err
	}
	reason, err := v.reason()
	if err != nil {
		return "", err
	}
	_, err = call[boostInput, senderOutput](s, v, "boost-sender", &boostInput{identity, BoostRequest{
		Rule: v.form("rule"), Amount: amount, For: span, Until: until, Reason: reason, Release: true,
	}})
	return "senders.said.boost", err
}

func (s *Server) pageOverride(v *visit, identity string) (string, error) {
	span, until, err := v.ending()
	if err != nil {
		return "", err
	}
	most, err := v.amount("limit")
	if err != nil {
		return "", err
	}
	reason, err := v.reason()
	if err != nil {
		return "", err
	}
	_, err = call[overrideInput, senderOutput](s, v, "override-sender", &overrideInput{identity, OverrideRequest{
		Rule: v.form("rule"), Limit: most, For: span, Until: until, Reason: reason,
	}})
	return "senders.said.override", err
}

func (s *Server) pageRevoke(v *visit, identity string) (string, error) {
	reason, err := v.reason()
	if err != nil {
		return "", err
	}
	_, err = call[revokeInput, senderOutput](s, v, "revoke-sender", &revokeInput{identity, RevokeRequest{Rule: v.form("rule"), Reason: reason}})
	return "senders.said.revoke", err
}

func (s *Server) pageReset(v *visit, identity string) (string, error) {
	reason, err := v.reason()
	if err != nil {
		return "", err
	}
	_, err = call[resetInput, senderOutput](s, v, "reset-sender", &resetInput{identity, ResetRequest{Rule: v.form("rule"), Reason: reason}})
	return "senders.said.reset", err
}

func (s *Server) pageSuspend(v *visit, identity string) (string, error) {
	span, until, err := v.ending()
	if err != nil {
		return "", err
	}
	reason, err := v.reason()
	if err != nil {
		return "", err
	}
	_, err = call[suspendInput, senderOutput](s, v, "suspend-sender", &suspendInput{identity, SuspendRequest{For: span, Until: until, Reason: reason}})
	return "senders.said.suspend", err
}

func (s *Server) pageUnsuspend(v *visit, identity string) (string, error) {
	history := v.form("history")
	switch history {
	case forgive, "forget", "keep":
	default:
		return "", errHistory
	}
	reason, err := v.reason()
	if err != nil {
		return "", err
	}
	_, err = call[unsuspendInput, senderOutput](s, v, "unsuspend-sender", &unsuspendInput{identity, UnsuspendRequest{Reason: reason, History: history}})
	return "senders.said.unsuspend", err
}
