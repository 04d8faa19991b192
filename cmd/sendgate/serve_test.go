package main

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sendgate/sendgate/gateway"
)

// Programs that read the log get a time as everywhere else, and an error in one line of facts.
func TestLogLinesAreForPrograms(t *testing.T) {
	zc, err := loggerConfig(gateway.LogConfig{Level: "warn", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "log")
	zc.OutputPaths = []string{file}
	log, err := zc.Build()
	if err != nil {
		t.Fatal(err)
	}
	log.Info("not at this level")
	log.Error("disk")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var line map[string]string
	if err := json.Unmarshal(text, &line); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if _, err := time.Parse(time.RFC3339, line["ts"]); err != nil || line["msg"] != "disk" || line["stacktrace"] != "" {
		t.Errorf("%s: %v", text, err)
	}
	if _, err := loggerConfig(gateway.LogConfig{Level: "loud"}); err == nil || !strings.HasPrefix(err.Error(), "log.level: ") {
		t.Errorf("an unknown level: %v", err)
	}
}

func TestAnAddressInUseIsToldAlone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "sendgate.yaml")
	text := "store: {dir: " + dir + "/data}\nrelay: {listen: [{address: " + l.Addr().String() + "}]}\n" +
		"upstreams: [{name: a, servers: [{address: \"127.0.0.1:1\"}]}]\napi: {listen: \"\", socket: " + dir + "/s}\nlog: {level: error}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	err = serve(t.Context(), file, io.Discard)
	if want := "listen for mail: listen tcp " + l.Addr().String() + ": bind: address already in use"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
