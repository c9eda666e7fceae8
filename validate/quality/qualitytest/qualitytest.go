// Package qualitytest holds what implementations of quality.Clocks must do.
package qualitytest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/validate/quality"
)

// Clocks runs the tests on an empty store.
func Clocks(t *testing.T, s quality.Clocks) {
	ctx := context.Background()
	c, err := s.Clock(ctx, "p/v")
	require.NoError(t, err)
	require.Nil(t, c)

	first := &quality.Clock{View: "p/v", Born: 1, Looked: 2, Resumed: 3, Samples: []quality.Sample{{At: 4, Rows: 5}}}
	ok, err := s.PutClock(ctx, first)
	require.NoError(t, err)
	require.True(t, ok)
	ok, err = s.PutClock(ctx, first)
	require.NoError(t, err)
	require.False(t, ok, "somebody was first")

	c, err = s.Clock(ctx, "p/v")
	require.NoError(t, err)
	require.Equal(t, &quality.Clock{View: "p/v", Born: 1, Looked: 2, Resumed: 3, Samples: []quality.Sample{{At: 4, Rows: 5}}, Revision: 1}, c)
	other := *c
	c.Looked = 10
	ok, err = s.PutClock(ctx, c)
	require.NoError(t, err)
	require.True(t, ok)
	ok, err = s.PutClock(ctx, &other)
	require.NoError(t, err)
	require.False(t, ok)
	c, err = s.Clock(ctx, "p/v")
	require.NoError(t, err)
	require.EqualValues(t, 10, c.Looked)
	require.EqualValues(t, 2, c.Revision)

	ok, err = s.PutClock(ctx, &quality.Clock{View: "p/w"})
	require.NoError(t, err)
	require.True(t, ok)
	require.NoError(t, s.DropClocks(ctx, []string{"p/w"}))
	c, err = s.Clock(ctx, "p/v")
	require.NoError(t, err)
	require.Nil(t, c)
	c, err = s.Clock(ctx, "p/w")
	require.NoError(t, err)
	require.NotNil(t, c)
}
