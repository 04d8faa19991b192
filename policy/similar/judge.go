package similar

import (
	"time"

	"github.com/sendgate/sendgate/policy"
)

// judge weighs a message against the campaigns that were found for it. The stricter one decides.
func (x *Index) judge(now time.Time, sender string, sig *Signature, f found, hashes []uint64) Match {
	text := x.weigh(now, sender, sig, f.text, hashes)
	if f.full.campaign == nil || f.full.campaign == f.text.campaign {
		return text
	}
	full := x.weigh(now, sender, sig, f.full, hashes)
	if full.Level > text.Level || text.Campaign == (policy.ID{}) {
		full.Level = max(full.Level, text.Level)
		return full
	}
	return text
}

// weigh judges a message as a part of one campaign.
func (x *Index) weigh(now time.Time, sender string, sig *Signature, l likeness, hashes []uint64) Match {
	at := now.UnixMilli()
	m := Match{Template: sig.template, Senders: 1, Similarity: l.Similarity, Sample: l.sample}
	var text, wide tally
	fresh := hashes
	if l.Kind == Full {
		fresh = nil
	}
	if l.campaign != nil {
		m.Campaign, m.Senders = l.ID, len(l.Members)
		if own := l.member(sender); own != nil {
			text, wide = own.Text, own.reach()
		} else {
			m.Senders++
		}
	}
	m.Level, m.Distinct = x.cfg.verdict(sig, text.count(at, fresh), wide.count(at, hashes))
	if l.campaign != nil {
		if x.spread(l.campaign, sender, at, fresh, hashes) {
			m.Hijack, m.Level = true, Alert
		}
		if l.Decision.holds(sender, now) {
			m.Decision = l.Decision.clone()
			m.Level = m.Decision.apply(m.Level)
		}
	}
	m.Reason = m.reason()
	return m
}

// spread reports the same text from several accounts to many recipients each.
func (x *Index) spread(c *campaign, sender string, at int64, text, wide []uint64) bool {
	enough := x.cfg.Spread.Recipients
	senders, known := 0, false
	for _, m := range c.Members {
		var t, w []uint64
		if m.Sender == sender {
			t, w, known = text, wide, true
		}
		if m.Text.count(at, t).Day >= enough || m.reach().count(at, w).Day >= enough*fullFactor {
			senders++
		}
	}
	if !known && (len(text) >= enough || len(wide) >= enough*fullFactor) {
		senders++
	}
	return senders >= x.cfg.Spread.Senders
}
