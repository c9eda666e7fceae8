package drift_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/drift/drifttest"
	"github.com/weir-ml/weir/drift/memory"
	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// The dispatcher is tested here, on a store that keeps entries.

type receiver struct {
	mu   sync.Mutex
	fail func(*outbox.Entry) error
	got  map[string][]string // ids by key
}

func (r *receiver) Deliver(_ context.Context, e *outbox.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		if err := r.fail(e); err != nil {
			return err
		}
	}
	if r.got == nil {
		r.got = map[string][]string{}
	}
	r.got[e.Key] = append(r.got[e.Key], e.ID)
	return nil
}

// Whatever fails, dies and overlaps: every entry arrives, in order of its key,
// but for repetitions of what had arrived already.
func TestDispatchersDeliverInOrder(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 1))
	s := memory.New()
	const keys, each = 5, 20
	var entries []outbox.Entry
	for i := range keys * each {
		entries = append(entries, outbox.Entry{ID: fmt.Sprintf("%03d", i), Destination: "x", Key: fmt.Sprint(i % keys)})
	}
	now := time.Unix(1e9, 0)
	drifttest.Put(t, s, "all", now, entries...)
	to := &receiver{fail: func(e *outbox.Entry) error {
		if r.IntN(3) == 0 {
			return errors.New("not now")
		}
		return nil
	}}
	cfg := outbox.DefaultConfig()
	cfg.Batch = 17
	clock := func() time.Time { return now }
	step := func() int {
		lossy := &lossyStore{Store: s, r: r}
		d := outbox.New(lossy, map[string]outbox.Deliverer{"x": to}, cfg, slog.New(slog.DiscardHandler), nil, clock)
		n, _ := d.Step(bg)
		return n
	}
	for range 5000 {
		step()
		now = now.Add(time.Duration(r.IntN(30)) * time.Second)
		left, err := s.Entries(bg, outbox.Query{State: outbox.Pending})
		require.NoError(t, err)
		if len(left) == 0 {
			break
		}
	}
	for k := range keys {
		var inOrder []string
		for _, id := range to.got[fmt.Sprint(k)] {
			if len(inOrder) == 0 || id > inOrder[len(inOrder)-1] {
				inOrder = append(inOrder, id)
			}
		}
		require.Len(t, inOrder, each, "key %d: %v", k, to.got[fmt.Sprint(k)])
		for i, id := range inOrder {
			require.Equal(t, fmt.Sprintf("%03d", i*keys+k), id)
		}
	}
}

// lossyStore forgets to record some outcomes, as a process that dies does.
type lossyStore struct {
	outbox.Store
	r *rand.Rand
}

func (l *lossyStore) Done(ctx context.Context, ids []string, now time.Time) error {
	if l.r.IntN(4) == 0 {
		return errors.New("died")
	}
	return l.Store.Done(ctx, ids, now)
}

func (l *lossyStore) Release(ctx context.Context, ids []string, now time.Time) error {
	if l.r.IntN(4) == 0 {
		return errors.New("died")
	}
	return l.Store.Release(ctx, ids, now)
}

