package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/audit"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/internal/kafkalog"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/online"
	onmemory "github.com/weir-ml/weir/online/memory"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// replays is a world with an online store, and with replays that can be killed.
type replays struct {
	*world
	served *onmemory.Store
	back   bool // the table was rolled back
}

func newReplays(t testing.TB, seed uint64, partitions int32) *replays {
	w := bareWorld(t, seed, partitions)
	w.inMemory()
	v := view()
	v.Online = nil
	w.apply(v)
	return &replays{world: w, served: onmemory.New(nil)}
}

// onDisk gives it tables in Iceberg.
func (w *replays) onDisk() {
	w.dir = w.t.TempDir()
	w.openStore()
}

// tables is the online room's view of the tables.
type tables struct{ w *world }

func (h tables) Positions(ctx context.Context, v *feature.View) ([]feature.Position, error) {
	t, err := h.w.store.Table(ctx, v)
	if err != nil {
		return nil, err
	}
	return t.Positions(ctx)
}

func (h tables) Newest(ctx context.Context, v *feature.View, fn func(*feature.Batch) error) error {
	t, err := h.w.store.Table(ctx, v)
	if err != nil {
		return err
	}
	return offline.Newest(ctx, t, offline.NewestOptions{}, fn)
}

func (h tables) Since(ctx context.Context, v *feature.View, since []feature.Position, fn func(*feature.Batch) error) error {
	t, err := h.w.store.Table(ctx, v)
	if err != nil {
		return err
	}
	return offline.Scan(ctx, t, offline.ScanOptions{Since: since}, fn)
}

