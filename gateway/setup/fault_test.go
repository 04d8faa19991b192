package setup

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

func TestWordsOfErrors(t *testing.T) {
	foreign := errors.New("permission denied")
	for name, c := range map[string]struct {
		err    error
		en, zh string
	}{
		"a refusal":         {ErrNotSetUp, "sendgate setup --apply was not used here, or has been undone", "此处未执行过 sendgate setup --apply，或已经撤销"},
		"with foreign":      {NewFault("write %s: %s", "写入 %s：%s", "/x", foreign), "write /x: permission denied", "写入 /x：permission denied"},
		"one in another":    {NewFault("nothing was done: %s", "未执行任何操作：%s", NewFault("copy %s: %s", "复制 %s：%s", "/x", foreign)), "nothing was done: copy /x: permission denied", "未执行任何操作：复制 /x：permission denied"},
		"wrapped":           {fmt.Errorf("setup: %w", ErrNotSetUp), "setup: sendgate setup --apply was not used here, or has been undone", "setup: 此处未执行过 sendgate setup --apply，或已经撤销"},
		"joined":            {errors.Join(ErrNotSetUp, foreign), ErrNotSetUp.Error() + "\npermission denied", "此处未执行过 sendgate setup --apply，或已经撤销\npermission denied"},
		"two in a text":     {fmt.Errorf("at %s: %w, %w", "/x", foreign, fs.ErrExist), "at /x: permission denied, file already exists", "at /x: permission denied, file already exists"},
		"foreign":           {foreign, "permission denied", "permission denied"},
		"one held":          {&HeldError{1}, "nothing was done: sendgate holds 1 message, which nobody else would let go; \"sendgate drain\" lets it go, and --leave-held undoes all the same", "未执行任何操作：sendgate 仍暂存 1 封邮件，撤除后无人放行；“sendgate drain” 可将其放行，加 --leave-held 则仍然撤除"},
		"many held":         {&HeldError{2}, "nothing was done: sendgate holds 2 messages, which nobody else would let go; \"sendgate drain\" lets them go, and --leave-held undoes all the same", "未执行任何操作：sendgate 仍暂存 2 封邮件，撤除后无人放行；“sendgate drain” 可将其放行，加 --leave-held 则仍然撤除"},
		"changed":           {&ChangedError{[]string{"/m"}, []string{"a", "b"}}, "nothing was done: /m was changed since setup. These commands take its lines out, then remove the directory before-setup:\n  a\n  b", "未执行任何操作：/m 在 setup 之后被改动过。以下命令可移除其中由 sendgate 添加的行，之后请删除目录 before-setup：\n  a\n  b"},
		"could not go back": {NewFault("%s; and it failed: %s", "%s；且失败：%s", foreign, fs.ErrExist), "permission denied; and it failed: file already exists", "permission denied；且失败：file already exists"},
	} {
		if en, zh := Words(c.err, "en"), Words(c.err, "zh"); en != c.en || zh != c.zh || c.err.Error() != c.en {
			t.Errorf("%s: %q, %q", name, en, zh)
		}
	}
	if err := NewFault("%s: %s", "%s：%s", "x", fs.ErrExist); !errors.Is(err, fs.ErrExist) {
		t.Error("what is in a fault is not found")
	}
}

// TestEveryRefusalHasBothLanguages reads the package: each fault has Chinese with the same places, and nothing but
// what a program said is an error in one language.
func TestEveryRefusalHasBothLanguages(t *testing.T) {
	set := token.NewFileSet()
	faults := 0
	look := func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch f := call.Fun.(type) {
		case *ast.Ident:
			if f.Name == "NewFault" {
				faults++
				en, zh := literal(t, call.Args[0]), literal(t, call.Args[1])
				if strings.Count(en, "%s") != strings.Count(zh, "%s") || strings.Count(en, "%s") != len(call.Args)-2 || !strings.ContainsFunc(zh, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
					t.Errorf("%s: %q, %q", set.Position(call.Pos()), en, zh)
				}
			}
		case *ast.SelectorExpr:
			if x, ok := f.X.(*ast.Ident); ok && (x.Name == "errors" && f.Sel.Name == "New" || x.Name == "fmt" && f.Sel.Name == "Errorf") && literal(t, call.Args[0]) != "%s: %s" {
				t.Errorf("%s: an error in one language", set.Position(call.Pos()))
			}
		}
		return true
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, look)
	}
	if faults < 15 {
		t.Errorf("only %d faults were found", faults)
	}
}

func literal(t *testing.T, e ast.Expr) string {
	t.Helper()
	l, ok := e.(*ast.BasicLit)
	if !ok {
		t.Fatalf("%v is no literal", e)
	}
	s, err := strconv.Unquote(l.Value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
