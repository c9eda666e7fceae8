package onlinetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry/feature"
)

// testMaterialize rebuilds a store that lost everything it had of a view, in
// runs that break off, beside a writer and beside each other.
func testMaterialize(t *testing.T, s online.Store, p string) {
	ctx := context.Background()
	w := newWorld(t, s, p, 0, 90)
	lose := func(keep func(k string) bool) {
		span := online.SpanOf(w.view)
		var rows []online.Row
		require.NoError(t, s.Scan(ctx, span, func(keys []string, vals [][]byte) error {
			for i, k := range keys {
				if keep == nil || !keep(k) {
					rows = append(rows, online.Row{Key: k, Value: vals[i]})
				}
			}
			return nil
		}))
		_, err := s.Remove(ctx, rows)
		require.NoError(t, err)
	}

	lose(nil)
	var done, total int64
	r := w.materialize(4, func(c *online.MaterializeConfig) {
		c.Progress = func(d, all int64) {
			require.GreaterOrEqual(t, d, done)
			require.LessOrEqual(t, d, all)
			done, total = d, all
		}
	})
	require.EqualValues(t, 100, r.Keys)
	require.EqualValues(t, 100, r.Stored)
	require.False(t, r.Resumed)
	require.Equal(t, total, done)
	w.clean()
	run := func() (list []online.Mark) {
		m, err := s.Marks(ctx, p+"/v")
		require.NoError(t, err)
		for _, x := range m.Part {
			if x.Partition < feature.ImportPartition {
				list = append(list, x)
			}
		}
		return list
	}
	require.Empty(t, run(), "a run that is done leaves nothing behind")
	var err error

	// Broken off at the 10th, 20th ... put, and gone on with.
	lose(nil)
	puts, runs := 0, 0
	faulty := &Faulty{Store: s, Fail: func(op string, n int) Fault {
		if op == "put" {
			if puts++; puts%10 == 0 {
				return Late
			}
		}
		return None
	}}
	first := r.Snapshot
	for {
		runs++
		cfg := w.rebuild(4)
		cfg.Store = faulty
		if r, err = online.Materialize(ctx, cfg); err == nil {
			break
		}
		require.Equal(t, feature.Unavailable, feature.KindOf(err), "%v", err)
		w.commit(Batch(w.view, topicA, 0, w.row(fmt.Sprintf("later%d", runs), int64(200+runs), 1)))
		require.Less(t, runs, 30)
	}
	require.True(t, r.Resumed)
	require.Equal(t, first, r.Snapshot, "the version that the first run has read")
	require.Greater(t, runs, 5)
	require.Less(t, puts, 100+5*runs, "little was done twice")
	w.clean()
	w.oracle.Check(t, s, w.now)

	// The version has gone meanwhile; or another run is asked for.
	for _, restart := range []bool{false, true} {
		faulty.Fail = func(op string, n int) Fault {
			if puts++; op == "put" && puts%50 == 0 {
				return Clean
			}
			return None
		}
		cfg := w.rebuild(2)
		cfg.Store = faulty
		_, err = online.Materialize(ctx, cfg)
		require.Error(t, err)
		w.commit(Batch(w.view, topicA, 0, w.row("more", int64(400+puts), 2)))
		r = w.materialize(2, func(c *online.MaterializeConfig) {
			if c.Restart = restart; !restart {
				c.Pin = w.table.Pin(w.view, 2, int64(len(w.table.batches)))
			}
		})
		require.False(t, r.Resumed)
		require.EqualValues(t, len(w.table.batches), r.Snapshot)
		w.clean()
	}

	// What came after the version of a run that broke off is lost before it is gone
	// on with, and no mark tells.
	cfg := w.rebuild(2)
	cfg.Store = &Faulty{Store: s, Fail: func(op string, n int) Fault {
		if puts++; op == "put" && puts%50 == 0 {
			return Clean
		}
		return None
	}}
	_, err = online.Materialize(ctx, cfg)
	require.Error(t, err)
	there := map[string]bool{}
	require.NoError(t, s.Scan(ctx, online.SpanOf(w.view), func(keys []string, _ [][]byte) error {
		for _, k := range keys {
			there[strings.Clone(k)] = true
		}
		return nil
	}))
	w.commit(Batch(w.view, topicA, 0, w.row("came later", int64(1000+puts), 2)))
	lose(func(k string) bool { return there[k] })
	r = w.materialize(2, nil)
	require.True(t, r.Resumed)
	w.clean()
	w.oracle.Check(t, s, w.now)

	// The store loses rows of the run while it goes on: those are written again.
	n := 0
	r = w.materialize(2, func(c *online.MaterializeConfig) {
		c.NoPrune = true // nobody else would notice
		c.Store = &Faulty{Store: s, Fail: func(op string, _ int) Fault {
			if n++; op == "put" && n == 60 {
				lose(nil)
				all := run()
				require.Len(t, all, 1)
				back := online.Settlement{TopicID: all[0].TopicID, Partition: all[0].Partition, Settled: all[0].Settled, Written: 3, Reset: true}
				_, err := s.Settle(ctx, p+"/v", 0, []online.Settlement{back}, nil)
				require.NoError(t, err)
			}
			return None
		}}
	})
	require.Greater(t, r.Stored, r.Keys)
	lost := 0
	_, found := w.check(w.config())
	for _, kind := range found {
		require.Equal(t, online.Missing, kind)
		lost++
	}
	require.LessOrEqual(t, lost, 3, "the keys that the mark vouched for")
	w.materialize(1, nil)
	w.clean()

	// Two at once, beside a writer, in a store without anything.
	lose(nil)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := online.Materialize(ctx, w.rebuild(3)); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 40 {
		w.commit(Batch(w.view, topicA, 1, w.row(fmt.Sprintf("k%d", 3*(i%20)+1), int64(1000+i), int64(3+i))))
	}
	wg.Wait()
	w.clean()
	w.oracle.Check(t, s, w.now)
}
