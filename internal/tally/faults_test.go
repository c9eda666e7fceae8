package tally_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/tally"
)

func TestFaults(t *testing.T) {
	f, away, full := tally.Faults{}, errors.New("away"), errors.New("full")
	ended, end := context.WithCancel(t.Context())
	end()
	for _, c := range []struct {
		ctx context.Context
		of  string
		err error
		new bool
	}{
		{t.Context(), "a", nil, false},
		{ended, "a", away, false},
		{t.Context(), "a", away, true},
		{t.Context(), "a", away, false},
		{t.Context(), "b", away, true},
		{t.Context(), "a", full, true},
		{ended, "a", nil, false},
		{t.Context(), "a", full, false},
		{t.Context(), "a", nil, false},
		{t.Context(), "a", full, true},
	} {
		require.Equal(t, c.new, f.New(c.ctx, c.of, c.err), c)
	}
}
