package main

import (
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// A table is written in columns as terminals show them: East Asian wide characters take two cells.
// text/tabwriter counts them as one.
type table struct {
	rows [][]string
}

// add appends a row. Foreign text is cleaned here, so that no row can reach the terminal as commands.
func (t *table) add(cells ...string) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = clean(c)
	}
	t.rows = append(t.rows, row)
}

// addLines appends a row whose last cell has lines, each after the first in a row of its own.
func (t *table) addLines(cells, lines []string) {
	for _, line := range lines {
		t.add(append(cells[:len(cells):len(cells)], line)...)
		cells = make([]string, len(cells))
	}
}

// write prints the rows with two spaces between the columns and none at the end of a line.
func (t *table) write(w io.Writer) error {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], cells(cell))
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			line.WriteString(strings.Repeat(" ", widths[i]-cells(cell)+2))
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cells is how many columns of a terminal a text takes (UAX #11; ambiguous ones take one).
func cells(s string) (n int) {
	for _, r := range s {
		n += runeCells(r)
	}
	return n
}

func runeCells(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cut shortens a text to so many cells, with an ellipsis at its end.
func cut(s string, most int) string {
	if cells(s) <= most {
		return s
	}
	n := 1 // the ellipsis
	for i, r := range s {
		if n += runeCells(r); n > most {
			return s[:i] + "…"
		}
	}
	return s
}

// clean takes away what a terminal would obey: control characters, and marks that turn the
// direction of writing.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return utf8.RuneError
		}
		return r
	}, s)
}
