package pages

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"golang.org/x/text/language"
)

//go:embed messages/*.json
var messageFiles embed.FS

// Languages are those that there are texts in, the first one being for everybody else.
var Languages = []string{"en", "zh-CN"}

var matcher = language.NewMatcher([]language.Tag{language.English, language.SimplifiedChinese})

// Language picks the language for a reader: the one chosen, if it is one of ours, else the best for the
// Accept-Language field.
func Language(chosen, accept string) string {
	for _, l := range Languages {
		if l == chosen {
			return l
		}
	}
	tags, _, err := language.ParseAcceptLanguage(accept)
	if err != nil {
		return Languages[0]
	}
	_, i, _ := matcher.Match(tags...)
	return Languages[i]
}

// A catalog has the texts of each language by key.
type catalog map[string]map[string]string

// newCatalog reads the files of each language: messages/LANGUAGE.json, and messages/LANGUAGE.PART.json.
func newCatalog() (catalog, error) {
	c := catalog{}
	for _, l := range Languages {
		c[l] = map[string]string{}
	}
	files, err := fs.Glob(messageFiles, "messages/*.json")
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		lang, _, _ := strings.Cut(strings.TrimSuffix(path.Base(name), ".json"), ".")
		texts, ok := c[lang]
		if !ok {
			return nil, fmt.Errorf("%s: %q is none of the languages", name, lang)
		}
		if err := readMessages(name, texts); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func readMessages(name string, into map[string]string) error {
	data, err := messageFiles.ReadFile(name)
	if err != nil {
		return err
	}
	var more map[string]string
	if err := json.Unmarshal(data, &more); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for k, v := range more {
		if _, ok := into[k]; ok {
			return fmt.Errorf("%s: %q is there already", name, k)
		}
		into[k] = v
	}
	return nil
}

// place is where an argument stands: {0}, or {0|message|messages} for what the language says of one and of any other
// number.
var place = regexp.MustCompile(`\{(\d)(?:\|([^|}]*)\|([^|}]*))?\}`)

// text gives a text with its arguments; a key without one stands for itself.
func (c catalog) text(lang, key string, args ...any) string {
	s, ok := c[lang][key]
	if !ok {
		return key
	}
	if len(args) == 0 {
		return s
	}
	var b strings.Builder
	at := 0
	for _, m := range place.FindAllStringSubmatchIndex(s, -1) {
		n := int(s[m[2]] - '0')
		if n >= len(args) {
			continue
		}
		b.WriteString(s[at:m[0]])
		switch said := fmt.Sprint(args[n]); {
		case m[4] < 0:
			b.WriteString(said)
		case said == "1":
			b.WriteString(s[m[4]:m[5]])
		default:
			b.WriteString(s[m[6]:m[7]])
		}
		at = m[1]
	}
	return b.String() + s[at:]
}
