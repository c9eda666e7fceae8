package tally_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/internal/tally/tallytest"
)

// full is a store that cannot forget, nor say which windows wait.
type full struct {
	tally.Store[*tallytest.Counted, *tallytest.Share]
	err    error
	prunes int
}

func (s *full) Prune(ctx context.Context, settled, judged, delivered time.Time, keep ...tally.Kept) error {
	if s.prunes++; s.err != nil {
		return s.err
	}
	return s.Store.Prune(ctx, settled, judged, delivered, keep...)
}

func (s *full) Windows(ctx context.Context, q tally.WindowQuery) ([]record, error) {
	if s.err != nil && q.Owner == "" {
		return nil, s.err
	}
	return s.Store.Windows(ctx, q)
}

// What fills the database for months, because it cannot be forgotten, is said once, and judging goes on.
func TestWhatCannotBeForgottenIsSaid(t *testing.T) {
	h := newHouse(t, 0, 1)
	s := &full{Store: h.store, err: errors.New("the disk is full")}
	h.store = s
	var log bytes.Buffer
	h.watch = tally.NewWatch(h.store, h, tally.WatchOptions{Config: tally.DefaultConfig(), What: "share", Now: h.clock, Log: slog.New(slog.NewTextHandler(&log, nil))})
	h.land("1.1 1.2 2.1")
	require.ErrorContains(t, h.watch.Pass(bg), "the disk is full")
	require.ErrorContains(t, h.watch.Pass(bg), "the disk is full")
	require.Equal(t, 1, h.judged)
	require.Equal(t, 2, s.prunes)
	for _, said := range []string{"cannot be ended", "cannot be forgotten"} {
		require.Equal(t, 1, strings.Count(log.String(), said), log.String())
	}
	s.err = nil
	require.NoError(t, h.watch.Pass(bg))
	require.NoError(t, h.watch.Pass(bg))
	require.Equal(t, 3, s.prunes, "once an hour")
}
