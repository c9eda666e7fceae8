package sinktest

import (
	"slices"
	"testing"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// When says from which moment on a store shows a row.
type When int

const (
	Written   When = iota // when Write has returned
	Committed             // when the table has taken the commit
	Settled               // when the commit was settled, or found landed by Assign
)

// Store is what the sinks under test share: the durable state that outlives workers.
type Store struct {
	// Open gives a new worker's sink of a view, and the table's side where the
	// sink has it, else nil: then the suite commits into table, which Open may read.
	Open func(t testing.TB, v *feature.View, table *Table) (ingest.Sink, ingest.Committer)
	// Visible prints what the store shows of a view; Want what it should show of
	// these rows. Both in any order.
	Visible func(t testing.TB, v *feature.View) []string
	Want    func(v *feature.View, rows []Row) []string
	Shows   When
	// Buffers tells that rows are held in memory until their commit.
	Buffers bool
	// Rollback sets the table of a view back by so many commits with rows, where Open
	// gives the table's side. Nil: not tested there.
	Rollback func(t testing.TB, v *feature.View, commits int)
	// Break has the store ask fail before every call of the sinks, and fail so with
	// an Unavailable error. Nil: faults are not tested.
	Break func(fail func() Fault)
}

// Fault is one way for a call to fail.
type Fault int

const (
	None   Fault = iota
	Before       // nothing has happened
	After        // all of it has happened, the answer is lost
)

// Run tests that a sink keeps the contract of ingest.Sink (and, where it is the
// table's side too, of ingest.Committer). fresh makes an empty store.
//
// runs is how many random interleavings are tried.
func Run(t *testing.T, runs int, fresh func(t *testing.T) *Store) {
	for _, c := range []struct {
		name string
		fn   func(*world)
	}{
		{"rows come through", through},
		{"a batch written again changes nothing", again},
		{"a cut closes its partitions only", cuts},
		{"every call may be repeated", repeats},
		{"two commits in flight", inFlight},
		{"a discarded commit comes again", discards},
		{"after every crash the sink is where the table is", crashes},
		{"a revoke drops what was not cut", revokes},
		{"a worker that lost its partition changes nothing", zombies},
		{"writes and flushes in parallel", parallel},
		{"an import", imports},
		{"two views do not mix", views},
		{"memory is given back, and never looked at after", memoryGivenBack},
		{"a table that is rolled back", rolledBack},
		{"a cancelled context", cancelled},
		{"faults of the store", faults},
	} {
		t.Run(c.name, func(t *testing.T) { c.fn(newWorld(t, fresh(t), testseed.For(t))) })
	}
	t.Run("random interleavings", func(t *testing.T) {
		for seed := range testseed.Each(t, runs) {
			random(newWorld(t, fresh(t), seed))
		}
	})
}

// check compares what the store shows of the first view with the model.
func (w *world) check(says string) { w.t.Helper(); w.checkView(w.view, says) }

func (w *world) checkView(v *feature.View, says string) {
	w.t.Helper()
	want, got := w.store.Want(v, w.expected(v)), w.store.Visible(w.t, v)
	slices.Sort(want)
	slices.Sort(got)
	if slices.Equal(want, got) {
		return
	}
	for i := range max(len(want), len(got)) {
		a, b := "nothing", "nothing"
		if i < len(want) {
			a = want[i]
		}
		if i < len(got) {
			b = got[i]
		}
		if a != b {
			w.t.Fatalf("%s (seed %d): the store shows %d lines, it should show %d; the first that differs is\n\t%s\nand should be\n\t%s", says, w.log.seed, len(got), len(want), b, a)
		}
	}
}
