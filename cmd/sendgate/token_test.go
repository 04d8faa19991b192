package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"regexp"
	"runtime/debug"
	"testing"
)

func TestTokenNewPrintsALineForTheConfiguration(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"token", "new", "ops:1", "--role", "auditor", "--lang", "en"}, nil, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`^The token, shown only this once:\n\n  (sgt_[A-Z2-7]{26})\n\nAdd this line to api.tokens in the configuration, and reload:\n\n  - \{name: "ops:1", role: auditor, sha256: ([0-9a-f]{64})\}\n$`)
	m := form.FindStringSubmatch(out.String())
	if m == nil {
		t.Fatalf("got\n%s", out.String())
	}
	if sum := sha256.Sum256([]byte(m[1])); hex.EncodeToString(sum[:]) != m[2] {
		t.Error("the hash is not the token's")
	}
}

func TestTokenNewAsJSON(t *testing.T) {
	tokens := map[string]bool{}
	for range 2 {
		var out bytes.Buffer
		if err := run(t.Context(), []string{"token", "new", "ops", "--json"}, nil, &out, io.Discard); err != nil {
			t.Fatal(err)
		}
		var v map[string]string
		if err := json.Unmarshal(out.Bytes(), &v); err != nil || v["role"] != "operator" || v["name"] != "ops" || len(v["sha256"]) != 64 {
			t.Errorf("%v %v", v, err)
		}
		tokens[v["token"]] = true
	}
	if len(tokens) != 2 {
		t.Error("the same token twice")
	}
}

func TestBuildsDescribeThemselves(t *testing.T) {
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef"}
	dirty := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	for want, info := range map[string]debug.BuildInfo{
		"v1.2.3":                      {Main: debug.Module{Version: "v1.2.3"}},
		"devel":                       {Main: debug.Module{Version: "(devel)"}},
		"devel-0123456789ab":          {Settings: []debug.BuildSetting{commit}},
		"devel-0123456789ab+modified": {Settings: []debug.BuildSetting{commit, dirty}},
	} {
		if got := describeBuild(&info); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
