package tallytest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// table is the truth of a view's positions, as an offline table keeps it.
type table struct {
	at   map[int32]feature.Position
	past []map[int32]feature.Position // as it stood before each commit
}

// rollback sets the table back to where it stood once. A partition that it did not
// know then begins anew: a worker's first commit of one has no rows, so nobody has
// any that could land on top of that.
func (t *table) rollback(r *rand.Rand, id string) {
	if len(t.past) == 0 {
		return
	}
	was := t.past[r.IntN(len(t.past))]
	for p, at := range t.at {
		at.Next, at.Commit = was[p].Next, id
		t.at[p] = at
	}
}

func (t *table) commit(c *feature.Commit) bool {
	landed := true
	for _, a := range c.Advances {
		p := t.at[a.To.Partition]
		landed = landed && p.Commit == c.ID
	}
	if landed {
		return true
	}
	for _, a := range c.Advances {
		p := t.at[a.To.Partition]
		if p.Next != a.From.Next || p.Commit != a.From.Commit {
			return false
		}
	}
	t.past = append(t.past, maps.Clone(t.at))
	for _, a := range c.Advances {
		t.at[a.To.Partition] = a.To
	}
	return true
}

// worker is what ingest does to its tap, one step at a time.
type worker[T tally.Tally[T]] struct {
	tap    *tally.Tap[T]
	owns   map[int32]feature.Position // what it believes the table says
	read   map[int32]int64
	commit *feature.Commit // cut
	stage  int             // 0 cut, 1 staged, 2 landed
}

// Slide is that of the windows that overlap: slides of them are an hour.
const (
	Slide  = "20m"
	slides = 3
)

// clones reads panes anew: what puts them together takes their profiles.
func clones[T tally.Tally[T], V comparable](t *testing.T, s tally.Store[T, V], panes []tally.Record[T, V]) []tally.Record[T, V] {
	t.Helper()
	q := tally.WindowQuery{Owner: panes[0].Owner, Profiles: true}
	for i := range panes {
		q.Starts = append(q.Starts, panes[i].Start)
	}
	out, err := s.Windows(ctx, q)
	require.NoError(t, err)
	return out
}

var errInjected = errors.New("injected")

// flaky fails some calls, before or after they took effect.
type flaky[T tally.Tally[T]] struct {
	tally.Stager[T]
	r *rand.Rand
}

func (f *flaky[T]) flip(do func() error) error {
	switch f.r.IntN(8) {
	case 0:
		return errInjected
	case 1:
		if err := do(); err != nil {
			return err
		}
		return errInjected
	}
	return do()
}

func (f *flaky[T]) Stage(ctx context.Context, s *tally.Staged[T]) error {
	return f.flip(func() error { return f.Stager.Stage(ctx, s) })
}

func (f *flaky[T]) Settle(ctx context.Context, c string, now time.Time) (known bool, err error) {
	err = f.flip(func() (err error) { known, err = f.Stager.Settle(ctx, c, now); return err })
	return known, err
}

func (f *flaky[T]) Assign(ctx context.Context, v string, at []feature.Position, now time.Time) error {
	return f.flip(func() error { return f.Stager.Assign(ctx, v, at, now) })
}

// ExactlyOnce proves, for a number of random runs, that any interleaving of writes, cuts, stages, landings,
// settlements, errors, crashes, rebalances, rollbacks of the table and workers that do not know that
// they lost their partitions leaves every window with exactly the log's rows. Before
// a rollback, workers that live settle what has landed.
//
// newTap makes the tap of the view for three owners, m_1h and m_1d, of windows of an hour
// and a day, and m_slid, of hours that slide by Slide; held says that it takes the rows held back too.
func (k *Kit[T, V]) ExactlyOnce(t *testing.T, runs, steps int, held bool, open func() tally.Store[T, V], newTap func(*feature.View, tally.Stager[T]) *tally.Tap[T]) {
	for seed := range testseed.Each(t, runs) {
		k.exactlyOnce(t, seed, open(), steps, held, newTap)
	}
}

