// Command reference writes the two pages of reference beside it: configuration.md from the structs that the
// configuration file is decoded into, and api.md from the description that the API gives of itself.
//
//	go run ./contrib/reference
//
// A test fails while a page does not say what the code says, and while a key has no explanation.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// directory is where the pages lie, seen from the top of the repository.
const directory = "contrib/reference"

// pages are the files of this directory, and what writes each.
var pages = []struct {
	name  string
	write func(w io.Writer, root string) error
}{
	{"configuration.md", writeConfiguration},
	{"api.md", writeAPI},
}

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

// run writes all pages. root is the top of the repository.
func run(root string) error {
	for _, p := range pages {
		f, err := os.Create(filepath.Join(root, directory, p.name))
		if err != nil {
			return err
		}
		if err := p.write(f, root); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}
