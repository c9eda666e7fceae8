package simtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-ml/weir/internal/testseed"
)

// TestSimulation is the proof that nothing is lost and nothing comes twice. Each
// seed is a life of its own: events good and bad, in transactions or not, views
// that come and change, workers that come, go, die, hang and are cut off, stores
// that fail at every step, before and after they have done it, requests that arrive
// late or twice, an online store that loses what it had acknowledged, a log that is
// shortened. Whatever lands in a table is compared with a plain map at once; at
// the end, when one clean worker has caught up, table, quarantine and online
// store are, as a whole.
//
// WEIR_SIM_SEED=n runs one seed and prints what happened in it; WEIR_SIM_SEEDS=n
// runs so many (1000 when it is not set, 50 under the race detector), WEIR_SIM_FIRST is
// the first of them, as WEIR_TEST_SEED is. Everything that the simulation
// decides comes from the seed, and messages take times drawn from it; what stays
// with Go are the order of goroutines that run at the very same moment, the
// choice of a select and of a map's first key, and the jitter of retries. So a
// seed that failed fails again most of the times, but not each time.
func TestSimulation(t *testing.T) {
	if !tagged(t) {
		return
	}
	first, seeds := testseed.Or(t, 1), 1000
	switch {
	case testing.Short():
		seeds = 100
	case raceOn:
		seeds = 50
	}
	if n, err := strconv.Atoi(os.Getenv("WEIR_SIM_SEEDS")); err == nil {
		seeds = n
	}
	if n, err := strconv.ParseUint(os.Getenv("WEIR_SIM_FIRST"), 10, 64); err == nil {
		first = n
	}
	one := false
	if n, err := strconv.ParseUint(os.Getenv("WEIR_SIM_SEED"), 10, 64); err == nil {
		first, one = n, true
		if os.Getenv("WEIR_SIM_SEEDS") == "" {
			seeds = 1
		}
	}
	run(t, first, seeds, one)
}

// run runs seeds beside each other; one runs the same seed again and again.
func run(t *testing.T, first uint64, seeds int, one bool) {
	gc := debug.SetGCPercent(800) // lives are short and leave nothing
	t.Cleanup(func() { debug.SetGCPercent(gc) })
	began := time.Now()
	var next atomic.Uint64
	var mu sync.Mutex
	sum := map[string]int{}
	failed := 0
	for range runtime.GOMAXPROCS(0) {
		t.Run("seeds", func(t *testing.T) {
			t.Parallel()
			for {
				n := next.Add(1) - 1
				if n >= uint64(seeds) {
					return
				}
				seed := first + n
				if one {
					seed = first
				}
				w := simulate(t, seed)
				mu.Lock()
				for k, v := range w.hits {
					sum[k] += v
				}
				stop := false
				if len(w.faults) > 0 {
					failed++
					t.Errorf("seed %d (run it again with WEIR_SIM_SEED=%d):\n%s", seed, seed, w.report())
					stop = failed >= 5 && !one
				} else if one && seeds == 1 {
					t.Log(w.report())
				}
				mu.Unlock()
				if stop {
					next.Store(uint64(seeds))
				}
			}
		})
	}
	t.Cleanup(func() {
		took := time.Since(began)
		t.Logf("%d seeds from %d on in %s, %s a seed; %d failed; %v", seeds, first, took.Round(time.Millisecond), (took / time.Duration(seeds)).Round(time.Microsecond), failed, sum)
	})
}

// TestSimulationOfIceberg is the same over Iceberg tables in a folder: their
// commits are not a map's, and take real time.
func TestSimulationOfIceberg(t *testing.T) {
	if !tagged(t) {
		return
	}
	first, seeds := testseed.Or(t, 1), 20
	if testing.Short() || raceOn {
		seeds = 5
	}
	for i := range seeds {
		seed := first + uint64(i)
		rng := rand.New(rand.NewPCG(seed, 99))
		p := newPlan(rng)
		p.iceberg = t.TempDir()
		if w := live(t, seed, p, rng, life); len(w.faults) > 0 {
			t.Fatalf("seed %d (the first with WEIR_TEST_SEED=%d):\n%s", seed, seed, w.report())
		}
	}
}

// report is what went wrong, and the last of what happened before.
func (w *world) report() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := w.trace
	if len(w.faults) > 0 && os.Getenv("WEIR_SIM_SEED") == "" && len(lines) > 60 {
		lines = lines[len(lines)-60:]
	}
	return strings.Join(w.faults, "\n") + "\n" + strings.Join(lines, "\n")
}

