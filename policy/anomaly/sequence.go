package anomaly

// orderly is the number of strangers in alphabetical order from which on it is no chance: one in 3.6
// million.
const orderly = 10

// A sequence follows the order of the strangers that an account writes to, by local part and by domain,
// over all of its messages.
type sequence struct {
	_           struct{} `cbor:",toarray"`
	Local, Host uint64   // the first octets of the last one
	Run, Hosts  uint16   // how many came in ascending order
}

// follow moves on by the strangers of a message.
func (s *sequence) follow(recipients []Recipient) {
	for i := range recipients {
		if !recipients[i].Stranger {
			continue
		}
		address := recipients[i].Address.Key()
		local, host := octets(address, 8), octets(recipients[i].Address.Domain(), 6)<<16|octets(address, 2)
		step(&s.Run, s.Local, local)
		step(&s.Hosts, s.Host, host)
		s.Local, s.Host = local, host
	}
}

func step(run *uint16, last, next uint64) {
	switch {
	case next > last:
		saturate(run, 1)
	case next < last:
		*run = 1
	}
}

func (s *sequence) run() int { return int(max(s.Run, s.Hosts)) }

// octets gives the first n octets as a number that sorts as they do.
func octets(s string, n int) (x uint64) {
	for i := range n {
		x <<= 8
		if i < len(s) {
			x |= uint64(s[i])
		}
	}
	return x
}
