package simtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// worker is one process: a supervisor with a link to Kafka and stores of its
// own, all of which fail as the seed says, until it is stopped or dies.
type worker struct {
	w      *world
	name   string
	link   *link
	cancel context.CancelFunc
	done   chan error // closed when it has ended
	result error
	met    *online.Metrics

	mu     sync.Mutex
	rng    *rand.Rand    // guarded by mu
	dead   bool          // guarded by mu; nothing it does has an effect any more
	faulty bool          // guarded by mu
	ended  time.Time     // guarded by mu; zero while it runs
	outage time.Time     // guarded by mu; its stores do not answer until then
	crash  string        // guarded by mu; the step at which it dies
	send   time.Duration // guarded by mu; it dies when it commits, and the commit arrives that much later
}

func (w *world) start(name string, faulty bool) *worker {
	seed := w.seed*1000003 + uint64(len(name))*7919
	for _, c := range []byte(name) {
		seed = seed*31 + uint64(c)
	}
	k := &worker{w: w, name: name, link: newLink(&w.net, seed, w.plan.latency), rng: rand.New(rand.NewPCG(seed, 5)), faulty: faulty, done: make(chan error)}
	k.met = online.NewMetrics(prometheus.NewRegistry())
	opts := append(k.link.options(w.addrs), kgo.ClientID(name), kgo.SessionTimeout(w.plan.session), kgo.HeartbeatInterval(w.plan.session/5), kgo.RebalanceTimeout(2*w.plan.session),
		kgo.FetchMaxWait(500*time.Millisecond))
	qcl, err := kgo.NewClient(append(opts, kgo.ProducerBatchMaxBytes(16<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))...)
	w.must(err)
	c := ingest.DefaultConfig()
	c.FlushInterval, c.BatchRows, c.MaxEventBytes, c.CatchUp = w.plan.flush, w.plan.batch, maxEvent, w.plan.catchUp
	c.RecreatedTopic = "stop"
	s := ingest.NewSupervisor(ingest.SupervisorConfig{Config: c, Catalogs: &catalogs{w.cat, k}, Kafka: opts, Quarantine: quarantine.NewWriter(qcl), Replicas: 1,
		Open: k.open, Log: w.log.With("worker", name), Metrics: ingest.NewMetrics(prometheus.NewRegistry()),
		Pauses: &pauses{w.limits.all, k}, Alert: w.limits})
	ctx, cancel := context.WithCancel(context.Background())
	k.cancel = cancel
	w.note("%s starts", name)
	go func() {
		k.result = s.Run(ctx)
		qcl.Close()
		w.note("%s has ended: %v", name, k.result)
		k.mu.Lock()
		k.ended = time.Now()
		k.mu.Unlock()
		close(k.done)
	}()
	return k
}

// die is what kill -9 does: nothing more gets out, and what is on its way arrives.
func (k *worker) die(why string) {
	k.mu.Lock()
	was := k.dead
	k.dead = true
	k.mu.Unlock()
	if was {
		return
	}
	k.w.note("%s dies %s", k.name, why)
	k.w.hit("death")
	k.link.cut(true)
	k.cancel()
}

func (k *worker) isDead() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dead
}

var errDead = errors.New("simtest: the process is dead")

// step is what is going to happen to one call.
type step struct {
	wait          time.Duration
	before, after error
	dies          string
	late          time.Duration // the request arrives this much later, its sender does not hear of it
	twice         bool          // the request arrives twice
}

func (k *worker) draw(op string) step {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := &k.w.plan
	s := step{wait: time.Duration(k.rng.Int64N(int64(p.latency)))}
	if op == "append" && p.commit > 0 {
		s.wait += time.Duration(k.rng.Int64N(int64(2 * p.commit)))
	}
	if now := time.Now(); now.Before(k.outage) {
		s.before = feature.Errorf(feature.Unavailable, "simtest."+op, "", "outage")
		return s
	}
	if op == "append" && k.send > 0 {
		s.dies, s.late, k.send = "after", k.send, 0
		return s
	}
	if k.crash == op && k.faulty {
		k.crash = ""
		s.dies = []string{"before", "after"}[k.rng.IntN(2)]
		if k.rng.IntN(3) == 0 {
			s.late = time.Duration(k.rng.Int64N(int64(3 * p.session)))
		}
		return s
	}
	if !k.faulty || k.rng.Float64() >= p.rate {
		return s
	}
	kind := feature.Unavailable
	if k.rng.IntN(4) == 0 {
		kind = feature.Internal
	}
	err := feature.Errorf(kind, "simtest."+op, "", "injected")
	what := ""
	switch k.rng.IntN(7) {
	case 0, 1:
		what, s.before = "refused", err
	case 2, 3:
		what, s.after = "reply lost", err
	case 4:
		what, s.wait = "hangs", time.Duration(k.rng.Int64N(int64(2*p.session)))
	case 5:
		what, s.twice = "twice", true
	case 6:
		what, s.late, s.after = "late", time.Duration(k.rng.Int64N(int64(p.session))), err
	}
	k.w.hit(op + " " + what)
	return s
}