// plan is what holds for the whole of a run.
type plan struct {
	rate    float64       // share of the stores' calls that go wrong
	latency time.Duration // a message or a call takes at most this
	flush   time.Duration
	session time.Duration // without a heartbeat a worker loses its partitions
	batch   int           // rows
	burst   int           // events at once
	catchUp int64
	steps   int
	changes bool // of the catalog
	cuts    bool // of links
	workers int
	parts   int32
	commit  time.Duration // the last step of a commit takes about this
	trickle bool          // events come all the while
	iceberg string        // folder of the tables; they are in memory where it is empty
}

func newPlan(r *rand.Rand) plan {
	return plan{
		rate:    []float64{0, 0.01, 0.04, 0.12}[r.IntN(4)],
		latency: []time.Duration{time.Millisecond, 8 * time.Millisecond, 60 * time.Millisecond}[r.IntN(3)],
		flush:   []time.Duration{200 * time.Millisecond, time.Second, 3 * time.Second}[r.IntN(3)],
		session: []time.Duration{3 * time.Second, 6 * time.Second}[r.IntN(2)],
		batch:   1 + r.IntN(40), burst: 5 + r.IntN(80), catchUp: []int64{20, 100_000}[r.IntN(2)],
		steps: 6 + r.IntN(14), changes: r.IntN(2) == 0, cuts: r.IntN(2) == 0, workers: 1 + r.IntN(3), parts: 1 + r.Int32N(4),
		commit: []time.Duration{0, 0, 0, time.Second}[r.IntN(4)], trickle: r.IntN(4) == 0,
	}
}

// simulate runs one seed.
func simulate(t *testing.T, seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 99))
	return live(t, seed, newPlan(rng), rng, life)
}

// life is one step after the other.
func life(d *driver) {
	for range d.w.plan.steps {
		d.step()
		d.pass(time.Duration(d.rng.Int64N(int64(d.w.plan.session))))
	}
}

// live is one life of a world: what act does, then the end.
func live(t *testing.T, seed uint64, p plan, rng *rand.Rand, act func(*driver)) (w *world) {
	// A goroutine that waits for a mutex stops the virtual clock, for ever if whoever holds it waits for the clock.
	watch := time.AfterFunc(time.Minute, func() { panic(fmt.Sprintf("seed %d hangs", seed)) })
	defer watch.Stop()
	synctest.Test(t, func(t *testing.T) {
		w = newWorld(t, seed, p, rng)
		w.note("%d partitions, %+v", w.parts, w.plan)
		d := &driver{w: w, rng: rng}
		act(d)
		d.end()
		w.close()
	})
	return w
}

// driver is what happens to the world, one thing after the other.
type driver struct {
	w       *world
	rng     *rand.Rand
	workers []*worker // running
	leaving []*worker // stopping, or dead
	named   int
	copies  []*onlineCopy
}

// pass lets time pass. In some lives events trickle in meanwhile, so that there is
// always something between two of a worker's steps.
func (d *driver) pass(t time.Duration) {
	if !d.w.plan.trickle {
		time.Sleep(t)
		return
	}
	for end := time.Now().Add(t); time.Now().Before(end); {
		d.w.produceTo(d.rng, d.rng.Int32N(d.w.parts), 1+d.rng.IntN(3))
		time.Sleep(time.Duration(d.rng.Int64N(int64(300 * time.Millisecond))))
	}
}

// end is when nobody disturbs any more: what is on its way arrives, a clean
// worker catches up, and everything is compared.
func (d *driver) end() {
	w := d.w
	w.note("the end begins")
	for _, k := range d.workers {
		k.link.lose(0)
		k.link.mend()
		if d.rng.IntN(3) == 0 {
			k.die("at the end")
		}
		k.calm()
		k.cancel()
	}
	d.leaving, d.workers = append(d.leaving, d.workers...), nil
	for _, k := range d.leaving {
		k.calm()
		k.link.lose(0)
		k.link.mend()
		if !d.within(k.done, 5*time.Minute) {
			w.wrong("%s does not end", k.name)
			return
		}
	}
	w.late.Wait()
	time.Sleep(w.plan.session)
	d.evict()
	w.plan.flush = min(w.plan.flush, time.Second)
	last := w.start("last", false)
	if !d.eventually(20*time.Minute, func() bool { w.resume(true); return w.caughtUp() }) {
		w.wrong("the last worker does not catch up: %s\n%s", w.behind(), w.members())
	}
	time.Sleep(6 * time.Second) // it looks for losses online
	last.cancel()
	if !d.within(last.done, 5*time.Minute) {
		w.wrong("the last worker does not end")
		return
	}
	w.check()
}

