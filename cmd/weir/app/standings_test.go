package app

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

// However many calls wait for a table, it is read once every standingAge, and never twice at once.
func TestWaitingCallsShareLooks(t *testing.T) {
	w := &writes{}
	var reads, under, rounds atomic.Int64
	read := func(context.Context) (map[int32]int64, [16]byte, error) {
		if under.Add(1) > 1 {
			t.Error("a table is read twice at once")
		}
		defer under.Add(-1)
		return map[int32]int64{0: reads.Add(1)}, [16]byte{}, nil
	}
	view := &feature.View{Meta: feature.Meta{Project: "p", Name: "v"}}
	start := time.Now()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			err := w.each(t.Context(), []*feature.View{view}, func(v *feature.View) (bool, error) {
				rounds.Add(1)
				at, _, err := w.standings.of(t.Context(), v.ID(), read)
				return at[0] >= 5, err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Greater(t, rounds.Load(), int64(50))
	require.LessOrEqual(t, reads.Load(), int64(time.Since(start)/standingAge)+1)

	// Who begins a look and goes leaves it to the others.
	gone, cancel := context.WithCancel(t.Context())
	begun, resume := make(chan struct{}), make(chan struct{})
	slow := func(ctx context.Context) (map[int32]int64, [16]byte, error) {
		close(begun)
		<-resume
		return map[int32]int64{0: 9}, [16]byte{}, ctx.Err()
	}
	first := make(chan error, 1)
	go func() {
		_, _, err := w.standings.of(gone, "slow", slow)
		first <- err
	}()
	<-begun
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
	close(resume)
	at, _, err := w.standings.of(t.Context(), "slow", slow)
	require.NoError(t, err)
	require.EqualValues(t, 9, at[0])
}
