package simtest

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	offlinememory "github.com/weir-ml/weir/offline/memory"
	onlinememory "github.com/weir-ml/weir/online/memory"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/memory"
)

// world is everything that outlives workers: the log, the catalog, the tables,
// the online store, and the map that says what they must hold.
type world struct {
	t      testing.TB
	seed   uint64
	began  time.Time
	limits *limits
	plan   plan
	log    *slog.Logger

	net    kfake.VirtualNetwork
	kafka  *kfake.Cluster
	addrs  []string
	link   *link // of those who are no workers
	cl, tx *kgo.Client
	parts  int32

	cat    *registry.Registry
	tables offline.Store
	store  *onlinememory.Store
	late   sync.WaitGroup // what is still on its way

	mu     sync.Mutex
	trace  []string                        // guarded by mu
	faults []string                        // guarded by mu; what was found wrong
	hits   map[string]int                  // guarded by mu; what was injected, and how often
	events map[coord]*event                // guarded by mu; of committed transactions and of none
	gone   map[coord]bool                  // guarded by mu; of aborted transactions
	rules  map[int64]*rules                // guarded by mu; by catalog revision
	ledger map[string]*ledger              // guarded by mu; by view
	shown  map[string]map[coord]bool       // guarded by mu; by view; rows that were handed to the online store
	held   map[string]map[coord]*heldEntry // by view; set at the end
	ends   map[int32]int64                 // guarded by mu; of the log
	last   int64                           // newest event time drawn
	// calm: nobody was ever overtaken. No worker lost its group and went on, and none
	// read a view alone that others read with the rest, which is another group.
	calm  bool
	views map[string]*feature.View // at the end
}

type heldEntry struct{ times int }

