package gateway_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sendgate/sendgate"

// TestArrows holds the import graph: cmd -> gateway -> gateway/* -> store -> policy, packages under
// gateway do not import each other, and a library is wrapped once.
func TestArrows(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			if reason := forbidden(p.ImportPath, imported); reason != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, reason)
			}
		}
	}
}

// TestTopLevel holds what lies at the top of the repository.
func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Dockerfile", "LICENSE", "README.md", "cmd", "contrib", "gateway", "go.mod", "go.sum", "policy", "store"}
	var got []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			got = append(got, e.Name())
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("top level is %v, want %v", got, want)
	}
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) (all []goPackage) {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	d := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 8 {
		t.Fatalf("go list found %d packages only", len(all))
	}
	return all
}

// layer orders the packages: an import goes to a lower layer.
func layer(path string) int {
	switch rel, _ := strings.CutPrefix(path, module+"/"); {
	case rel == "policy" || strings.HasPrefix(rel, "policy/"):
		return 1
	case rel == "store" || strings.HasPrefix(rel, "store/"):
		return 2
	case rel == "gateway/shell", // the listener around both protocol libraries
		rel == "gateway/postconf",                                            // how doctor and setup read a Postfix
		rel == "gateway/machinetest",                                         // what tests need of their machine
		rel == "gateway/mailbox", strings.HasPrefix(rel, "gateway/mailbox/"): // what recall acts on
		return 3
	case strings.HasPrefix(rel, "gateway/"):
		return 4
	case rel == "gateway":
		return 5
	}
	return 6 // cmd, contrib
}

// wrappers names the only packages that may import a library; contrib may use any of them as a peer.
var wrappers = map[string][]string{
	"github.com/dgraph-io/badger/v4": {"store"},
	"github.com/emersion/go-smtp":    {"gateway/relay", "gateway/demo"},
	"github.com/emersion/go-milter":  {"gateway/milter"},
	"github.com/emersion/go-imap/v2": {"gateway/mailbox/imap", "gateway/mailbox/mailboxtest", "gateway/demo"},
	"github.com/goccy/go-yaml":       {"gateway/config"},
	"github.com/danielgtaylor/huma":  {"gateway/web"},
	"github.com/pires/go-proxyproto": {"gateway/shell", "gateway/relay"},
	"github.com/miekg/dns":           {"gateway/domain"},
}

func forbidden(from, to string) string {
	rel := strings.TrimPrefix(from, module+"/")
	if strings.HasPrefix(rel, "contrib/") {
		return ""
	}
	for library, users := range wrappers {
		if strings.HasPrefix(to, library) && !slices.Contains(users, rel) {
			return "only " + strings.Join(users, ", ") + " may"
		}
	}
	if !strings.HasPrefix(to, module) {
		if layer(from) == 1 && !pureImport(to) {
			return "policy is pure"
		}
		return ""
	}
	switch a, b := layer(from), layer(to); {
	case b > a:
		return "the arrow points upwards"
	case a == 4 && b == 4 && !strings.HasPrefix(to, from+"/"):
		return "packages under gateway do not import each other"
	}
	return ""
}

// pureImport allows policy the standard library without files, network and processes, and
// libraries for text and ids.
func pureImport(path string) bool {
	if strings.Contains(path, ".") {
		return strings.HasPrefix(path, "golang.org/x/text/") || strings.HasPrefix(path, "golang.org/x/net/idna") ||
			strings.HasPrefix(path, "golang.org/x/net/html") || path == "golang.org/x/net/publicsuffix" || path == "github.com/oklog/ulid/v2" ||
			path == "github.com/fxamacker/cbor/v2" // snapshots, to a writer handed in
	}
	return path == "net/netip" || !slices.Contains([]string{"os", "net", "syscall", "os/exec", "net/http", "io/ioutil"}, path)
}
