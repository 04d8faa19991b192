package config

import (
	"fmt"
	"io"
	"time"

	"github.com/goccy/go-yaml"
)

// Print writes v, usually the effective configuration, as YAML that [Decode] reads back into the
// same values. Fields stand in the order of their struct.
func Print(w io.Writer, v any) error {
	duration := func(d time.Duration) ([]byte, error) { return []byte(formatDuration(d)), nil }
	text, err := yaml.MarshalWithOptions(v, yaml.IndentSequence(true), yaml.CustomMarshaler(duration))
	if err != nil {
		return fmt.Errorf("write configuration as YAML: %w", err)
	}
	if _, err = w.Write(text); err != nil {
		return fmt.Errorf("print configuration: %w", err)
	}
	return nil
}
