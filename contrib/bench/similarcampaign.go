package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/sendgate/sendgate/policy"
)

// campaigns sends waves of 60 copies through an index, after ordinary mail of the same sender, and
// tells in how many waves the twentieth recipient of one campaign is reached by copy 25, 40 and 60.
// These figures are for people; they are not in the result.
func (b *similarBench) campaigns(int) error {
	const copies, waves = 60, 20
	fmt.Printf("\n%-14s %8s %8s %8s   share of waves slowed by copy\n", "waves of 60", "25", "40", "60")
	sets := b.mutators(waves)
	now := time.Unix(1_700_000_000, 0)
	wave := 0
	for _, mu := range mutations() {
		var caught [3]int
		n := 0
		for m, base := range sets {
			for _, l := range base {
				wave++
				now = now.Add(25 * time.Hour)
				at := b.wave(m, mu, l, now, fmt.Sprintf("sender%d@wave%d.example", wave, wave), copies)
				n++
				for i, limit := range []int{25, 40, 60} {
					if at <= limit {
						caught[i]++
					}
				}
			}
		}
		fmt.Printf("%-14s %8.0f %8.0f %8.0f\n", mu.name, percent(caught[0], n), percent(caught[1], n), percent(caught[2], n))
	}
	return nil
}

// wave gives the number of the copy at which the sender is slowed down.
func (b *similarBench) wave(m *mutator, mu mutation, l *letter, now time.Time, sender string, copies int) int {
	for i := range 100 {
		other := pick(m.Rand, m.letters)
		if other != l && !copied(l, other) {
			b.index.Take(now, benchID(now, i), sender, other.sig, []policy.Address{policy.Address(fmt.Sprintf("colleague%d@other.example", i%5))})
		}
	}
	for i := range copies {
		d := draft{text: l.text, subject: m.some(4), to: "Somebody", html: l.html, reply: l.reply, size: l.sig.Units()}
		mu.do(m, &d)
		c, hints := extract(d.write(m.Rand))
		hints.Sender = sender
		to := []policy.Address{policy.Address(fmt.Sprintf("stranger%d@far.example", i))}
		match := b.index.Take(now, benchID(now, 100+i), sender, b.index.Signature(c.Text, hints), to)
		if match.Level >= 2 {
			return i + 1
		}
	}
	return copies + 1
}

func benchID(now time.Time, n int) policy.ID {
	var id policy.ID
	copy(id[:], fmt.Sprintf("%08x%08d", now.Unix(), n))
	return id
}

// fill gives one sender as many campaigns as are compared.
func (b *similarBench) fill(now time.Time) {
	for i := range 256 {
		l := b.letters[i%len(b.letters)]
		b.index.Take(now, benchID(now, i), "busy@sender.example", l.sig, nil)
	}
}

// ofSize composes a message of about that many octets from the texts of the corpus.
func (b *similarBench) ofSize(m *mutator, octets int) []byte {
	var text strings.Builder
	for text.Len() < octets {
		t := pick(b.rand, b.letters).text
		text.WriteString(t[:min(len(t), octets-text.Len())] + "\n\n")
	}
	d := draft{text: strings.ToValidUTF8(text.String(), ""), subject: "cost", to: "Somebody", html: b.rand.IntN(2) == 0}
	return d.write(m.Rand)
}
