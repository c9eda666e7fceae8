package offline_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// brokenReads is a table whose reading fails too.
type brokenReads struct {
	*offlinetest.Faulty
}

func (b brokenReads) fails() error {
	if before, after := b.Fail(); before || after {
		return feature.Errorf(feature.Unavailable, "test", "", "%w", offlinetest.ErrInjected)
	}
	return nil
}

func (b brokenReads) Load(ctx context.Context, v offline.Version) (*offline.State, error) {
	if err := b.fails(); err != nil {
		return nil, err
	}
	return b.Faulty.Load(ctx, v)
}

func (b brokenReads) Open(ctx context.Context, path string) (offline.FileReader, error) {
	if err := b.fails(); err != nil {
		return nil, err
	}
	r, err := b.Faulty.Open(ctx, path)
	return brokenReader{r, b}, err
}

type brokenReader struct {
	offline.FileReader
	b brokenReads
}

func (r brokenReader) ReadAt(p []byte, off int64) (int, error) {
	if err := r.b.fails(); err != nil {
		return 0, err
	}
	return r.FileReader.ReadAt(p, off)
}

// Every call to the table fails once, before or after it has happened; the rows
// are the same all the while, and a compaction after that ends well.
func TestCompactSurvivesFaults(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 1))
	h := newHistory(t, r)
	for range 12 {
		h.commit(50, r.IntN(3), 2)
	}
	cfg := offline.DefaultConfig()
	cfg.RowGroupRows = 1024
	failed := 0
	next, last := 1, 2000
	if offline.RaceOn {
		next, last = 5, 46 // odd, so that calls fail before and after they happen
	}
	for step := 1; ; step += next {
		calls := 0
		table := brokenReads{&offlinetest.Faulty{Table: h.tables[step%3], Fail: func() (before, after bool) {
			calls++
			due := calls == step && step < last
			return due && step%2 == 0, due && step%2 == 1
		}}}
		_, err := offline.CompactIn(context.Background(), table, offline.CompactOptions{Config: cfg}, int64(step%2)<<20, 100)
		offlinetest.SameRows(t, h.lines, offlinetest.Read(t, h.tables[0], h.state()))
		if (calls < step || step >= last) && err == nil {
			break
		}
		require.Less(t, step, last)
		if err != nil {
			failed++
			require.ErrorIs(t, err, offlinetest.ErrInjected)
		}
		// Something to do for the next round.
		for range 5 {
			h.commit(10, r.IntN(3), 1)
		}
	}
	require.Greater(t, failed, offline.Fewer(20))
	for _, f := range h.state().Files {
		require.True(t, f.Sorted)
	}
}

// Cancelled at any moment, nothing is committed that is not whole.
func TestCompactCancelled(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 2))
	for stop := int64(0); stop < 12; stop += int64(12 / offline.Fewer(12)) {
		h := newHistory(t, r)
		for range 15 {
			h.commit(200, 0, 2)
		}
		before := h.state()
		ctx, cancel := context.WithCancelCause(context.Background())
		why := errors.New("enough")
		cfg := offline.DefaultConfig()
		cfg.RowGroupRows = 1024
		var calls atomic.Int64
		table := &hooked{Table: h.tables[0], before: func(string) {
			if calls.Add(1) == 1+3*stop {
				cancel(why)
			}
		}}
		_, err := offline.Compact(ctx, table, offline.CompactOptions{Config: cfg})
		if calls.Load() >= 1+3*stop {
			require.ErrorIs(t, err, why)
		}
		offlinetest.SameRows(t, h.lines, offlinetest.Read(t, h.tables[0], h.state()))
		if stop == 0 {
			require.Equal(t, before.Files, h.state().Files)
		}
		cancel(nil)
	}
}

// hooked calls before ahead of each call that compaction makes.
type hooked struct {
	offline.Table
	before func(call string)
}

func (h *hooked) Load(ctx context.Context, v offline.Version) (*offline.State, error) {
	h.before("load")
	return h.Table.Load(ctx, v)
}

func (h *hooked) Open(ctx context.Context, path string) (offline.FileReader, error) {
	h.before("open")
	return h.Table.Open(ctx, path)
}

func (h *hooked) Create(ctx context.Context, name string) (offline.FileWriter, error) {
	h.before("create")
	return h.Table.Create(ctx, name)
}

func (h *hooked) Replace(ctx context.Context, r *offline.Rewrite) error {
	h.before("replace")
	return h.Table.Replace(ctx, r)
}

// Workers append while two processes compact; what one of them has replaced the
// other finds gone, and plans anew.
func TestCompactBesideCommitsAndRivals(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 3))
	h := newHistory(t, r)
	for range 20 {
		h.commit(100, r.IntN(3), 2)
	}
	var mu sync.Mutex
	cfg := offline.DefaultConfig()
	cfg.RowGroupRows = 1024
	for round := range max(2, offline.Fewer(10)) {
		var rival sync.Once
		conflicts := 0
		table := &hooked{Table: h.tables[0], before: func(call string) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case call == "replace" && round%2 == 0:
				rival.Do(func() {
					_, err := offline.Compact(context.Background(), h.tables[1], offline.CompactOptions{Config: cfg})
					require.NoError(t, err)
				})
			case call == "create" && round%2 == 1:
				h.commit(30, r.IntN(3), 2)
			}
		}}
		// Files of the same size in one day, so that there is something to do.
		for range 6 {
			h.commit(100, 0, 1)
		}
		done, err := offline.Compact(context.Background(), table, offline.CompactOptions{Config: cfg})
		require.NoError(t, err)
		conflicts += done.Conflicts
		require.Equal(t, round%2 == 0, conflicts > 0, "round %d: %+v", round, done)
		offlinetest.SameRows(t, h.lines, offlinetest.Read(t, h.tables[0], h.state()))
	}
}

// One damaged file does not keep the other days from being merged.
func TestCompactGoesRoundDamage(t *testing.T) {
	r := rand.New(rand.NewPCG(testseed.For(t), 4))
	h := newHistory(t, r)
	for range 6 {
		h.commit(400, 0, 3)
	}
	st := h.state()
	damaged := st.Files[0].Path
	table := &damage{Table: h.tables[0], path: damaged}
	done, err := offline.Compact(context.Background(), table, offline.CompactOptions{Config: offline.DefaultConfig()})
	require.Error(t, err)
	require.Contains(t, err.Error(), damaged)
	require.NotZero(t, done.Merges)
	require.Contains(t, fmt.Sprint(h.state().Files), damaged)
	offlinetest.SameRows(t, h.lines, offlinetest.Read(t, h.tables[0], h.state()))
}

// damage gives other bytes for one file.
type damage struct {
	offline.Table
	path string
}

func (d *damage) Open(ctx context.Context, path string) (offline.FileReader, error) {
	r, err := d.Table.Open(ctx, path)
	if err == nil && path == d.path {
		return zeros{r}, nil
	}
	return r, err
}

type zeros struct{ offline.FileReader }

func (z zeros) ReadAt(p []byte, off int64) (int, error) {
	n, err := z.FileReader.ReadAt(p, off)
	if off < z.Size()/2 {
		clear(p[:n/2])
	}
	return n, err
}