func (w *replays) rows(ctx context.Context, v *feature.View, within []quarantine.Range, fn func([16]byte, int32, int64, int64) error) error {
	t, err := w.store.Table(ctx, v)
	if err != nil {
		return err
	}
	o := offline.ScanOptions{Columns: []string{}}
	for _, r := range within {
		o.Within = append(o.Within, offline.Range(r))
	}
	return offline.Scan(ctx, t, o, func(b *feature.Batch) error {
		for i, at := range b.Offsets {
			if err := fn(b.Origin.TopicID, b.Origin.Partition, at, b.KnownTime[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *replays) onlineWriter(v *feature.View) *online.Writer {
	return online.NewWriter(v, w.served, tables{w.world}, online.Options{Log: w.log})
}

// stream starts ingestion with both stores.
func (w *replays) stream() (stop func()) {
	w.t.Helper()
	s := ingest.NewSupervisor(ingest.SupervisorConfig{Config: w.cfg, Catalogs: w.reg, Kafka: w.opts, Quarantine: quarantine.NewWriter(w.client()),
		Replicas: 1, Log: w.log, Metrics: w.met, Open: func(ctx context.Context, c *registry.Catalog, v *feature.View) (*ingest.Outlets, error) {
			o, err := w.outlets(ctx, c, v)
			if err == nil {
				o.Sinks = append([]ingest.Sink{w.onlineWriter(v)}, o.Sinks...)
			}
			return o, err
		}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); require.NoError(w.t, <-done) }) }
	w.t.Cleanup(stop)
	return stop
}

// rules sets the limits of ages, of the schema and of the suite; 0 is none.
func (w *replays) rules(schema, high int) {
	w.t.Helper()
	src, v := source(), view()
	v.Online = nil
	if schema == 0 {
		src.Schema = []byte(`{"type":"object","required":["id"]}`)
	} else {
		src.Schema = fmt.Appendf(nil, `{"type":"object","required":["id"],"properties":{"age":{"type":["integer","null"],"maximum":%d}}}`, schema)
	}
	defs := []feature.Definition{src, v}
	if high > 0 {
		v.Suite = "ages"
		defs = append(defs, suite(high))
	}
	w.apply(defs...)
}

// passes is what the rules say of an event, plainly.
func passes(rec *kgo.Record, schema, high int) bool {
	if rec.Value == nil {
		return rec.Key != nil
	}
	var e struct {
		ID  *string
		At  *int64
		Age *int
	}
	if json.Unmarshal(rec.Value, &e) != nil || e.ID == nil || e.At == nil {
		return false
	}
	return e.Age == nil || (schema == 0 || *e.Age <= schema) && (high == 0 || *e.Age <= high)
}

type place struct {
	partition int32
	offset    int64
}

// events reads the topic.
func (w *replays) events() map[place]*kgo.Record {
	w.t.Helper()
	log, err := kafkalog.Open(w.t.Context(), w.opts, topic)
	require.NoError(w.t, err)
	defer log.Close()
	bounds, err := log.Bounds(w.t.Context())
	require.NoError(w.t, err)
	out := map[place]*kgo.Record{}
	for p, b := range bounds {
		require.NoError(w.t, log.Read(w.t.Context(), p, b.Start, b.End, func(recs []*kgo.Record) error {
			for _, r := range recs {
				out[place{p, r.Offset}] = r
			}
			return nil
		}))
	}
	return out
}

func (w *replays) inTable() map[place]int64 {
	w.t.Helper()
	out := map[place]int64{}
	t, err := w.store.Table(w.t.Context(), w.view())
	require.NoError(w.t, err)
	require.NoError(w.t, offline.Scan(w.t.Context(), t, offline.ScanOptions{}, func(b *feature.Batch) error {
		for i, o := range b.Offsets {
			at := place{b.Origin.Partition, o}
			if _, twice := out[at]; twice {
				w.t.Fatalf("%v is in the table twice", at)
			}
			out[at] = b.KnownTime[i]
		}
		return nil
	}))
	return out
}

func (w *replays) states() map[place]quarantine.State {
	w.t.Helper()
	out := map[place]quarantine.State{}
	require.NoError(w.t, quarantine.NewReader(w.opts...).Find(w.t.Context(), w.view(), &quarantine.Filter{States: quarantine.States()}, w.rows, nil,
		func(e *quarantine.Entry, s quarantine.State) error { out[place{e.Partition, e.Offset}] = s; return nil }))
	return out
}

// sound checks that each event is in one place, that nothing differs, and that the online store follows.
func (w *replays) sound() *audit.Report {
	w.t.Helper()
	table, states := w.inTable(), w.states()
	for at := range w.events() {
		_, row := table[at]
		s, entry := states[at]
		require.True(w.t, row || entry, "%v is lost", at)
		if row && entry && w.back {
			require.Contains(w.t, []quarantine.State{quarantine.Replayed, quarantine.Taken}, s, "%v", at)
		} else if row && entry {
			require.Equal(w.t, quarantine.Replayed, s, "%v", at)
		} else if entry {
			require.Contains(w.t, []quarantine.State{quarantine.Held, quarantine.Discarded}, s, "%v", at)
		}
	}
	_, err := w.onlineWriter(w.view()).Mend(w.t.Context()) // as workers do every few seconds
	require.NoError(w.t, err)
	if w.back {
		w.materialize()
	}
	t, err := w.store.Table(w.t.Context(), w.view())
	require.NoError(w.t, err)
	st, err := t.Load(w.t.Context(), offline.Version{})
	require.NoError(w.t, err)
	res, err := online.Check(w.t.Context(), online.CheckConfig{View: w.view(), Store: w.served, At: st.Positions, Positions: t.Positions, Strangers: true, NoImports: true,
		Pause: time.Millisecond, Newest: func(fn func(*feature.Batch) error) error {
			return offline.Newest(w.t.Context(), t, offline.NewestOptions{}, fn)
		}}, func(f online.CheckFault) { w.t.Errorf("online: %+v", f) })
	require.NoError(w.t, err)
	require.Zero(w.t, res.Faults)
	return w.clean()
}

// materialize writes the online rows again, as is asked for after a rollback.
func (w *replays) materialize() {
	w.t.Helper()
	v := w.view()
	_, err := online.Materialize(w.t.Context(), online.MaterializeConfig{View: v, Store: w.served, Log: w.log, Pause: time.Millisecond, Patience: time.Millisecond,
		Positions: func(ctx context.Context) ([]feature.Position, error) { return tables{w.world}.Positions(ctx, v) },
		Pin: func(ctx context.Context, snapshot int64) (*online.Pinned, error) {
			t, err := w.store.Table(ctx, v)
			if err != nil {
				return nil, err
			}
			st, err := t.Load(ctx, offline.Version{Snapshot: snapshot})
			if err != nil {
				return nil, err
			}
			return &online.Pinned{Snapshot: st.Snapshot, At: st.Positions, Parts: 1, Close: t.Close,
				Newest: func(ctx context.Context, p online.NewestPart, fn func(*feature.Batch) error) error {
					return offline.Newest(ctx, t, offline.NewestOptions{Version: offline.Version{Snapshot: st.Snapshot}, Part: p.Part, Parts: p.Parts}, fn)
				}}, nil
		}})
	require.NoError(w.t, err)
}

// rollBack goes back to some state of the table, to be judged by today's rules.
func (w *replays) rollBack(rng *rand.Rand) {
	w.t.Helper()
	t, err := w.store.Table(w.t.Context(), w.view())
	require.NoError(w.t, err)
	past, err := t.History(w.t.Context())
	require.NoError(w.t, err)
	if len(past) < 2 {
		return
	}
	cat, err := w.reg.Current(w.t.Context())
	require.NoError(w.t, err)
	require.NoError(w.t, t.Rollback(w.t.Context(), &offline.Rollback{ID: fmt.Sprint("back-", rng.Uint64()), To: past[rng.IntN(len(past))].ID, Revision: cat.Revision()}))
	w.back = true
}

// TestReplay: what was held back by a rule that was too strict comes into the
// table once the rule is mended, as if it had been there, but for when it is known.
func TestReplay(t *testing.T) {
	t.Parallel()
	w := newReplays(t, testseed.For(t), 2)
	w.rules(1000, 50)
	stop := w.stream()
	w.produce(300)
	w.drained()
	before := w.states()
	w.rules(0, 0)
	began := time.Now().UnixMicro()
	live := &life{left: -1, cancel: func() {}}
	dry, err := w.replayer(live).Replay(t.Context(), ingest.ReplayRequest{Project: "p", View: "person", DryRun: true}, nil)
	require.NoError(t, err)
	require.Equal(t, before, w.states(), "a dry run changes nothing")
	res, err := w.replayer(live).Replay(t.Context(), ingest.ReplayRequest{Project: "p", View: "person", By: "me"}, nil)
	require.NoError(t, err)
	require.Equal(t, dry.Replayed, res.Replayed)
	require.Equal(t, dry.Held, res.Held)
	require.Equal(t, dry.Rules, res.Rules)
	require.GreaterOrEqual(t, res.Known, began)
	stop()
	table, n := w.inTable(), int64(0)
	for at, rec := range w.events() {
		known, ok := table[at]
		require.Equal(t, passes(rec, 0, 0), ok, "%v %s", at, rec.Value)
		if _, was := before[at]; ok && was {
			require.Equal(t, res.Known, known)
			n++
		} else if ok {
			require.Equal(t, rec.Timestamp.UnixMicro(), known)
		}
	}
	require.Equal(t, res.Replayed, n)
	require.Positive(t, n)
	rep := w.sound()
	var replayed int64
	for _, l := range rep.Lines {
		replayed += l.Replayed
	}
	require.Equal(t, n, replayed)
	again, err := w.replayer(live).Replay(t.Context(), ingest.ReplayRequest{Project: "p", View: "person"}, nil)
	require.NoError(t, err)
	require.Zero(t, again.Replayed, "a second time there is nothing left")
	require.Equal(t, res.Held, again.Held)
	w.sound()
}

// TestReplayRandom: streams with bad events, rules that change, replays and discards of
// anything, killed at every step and two at once; a map of the events tells the rest.
// One run is on Iceberg.
// WEIR_TEST_REPLAYS=200 is a long run.
func TestReplayRandom(t *testing.T) {
	t.Parallel()
	runs := 3
	if n, err := strconv.Atoi(os.Getenv("WEIR_TEST_REPLAYS")); err == nil {
		runs = n
	}
	for seed := range testseed.Each(t, runs) {
		// Two of three with rollbacks, one of three on Iceberg; the seed tells which.
		t.Run(fmt.Sprint(seed), func(t *testing.T) { randomReplays(t, seed, seed%3 > 0, seed%3 == 1) })
	}
}

func randomReplays(t *testing.T, seed uint64, back, files bool) {
	w := newReplays(t, seed, 2)
	if files {
		w.onDisk()
	}
	rng := rand.New(rand.NewPCG(seed, 7))
	schema, high := 1000, 20
	w.rules(schema, high)
	stop := w.stream()
	w.produce(80)
	w.drained()
	replayed, killed, conflicts := int64(0), 0, 0
	ask := func() ingest.ReplayRequest {
		req := ingest.ReplayRequest{Project: "p", View: "person", By: "me", Reason: "because"}
		switch rng.IntN(5) {
		case 0:
			req.Limit = 1 + rng.Int64N(40)
		case 1:
			req.Filter.Partitions = []int32{rng.Int32N(2)}
		case 2:
			req.Filter.Rules = []string{[]string{"schema.maximum", "schema.maximum(age)", "expect_column_values_to_be_between", "decode"}[rng.IntN(4)]}
		case 3:
			req.Filter.Since = base.Add(time.Duration(rng.IntN(w.next+1)) * time.Second).UnixMicro()
		}
		return req
	}
	run := func(left int, after bool, req ingest.ReplayRequest) (ingest.ReplayResult, error) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		return w.replayer(&life{left: left, after: after, cancel: cancel}).Replay(ctx, req, nil)
	}
	for range 25 {
		if back && rng.IntN(6) == 0 {
			w.rollBack(rng)
			if rng.IntN(2) == 0 {
				w.drained()
			}
		}
		switch rng.IntN(6) {
		case 0:
			w.produce(20 + rng.IntN(60))
			if rng.IntN(2) == 0 {
				w.drained()
			}
		case 1:
			schema, high = []int{0, 1000, 6000}[rng.IntN(3)], []int{0, 10, 30, 60, 90, 6000}[rng.IntN(5)]
			w.rules(schema, high)
		case 2, 3: // one that is killed, or not
			left := -1
			if rng.IntN(4) > 0 {
				left = 1 + rng.IntN(40)
			}
			res, err := run(left, rng.IntN(2) == 0, ask())
			if err != nil {
				require.True(t, errors.Is(err, errDead) || errors.Is(err, context.Canceled), "%v", err)
				killed++
			}
			replayed += res.Replayed
		case 4: // two at once
			var wg sync.WaitGroup
			var mu sync.Mutex
			for range 2 {
				req := ask()
				wg.Go(func() {
					res, err := run(-1, false, req)
					mu.Lock()
					defer mu.Unlock()
					replayed += res.Replayed
					if err != nil {
						conflicts++
						if feature.KindOf(err) != feature.Conflict {
							t.Errorf("two at once: %v", err)
						}
					}
				})
			}
			wg.Wait()
		case 5:
			req := ask()
			if req.Limit == 0 {
				req.Limit = 5
			}
			_, err := w.replayer(&life{left: -1, cancel: func() {}}).Discard(t.Context(), req, nil)
			require.NoError(t, err)
		}
		if rng.IntN(3) == 0 {
			stop()
			stop = w.stream()
		}
	}
	w.produce(10)
	w.drained()
	w.sound()
	discarded, n := w.states(), 0
	res, err := run(-1, false, ingest.ReplayRequest{Project: "p", View: "person"})
	require.NoError(t, err)
	require.Zero(t, res.Undecided)
	stop()
	w.sound()
	table := w.inTable()
	for at, rec := range w.events() {
		_, ok := table[at]
		if discarded[at] == quarantine.Discarded {
			n++
			require.False(t, ok, "%v was given up", at)
			continue
		}
		if passes(rec, schema, high) {
			require.True(t, ok, "%v passes: %s", at, rec.Value)
		}
	}
	t.Logf("%d rows, %d replayed, %d killed, %d conflicts, %d discarded", len(table), replayed+res.Replayed, killed, conflicts, n)
}

// TestReplayAndRollback: an event that a rollback has put above the table's position is
// ingestion's to judge again, whatever quarantine has of it; and a replay that was
// under way meanwhile lands nothing more.
func TestReplayAndRollback(t *testing.T) {
	t.Parallel()
	for _, files := range []bool{false, true} {
		t.Run(map[bool]string{false: "memory", true: "iceberg"}[files], func(t *testing.T) {
			w := newReplays(t, testseed.For(t), 2)
			if files {
				w.onDisk()
			}
			w.rules(1000, 20)
			stop := w.stream()
			w.produce(80)
			w.drained()
			tb, err := w.store.Table(t.Context(), w.view())
			require.NoError(t, err)
			early, err := tb.Load(t.Context(), offline.Version{})
			require.NoError(t, err)
			w.produce(120)
			w.drained()
			stop()
			w.rules(0, 0)
			all := ingest.ReplayRequest{Project: "p", View: "person", By: "me"}
			live := &life{left: -1, cancel: func() {}}
			roll := func(id string) {
				cat, err := w.reg.Current(t.Context())
				require.NoError(t, err)
				require.NoError(t, tb.Rollback(t.Context(), &offline.Rollback{ID: id, To: early.Snapshot, Revision: cat.Revision()}))
				w.back = true
			}
			// The claim has landed, and the table goes back before the first rows do.
			c := w.cfg
			c.BatchRows, c.FlushInterval = 7, time.Nanosecond
			cfg := w.replayConfig(live, c)
			open, commits := cfg.Open, 0
			cfg.Open = func(ctx context.Context, cat *registry.Catalog, v *feature.View) (*ingest.Outlets, error) {
				o, err := open(ctx, cat, v)
				if err == nil {
					o.Table = before{o.Table, func() {
						if commits++; commits == 2 {
							roll("under way")
						}
					}}
				}
				return o, err
			}
			res, err := ingest.NewReplayer(cfg).Replay(t.Context(), all, nil)
			require.Equal(t, feature.Conflict, feature.KindOf(err), "%v", err)
			require.Zero(t, res.Replayed)
			require.Equal(t, 2, commits)
			// Nobody ingests, so the table stays where it went.
			next := map[int32]int64{}
			for _, p := range early.Positions {
				next[p.Partition] = p.Next
			}
			above := 0
			for at := range w.states() {
				if at.offset >= next[at.partition] {
					above++
				}
			}
			require.Positive(t, above)
			res, err = w.replayer(live).Replay(t.Context(), all, nil)
			require.NoError(t, err)
			require.Equal(t, int64(above), res.Undecided)
			for at := range w.inTable() {
				require.Less(t, at.offset, next[at.partition], "%v", at)
			}
			stop = w.stream()
			w.drained()
			stop()
			w.sound()
			table := w.inTable()
			for at, rec := range w.events() {
				_, ok := table[at]
				require.Equal(t, passes(rec, 0, 0), ok, "%v", at)
			}
		})
	}
}

// before is the table's side with something that happens just before each commit.
type before struct {
	ingest.Committer
	do func()
}

func (b before) Commit(ctx context.Context, c *feature.Commit) error {
	b.do()
	return b.Committer.Commit(ctx, c)
}
