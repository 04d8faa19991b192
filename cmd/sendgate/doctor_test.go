package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/gateway/doctor"
)

// TestDoctor examines a gateway that does not run, with no Postfix and nobody behind it.
func TestDoctor(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "sendgate.yaml")
	err := os.WriteFile(file, []byte("hostname: gw.corp.test\nstore: {dir: "+dir+", min_free_mib: 64}\n"+
		"milter: {listen: [{address: \"unix:"+dir+"/milter.sock\"}]}\npostfix: {helper: "+dir+"/helper.sock}\n"+
		"upstreams: [{name: none, servers: [{address: \"unix:"+dir+"/none\"}], tls: none}]\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	examine := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := run(t.Context(), append([]string{"doctor", "--config", file, "--postconf", dir + "/postconf"}, args...), nil, &out, &out)
		return out.String(), err
	}
	text, err := examine("--lang", "en")
	if err == nil || !strings.Contains(err.Error(), "errors were found: 3") || exitCode(err) != 1 {
		t.Errorf("%v\n%s", err, text)
	}
	for _, want := range []string{
		"[skipped] postfix: Postfix's configuration cannot be read: ", "[error] milter-listening: nobody answers on unix:" + dir + "/milter.sock",
		"[error] helper: nobody answers on " + dir + "/helper.sock", "    change: systemctl enable --now sendgate-postfix-helper\n",
		"[error] trusted-path: upstream none: ", "\n3 errors, ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if text, _ = examine("--lang", "zh"); !strings.Contains(text, "[未检查] postfix: 无法读取 Postfix 配置：") {
		t.Error(text)
	}
	text, _ = examine("--json")
	var r doctor.Report
	if err := json.Unmarshal([]byte(text), &r); err != nil || r.Errors != 3 || r.Findings[0].Check != "postfix" {
		t.Errorf("%v\n%s", err, text)
	}
	if _, err = examine("--lang", "fr"); exitCode(err) != 2 {
		t.Error(err)
	}
}
