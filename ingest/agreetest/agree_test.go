package agreetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/jointest"
	memtables "github.com/weir-ml/weir/offline/memory"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/online"
	memstore "github.com/weir-ml/weir/online/memory"
	"github.com/weir-ml/weir/online/onlinetest"
	"github.com/weir-ml/weir/online/redis"
	"github.com/weir-ml/weir/registry/feature"
)

// keep is how long a row stays in the store after its ttl: the least that is allowed.
const keep = time.Second

// TestTrainingAndServingAgree sends random streams through the decoder, and what
// comes out both into tables and, in the order in which it was known, into an online
// store. At every moment at which an answer may change, a microsecond before and after,
// every key's lookup must be what the join gives for that moment under the known clock, and
// what the oracle says. WEIR_TEST_SEED=N repeats a stream, WEIR_CASES sets how many.
func TestTrainingAndServingAgree(t *testing.T) {
	for _, c := range []struct {
		name  string
		cases int
		side  func(t *testing.T) *side
	}{
		{"memory", 300, func(*testing.T) *side {
			s := &side{}
			s.store = func() online.Store { return memstore.New(s.clock) }
			s.forward = func(time.Duration) {}
			return s
		}},
		{"redis", 60, func(t *testing.T) *side {
			server := miniredis.RunT(t)
			cfg := redis.DefaultConfig()
			cfg.Addrs = []string{server.Addr()}
			cfg.DialTimeout, cfg.ReadTimeout, cfg.WriteTimeout = time.Minute, time.Minute, time.Minute
			var open *redis.Store
			t.Cleanup(func() {
				if open != nil {
					_ = open.Close()
				}
			})
			return &side{forward: server.FastForward, store: func() online.Store {
				if open != nil {
					_ = open.Close() // one that has seen the rows would say that they are lost
				}
				server.FlushAll()
				var err error
				open, err = redis.Open(cfg, slog.New(slog.DiscardHandler))
				require.NoError(t, err)
				return open
			}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cases, tried := c.cases, 0
			if s := os.Getenv("WEIR_CASES"); s != "" {
				cases, _ = strconv.Atoi(s)
			}
			s := c.side(t)
			s.seen = map[string]int{}
			for seed := range testseed.Each(t, cases) {
				tried++
				w := jointest.Random(rand.New(rand.NewPCG(seed, 7)), jointest.Limits{Views: 2, Facts: 30, Spine: 1})
				err := s.agree(w)
				if err == nil {
					continue
				}
				small := jointest.Shrink(w, func(w *jointest.World) bool { return s.agree(w) != nil })
				t.Fatalf("%v\n\nThe smallest stream that fails:\n%v\n%v", err, small, s.agree(small))
			}
			t.Logf("answers: %v", s.seen)
			if tried >= c.cases {
				for _, what := range []string{"value", "null value", "unknown", "deleted", "outside max age", "gone"} {
					require.Greater(t, s.seen[what], 100, "%s is hardly ever tried: %v", what, s.seen)
				}
			}
		})
	}
}

// side is the online side.
type side struct {
	store   func() online.Store // empty
	forward func(time.Duration) // moves the store's clock
	now     int64
	seen    map[string]int // answers by kind
}

func (s *side) clock() time.Time { return feature.Time(s.now) }

// agree says the first answer that is not the same on both sides.
func (s *side) agree(from *jointest.World) error {
	ctx := context.Background()
	w := from.Clone()
	w.Clock, w.Spine = feature.KnownClock, nil
	events, err := stream(w)
	if err != nil {
		return err
	}
	asked := askedFor(w)
	times := moments(w, keep)
	for _, at := range times {
		for _, k := range asked {
			w.Spine = append(w.Spine, jointest.Row{Keys: k, Time: at})
		}
	}
	b, err := tables(ctx, w, events)
	if err != nil {
		return err
	}
	defer b.Close()
	var joined [][]any
	if err := b.Check(ctx, jointest.Options{Got: func(row []any) { joined = append(joined, row[len(row)-len(b.Service.Columns):]) }}); err != nil {
		return fmt.Errorf("the join: %w", err)
	}
	return s.serve(ctx, b, events, times, asked, joined)
}

// askedFor are the keys of all facts, and one more that nobody has.
func askedFor(w *jointest.World) []map[string]any {
	var out []map[string]any
	had := map[string]bool{}
	for _, v := range w.Views {
		for _, f := range v.Facts {
			k := map[string]any{}
			for i, x := range v.Keys {
				k[x.Name] = f.Keys[i]
			}
			if text := fmt.Sprintf("%q", k); !had[text] {
				had[text] = true
				out = append(out, k)
			}
		}
	}
	return append(out, map[string]any{})
}

// tables puts the events into tables through the Writer, in a few commits.
func tables(ctx context.Context, w *jointest.World, events []arrival) (*jointest.Built, error) {
	store := memtables.Open()
	b := &jointest.Built{World: w}
	var views []*feature.View
	cfg := offline.DefaultConfig()
	cfg.Writers = 1
	for vi := range w.Views {
		at := map[int32]feature.Position{}
		commits := 0
		for _, old := range []bool{true, false} {
			d := w.Views[vi].Definition()
			if old {
				if !w.Views[vi].Evolved() {
					continue
				}
				d = w.Views[vi].Before()
			}
			table, err := store.Table(ctx, d)
			if err != nil {
				return nil, err
			}
			wr, err := offline.NewWriter(table, cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
			if err != nil {
				return nil, err
			}
			mine := slices.DeleteFunc(slices.Clone(events), func(a arrival) bool { return a.view != vi || a.old != old })
			for part := range slices.Chunk(mine, len(mine)/max(1, w.Way.Commits)+1) {
				commits++
				c := &feature.Commit{ID: fmt.Sprintf("commit-%d", commits), View: d, Partitions: 8}
				var batches []*feature.Batch
				for _, a := range part {
					p := a.batch.Origin.Partition
					to := offlinetest.At(p, a.batch.Origin.Next, c.ID)
					if i := slices.IndexFunc(c.Advances, func(x feature.Advance) bool { return x.To.Partition == p }); i >= 0 {
						c.Advances[i].To = to
					} else {
						c.Advances = append(c.Advances, feature.Advance{From: at[p], To: to})
					}
					at[p] = to
					batches = append(batches, a.batch)
				}
				if err := offlinetest.Flush(ctx, wr, c, batches...); err != nil {
					return nil, err
				}
			}
			if err := wr.Close(); err != nil {
				return nil, err
			}
			if !old {
				views = append(views, d)
				b.Tables = append(b.Tables, offline.TableAt{Table: table})
			}
		}
	}
	var err error
	b.Service, err = jointest.Service(views)
	return b, err
}

// serve lets time go by: at each moment the store has been given exactly what was
// known by then, and is asked for every key.
func (s *side) serve(ctx context.Context, b *jointest.Built, events []arrival, times []int64, asked []map[string]any, joined [][]any) error {
	w := b.World
	r := rand.New(rand.NewPCG(uint64(len(events)), uint64(len(times))))
	arriving := slices.Clone(events)
	r.Shuffle(len(arriving), func(i, j int) { arriving[i], arriving[j] = arriving[j], arriving[i] }) // what is known at once comes in any order
	slices.SortStableFunc(arriving, func(a, b arrival) int { return int(min(1, max(-1, a.batch.KnownTime[0]-b.batch.KnownTime[0]))) })
	if len(times) == 0 {
		return nil
	}
	s.now = times[0]
	store := s.store()
	options := online.Options{Config: online.Config{KeepMin: keep, KeepMax: keep}, Clock: s.clock}
	type version struct {
		view int
		old  bool
	}
	writers := map[version]*online.Writer{}
	for i := range w.Views {
		writers[version{i, false}] = online.NewWriter(w.Views[i].Definition(), store, &onlinetest.Table{}, options)
		if w.Views[i].Evolved() {
			writers[version{i, true}] = online.NewWriter(w.Views[i].Before(), store, &onlinetest.Table{}, options)
		}
	}
	// Partitions are read from their beginning, as a worker does; rows that come as they
	// become known, not by offset, would else look as if those before them were lost.
	for of, wr := range writers {
		var parts []feature.Position
		for _, a := range events {
			o := a.batch.Origin
			if p := (feature.Position{Topic: o.Topic, TopicID: o.TopicID, Partition: o.Partition}); a.view == of.view && !slices.Contains(parts, p) {
				parts = append(parts, p)
			}
		}
		if err := wr.Assign(ctx, parts); err != nil {
			return err
		}
	}
	plan, err := online.NewReader(store, s.clock, nil, nil).Compile(b.Service)
	if err != nil {
		return err
	}
	keys := make([]feature.Vector, len(plan.Keys()))
	for i, f := range plan.Keys() {
		keys[i].Reset(f.Type, len(asked))
		for row, k := range asked {
			set(&keys[i], row, k[f.Name])
		}
	}
	var block feature.Block
	for n, at := range times {
		s.forward(time.Duration(at-s.now) * time.Microsecond)
		s.now = at
		for len(arriving) > 0 && arriving[0].batch.KnownTime[0] <= at {
			a := arriving[0]
			arriving = arriving[1:]
			for range 1 + r.IntN(2) { // sometimes twice
				if err := writers[version{a.view, a.old}].Write(ctx, a.batch); err != nil {
					return err
				}
			}
		}
		if err := plan.Read(ctx, keys, len(asked), &block); err != nil {
			return err
		}
		for row := range asked {
			if err := s.same(b, &block, row, joined[n*len(asked)+row]); err != nil {
				return fmt.Errorf("keys %v at %d: %w", asked[row], at, err)
			}
		}
	}
	return nil
}

// same compares one row of a lookup with the join's.
func (s *side) same(b *jointest.Built, block *feature.Block, row int, joined []any) error {
	for c, column := range b.Service.Columns {
		status := block.Views[column.View].Status[row]
		got := onlinetest.Value(&block.Columns[c].Vector, row)
		switch status {
		case feature.Present:
			if got == nil {
				s.seen["null value"]++
			} else {
				s.seen["value"]++
			}
		case feature.NotFoundStatus, feature.OutsideMaxAge:
			if got != nil {
				return fmt.Errorf("%s: %s with the value %v", column.Name, status, got)
			}
			s.count(b, column.View, status, row)
		default:
			return errors.New(status.String())
		}
		if !jointest.Same(got, joined[c]) {
			return fmt.Errorf("%s: the lookup has %v (%s), the join %v", column.Name, got, status, joined[c])
		}
	}
	return nil
}

// count tells apart why there is no value: by the facts, not by what was answered.
func (s *side) count(b *jointest.Built, view int, status feature.Status, row int) {
	if status == feature.OutsideMaxAge {
		s.seen["outside max age"]++
		return
	}
	v := &b.World.Views[view]
	var last *jointest.Fact
	for i := range v.Facts {
		f := &v.Facts[i]
		same := f.Known <= s.now
		for k, x := range v.Keys {
			same = same && jointest.Same(f.Keys[k], b.World.Spine[row].Keys[x.Name])
		}
		if same && (last == nil || f.Stamp().Compare(last.Stamp()) > 0) {
			last = f
		}
	}
	switch {
	case last == nil:
		s.seen["unknown"]++
	case last.Dead:
		s.seen["deleted"]++
	default:
		s.seen["gone"]++
	}
}

func set(v *feature.Vector, i int, x any) {
	if v.Valid[i] = x != nil; x == nil {
		return
	}
	switch x := x.(type) {
	case bool:
		v.Bools[i] = x
	case int32:
		v.Int32s[i] = x
	case int64:
		v.Int64s[i] = x
	case string:
		v.Bytes[i] = []byte(x)
	case []byte:
		v.Bytes[i] = x
	}
}
