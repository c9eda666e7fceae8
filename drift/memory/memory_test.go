package memory

import (
	"testing"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/drift/drifttest"
)

func TestStore(t *testing.T) {
	drifttest.Store(t, func(*testing.T) drift.Store { return New() })
}

func TestExactlyOnce(t *testing.T) {
	runs := 50
	if testing.Short() {
		runs = 10
	}
	drifttest.ExactlyOnce(t, runs, 400, func() drift.Store { return New() })
}
