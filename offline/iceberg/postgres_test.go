package iceberg_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// TestCatalogGoesAway commits from two processes' worth of stores while every
// connection of the catalog is cut again and again, and its server killed and
// started: an uncertain commit is recognised, each row is there once.
func TestCatalogGoesAway(t *testing.T) {
	t.Parallel()
	server := testserver.OwnPostgres(t)
	url, admin := server.Database(t, "tables"), server.Database(t, "admin")
	dir := t.TempDir()
	v := offlinetest.View("stats")
	open := func() offline.Table {
		s, err := iceberg.Open(ctx, url, filepath.Join(dir, "warehouse"), slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Close() })
		tb, err := s.Table(ctx, v)
		require.NoError(t, err)
		return tb
	}
	seed := testseed.For(t)
	const cuts, kills = 60, 2
	var begun, failed atomic.Int64
	over, turn := make(chan struct{}), make(chan struct{})
	var workers, wreckers sync.WaitGroup
	gone := make(chan struct{}) // the workers have ended, which they should not
	want := make([][]string, 2)
	for p := range int32(2) {
		tb := open()
		w := offlinetest.NewWriter(t, tb)
		workers.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(p)))
			g := &offlinetest.Gen{R: r, View: v}
			var at feature.Position
			again := func(f func() error) bool {
				for {
					begun.Add(1)
					select {
					case turn <- struct{}{}:
					default:
					}
					err := f()
					if err == nil {
						return true
					}
					if feature.KindOf(err) != feature.Unavailable {
						t.Errorf("seed %d: %v", seed, err)
						return false
					}
					failed.Add(1)
					if t.Failed() {
						return false // the server did not come back, say
					}
				}
			}
			for i := 0; ; i++ {
				select {
				case <-over:
					return
				default:
				}
				b := g.Batch(p, at.Next, 5, false)
				c := offlinetest.Move(v, fmt.Sprintf("p%d-%d", p, i), at, offlinetest.At(p, at.Next+5, ""))
				if err := w.Write(ctx, b); err != nil {
					t.Error(err)
				}
				w.Cut(c)
				if !again(func() error { return w.Stage(ctx, c) }) || !again(func() error { return w.Commit(ctx, c) }) {
					return
				}
				_ = w.Settle(ctx, c)
				at, want[p] = c.Advances[0].To, append(want[p], offlinetest.Lines(b)...)
			}
		})
	}
	wreckers.Go(func() {
		db, err := sql.Open("pgx", admin)
		if err != nil {
			t.Error(err)
			return
		}
		defer db.Close()
		for n := range cuts {
			for range 3 { // something is under way again
				select {
				case <-turn:
				case <-gone:
					return
				}
			}
			if n%(cuts/kills) == cuts/kills/2 {
				server.Kill(t)
				server.Start(t)
			}
			_, _ = db.ExecContext(context.Background(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'tables'`)
		}
	})
	go func() { workers.Wait(); close(gone) }()
	wreckers.Wait()
	close(over)
	<-gone
	require.Positive(t, failed.Load(), "calls failed")
	tb := open()
	offlinetest.SameRows(t, append(want[0], want[1]...), rows(t, tb, offline.Version{}))
	t.Logf("%d rows, each once; %d of %d calls failed", len(want[0])+len(want[1]), failed.Load(), begun.Load())
}
