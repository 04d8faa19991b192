package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sendgate/sendgate/gateway/web"
	"github.com/sendgate/sendgate/policy"
)

func TestAuditIsListed(t *testing.T) {
	f := newFakeAPI(t)
	f.answer["GET /api/v1/audit"] = web.AuditList{Next: 7, Entries: []web.AuditEntry{
		{Number: 8, Time: noon, Act: "recall", Label: policy.Label{EN: "recalled", ZH: "撤回"}, Actor: "user:ann", Object: first, Detail: "wrong file"},
	}}
	for lang, want := range map[string][]string{
		"en": {"NUMBER", "recalled", "user:ann", first, "wrong file", "older ones: --before 7"},
		"zh": {"编号", "撤回", "更早的记录：--before 7"},
	} {
		out, _, err := f.sendgate(t, "audit", "--actor", "ann", "--act", "recall", "--object", "8t", "--before", "9", "--limit", "1", "--lang", lang)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range want {
			if !strings.Contains(out, part) {
				t.Errorf("%s: %q is missing in\n%s", lang, part, out)
			}
		}
	}
	if !slices.Contains(f.asked, "GET /api/v1/audit?act=recall&actor=ann&before=9&limit=1&object=8t") {
		t.Errorf("asked %q", f.asked)
	}
}

func TestAuditIsVerified(t *testing.T) {
	f := newFakeAPI(t)
	f.answer["GET /api/v1/audit/verify"] = web.AuditVerdict{Whole: true, Entries: 3, Hash: "ab12"}
	if out, _, err := f.sendgate(t, "audit", "verify", "--lang", "en"); err != nil || out != "whole: 3 entries; the newest has the hash ab12\n" {
		t.Errorf("%q, %v", out, err)
	}
	f.answer["GET /api/v1/audit/verify"] = web.AuditVerdict{Entries: 2, Fault: "entry 2 was changed"}
	for _, form := range [][]string{{"--lang", "zh"}, {"--json"}} {
		out, _, err := f.sendgate(t, append([]string{"audit", "verify"}, form...)...)
		if !errors.Is(err, errAuditBroken) || !strings.Contains(out, "entry 2 was changed") {
			t.Errorf("%v: %q, %v", form, out, err)
		}
	}
}
