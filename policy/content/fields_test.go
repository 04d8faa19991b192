package content

import (
	"slices"
	"testing"
)

func TestFields(t *testing.T) {
	f := Fields{{"Subject", " =?utf-8?B?5rWL6K+V?="}, {"received", "a"}, {"Received", "b\n c"}}
	if got := f.First("SUBJECT"); got != "测试" {
		t.Errorf("first %q", got)
	}
	if got := f.Written("Subject"); got != " =?utf-8?B?5rWL6K+V?=" {
		t.Errorf("written %q", got)
	}
	if got := f.Values("Received"); f.Count("received") != 2 || !slices.Equal(got, []string{"a", "b c"}) {
		t.Errorf("%d, %q", f.Count("received"), got)
	}
	if f.First("To") != "" || f.Written("To") != "" || f.Values("To") != nil || f.Count("To") != 0 {
		t.Error("a field that is not there")
	}
}

func TestCutIsBetweenCharacters(t *testing.T) {
	for most, want := range map[int]string{9: "测试a", 7: "测试a", 6: "测试", 5: "测", 2: "", 0: ""} {
		if got := Cut("测试a", most); got != want {
			t.Errorf("%d: %q, want %q", most, got, want)
		}
	}
}
