package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// fields are the keys of a struct.
type fields struct {
	index map[string]int // field number by key
}

func fieldsOf(t reflect.Type) fields {
	f := fields{index: map[string]int{}}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if name != "-" && name != "" {
			f.index[name] = i
		}
	}
	return f
}

// suggest names the key that was probably meant, or all there are.
func (f fields) suggest(typed string) string {
	known := slices.Sorted(maps.Keys(f.index))
	if len(known) == 0 {
		return "there are no keys here"
	}
	nearest := slices.MinFunc(known, func(a, b string) int { return distance(typed, a) - distance(typed, b) })
	if distance(typed, nearest) <= max(1, len(nearest)/3) {
		return fmt.Sprintf("did you mean %q?", nearest)
	}
	return "the keys here are " + strings.Join(known, ", ")
}

// distance is the number of letters to insert, delete, replace or swap with their neighbour that
// makes b of a (optimal string alignment), without regard to case, "-" and "_".
func distance(a, b string) int {
	s, t := []rune(fold(a)), []rune(fold(b))
	if len(s) > 64 {
		return len(s) // nothing near, and no work for a hostile key
	}
	rows := make([][]int, len(s)+1)
	for i := range rows {
		rows[i] = make([]int, len(t)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(s); i++ {
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(s)][len(t)]
}

func fold(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "_")) }
