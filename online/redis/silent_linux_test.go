package redis_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/internal/testserver/faultproxy"
	"github.com/weir-ml/weir/online/redis"
	"github.com/weir-ml/weir/registry/feature"
)

// A machine that is gone answers nothing at all, not even to the attempt to connect.
func TestSilentMachine(t *testing.T) {
	tr := load(t, open(t, testserver.Redis(t).Addr), testserver.Name(t), 30)
	s := impatient(t, nil, func(c *redis.Config) { c.BreakerFailures = 3 }, faultproxy.Silent(t))
	for range 20 {
		a := tr.ask(t, s, 0, 30, 50*time.Millisecond)
		require.Less(t, a.took, longest)
		require.Equal(t, feature.Unavailable, feature.KindOf(a.err), "%v", a.err)
		require.Equal(t, 30, a.failed)
	}
}
