package web

import (
	"context"
	"encoding/json"
	"net/netip"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// Rules are what decides on mail: names and values as in the configuration.
type Rules struct {
	Hold   HoldSettings `json:"hold"`
	Rules  []HoldRule   `json:"rules" nullable:"false" doc:"how long mail is held; for each recipient the first that matches"`
	Limits []LimitRule  `json:"limits" nullable:"false" doc:"all that match count"`
	Trial  time.Time    `json:"trial,omitzero" doc:"until then limits only tell; absent when it is over"`
}

// HoldSettings say how long mail is held that no rule names.
type HoldSettings struct {
	Default Span   `json:"default"`
	Max     Span   `json:"max"`
	Margin  Span   `json:"margin"`
	Header  string `json:"header"`
}

// A HoldRule says how long some mail is held.
type HoldRule struct {
	Name   string        `json:"name"`
	Match  Match         `json:"match"`
	Action policy.Action `json:"action"`
	For    Span          `json:"for"`
	Shadow bool          `json:"shadow"`
}

// A Match names some mail; an empty list matches everything.
type Match struct {
	Senders    []string          `json:"senders,omitempty" nullable:"false"`
	Groups     []string          `json:"groups,omitempty" nullable:"false"`
	Networks   []netip.Prefix    `json:"networks,omitempty" nullable:"false"`
	Recipients []string          `json:"recipients,omitempty" nullable:"false"`
	Headers    map[string]string `json:"headers,omitempty"`
	Times      []string          `json:"times,omitempty" nullable:"false"`
}

// A LimitRule bounds how much may be sent. In a request, what is absent has the default of the
// configuration.
type LimitRule struct {
	Name            string        `json:"name"`
	Match           Match         `json:"match,omitzero"`
	Key             policy.Key    `json:"key" required:"false" doc:"identity, sender_domain, network, recipient_domain, destination or gateway"`
	Unit            policy.Unit   `json:"unit" required:"false" doc:"messages, recipients, external_recipients, internal_recipients, first_time_recipients, visible_recipients or bytes"`
	Limit           int64         `json:"limit"`
	Per             Per           `json:"per" required:"false" doc:"message, minute, hour, day or a duration" example:"1h"`
	Warn            int           `json:"warn" required:"false" doc:"percent of the limit from which it is told; 0 never"`
	Action          policy.Action `json:"action" required:"false" doc:"hold, pace, approval, defer, reject, route, tag or log"`
	Burst           int64         `json:"burst" required:"false" doc:"with pace: how many units may go at once"`
	ApprovalExpires Span          `json:"approval_expires" required:"false" example:"72h"`
	OnExpiry        string        `json:"on_expiry" required:"false" doc:"return or release"`
	Upstream        string        `json:"upstream,omitempty" doc:"with route"`
	Field           string        `json:"field,omitempty" doc:"with tag: a header field"`
	Code            int           `json:"code,omitempty" doc:"of the reply, with defer and reject"`
	Status          string        `json:"status,omitempty" doc:"enhanced status code of the reply"`
	OnError         string        `json:"on_error" required:"false" doc:"open, closed or hold"`
	Shadow          bool          `json:"shadow" required:"false"`
}

// UnmarshalJSON fills in the defaults of what is absent.
func (l *LimitRule) UnmarshalJSON(b []byte) error {
	type plain LimitRule
	var defaults policy.LimitRule
	defaults.SetDefaults()
	p := plain(LimitRuleOf(&defaults))
	if err := json.Unmarshal(b, &p); err != nil {
		return err
	}
	*l = LimitRule(p)
	return nil
}

// LimitRuleOf gives a limit of the configuration in the form of the API.
func LimitRuleOf(l *policy.LimitRule) LimitRule {
	return LimitRule{
		Name: l.Name, Match: Match(l.Match), Key: l.Key, Unit: l.Unit, Limit: l.Limit, Per: Per(l.Per), Warn: l.Warn,
		Action: l.Action, Burst: l.Burst, ApprovalExpires: Span(l.ApprovalExpires), OnExpiry: l.OnExpiry, Upstream: l.Upstream,
		Field: l.Field, Code: l.Code, Status: l.Status, OnError: l.OnError, Shadow: l.Shadow,
	}
}

// Policy gives the limit in the form of the configuration.
func (l *LimitRule) Policy() policy.LimitRule {
	return policy.LimitRule{
		Name: l.Name, Match: policy.Match(l.Match), Key: l.Key, Unit: l.Unit, Limit: l.Limit, Per: policy.Per(l.Per), Warn: l.Warn,
		Action: l.Action, Burst: l.Burst, ApprovalExpires: time.Duration(l.ApprovalExpires), OnExpiry: l.OnExpiry, Upstream: l.Upstream,
		Field: l.Field, Code: l.Code, Status: l.Status, OnError: l.OnError, Shadow: l.Shadow,
	}
}

type rulesOutput struct{ Body Rules }

func (s *Server) getRules(context.Context, *struct{}) (*rulesOutput, error) {
	hold, rules := s.limits.Hold()
	limits := s.limits.Rules()
	v := Rules{
		Hold:  HoldSettings{Default: Span(hold.Default), Max: Span(hold.Max), Margin: Span(hold.Margin), Header: hold.Header},
		Rules: make([]HoldRule, len(rules)), Limits: make([]LimitRule, len(limits)), Trial: s.trial(),
	}
	for i, r := range rules {
		v.Rules[i] = HoldRule{Name: r.Name, Match: Match(r.Match), Action: r.Action, For: Span(r.For), Shadow: r.Shadow}
	}
	for i := range limits {
		v.Limits[i] = LimitRuleOf(&limits[i])
	}
	return &rulesOutput{v}, nil
}
