package store_test

import (
	"testing"

	"github.com/sendgate/sendgate/store"
	"github.com/sendgate/sendgate/store/storetest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
)

func testConfig(t testing.TB, dir string) store.Config {
	cfg := store.DefaultConfig()
	cfg.Dir = dir
	cfg.Node = "test"
	cfg.Log = zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel))
	return cfg
}

func TestBadgerContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB, dir string) storetest.Engine {
		s, err := store.Open(testConfig(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
