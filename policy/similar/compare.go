package similar

// The decision rule of the comparison. The thresholds come from pairs that are hard to tell apart
// (same sender, same thread, same disclaimer), not from unrelated ones, which would allow 0.05.
const (
	strongSimilarity = 0.50
	nearSimilarity   = 0.25
	weakSimilarity   = 0.20
	fullSimilarity   = 0.30
	briefSimilarity  = 0.40
	joinedBelow      = 0.60 // a copy less similar than this becomes a further sample

	minUnits    = 20 // below, only equal text counts,
	brief       = 14 // except that here and above more similarity will do:
	exactUnits  = 6  // below, not even that
	minFeatures = 8
)

// Kind says by what two messages are taken for copies.
type Kind string

// The kinds, strongest first. None is the zero value.
const (
	None       Kind = ""
	Exact      Kind = "exact"      // the same words after normalisation
	Attachment Kind = "attachment" // the same file with hardly any text
	Strong     Kind = "strong"     // half of the text or more
	Near       Kind = "near"       // a quarter or more
	Weak       Kind = "weak"       // a fifth, with the same link hosts or attachment
	Full       Kind = "full"       // only with what was stripped as quotation or signature
)

// A Similarity compares two messages.
type Similarity struct {
	Kind    Kind
	Jaccard float64 // estimated share of common shingles, 0 to 1
}

// Compare estimates how alike two messages are: by their new text, else by their full one. Both
// signatures must be of the same index.
func Compare(a, b *Signature) Similarity {
	if s := compareNew(a, b); s.Kind != None {
		return s
	}
	return compareFull(a, b)
}

// compareNew is the first channel: the new text, or a file without text.
func compareNew(a, b *Signature) Similarity {
	if a.exact == b.exact && a.units >= exactUnits && b.units >= exactUnits {
		return Similarity{Exact, 1}
	}
	if a.units < exactUnits && b.units < exactUnits && a.sharesAttachment(b) {
		return Similarity{Attachment, 1}
	}
	return compareText(a, b)
}

func compareText(a, b *Signature) Similarity {
	units := min(a.units, b.units)
	if units < brief || a.features < minFeatures || b.features < minFeatures {
		return Similarity{}
	}
	j := float64(a.text.equal(&b.text)) / Slots
	switch {
	case units < minUnits && j < briefSimilarity:
		return Similarity{}
	case j >= strongSimilarity:
		return Similarity{Strong, j}
	case j >= nearSimilarity:
		return Similarity{Near, j}
	case j >= weakSimilarity && (a.hosts != 0 && a.hosts == b.hosts || a.sharesAttachment(b)):
		return Similarity{Weak, j}
	}
	return Similarity{}
}

// compareFull is the second channel: a message can call itself a reply and carry its text as a
// "quotation". It counts with twice the limit, since real replies of a thread look like that too.
func compareFull(a, b *Signature) Similarity {
	if a.full == nil && b.full == nil || a.fullUnits < minUnits || b.fullUnits < minUnits || a.template || b.template {
		return Similarity{}
	}
	if j := float64(a.wide().equal(b.wide())) / Slots; j >= fullSimilarity {
		return Similarity{Full, j}
	}
	return Similarity{}
}
