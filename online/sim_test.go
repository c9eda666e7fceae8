package online_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/online/memory"
	"github.com/weir-ml/weir/online/onlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// sim is a worker with a store, a table and three partitions, all of which can
// fail: writes break off, the worker dies, another one that was thought dead writes too, the store
// comes back with an older state or with none, and is rebuilt in between. In the end the store must hold what a map holds.
type sim struct {
	t      *testing.T
	r      *rand.Rand
	view   *feature.View
	store  *memory.Store
	faulty *onlinetest.Faulty
	table  *onlinetest.Table
	oracle *onlinetest.Oracle
	w      *online.Writer
	zombie *online.Writer  // an earlier worker that does not know that it was replaced
	past   []*memory.Store // earlier states of the store, oldest first

	log     [3][]*feature.Batch // what Kafka has
	next    [3]int              // batches written by this worker
	landed  [3]int              // batches in the table
	undead  [3]int              // batches written by the zombie
	imports int
	calm    bool // the store loses nothing
	clock   func() time.Time
	open    *commit // cut, not yet settled
	base    int64
}

type commit struct {
	upTo   [3]int
	landed bool
}

var topic = [16]byte{7}

// WEIR_SIM_SEEDS=3000 runs more of it, WEIR_TEST_SEED=N one of them.
func TestSimulation(t *testing.T) {
	runs := 60
	if testing.Short() {
		runs = 30
	}
	if n, err := strconv.Atoi(os.Getenv("WEIR_SIM_SEEDS")); err == nil {
		runs = n
	}
	for seed := range testseed.Each(t, runs) {
		t.Run("seed", func(t *testing.T) { simulate(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func simulate(t *testing.T, r *rand.Rand) {
	ttl := feature.Duration(0)
	if r.IntN(2) == 0 {
		ttl = feature.Duration(15 * time.Minute)
	}
	now := int64(1_700_000_000_000_000)
	clock := func() time.Time { return feature.Time(now) }
	s := &sim{t: t, r: r, view: onlinetest.View("p", "v", ttl), store: memory.New(clock), table: &onlinetest.Table{}, base: now - 20*60_000_000}
	s.oracle, s.clock = &onlinetest.Oracle{View: s.view, Drops: true}, clock
	sole := r.IntN(2) == 0
	starting := false
	s.faulty = &onlinetest.Faulty{Store: s.store, Fail: func(string, int) onlinetest.Fault {
		// A restart so quick that no call meets it. A sole writer's store lives and dies with it, so it
		// goes back between two lives, never while the second begins: that fills it with no mark moved in the same step.
		if !s.calm && !(sole && starting) && r.IntN(60) == 0 {
			s.goBack()
		}
		if r.IntN(12) == 0 {
			return onlinetest.Fault(1 + r.IntN(3))
		}
		return onlinetest.None
	}}
	s.past = append(s.past, s.store.Copy())
	start := func() {
		starting = true
		defer func() { starting = false }()
		s.zombie = s.w
		s.w = online.NewWriter(s.view, s.faulty, s.table, online.Options{Clock: clock, SoleWriter: sole})
		s.retry(func() error { return s.w.Assign(context.Background(), s.positions()) })
	}
	for p := range s.log {
		off := int64(0)
		for range 15 {
			var rows []onlinetest.Row
			for range 1 + r.IntN(6) {
				rows = append(rows, onlinetest.RandomRow(r, s.view, s.base, off))
				off += 1 + r.Int64N(2)
			}
			s.log[p] = append(s.log[p], onlinetest.Batch(s.view, topic, int32(p), rows...))
		}
	}
	start()
	for range 120 {
		s.past = append(s.past, s.store.Copy())
		switch k := r.IntN(23); {
		case k < 8:
			s.write(r.IntN(3))
		case k < 11:
			s.commit()
		case k < 14:
			s.land()
		case k < 16:
			s.settle()
		case k == 16:
			s.importFile()
		case k == 17: // the worker dies
			s.undead = s.next
			s.open, s.next = nil, s.landed
			start()
		case k == 18:
			s.goBack()
		case k == 19 && r.IntN(4) == 0:
			s.store.Clear()
			s.past = []*memory.Store{s.store.Copy()}
		case k == 20 && s.zombie != nil: // goes on where it was
			if p := r.IntN(3); s.undead[p] < len(s.log[p]) {
				b := s.log[p][s.undead[p]]
				s.retry(func() error { return s.zombie.Write(context.Background(), b) })
				s.see(b)
				s.undead[p]++
			}
		case k == 21 && r.IntN(2) == 0:
			s.materialize(1+r.IntN(3), true)
		case k == 22:
			s.mendAndCheck()
		}
	}
	for p := range s.log {
		for s.next[p] < len(s.log[p]) {
			s.write(p)
		}
	}
	for range 2 { // what is open, then the rest
		s.commit()
		s.land()
		s.settle()
	}
	s.mendAndCheck()
	s.calm = true
	s.oracle.Check(t, s.store, now)

	// Nothing is read from the table when nothing is missing.
	reads := s.table.Newests + s.table.Sinces
	w := online.NewWriter(s.view, s.store, s.table, online.Options{Clock: clock})
	require.NoError(t, w.Assign(context.Background(), s.positions()))
	require.Equal(t, reads, s.table.Newests+s.table.Sinces)

	// A store that lost rows and not its marks is nobody's to notice but a rebuild's.
	var rows []online.Row
	require.NoError(t, s.store.Scan(context.Background(), online.SpanOf(s.view), func(keys []string, vals [][]byte) error {
		for i, k := range keys {
			if r.IntN(3) == 0 {
				rows = append(rows, online.Row{Key: k, Value: vals[i]})
			}
		}
		return nil
	}))
	_, err := s.store.Remove(context.Background(), rows)
	require.NoError(t, err)
	s.materialize(1+r.IntN(4), false)
	s.oracle.Check(t, s.store, now)
	s.mendAndCheck()
}

// materialize rebuilds the store, perhaps with other things going on in between.
func (s *sim) materialize(parts int, busy bool) {
	cfg := online.MaterializeConfig{View: s.view, Store: s.faulty, Pin: s.table.Pin(s.view, parts, 0), Restart: s.r.IntN(3) == 0,
		Clock: s.clock, Pause: time.Microsecond, Patience: 10 * time.Microsecond}
	s.retry(func() error {
		if busy {
			s.write(s.r.IntN(3))
			if s.r.IntN(3) == 0 {
				s.commit()
				s.land()
			}
		}
		_, err := online.Materialize(context.Background(), cfg)
		return err
	})
}

// mendAndCheck requires that a mended store has nothing that differs from the table.
func (s *sim) mendAndCheck() {
	ctx := context.Background()
	s.calm = true
	defer func() { s.calm = false }()
	s.retry(func() error { _, err := s.w.Mend(ctx); return err })
	pin, err := s.table.Pin(s.view, 1, 0)(ctx, 0)
	require.NoError(s.t, err)
	cfg := online.CheckConfig{View: s.view, Store: s.store, At: pin.At, Strangers: true, Clock: s.clock, Pause: time.Microsecond, Patience: 10 * time.Microsecond,
		Newest: func(fn func(*feature.Batch) error) error {
			return pin.Newest(ctx, online.NewestPart{Parts: 1}, fn)
		},
		Positions: func(ctx context.Context) ([]feature.Position, error) { return s.table.Positions(ctx, s.view) }}
	r, err := online.Check(ctx, cfg, func(f online.CheckFault) { s.t.Errorf("%+v", f) })
	require.NoError(s.t, err)
	require.Equal(s.t, r.TableHash, r.StoreHash)
	require.Equal(s.t, r.Keys, r.Equal+r.Expired+r.Ahead)
	require.Empty(s.t, r.RolledBack)
}

// goBack makes the store lose its newest writes.
func (s *sim) goBack() {
	if s.r.IntN(2) == 0 {
		s.past = append(s.past, s.store.Copy()) // it loses nothing but what comes until the next time
	}
	back := min(len(s.past), 1+s.r.IntN(12))
	s.store.Restore(s.past[len(s.past)-back])
	s.past = s.past[:len(s.past)-back+1]
}

// retry is what ingest does with an error of kind Unavailable.
func (s *sim) retry(f func() error) {
	for {
		err := f()
		if err == nil {
			return
		}
		require.Equal(s.t, feature.Unavailable, feature.KindOf(err), "%v", err)
	}
}

func (s *sim) positions() []feature.Position {
	var at []feature.Position
	for p := range s.log {
		at = append(at, s.position(p, s.landed[p]))
	}
	return at
}

func (s *sim) position(p, batches int) feature.Position {
	pos := feature.Position{Topic: "events", TopicID: topic, Partition: int32(p)}
	if batches > 0 {
		pos.Next = s.log[p][batches-1].Origin.Next
	}
	return pos
}

func (s *sim) write(p int) {
	if s.next[p] == len(s.log[p]) {
		return
	}
	b := s.log[p][s.next[p]]
	s.retry(func() error { return s.w.Write(context.Background(), b) })
	s.see(b)
	s.next[p]++
}

func (s *sim) see(b *feature.Batch) {
	s.oracle.See(b.Origin.Partition, onlinetest.Rows(b)...)
}

func (s *sim) commit() {
	if s.open == nil {
		s.open = &commit{upTo: s.next}
	}
}

func (s *sim) land() {
	if s.open == nil || s.open.landed {
		return
	}
	for p := range s.log {
		s.table.Append(s.log[p][s.landed[p]:s.open.upTo[p]]...)
	}
	s.landed, s.open.landed = s.open.upTo, true
}

func (s *sim) settle() {
	if s.open == nil || !s.open.landed {
		return
	}
	c := &feature.Commit{View: s.view}
	for p := range s.log {
		c.Advances = append(c.Advances, feature.Advance{To: s.position(p, s.open.upTo[p])})
	}
	s.retry(func() error { return s.w.Settle(context.Background(), c) })
	s.open = nil
}

// importFile is a whole import, by a writer of its own.
func (s *sim) importFile() {
	ctx := context.Background()
	s.imports++
	var id [16]byte
	binary.BigEndian.PutUint64(id[8:], uint64(s.imports))
	var rows []onlinetest.Row
	for i := range 1 + s.r.IntN(5) {
		row := onlinetest.RandomRow(s.r, s.view, s.base, int64(i))
		row.Known += 10 * int64(s.imports) // rows of two files that agree in all times and their number have no order
		rows = append(rows, row)
	}
	b := onlinetest.Batch(s.view, id, feature.ImportPartition, rows...)
	w := online.NewWriter(s.view, s.faulty, s.table, online.Options{})
	at := feature.Position{TopicID: id, Partition: -1}
	s.retry(func() error { return w.Assign(ctx, []feature.Position{at}) })
	s.retry(func() error { return w.Write(ctx, b) })
	s.see(b)
	s.table.Append(b)
	at.Next = b.Origin.Next
	s.retry(func() error {
		return w.Settle(ctx, &feature.Commit{View: s.view, Advances: []feature.Advance{{To: at}}})
	})
}
