package pages

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func renderer(t *testing.T) *Renderer {
	t.Helper()
	r, err := New(zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var placeholder = regexp.MustCompile(`\{\d\}`)

// TestLanguagesHaveTheSameTexts finds what was not translated, or lost an argument on the way.
func TestLanguagesHaveTheSameTexts(t *testing.T) {
	texts := renderer(t).texts
	for _, lang := range Languages {
		for _, other := range Languages {
			for key, text := range texts[other] {
				mine, ok := texts[lang][key]
				switch {
				case !ok:
					t.Errorf("%s has no %q", lang, key)
				case strings.TrimSpace(mine) == "":
					t.Errorf("%s: %q is empty", lang, key)
				case !slices.Equal(arguments(mine), arguments(text)):
					t.Errorf("%q: %s has %q, %s has %q", key, lang, arguments(mine), other, arguments(text))
				}
			}
		}
	}
}

func arguments(text string) []string {
	found := placeholder.FindAllString(text, -1)
	slices.Sort(found)
	return slices.Compact(found)
}

var (
	countOf = regexp.MustCompile(`\{\d\}((?: [a-z]+){1,3})`)
	manyOf  = regexp.MustCompile(` (?:are|were|have|[a-z]+[^s ]s)( |$)`)
	oneOf   = regexp.MustCompile(` (?:is|was|has|ms|as|its)( |$)`)
)

// TestCountsHaveASingular finds English texts that would say "1 messages".
func TestCountsHaveASingular(t *testing.T) {
	for key, text := range renderer(t).texts["en"] {
		for _, m := range countOf.FindAllStringSubmatch(text, -1) {
			if said := oneOf.ReplaceAllString(m[1], "$1"); manyOf.MatchString(said) {
				t.Errorf("%q has a number, and no words for one of it: %q", key, text)
			}
		}
	}
	for _, text := range renderer(t).texts["zh-CN"] {
		if m := place.FindStringSubmatch(text); m != nil && m[2] != "" {
			t.Errorf("Chinese has no plural: %q", text)
		}
	}
}

// TestFilesHaveTheirArea: keys begin with the area that the file is named after.
func TestFilesHaveTheirArea(t *testing.T) {
	files, err := fs.Glob(messageFiles, "messages/*.*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, name := range files {
		area := strings.Split(filepath.Base(name), ".")[1]
		texts := map[string]string{}
		if err := readMessages(name, texts); err != nil {
			t.Error(err)
		}
		for key := range texts {
			if !strings.HasPrefix(key, area+".") {
				t.Errorf("%s: %q is of another area", name, key)
			}
		}
	}
}

var (
	saidInTemplate  = regexp.MustCompile(`\bt "([a-z0-9_.]+)"`)
	begunInTemplate = regexp.MustCompile(`print "([a-z0-9_.]+\.)"`)
	withinKeys      = regexp.MustCompile("\"(\\.[a-z0-9_]+\\.)\"")
	quoted          = regexp.MustCompile("\"([a-z0-9_]+(?:\\.[a-z0-9_]+)*\\.?)\"")
)

// TestEveryTextIsSaid finds keys that a template or the code uses and no file defines, and those that nothing uses.
func TestEveryTextIsSaid(t *testing.T) {
	texts := renderer(t).texts[Languages[0]]
	literals, parts := used(t, texts)
	for key := range texts {
		if !literals[key] && !slices.ContainsFunc(parts, func(p string) bool { return strings.HasPrefix(key, p) || p[0] == '.' && strings.Contains(key, p) }) {
			t.Errorf("nothing says %q", key)
		}
	}
}

// used gives what the templates and the code of the dashboard say, and the parts of keys that are put together:
// how they begin ("role."), and what stands in their middle (".refused.").
func used(t *testing.T, texts map[string]string) (literals map[string]bool, parts []string) {
	t.Helper()
	literals = map[string]bool{}
	areas := map[string]bool{}
	for key := range texts {
		area, _, _ := strings.Cut(key, ".")
		areas[area] = true
	}
	for name, text := range sources(t) {
		if strings.HasSuffix(name, ".html") {
			for _, m := range saidInTemplate.FindAllStringSubmatch(text, -1) {
				if literals[m[1]] = true; texts[m[1]] == "" {
					t.Errorf("%s says %q, which there is not", name, m[1])
				}
			}
			for _, m := range begunInTemplate.FindAllStringSubmatch(text, -1) {
				parts = append(parts, m[1])
			}
		}
		for _, m := range withinKeys.FindAllStringSubmatch(text, -1) {
			parts = append(parts, m[1])
		}
		for _, m := range quoted.FindAllStringSubmatch(text, -1) {
			area, rest, dotted := strings.Cut(m[1], ".")
			switch {
			case !dotted || !areas[area]:
			case rest == "" || strings.HasSuffix(rest, "."):
				parts = append(parts, m[1])
			default:
				literals[m[1]] = true
			}
		}
	}
	return literals, parts
}

// sources are the templates, and the Go files of the dashboard without tests.
func sources(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range []string{"templates/*.html", "*.go", "../*.go", "../../*.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatal(pattern, err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			found[name] = string(text)
		}
	}
	return found
}

func TestTexts(t *testing.T) {
	c := catalog{"en": {"a.b": "{0} of {1}, {0}", "a.n": "{0} {0|message|messages} to {1} {1|person|people}"}}
	for outcome, got := range map[string]string{
		"1 message to 2 people":               c.text("en", "a.n", 1, "2"),
		"1,001 messages to 1 person":          c.text("en", "a.n", "1,001", int64(1)),
		"0 messages to {1} {1|person|people}": c.text("en", "a.n", 0),
		"{1} of 1, {1}":                       c.text("en", "a.b", "{1}", 1),
		"1 of 2, 1":                           c.text("en", "a.b", 1, 2),
		"a.c":                                 c.text("en", "a.c"),
		"a.b":                                 c.text("fr", "a.b"),
	} {
		if got != outcome {
			t.Errorf("%q, want %q", got, outcome)
		}
	}
}

func TestLanguage(t *testing.T) {
	for _, c := range []struct{ outcome, chosen, accept, want string }{
		{"chosen goes first", "zh-CN", "en", "zh-CN"},
		{"an unknown choice is none", "fr", "zh", "zh-CN"},
		{"Chinese of any kind", "", "zh-TW,zh;q=0.9", "zh-CN"},
		{"by weight", "", "zh;q=0.2, en;q=0.8", "en"},
		{"others read English", "", "fr, de;q=0.5", "en"},
		{"nothing said", "", "", "en"},
		{"nonsense", "", ";;;q=x", "en"},
		{"a script as choice", "<script>", "", "en"},
	} {
		if got := Language(c.chosen, c.accept); got != c.want {
			t.Errorf("%s: %s", c.outcome, got)
		}
	}
}

func FuzzLanguage(f *testing.F) {
	f.Add("en", "zh-CN,zh;q=0.9")
	f.Fuzz(func(t *testing.T, chosen, accept string) {
		if got := Language(chosen, accept); !slices.Contains(Languages, got) {
			t.Errorf("%q", got)
		}
	})
}
