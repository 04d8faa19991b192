package postfix

import (
	"context"
	"fmt"
	"os"

	"go.uber.org/zap"
)

// askAsChild asks the helper as another user and prints what came of it.
func askAsChild(socket string) int {
	err := New(Config{Helper: socket, Timeout: patience}).Ready(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stdout, err)
		return 0
	}
	fmt.Fprintln(os.Stdout, "ready")
	return 0
}

func zapVerb(v verb) zap.Field { return zap.String("verb", string(v)) }
