package gateway_test

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/gateway"
	"github.com/sendgate/sendgate/gateway/config"
	"github.com/sendgate/sendgate/policy"
)

// example explains every key.
const example = "../contrib/sendgate.yaml"

// TestExampleIsInOrder loads the file as it is.
func TestExampleIsInOrder(t *testing.T) {
	if _, err := gateway.Load(example); err != nil {
		t.Error(err)
	}
}

// commentedOut is a line with a key, or with an entry of a list, behind a comment sign. Sentences are
// none: they begin with a capital letter or have no colon after the first word.
var commentedOut = regexp.MustCompile(`(?m)^( *)# ((?:  |- )*(?:[a-z0-9_]+:(?: .*)?|\{.*))$`)

// TestKeysAreExplained holds keys and their explanation together: what the example has, commented out
// or not, is a key, and every key stands there at its place.
func TestKeysAreExplained(t *testing.T) {
	data, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	cfg := gateway.DefaultConfig()
	file, err := config.Decode("example", commentedOut.ReplaceAll(data, []byte("$1$2")), &cfg)
	if err != nil {
		t.Fatalf("with all comments taken away: %v", err)
	}
	explained := map[string]bool{}
	walk(reflect.ValueOf(cfg), "", func(path string) { explained[general(path)] = explained[general(path)] || stands(t, file, path) })
	keys := keysOf(reflect.TypeFor[gateway.Config](), "")
	if len(keys) < 80 {
		t.Fatalf("found %d keys only", len(keys))
	}
	for _, key := range keys {
		if !explained[key] {
			t.Errorf("%s does not explain %s", example, key)
		}
	}
}

// stands reports whether a key is in the file: the decoder gives an absent one the place of its section.
func stands(t *testing.T, file *config.File, path string) bool {
	t.Helper()
	return place(t, file, path) != place(t, file, path[:max(strings.LastIndexByte(path, '.'), 0)])
}

func place(t *testing.T, file *config.File, path string) string {
	t.Helper()
	var f *config.Fault
	if err := file.Locate(&policy.Fault{Path: path, Text: "x"}); !errors.As(err, &f) {
		t.Fatalf("%s is nowhere: %v", path, err)
	}
	return fmt.Sprint(f.Line, ":", f.Column)
}

var index = regexp.MustCompile(`\[\d+\]`)

// general is the path of a key without the indexes of lists.
func general(path string) string { return index.ReplaceAllString(path, "") }

// walk visits the keys of a configuration, those of each entry of a list included.
func walk(v reflect.Value, path string, visit func(path string)) {
	switch {
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			walk(v.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if name := keyOf(v.Type().Field(i)); name != "" {
				at := strings.TrimPrefix(path+"."+name, ".")
				visit(at)
				walk(v.Field(i), at, visit)
			}
		}
	}
}

// keysOf are all keys that there are, without indexes.
func keysOf(t reflect.Type, path string) (all []string) {
	for t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		if name := keyOf(t.Field(i)); name != "" {
			at := strings.TrimPrefix(path+"."+name, ".")
			all = append(append(all, at), keysOf(t.Field(i).Type, at)...)
		}
	}
	return all
}

// keyOf is the name of a field in the file; empty when it is not there.
func keyOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return strings.TrimPrefix(name, "-")
}
