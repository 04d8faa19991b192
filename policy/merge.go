package policy

// severity orders what verdicts do to a message.
func severity(a Action) int {
	switch a {
	case Discard:
		return 5
	case Reject:
		return 4
	case Defer:
		return 3
	case Approval:
		return 2
	case Hold:
		return 1
	}
	return 0
}

// And gives what two verdicts on one message come to: the stricter action, of two holds the longer one,
// with the findings, fields and charges of both.
func (v Verdict) And(w Verdict) Verdict {
	best, other := v, w
	if severity(w.Action) > severity(v.Action) || w.Action == Hold && v.Action == Hold && w.Until.After(v.Until) {
		best, other = w, v
	}
	switch a, b := severity(v.Action), severity(w.Action); {
	case a < b:
		v.Findings = overruled(v.Findings)
	case a > b:
		w.Findings = overruled(w.Findings)
	}
	best.Shadow = append(append([]string(nil), v.Shadow...), w.Shadow...)
	best.Findings = append(append([]Finding(nil), v.Findings...), w.Findings...)
	best.Tags = append(append([]Field(nil), v.Tags...), w.Tags...)
	if best.Upstream == "" {
		best.Upstream = other.Upstream
	}
	best.Charge = v.Charge.and(w.Charge)
	return best
}

// overruled gives findings that did not decide after all; the usual hold stays what it is.
func overruled(findings []Finding) []Finding {
	all := append([]Finding(nil), findings...)
	for i := range all {
		all[i].Decided = all[i].Decided && all[i].Kind == "hold"
	}
	return all
}

// and puts two charges together; only one of them has taken of limits.
func (c *Charge) and(d *Charge) *Charge {
	switch {
	case c == nil:
		return d
	case d == nil:
		return c
	}
	sum := *c
	if len(sum.Amounts) == 0 && len(d.Amounts) > 0 {
		sum = *d
		sum.Signature, sum.Strangers = c.Signature, c.Strangers
	}
	sum.Paces = append(append([]Paced(nil), c.Paces...), d.Paces...)
	if sum.Signature == nil {
		sum.Signature, sum.Strangers = d.Signature, d.Strangers
	}
	return &sum
}
