package postfix

import (
	"strings"
	"testing"
	"time"
)

func TestDefaultConfigIsValid(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestConfigReportsEveryFault(t *testing.T) {
	c := Config{Helper: "run/postfix.sock", Timeout: time.Hour, Settle: -1}
	err := c.Validate()
	for _, want := range []string{
		"helper: run/postfix.sock: must be an absolute path of at most 107 octets",
		"timeout: 1h0m0s: must be between 1s and 10m",
		"settle: -1ns: must be between 0 and 1h",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}
