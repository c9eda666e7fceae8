package simtest

import (
	"context"
	"math/rand/v2"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/registry/feature"
)

// limits is what pauses views, in a part of the lives. It draws from numbers of its
// own, so that the other lives of a seed are what they were.
type limits struct {
	quality *feature.Quality // nil: none pauses
	all     ingest.Pauses
	rng     *rand.Rand

	mu   sync.Mutex
	told map[string]int // guarded by mu; alerts, by type
}

func newLimits(seed uint64) *limits {
	l := &limits{all: ingest.NewPauses(), rng: rand.New(rand.NewPCG(seed, 77)), told: map[string]int{}}
	if l.rng.IntN(3) == 0 {
		l.quality = &feature.Quality{MaxRejectRate: []float64{0.05, 0.3, 0.6}[l.rng.IntN(3)], RejectEvents: []int64{5, 30, 200}[l.rng.IntN(3)]}
	}
	return l
}

// Alert implements ingest.Alert.
func (l *limits) Alert(_ context.Context, e ingest.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told[e.Type]++
	return nil
}

// resume lets views go on, now and then; by force, all of them and whatever they have.
func (w *world) resume(force bool) {
	l := w.limits
	if l.quality == nil || !force && l.rng.IntN(3) > 0 {
		return
	}
	cat, err := w.cat.Current(context.Background())
	w.must(err)
	for _, view := range []string{"one", "two", "three"} {
		accept := force || l.rng.IntN(2) == 0
		v, err := cat.View("p", view)
		if err != nil {
			continue
		}
		if parts, err := ingest.Resume(context.Background(), l.all, w.logEnds, v, accept); err == nil {
			w.note("%s goes on with %v, accepting: %t", view, parts, accept)
			w.hit("resume")
		}
	}
}

// logEnds implements ingest.LogEnds.
func (w *world) logEnds(ctx context.Context, topic string) (id [16]byte, ends map[int32]int64, err error) {
	ts, err := kadm.NewClient(w.cl).ListTopics(ctx, topic)
	if err != nil {
		return id, nil, err
	}
	return ts[topic].ID, w.tail(), nil
}

// pauses are those of all workers, as one of them reaches them.
type pauses struct {
	ingest.Pauses
	k *worker
}

func (p *pauses) Of(ctx context.Context, project, view string) (out []ingest.Pause, err error) {
	if p.k.w.limits.quality == nil {
		return nil, nil
	}
	err = p.k.do(ctx, "pauses", func(ctx context.Context) (err error) {
		out, err = p.Pauses.Of(ctx, project, view)
		return err
	})
	return out, err
}

func (p *pauses) Put(ctx context.Context, x ingest.Pause) (out ingest.Pause, err error) {
	err = p.k.do(ctx, "pause", func(ctx context.Context) (err error) {
		out, err = p.Pauses.Put(ctx, x)
		p.k.w.note("%s: %s/%d is %s from %d on, clean: %t", p.k.name, x.View, x.Partition, out.State, x.Next, x.Clean)
		p.k.w.hit("pause")
		return err
	})
	return out, err
}

func (p *pauses) Forget(ctx context.Context, x ingest.Pause) error {
	return p.k.do(ctx, "forget", func(ctx context.Context) error { return p.Pauses.Forget(ctx, x) })
}
