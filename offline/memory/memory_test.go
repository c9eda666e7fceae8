package memory_test

import (
	"testing"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/memory"
	"github.com/weir-ml/weir/offline/offlinetest"
)

func TestStore(t *testing.T) {
	offlinetest.Store(t, func(t *testing.T) offlinetest.Open {
		s := memory.Open()
		return func() offline.Store { return s }
	})
}

func TestUpkeep(t *testing.T) {
	offlinetest.Upkeep(t, func(t *testing.T) offlinetest.Open {
		s := memory.Open()
		return func() offline.Store { return s }
	})
}

func TestHistory(t *testing.T) {
	offlinetest.History(t, 300, func(t *testing.T) offlinetest.Open {
		s := memory.Open()
		return func() offline.Store { return s }
	})
}