func (d *driver) within(done chan error, t time.Duration) bool {
	select {
	case <-done:
		return true
	case <-time.After(t):
		return false
	}
}

func (d *driver) eventually(t time.Duration, f func() bool) bool {
	for began := time.Now(); time.Since(began) < t; time.Sleep(300 * time.Millisecond) {
		if f() {
			return true
		}
	}
	return false
}

// evict takes processes that are gone out of their groups, a session after. kfake
// does so by itself, as Kafka does, but for members whose connection broke while
// they were waiting for an answer.
func (d *driver) evict() {
	gone := map[string]bool{}
	for _, k := range d.leaving {
		k.mu.Lock()
		gone[k.name] = !k.ended.IsZero() && time.Since(k.ended) >= d.w.plan.session
		k.mu.Unlock()
	}
	for _, suffix := range []string{"", ".one", ".two", ".three"} {
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group = "weir.p." + topic + suffix
		g := d.w.kafka.GroupInfo(req.Group)
		if g == nil {
			continue
		}
		for _, m := range g.Members {
			if gone[m.ClientID] {
				out := kmsg.NewLeaveGroupRequestMember()
				out.MemberID = m.MemberID
				req.Members = append(req.Members, out)
			}
		}
		if len(req.Members) > 0 {
			_, err := req.RequestWith(context.Background(), d.w.cl)
			d.w.must(err)
		}
	}
}

func (d *driver) start() *worker {
	d.named++
	k := d.w.start(fmt.Sprintf("w%d", d.named), true)
	d.workers = append(d.workers, k)
	return k
}

func (d *driver) some() *worker {
	if len(d.workers) == 0 {
		return nil
	}
	return d.workers[d.rng.IntN(len(d.workers))]
}

func (d *driver) drop(k *worker) {
	for i, x := range d.workers {
		if x == k {
			d.workers = append(d.workers[:i:i], d.workers[i+1:]...)
			d.leaving = append(d.leaving, k)
			return
		}
	}
}

func (d *driver) stop(k *worker) {
	d.w.note("%s stops", k.name)
	d.w.hit("stop")
	d.drop(k)
	k.cancel()
}

// steps at which a process may die, in any order.
var deaths = []string{"positions", "append", "create", "put", "marks", "settle", "put_schema", "table.assign", "table.write", "table.stage", "table.commit", "table.settle",
	"online.assign", "online.write", "online.settle"}

// tidy takes note of who has died.
func (d *driver) tidy() {
	for _, k := range slices.Clone(d.workers) {
		if k.isDead() {
			d.drop(k)
		}
	}
	d.evict()
}

func (d *driver) step() {
	w, r := d.w, d.rng
	d.tidy()
	w.resume(false)
	if r.IntN(3) > 0 {
		w.produce(r)
	}
	if len(d.workers) == 0 || len(d.workers) < w.plan.workers && r.IntN(3) == 0 {
		if w.plan.changes && r.IntN(3) == 0 {
			w.define(change(r)) // while nobody looks, or somebody else
		}
		k := d.start()
		if r.IntN(4) == 0 {
			k.mu.Lock()
			k.crash = []string{"table.stage", "table.commit", "append", "table.settle"}[r.IntN(4)]
			w.note("%s is to die at its first %s", k.name, k.crash)
			k.mu.Unlock()
		}
		return
	}
	k := d.some()
	wait := time.Duration(r.Int64N(int64(3 * w.plan.session)))
	switch r.IntN(13) {
	case 0: // a clean stop
		d.stop(k)
	case 1:
		d.drop(k)
		k.die("at any moment")
	case 2, 3, 4: // dies when it comes to a step
		k.mu.Lock()
		k.crash = deaths[r.IntN(len(deaths))]
		w.note("%s is to die at %s", k.name, k.crash)
		k.mu.Unlock()
	case 5:
		k.away(wait)
	case 6:
		if w.plan.cuts {
			w.note("%s is cut off for %s", k.name, wait)
			w.hit("cut")
			w.calm = false
			k.link.cut(false)
			w.late.Go(func() { time.Sleep(wait); k.link.mend() })
		}
	case 7:
		if w.plan.cuts {
			w.note("%s's link loses connections for %s", k.name, wait)
			w.hit("lossy")
			w.calm = false
			k.link.lose(0.03)
			w.late.Go(func() { time.Sleep(wait); k.link.lose(0) })
		}
	case 8:
		d.kafka()
	case 9:
		if w.plan.changes {
			w.hit("change")
			w.define(change(r))
		}
	case 10:
		d.lose()
	case 11:
		w.hit("retention")
		w.forget(r)
	case 12:
		w.produce(r)
	}
}

