package anomaly

// habitWeight is that of a new day.
const habitWeight = 1.0 / 8

// Habits are what sort of mail is usual, as shares of 1, and the day that is still to be learned.
type habits struct {
	_                      struct{} `cbor:",toarray"`
	Strange, Free, Foreign float32  // to strangers, of those at free-mail domains, with a foreign From
	Known                  bool     // a day was learned
	Today                  sorts
}

// sorts counts the messages of a day.
type sorts struct {
	_                                      struct{} `cbor:",toarray"`
	Messages, Strange, Cold, Free, Foreign uint16   // Cold went to any stranger; Free are of those
}

// count enters a message to external recipients, of whom n are strangers, some of those at free-mail
// domains.
func (h *habits) count(f *Facts, n, atFree int) {
	t := &h.Today
	saturate(&t.Messages, 1)
	if 2*n > len(f.External) {
		saturate(&t.Strange, 1)
	}
	if f.ForeignFrom {
		saturate(&t.Foreign, 1)
	}
	if n > 0 {
		saturate(&t.Cold, 1)
		if 2*atFree > n {
			saturate(&t.Free, 1)
		}
	}
}

// digest learns the day that is over, unless it is not to teach, and begins another.
func (h *habits) digest(teach bool) {
	t := h.Today
	h.Today = sorts{}
	if !teach || t.Messages == 0 {
		return
	}
	weight := float32(habitWeight)
	if !h.Known {
		weight = 1
	}
	h.Known = true
	h.Strange += weight * (float32(t.Strange)/float32(t.Messages) - h.Strange)
	h.Foreign += weight * (float32(t.Foreign)/float32(t.Messages) - h.Foreign)
	if t.Cold > 0 {
		h.Free += weight * (float32(t.Free)/float32(t.Cold) - h.Free)
	}
}
