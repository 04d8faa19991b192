package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/gateway/machinetest"
	"github.com/sendgate/sendgate/gateway/setup"
)

// TestSetup looks at a Postfix that exists as its configuration alone, and changes nothing.
func TestSetup(t *testing.T) {
	if _, err := os.Stat("/usr/sbin/postconf"); err != nil {
		machinetest.Lack(t, "Postfix is not installed: %v", err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"main.cf":   fmt.Sprintf("compatibility_level = 3.6\nqueue_directory = %s\nmyhostname = mx.corp.test\nmydestination = corp.test\n", dir),
		"master.cf": "smtp inet n - y - - smtpd\n",
		"stub.yaml": "# nothing yet\n",
		"used.yaml": "hostname: mx.corp.test\nstore: {dir: " + dir + "}\nrelay: {listen: [{address: \"127.0.0.1:2525\"}]}\n" +
			"upstreams: [{name: postfix, servers: [{address: \"127.0.0.1:10999\"}], tls: none}]\n",
		"wrong.yaml": "relay: {listen: [{address: \"127.0.0.1:2525\"}]}\nupstreams: [{name: postfix}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(config string, args ...string) (string, error) {
		var out bytes.Buffer
		err := run(t.Context(), append([]string{"setup", "--postfix-config", dir, "--user", "nobody", "--config", filepath.Join(dir, config)}, args...), nil, &out, &out)
		return out.String(), err
	}
	for name, c := range map[string]struct {
		config string
		args   []string
		want   string
	}{
		"a stub":             {"stub.yaml", []string{"--lang", "en"}, "postconf -e 'smtpd_milters = unix:sendgate/milter.sock'"},
		"none":               {"none.yaml", []string{"--lang", "zh"}, "尚未作任何更改"},
		"in use, as a relay": {"used.yaml", []string{"--relay", "--lang", "en"}, "127.0.0.1:10999/inet=127.0.0.1:10999 inet n - n - - smtpd"},
		"in use, no milter":  {"used.yaml", []string{"--lang", "en"}, "has no milter.listen"},
	} {
		if text, err := ask(c.config, c.args...); err != nil || !strings.Contains(text, c.want) {
			t.Errorf("%s: %v: no %q in\n%s", name, err, c.want, text)
		}
	}
	text, err := ask("stub.yaml", "--json")
	var plan setup.Plan
	if bad := json.Unmarshal([]byte(text), &plan); err != nil || bad != nil || plan.Mode != setup.Milter || len(plan.Settings) == 0 || plan.Settings[0].Why.ZH == "" {
		t.Errorf("%v, %v\n%s", err, bad, text)
	}
	if _, err := ask("wrong.yaml"); err == nil || !strings.Contains(err.Error(), "is in use, but not in order") {
		t.Error(err)
	}
	if _, err := ask("used.yaml", "--apply", "--lang", "en"); err == nil || !strings.Contains(err.Error(), "first see to what stands in the way") {
		t.Error(err)
	}
	if _, err := ask("stub.yaml", "--undo"); !errors.Is(err, setup.ErrNotSetUp) {
		t.Error(err)
	}
	for lang, want := range map[string][3]string{
		"en": {"--apply and --undo exclude each other", "sendgate setup --apply was not used here, or has been undone", "nothing was done: first see to what stands in the way"},
		"zh": {"--apply 与 --undo 不能同时使用", "此处未执行过 sendgate setup --apply，或已经撤销", "未执行任何操作：请先解决上述阻碍"},
	} {
		for i, args := range [][]string{{"stub.yaml", "--undo", "--apply"}, {"stub.yaml", "--undo"}, {"used.yaml", "--apply"}} {
			if _, err := ask(args[0], append(args[1:], "--lang", lang)...); err == nil || err.Error() != want[i] {
				t.Errorf("%v in %s: %v", args, lang, err)
			}
		}
		if _, err := ask("wrong.yaml", "--lang", lang); err == nil || !strings.Contains(err.Error(), map[string]string{"en": "is in use, but not in order: ", "zh": "正在使用，但内容有误："}[lang]) {
			t.Errorf("in %s: %v", lang, err)
		}
	}
	if _, err := ask("stub.yaml", "--lang", "fr"); exitCode(err) != 2 {
		t.Error(err)
	}
}