func TestDispatcherGivesUp(t *testing.T) {
	s := memory.New()
	now := time.Unix(1e9, 0)
	entry := func(id, key string) outbox.Entry { return outbox.Entry{ID: id, Destination: "x", Key: key} }
	drifttest.Put(t, s, "all", now, entry("refused", "a"), entry("after", "a"), entry("down", "b"), outbox.Entry{ID: "elsewhere", Destination: "y"})
	cfg := outbox.DefaultConfig()
	cfg.MaxAttempts = 3
	reg := prometheus.NewRegistry()
	to := &receiver{fail: func(e *outbox.Entry) error {
		switch e.ID {
		case "refused":
			return feature.Errorf(feature.Invalid, "test", "entry", "never")
		case "down":
			return errors.New("not now")
		}
		return nil
	}}
	var log bytes.Buffer
	d := outbox.New(s, map[string]outbox.Deliverer{"x": to}, cfg, slog.New(slog.NewTextHandler(&log, nil)), reg, func() time.Time { return now })
	state := func(id string) outbox.Entry {
		all, err := s.Entries(bg, outbox.Query{ID: id})
		require.NoError(t, err)
		return all[0]
	}
	step := func(want int) {
		t.Helper()
		n, err := d.Step(bg)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	step(3)
	require.Equal(t, outbox.Dead, state("refused").State)
	require.Equal(t, outbox.Pending, state("after").State)
	step(1)
	require.Equal(t, outbox.Delivered, state("after").State)
	require.Equal(t, now.Add(time.Second).UnixMicro(), state("down").NextTry)
	now = now.Add(time.Second)
	step(1)
	require.Equal(t, now.Add(2*time.Second).UnixMicro(), state("down").NextTry)
	now = now.Add(2 * time.Second)
	step(1)
	require.Equal(t, outbox.Dead, state("down").State)
	require.Equal(t, 3, state("down").Attempts)
	step(0)
	require.Equal(t, outbox.Pending, state("elsewhere").State, "another dispatcher's")
	require.Contains(t, log.String(), "given up")
	require.NoError(t, testutil.GatherAndCompare(reg, bytes.NewBufferString(`
# HELP weir_outbox_dead_total Entries given up.
# TYPE weir_outbox_dead_total counter
weir_outbox_dead_total{destination="x"} 2
`), "weir_outbox_dead_total"))

	to.fail = nil
	_, err := s.Resend(bg, []string{"down"}, now)
	require.NoError(t, err)
	step(1)
	require.Equal(t, outbox.Delivered, state("down").State)
}

// TestDispatcherSlow: of a slow destination is recorded what it took while others are still under way, and the lease is
// over for nothing that is not recorded.
func TestDispatcherSlow(t *testing.T) {
	s := memory.New()
	now := time.Unix(1e9, 0)
	start := now
	for i := range 20 {
		drifttest.Put(t, s, fmt.Sprint(i), now, outbox.Entry{ID: fmt.Sprintf("%02d", i), Destination: "x", Key: fmt.Sprint(i % 3)})
	}
	cfg := outbox.DefaultConfig()
	cfg.Parallel = 1
	cfg.Lease = 2 * cfg.Timeout
	before := 0
	to := &receiver{fail: func(*outbox.Entry) error {
		done, err := s.Entries(bg, outbox.Query{State: outbox.Delivered})
		require.NoError(t, err)
		require.Len(t, done, before, "all that it took before")
		before++
		require.Less(t, now.Sub(start)+cfg.Timeout, cfg.Lease*9/10)
		now = now.Add(3 * time.Second)
		return nil
	}}
	d := outbox.New(s, map[string]outbox.Deliverer{"x": to}, cfg, slog.New(slog.DiscardHandler), nil, func() time.Time { return now })
	for steps := 0; before < 20; steps++ {
		require.Less(t, steps, 20)
		start = now
		_, err := d.Step(bg)
		require.NoError(t, err)
	}
}

func TestDispatcherRun(t *testing.T) {
	s := memory.New()
	cfg := outbox.DefaultConfig()
	cfg.Poll = time.Hour
	var log bytes.Buffer
	arrived := make(chan struct{}, 1)
	d := outbox.New(s, map[string]outbox.Deliverer{"log": told{outbox.Log{Logger: slog.New(slog.NewTextHandler(&log, nil))}, arrived}}, cfg, slog.New(slog.DiscardHandler), nil, nil)
	ctx, cancel := context.WithCancel(bg)
	done := make(chan error)
	go func() { done <- d.Run(ctx) }()
	drifttest.Put(t, s, "all", time.Now(), outbox.Entry{ID: "1", Destination: "log", Payload: []byte("{}")})
	d.Kick()
	<-arrived
	cancel()
	require.NoError(t, <-done)
	require.Contains(t, log.String(), "payload={}")
	all, err := s.Entries(bg, outbox.Query{State: outbox.Delivered})
	require.NoError(t, err)
	require.Len(t, all, 1, "what was acknowledged is recorded while stopping")
}

type told struct {
	outbox.Deliverer
	ch chan struct{}
}

func (w told) Deliver(ctx context.Context, e *outbox.Entry) error {
	err := w.Deliverer.Deliver(ctx, e)
	w.ch <- struct{}{}
	return err
}

func TestConfig(t *testing.T) {
	require.NoError(t, drift.DefaultConfig().Validate())
	c := drift.DefaultConfig()
	c.Poll, c.KeepProfiles, c.Outbox.Batch, c.Outbox.Lease = 0, -1, 0, time.Second
	err := c.Validate()
	for _, want := range []string{
		"drift.poll: must be at least 1ms (got 0s)", "drift.keep_profiles: must be at least 1h0m0s",
		"drift.outbox.batch: must be above zero (got 0)", "drift.outbox.lease: must be at least twice drift.outbox.timeout (got 1s)",
	} {
		require.ErrorContains(t, err, want)
	}
}