func (k *Kit[T, V]) exactlyOnce(t *testing.T, seed uint64, store tally.Store[T, V], steps int, held bool, newTap func(*feature.View, tally.Stager[T]) *tally.Tap[T]) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("seed %d: %s", seed, fmt.Sprintf(format, args...))
	}
	r := rand.New(rand.NewPCG(seed, 7))
	v := View()
	topic := [16]byte{7}
	const partitions, events = 4, 300
	logs := make([][]Event, partitions)
	landed := make([]int64, partitions)
	want := map[string]map[int64]int64{"m_1h": {}, "m_1d": {}, "m_slid": {}}
	slid := map[int64]int64{} // rows of the hours that slide, by the start of their last pane
	for p := range logs {
		for i := range events {
			e := Event{Time: int64(i)*hour/20 + r.Int64N(hour) - 5*hour, Num: float64(r.IntN(50) - 25), Null: r.IntN(10) == 0, Cat: fmt.Sprint(r.IntN(5)), Deleted: r.IntN(20) == 0, Held: r.IntN(15) == 0}
			e.Deleted = e.Deleted && !e.Held
			logs[p] = append(logs[p], e)
			if !e.Held {
				landed[p]++
			}
			if !e.Deleted && (held || !e.Held) {
				want["m_1h"][Floor(e.Time, hour)]++
				want["m_1d"][Floor(e.Time, 24*hour)]++
				pane := Floor(e.Time, hour/slides)
				want["m_slid"][pane]++
				for i := range int64(slides) {
					slid[pane+i*hour/slides]++
				}
			}
		}
	}
	tab := &table{at: map[int32]feature.Position{}}
	var workers []*worker[T]
	commits := 0
	flakyStore := &flaky[T]{store, r}
	// until repeats what ingest repeats: an error of the store is temporary.
	until := func(f func() error) {
		for {
			if err := f(); err == nil {
				return
			} else if !errors.Is(err, errInjected) {
				fail("%v", err)
			}
		}
	}
	position := func(p int32) feature.Position {
		pos, ok := tab.at[p]
		if !ok {
			pos = feature.Position{Topic: "t", TopicID: topic, Partition: p}
		}
		return pos
	}
	assign := func(w *worker[T], parts ...int32) {
		var at []feature.Position
		for _, p := range parts {
			at = append(at, position(p))
			w.owns[p], w.read[p] = position(p), position(p).Next
		}
		until(func() error { return w.tap.Assign(ctx, at) })
	}
	// rebalance gives every partition to one of n new or old workers; the old
	// owners are told only sometimes: the others are zombies.
	rebalance := func() {
		var alive []*worker[T]
		for _, w := range workers {
			switch r.IntN(3) {
			case 0: // told
				var gone []feature.Position
				for p := range w.owns {
					gone = append(gone, w.owns[p])
				}
				if w.commit != nil {
					alive = append(alive, w) // finishes its flush, or tries to
				}
				w.tap.Revoke(gone)
				if w.commit == nil {
					continue
				}
				w.owns, w.read = map[int32]feature.Position{}, map[int32]int64{}
			case 1: // killed
			case 2: // a zombie
				if len(alive) < 6 {
					alive = append(alive, w)
				}
			}
		}
		n := 1 + r.IntN(3)
		fresh := make([]*worker[T], n)
		for i := range fresh {
			fresh[i] = &worker[T]{tap: newTap(v, flakyStore), owns: map[int32]feature.Position{}, read: map[int32]int64{}}
		}
		for p := range int32(partitions) {
			assign(fresh[r.IntN(n)], p)
		}
		workers = append(alive, fresh...)
	}
	step := func(w *worker[T], want int) {
		parts := make([]int32, 0, len(w.owns))
		for p := range w.owns {
			parts = append(parts, p)
		}
		slices.Sort(parts)
		switch {
		case want < 5 && len(parts) > 0:
			p := parts[r.IntN(len(parts))]
			from := w.read[p]
			to := min(from+int64(r.IntN(40)), events)
			if from == to {
				return
			}
			if r.IntN(6) == 0 {
				from = max(0, from-int64(r.IntN(20))) // a batch that overlaps what is there
			}
			b := Batch(v, topic, p, from, logs[p][from:to])
			if err := w.tap.Write(ctx, b); err != nil {
				fail("%v", err)
			}
			b.Rows.Release()
			w.read[p] = to
		case want == 5 && w.commit == nil && len(parts) > 0:
			commits++
			c := &feature.Commit{ID: fmt.Sprintf("c%d", commits), View: v, Partitions: partitions}
			for _, p := range parts {
				if r.IntN(4) == 0 {
					continue
				}
				to := w.owns[p]
				to.Next, to.Commit = w.read[p], c.ID
				c.Advances = append(c.Advances, feature.Advance{From: w.owns[p], To: to, Drained: to.Next == events})
			}
			if len(c.Advances) == 0 {
				return
			}
			w.tap.Cut(c)
			w.commit, w.stage = c, 0
		case want > 5 && w.commit != nil:
			switch w.stage {
			case 0:
				if w.tap.Stage(ctx, w.commit) == nil {
					w.stage = 1
				}
			case 1:
				if tab.commit(w.commit) {
					w.stage = 2
					for _, a := range w.commit.Advances {
						if _, mine := w.owns[a.To.Partition]; mine {
							w.owns[a.To.Partition] = a.To
						}
					}
					return
				}
				w.tap.Discard(w.commit)
				var again []int32
				for _, a := range w.commit.Advances {
					if _, mine := w.owns[a.To.Partition]; mine {
						again = append(again, a.To.Partition)
					}
				}
				w.commit = nil
				assign(w, again...)
			case 2:
				if w.tap.Settle(ctx, w.commit) == nil {
					w.commit = nil
				}
			}
		}
	}
	rebalance()
	for range steps {
		if r.IntN(40) == 0 {
			rebalance()
		}
		if r.IntN(80) == 0 {
			for _, w := range workers {
				if w.stage == 2 && w.commit != nil {
					until(func() error { return w.tap.Settle(ctx, w.commit) })
					w.commit = nil
				}
			}
			commits++
			tab.rollback(r, fmt.Sprintf("rollback%d", commits))
		}
		step(workers[r.IntN(len(workers))], r.IntN(12))
	}
	// The last worker finishes: everything else is gone.
	workers = nil
	last := &worker[T]{tap: newTap(v, flakyStore), owns: map[int32]feature.Position{}, read: map[int32]int64{}}
	for p := range int32(partitions) {
		assign(last, p)
	}
	workers = []*worker[T]{last}
	for round := 0; ; round++ {
		done := last.commit == nil
		for p := range int32(partitions) {
			done = done && tab.at[p].Next == events
		}
		if done {
			break
		}
		if round > 100000 {
			fail("does not end")
		}
		step(last, r.IntN(12))
	}
	for name, m := range want {
		all, err := store.Windows(ctx, tally.WindowQuery{Owner: name, Profiles: true})
		require.NoError(t, err)
		got := map[int64]int64{}
		for _, w := range all {
			got[w.Start] = w.Rows
			if w.Late != 0 {
				fail("%s window %d: %d rows are late", name, w.Start/hour, w.Late)
			}
			k.Check(t, w.Profile, w.Rows)
		}
		for start, n := range m {
			if got[start] != n {
				fail("%s window %d has %d rows, the log has %d", name, start/hour, got[start], n)
			}
		}
		if len(got) != len(m) {
			fail("%s has %d windows, the log %d", name, len(got), len(m))
		}
		for i := range all {
			if name != "m_slid" {
				break
			}
			first := i
			for first > 0 && all[first-1].Start > all[i].End-hour-1 {
				first--
			}
			w := tally.Whole(all[i].End-hour, clones(t, store, all[first:i+1]))
			if w.Rows != slid[all[i].Start] {
				fail("the hour that ends with pane %d has %d rows, the log %d", i, w.Rows, slid[all[i].Start])
			}
			k.Check(t, w.Profile, w.Rows)
		}
	}
	all, err := store.Progress(ctx, v.ID())
	require.NoError(t, err)
	for _, p := range all {
		if p.Rows != landed[p.Partition] {
			fail("progress of partition %d says %d rows, the log has %d", p.Partition, p.Rows, landed[p.Partition])
		}
	}
	if n := last.tap.Buffered(); n != 0 {
		fail("%d bytes buffered at the end", n)
	}
}
