package milter

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/gateway/machinetest"
)

const miltertestBin = "/usr/bin/miltertest"

// TestMiltertest plays our scripts with OpenDKIM's milter client, which is nobody's kin here.
func TestMiltertest(t *testing.T) {
	machinetest.Need(t, miltertestBin)
	scripts, err := filepath.Glob("testdata/*.lua")
	if err != nil {
		t.Fatal(err)
	}
	for script, prepare := range map[string]func(*lab){
		"hold.lua":    func(*lab) {},
		"inbound.lua": func(l *lab) { l.settings.Engine = refusing },
		"refuse.lua": func(l *lab) {
			l.settings.Engine = refusing
			l.settings.Needs.Envelope = true
		},
	} {
		t.Run(strings.TrimSuffix(script, ".lua"), func(t *testing.T) {
			l := newLab(t)
			prepare(l)
			l.start()
			_, port, err := net.SplitHostPort(l.address())
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(miltertestBin, "-D", "socket=inet:"+port+"@127.0.0.1",
				"-s", filepath.Join("testdata", script)).CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			if len(l.verbs("panic"))+len(l.verbs("undecided")) > 0 {
				t.Error(l.log.All())
			}
		})
	}
	if len(scripts) != 3 {
		t.Errorf("testdata has %d scripts, 3 are run", len(scripts))
	}
}
