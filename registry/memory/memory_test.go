package memory_test

import (
	"testing"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/memory"
	"github.com/weir-ml/weir/registry/registrytest"
)

func TestStore(t *testing.T) {
	registrytest.Run(t, func(testing.TB) registrytest.Opener {
		s := memory.New()
		return func(testing.TB) registry.Store { return s }
	})
	t.Run("registry", func(t *testing.T) {
		s := memory.New()
		registrytest.RunRegistry(t, func(testing.TB) registry.Store { return s })
	})
}