// kafka makes Kafka answer with errors, or move what workers talk to.
func (d *driver) kafka() {
	w, r := d.w, d.rng
	switch r.IntN(4) {
	case 0:
		w.note("leaders move")
		w.hit("leaders")
		w.kafka.ShufflePartitionLeaders()
	case 1:
		w.note("coordinators move")
		w.hit("coordinators")
		w.kafka.RehashCoordinators()
	default:
		faults := []kfake.Fault{
			{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.NotLeaderForPartition},
			{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.UnknownServerError},
			{Keys: []kmsg.Key{kmsg.Produce}, Topic: "weir.p.one.quarantine", Err: kerr.NotEnoughReplicas},
			{Keys: []kmsg.Key{kmsg.Produce}, Topic: "weir.p.one.quarantine", Err: kerr.NotEnoughReplicasAfterAppend},
			{Keys: []kmsg.Key{kmsg.Produce}, Topic: "weir.p.one.quarantine", Err: kerr.MessageTooLarge},
			{Keys: []kmsg.Key{kmsg.Produce}, Topic: "weir.p.one.quarantine", Err: kerr.RequestTimedOut},
			{Keys: []kmsg.Key{kmsg.Produce}, Topic: "weir.p.one.quarantine", Err: kerr.PolicyViolation},
			{Keys: []kmsg.Key{kmsg.Produce}, Topic: "weir.p.one.quarantine", Err: kerr.InvalidRecord},
			{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.LeaderNotAvailable},
			{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.CoordinatorNotAvailable},
			{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.UnknownMemberID},
			{Keys: []kmsg.Key{kmsg.SyncGroup}, Err: kerr.RebalanceInProgress},
			{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID},
			{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.IllegalGeneration},
			{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.NotCoordinator},
			{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.RebalanceInProgress},
		}
		f := faults[r.IntN(len(faults))]
		f.Count = 1 + r.IntN(3)
		w.note("Kafka: %s for %s, %d times", f.Err.Message, f.Keys[0].Name(), f.Count)
		w.hit("kafka " + f.Keys[0].Name())
		w.kafka.Fault(f)
		if f.Keys[0] == kmsg.JoinGroup || f.Keys[0] == kmsg.Heartbeat || f.Keys[0] == kmsg.SyncGroup {
			w.calm = false
		}
	}
}

type onlineCopy = struct{ restore func() }

// lose makes the online store come back as it was before, or empty.
func (d *driver) lose() {
	w, r := d.w, d.rng
	kept := w.store.Copy()
	d.copies = append(d.copies, &onlineCopy{func() { w.store.Restore(kept) }})
	switch r.IntN(3) {
	case 0:
		w.note("the online store is empty")
		w.hit("store empty")
		w.store.Clear()
	case 1:
		at := r.IntN(len(d.copies))
		w.note("the online store is as it was %d copies ago", len(d.copies)-at)
		w.hit("store old")
		d.copies[at].restore()
		d.copies = d.copies[:at+1]
	case 2: // one that was taken a moment ago: the newest writes only
		wait := time.Duration(r.Int64N(int64(2 * time.Second)))
		w.late.Go(func() {
			time.Sleep(wait)
			w.note("the online store loses its last %s", wait)
			w.hit("store newest")
			w.store.Restore(kept)
		})
	}
}

// members is who is in the consumer group, and has what.
func (w *world) members() string {
	g := w.kafka.GroupInfo("weir.p." + topic)
	if g == nil {
		return "no group"
	}
	return fmt.Sprintf("%+v", *g)
}

// caughtUp is whether every view's table stands at the end of the log.
func (w *world) caughtUp() bool { return w.behind() == "" }

func (w *world) behind() string {
	tail := w.tail()
	cat, err := w.cat.Current(context.Background())
	w.must(err)
	var missing []string
	for _, v := range cat.Views() {
		t, err := w.tables.Table(context.Background(), v)
		w.must(err)
		at, err := t.Positions(context.Background())
		w.must(err)
		next := map[int32]int64{}
		for _, p := range at {
			next[p.Partition] = p.Next
			if p.Revision != cat.Revision() {
				missing = append(missing, fmt.Sprintf("%s/%d names revision %d", v.Meta.Name, p.Partition, p.Revision))
			}
		}
		for p, end := range tail {
			if n, known := next[p]; !known || n != end {
				missing = append(missing, fmt.Sprintf("%s/%d at %d of %d", v.Meta.Name, p, n, end))
			}
		}
	}
	return strings.Join(missing, ", ")
}