// do makes a call of a store. f is the request itself and may run later, and on
// another goroutine; it may run twice.
func (k *worker) do(ctx context.Context, op string, f func(context.Context) error) error {
	s := k.draw(op)
	if k.isDead() {
		return errDead
	}
	select {
	case <-time.After(s.wait):
	case <-ctx.Done():
		if s.wait < 10*time.Second {
			return ctx.Err()
		}
		time.Sleep(time.Second) // hangs do not always end at once
		return ctx.Err()
	}
	if k.isDead() {
		return errDead
	}
	if s.dies == "before" && s.late == 0 {
		k.die("before " + op)
		return errDead
	}
	if s.before != nil {
		return s.before
	}
	if s.late > 0 {
		k.w.note("%s: %s is on its way for %s", k.name, op, s.late)
		k.w.late.Go(func() {
			time.Sleep(s.late)
			err := f(context.Background())
			k.w.note("%s: %s has arrived (%v)", k.name, op, err)
		})
		if s.dies != "" {
			k.die("with " + op + " on its way")
			return errDead
		}
		return s.after
	}
	err := f(ctx)
	if s.twice {
		again := f(ctx)
		if err == nil && again != nil {
			k.w.wrong("%s: %s twice: %v", k.name, op, again)
		}
	}
	if s.dies != "" {
		k.die("after " + op)
		return errDead
	}
	if err == nil && s.after != nil {
		return s.after
	}
	return err
}

// away makes its stores not answer for a while.
func (k *worker) away(wait time.Duration) {
	k.w.note("%s's stores are away for %s", k.name, wait)
	k.w.hit("outage")
	k.mu.Lock()
	defer k.mu.Unlock()
	k.outage = time.Now().Add(wait)
}

// calm ends all faults of this worker.
func (k *worker) calm() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.faulty, k.outage, k.crash = false, time.Time{}, ""
}

// open makes the outlets of a view, as cmd/weir/app does.
func (k *worker) open(ctx context.Context, _ *registry.Catalog, v *feature.View) (*ingest.Outlets, error) {
	tables := &tables{k.w.tables, k}
	t, err := tables.Table(ctx, v)
	if err != nil {
		return nil, err
	}
	cfg := offline.DefaultConfig()
	cfg.Compression, cfg.Writers = "none", 1
	ow, err := offline.NewWriter(t, cfg, k.w.log, prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	o := &ingest.Outlets{View: v, Table: ow, Close: ow.Close}
	if v.IsOnline() {
		nw := &onlineSink{Writer: online.NewWriter(v, &store{k.w.store, k}, history{k}, online.Options{Log: k.w.log, Metrics: k.met}), k: k, lock: make(chan struct{}, 1)}
		o.Sinks = append(o.Sinks, nw)
		o.Close = nw.mending(v, ow.Close)
	}
	o.Sinks = append(o.Sinks, &tableSink{ow, k})
	o.Table = &tableSink{ow, k}
	return o, nil
}

// catalogs are the registry as a worker sees it: a little late.
type catalogs struct {
	*registry.Registry
	k *worker
}

func (c *catalogs) Subscribe() (<-chan *registry.Catalog, func()) {
	in, cancel := c.Registry.Subscribe()
	out := make(chan *registry.Catalog, 1)
	go func() {
		for cat := range in {
			c.k.mu.Lock()
			d := time.Duration(c.k.rng.Int64N(int64(3 * time.Second)))
			c.k.mu.Unlock()
			time.Sleep(d)
			select {
			case <-out:
			default:
			}
			out <- cat
		}
	}()
	return out, cancel
}

func (k *worker) String() string { return fmt.Sprint(k.name) }
