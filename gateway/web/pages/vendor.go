package pages

import (
	"fmt"
	"strings"
)

// Vendored is foreign code that the pages bring along.
type Vendored struct {
	Name, Version, Licence string
	Text                   string // of the licence
}

// vendored reads the table in static/vendor/README.md, which names what lies there.
func vendored() (list []Vendored, err error) {
	const folder = "static/vendor/"
	table, err := staticFiles.ReadFile(folder + "README.md")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(table)) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || !strings.Contains(cells[1], ".js") {
			continue
		}
		v := Vendored{Version: strings.TrimSpace(cells[3]), Licence: strings.TrimSpace(cells[4])}
		v.Name, _, _ = strings.Cut(strings.TrimSpace(cells[2]), " ")
		file, _, _ := strings.Cut(strings.TrimSpace(cells[1]), ".")
		text, err := staticFiles.ReadFile(folder + file + ".LICENSE")
		if err != nil {
			return nil, fmt.Errorf("licence of %s: %w", v.Name, err)
		}
		v.Text = string(text)
		list = append(list, v)
	}
	return list, nil
}

// Vendored lists the foreign code in the pages, with its licences.
func (r *Renderer) Vendored() []Vendored { return r.vendored }