func newWorld(t testing.TB, seed uint64, p plan, rng *rand.Rand) *world {
	w := &world{t: t, seed: seed, limits: newLimits(seed), began: time.Now(), log: slog.New(slog.DiscardHandler), plan: p, parts: p.parts,
		hits: map[string]int{}, events: map[coord]*event{}, gone: map[coord]bool{}, rules: map[int64]*rules{}, ledger: map[string]*ledger{},
		shown: map[string]map[coord]bool{}, held: map[string]map[coord]*heldEntry{}, ends: map[int32]int64{}, calm: p.catchUp > 1000}
	if os.Getenv("WEIR_TEST_LOG") != "" {
		w.log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	var err error
	w.kafka, err = kfake.NewCluster(kfake.NumBrokers(2), kfake.Ports(9092, 9093), kfake.SeedTopics(w.parts, topic),
		kfake.SleepOutOfOrder(), kfake.ListenFn(w.net.Listen), kfake.GroupMinSessionTimeout(time.Second))
	w.must(err)
	w.addrs = w.kafka.ListenAddrs()
	w.link = newLink(&w.net, seed, 2*time.Millisecond)
	opts := append(w.link.options(w.addrs), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	w.cl, err = kgo.NewClient(opts...)
	w.must(err)
	w.tx, err = kgo.NewClient(append(opts, kgo.TransactionalID("tx"))...)
	w.must(err)
	w.cat, err = registry.Open(context.Background(), memory.New(), registry.Config{PollInterval: time.Hour, ConflictRetries: 5}, registry.Checks{}, nil, nil)
	w.must(err)
	w.tables = offlinememory.Open()
	if p.iceberg != "" {
		w.tables, err = iceberg.Open(context.Background(), "sqlite:"+filepath.Join(p.iceberg, "tables.db"), filepath.Join(p.iceberg, "tables"), w.log)
		w.must(err)
	}
	w.store = onlinememory.New(nil)
	w.define(begin(rng))
	return w
}

func (w *world) close() {
	w.cl.Close()
	w.tx.Close()
	_ = w.cat.Close()
	w.must(w.tables.Close())
	w.kafka.Close()
}

// must is for what no fault is injected into.
func (w *world) must(err error) {
	if err != nil {
		panic(fmt.Sprintf("seed %d: %v", w.seed, err))
	}
}

// note adds a line to the trace.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noteLocked(format, args...)
}

func (w *world) noteLocked(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%9.3f  ", time.Since(w.began).Seconds())+fmt.Sprintf(format, args...))
}

// wrong notes that a promise is broken.
func (w *world) wrong(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrongLocked(format, args...)
}

func (w *world) wrongLocked(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.noteLocked("WRONG: %s", text)
	w.faults = append(w.faults, text)
}

func (w *world) hit(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hits[what]++
}

// produce appends random events to the log, sometimes in a transaction.
func (w *world) produce(rng *rand.Rand) {
	var some []*event
	for range 1 + rng.IntN(w.plan.burst) {
		some = append(some, random(rng, rng.Int32N(w.parts), time.Now(), &w.last))
	}
	kind := rng.IntN(6)
	cl := w.cl
	if kind < 2 {
		cl = w.tx
		w.must(cl.BeginTransaction())
	}
	for len(some) > 0 {
		n := min(len(some), 1+rng.IntN(30))
		w.send(cl, some[:n])
		if kind < 2 && n == len(some) {
			w.must(cl.EndTransaction(context.Background(), kgo.TransactionEndTry(kind == 0)))
		}
		w.took(some[:n], kind == 1)
		some = some[n:]
	}
}

// produceTo appends n random events to one partition.
func (w *world) produceTo(rng *rand.Rand, part int32, n int) {
	var some []*event
	for range n {
		some = append(some, random(rng, part, time.Now(), &w.last))
	}
	w.send(w.cl, some)
	w.took(some, false)
}

func (w *world) send(cl *kgo.Client, some []*event) {
	var recs []*kgo.Record
	for _, e := range some {
		recs = append(recs, e.rec)
	}
	w.must(cl.ProduceSync(context.Background(), recs...).FirstErr())
}

// took tells the model of records in the log.
func (w *world) took(some []*event, aborted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	per := map[int32]int{}
	for _, e := range some {
		c := coord{e.rec.Partition, e.rec.Offset}
		per[c.part]++
		w.ends[c.part] = max(w.ends[c.part], c.off+1)
		if aborted {
			w.gone[c] = true
		} else {
			w.events[c] = e
		}
	}
	w.noteLocked("produced %v, aborted %t, ends %v", per, aborted, w.ends)
}

// forget lets retention delete what all tables have.
func (w *world) forget(rng *rand.Rand) {
	low := map[int32]int64{}
	w.mu.Lock()
	for p := range w.parts {
		low[p] = w.ends[p]
		for name := range w.rules[w.revision()].views {
			if l := w.ledger[name]; l != nil {
				low[p] = min(low[p], l.next(p))
			} else {
				low[p] = 0
			}
		}
	}
	w.mu.Unlock()
	for p := range w.parts {
		if low[p] > 0 && rng.IntN(2) == 0 {
			w.note("the log of %d begins at %d", p, low[p])
			w.must(w.kafka.DeleteRecords(topic, p, low[p]))
		}
	}
}

// tail is the end of the log as a consumer sees it, over the markers of transactions.
func (w *world) tail() map[int32]int64 {
	ends, err := kadm.NewClient(w.cl).ListCommittedOffsets(context.Background(), topic)
	w.must(err)
	m := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) { m[o.Partition] = o.Offset })
	return m
}

// readHeld reads the quarantine topics.
func (w *world) readHeld() {
	r := quarantine.NewReader(w.link.options(w.addrs)...)
	for name := range w.views {
		res, err := r.Read(context.Background(), quarantine.Query{Project: "p", View: name})
		w.must(err)
		w.held[name] = map[coord]*heldEntry{}
		for _, e := range res.Entries {
			c := coord{e.Partition, e.Offset}
			if w.held[name][c] == nil {
				w.held[name][c] = &heldEntry{}
			}
			w.held[name][c].times++
			if len(e.Reasons) == 0 {
				w.wrong("%s: the entry of %s has no reason", name, c)
			}
		}
	}
}

func sorted[K comparable, V any](m map[K]V, cmp func(a, b K) int) []K {
	return slices.SortedFunc(maps.Keys(m), cmp)
}
