package memory_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/online/memory"
	"github.com/weir-ml/weir/online/onlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

func TestConformance(t *testing.T) {
	onlinetest.Run(t, func(*testing.T) online.Store { return memory.New(nil) })
}

func TestExpiry(t *testing.T) {
	now := time.Unix(1000, 0)
	s := memory.New(func() time.Time { return now })
	v, err := online.Value(&online.Schema{}, feature.Stamp{Event: 1, Known: 1})
	require.NoError(t, err)
	_, err = s.Put(context.Background(), []online.Row{{Key: "a", Value: v, Expire: time.Minute}, {Key: "b", Value: v}}, nil)
	require.NoError(t, err)
	got := func() (n int) {
		vals, failed := make([][]byte, 2), make([]bool, 2)
		require.NoError(t, s.Get(context.Background(), []string{"a", "b"}, vals, failed))
		for _, v := range vals {
			if v != nil {
				n++
			}
		}
		return n
	}
	require.Equal(t, 2, got())
	now = now.Add(time.Minute)
	require.Equal(t, 1, got())
}
