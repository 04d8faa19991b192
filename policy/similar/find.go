package similar

import (
	"slices"

	"github.com/sendgate/sendgate/policy"
)

// A likeness is a campaign that a message belongs to, and the sample that showed it.
type likeness struct {
	*campaign
	Similarity
	sample policy.ID
}

// found holds the campaign by new text and the one by full text. They are looked for apart: a message
// whose new text is like another must not hide what it carries as a quotation.
type found struct{ text, full likeness }

// find looks among the sender's own campaigns, then among everybody's.
func (x *Index) find(name string, sig *Signature) found {
	var f found
	if s := x.senders[name]; s != nil {
		for _, c := range s.leaders {
			f.consider(c, sig)
		}
	}
	if f.text.campaign == nil {
		f.text = x.elsewhere(sig)
	}
	return f
}

// consider compares a message with the samples of a campaign.
func (f *found) consider(c *campaign, sig *Signature) {
	for i := range c.Samples {
		s := &c.Samples[i]
		f.text.consider(c, s, compareNew(sig, &s.Signature))
		f.full.consider(c, s, compareFull(sig, &s.Signature))
	}
}

func (l *likeness) consider(c *campaign, s *sample, similar Similarity) {
	if similar.Kind != None && (l.campaign == nil || similar.Jaccard > l.Jaccard) {
		*l = likeness{c, similar, s.ID}
	}
}

// maxAsked bounds the campaigns that are compared because they share a band.
const maxAsked = 64

// elsewhere looks for the text among all senders. That takes at least half of a text of some length,
// or the same short text with a link or an attachment: many people write "thank you, received".
func (x *Index) elsewhere(sig *Signature) likeness {
	var f found
	if c := x.exact[sig.exact]; c != nil && (!sig.short() || sig.linked) {
		f.consider(c, sig)
	}
	if f.text.Kind == Exact || sig.short() || sig.features < minFeatures {
		return f.text
	}
	for _, c := range x.neighbours(sig) {
		f.consider(c, sig)
	}
	if f.text.Jaccard < strongSimilarity {
		return likeness{}
	}
	return f.text
}

// neighbours gives the campaigns that share a band, in the order of their numbers.
func (x *Index) neighbours(sig *Signature) []*campaign {
	keys := sig.text.keys(x.hash)
	var numbers []uint32
	x.bands.each(&keys, func(owner uint32) {
		if len(numbers) < maxAsked && !slices.Contains(numbers, owner) {
			numbers = append(numbers, owner)
		}
	})
	slices.Sort(numbers)
	campaigns := make([]*campaign, 0, len(numbers))
	for _, n := range numbers {
		if c := x.numbers[n]; c != nil {
			campaigns = append(campaigns, c)
		}
	}
	return campaigns
}
