package policy

import (
	"slices"
	"testing"
)

func TestSelection(t *testing.T) {
	rows := Rows{
		{Recipient: Recipient{Address: "bob@corp.example"}}, {Recipient: Recipient{Address: "eve@corp.example", Original: "Team@Corp.example"}},
		{Recipient: Recipient{Address: "张伟@例子.中国"}},
	}
	for name, tt := range map[string]struct {
		given   []string
		indexes []int
		missing []string
	}{
		"all":                 {nil, nil, nil},
		"as in the envelope":  {[]string{"bob@corp.example"}, []int{0}, nil},
		"the domain in caps":  {[]string{"bob@CORP.example"}, []int{0}, nil},
		"as first written":    {[]string{"Team@corp.example"}, []int{1}, nil},
		"Chinese":             {[]string{"张伟@例子.中国"}, []int{2}, nil},
		"unknown and no text": {[]string{"zoe@corp.example", "bob@corp.example", "x"}, []int{0}, []string{"zoe@corp.example", "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewSelection(tt.given)
			if got := s.Of(rows); !slices.Equal(got, tt.indexes) {
				t.Errorf("selected %v", got)
			}
			if got := s.Missing(); !slices.Equal(got, tt.missing) {
				t.Errorf("missing %q", got)
			}
		})
	}
}
