package registry_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/memory"
	"github.com/weir-ml/weir/registry/registrytest"
)

func entity(name string) *feature.Entity {
	return &feature.Entity{Meta: feature.Meta{Name: name}, JoinKeys: []feature.Field{{Name: name + "_id", Type: feature.String}}}
}

func apply(t *testing.T, r *registry.Registry, defs ...feature.Definition) *registry.Plan {
	t.Helper()
	p, err := r.Apply(ctx, registry.Request{Definitions: defs})
	require.NoError(t, err)
	return p
}

func TestSubscribe(t *testing.T) {
	r := registrytest.Open(t, memory.New(), registry.Checks{})
	ch, cancel := r.Subscribe()
	require.EqualValues(t, 0, (<-ch).Revision(), "the current one comes at once")
	for i := range 5 {
		apply(t, r, entity(fmt.Sprintf("e%d", i)))
	}
	require.EqualValues(t, 5, (<-ch).Revision(), "of those that were not taken only the newest is kept")
	select {
	case c := <-ch:
		t.Fatalf("%v comes twice", c)
	default:
	}
	late, cancelLate := r.Subscribe()
	require.EqualValues(t, 5, (<-late).Revision())
	cancel()
	cancel()
	_, open := <-ch
	require.False(t, open)
	apply(t, r, entity("more"))
	require.EqualValues(t, 6, (<-late).Revision())
	require.NoError(t, r.Close())
	_, open = <-late
	require.False(t, open, "Close ends the subscriptions")
	cancelLate()
	after, cancelAfter := r.Subscribe()
	_, open = <-after
	require.False(t, open)
	cancelAfter()
}

// TestOtherProcess: what another registry on the same store changes arrives by polling.
func TestOtherProcess(t *testing.T) {
	s := memory.New()
	cfg := registry.DefaultConfig()
	cfg.PollInterval = time.Millisecond
	here, err := registry.Open(ctx, s, cfg, registry.Checks{}, nil, prometheus.NewRegistry())
	require.NoError(t, err)
	defer here.Close()
	there := registrytest.Open(t, s, registry.Checks{})
	ch, cancel := here.Subscribe()
	defer cancel()
	<-ch
	p := apply(t, there, entity("a"))
	c := <-ch
	require.Equal(t, p.Revision, c.Revision())
	require.Same(t, c, must(here.Current(ctx)))
	_, err = c.Entity("", "a")
	require.NoError(t, err)
}

// broken is a store that stops answering when told to.
type broken struct {
	registry.Store
	down     atomic.Bool
	conflict atomic.Int64 // this many commits find that somebody was faster
	asked    chan struct{}
}

var errDown = feature.Errorf(feature.Unavailable, "test", "store", "down")

func (b *broken) Revision(ctx context.Context) (int64, error) {
	select {
	case b.asked <- struct{}{}:
	default:
	}
	if b.down.Load() {
		return 0, errDown
	}
	return b.Store.Revision(ctx)
}

func (b *broken) Commit(ctx context.Context, c registry.ChangeSet) error {
	if b.conflict.Add(-1) >= 0 {
		return registry.Stale(c.Base, c.Base+1)
	}
	return b.Store.Commit(ctx, c)
}

func TestStoreDown(t *testing.T) {
	s := &broken{Store: memory.New(), asked: make(chan struct{})}
	cfg := registry.DefaultConfig()
	cfg.PollInterval = time.Millisecond
	r, err := registry.Open(ctx, s, cfg, registry.Checks{}, nil, nil)
	require.NoError(t, err)
	defer r.Close()
	apply(t, r, entity("a"))
	s.down.Store(true)
	for range 3 {
		<-s.asked // polls go on
	}
	require.EqualValues(t, 1, must(r.Current(ctx)).Revision(), "the last known catalog stays in use")
	_, err = r.Apply(ctx, registry.Request{Definitions: []feature.Definition{entity("b")}})
	require.Equal(t, feature.Unavailable, feature.KindOf(err))
	_, err = r.Plan(ctx, registry.Request{})
	require.Equal(t, feature.Unavailable, feature.KindOf(err))
	s.down.Store(false)
	require.EqualValues(t, 2, apply(t, r, entity("b")).Revision)

	_, err = registry.Open(ctx, &broken{Store: s, asked: nil}, registry.Config{}, registry.Checks{}, nil, nil)
	require.Equal(t, feature.Invalid, feature.KindOf(err))
	require.ErrorContains(t, err, "registry.poll_interval: must be above zero (got 0s)")
	down := &broken{Store: s}
	down.down.Store(true)
	_, err = registry.Open(ctx, down, cfg, registry.Checks{}, nil, nil)
	require.Equal(t, feature.Unavailable, feature.KindOf(err))
}

func TestConflictIsPlannedAgain(t *testing.T) {
	s := &broken{Store: memory.New()}
	cfg := registry.DefaultConfig()
	cfg.ConflictRetries = 3
	r, err := registry.Open(ctx, s, cfg, registry.Checks{}, nil, nil)
	require.NoError(t, err)
	defer r.Close()
	s.conflict.Store(3)
	require.EqualValues(t, 1, apply(t, r, entity("a")).Revision)
	s.conflict.Store(4)
	_, err = r.Apply(ctx, registry.Request{Definitions: []feature.Definition{entity("b")}})
	require.Equal(t, feature.Conflict, feature.KindOf(err))
}

func TestSnapshotReferences(t *testing.T) {
	s := memory.New()
	r := registrytest.Open(t, s, registry.Checks{})
	snap := feature.Snapshot{ID: "s1", Project: registry.DefaultProject, Service: "churn", Tables: []feature.SnapshotTable{{View: "v"}}}
	require.NoError(t, r.Snapshots().PutSnapshot(ctx, snap, nil))
	view := &feature.View{Meta: feature.Meta{Name: "v"}, Source: "s", Entities: []string{"a"}, Features: []feature.Field{{Name: "x", Type: feature.Int64}}}
	apply(t, r, entity("a"), view,
		&feature.Source{Meta: feature.Meta{Name: "s"}, Topic: "t", EventTime: feature.TimeField{Field: "at"}},
		&feature.Service{Meta: feature.Meta{Name: "churn"}, Features: []string{"v:x"}},
		&feature.Monitor{Meta: feature.Meta{Name: "m"}, View: "v", Window: feature.Window{Size: "1h"}, Reference: feature.Reference{Snapshot: "s1"}})
	for _, ref := range []feature.Ref{{Kind: feature.KindView, Name: "v"}, {Kind: feature.KindService, Name: "churn"}} {
		d, err := r.Describe(ctx, ref)
		require.NoError(t, err)
		require.Equal(t, []feature.Snapshot{snap}, d.Snapshots)
	}
	d, err := r.Describe(ctx, feature.Ref{Kind: feature.KindEntity, Name: "a"})
	require.NoError(t, err)
	require.Empty(t, d.Snapshots)
	require.Len(t, d.UsedBy, 3, "the view, and through it service and monitor")
}

func TestBaseAndVersions(t *testing.T) {
	r := registrytest.Open(t, memory.New(), registry.Checks{})
	apply(t, r, entity("a"))
	changed := entity("a")
	changed.Meta.Owner = "me"
	planned := must(r.Plan(ctx, registry.Request{Definitions: []feature.Definition{changed}}))
	apply(t, r, entity("b"))
	_, err := r.Apply(ctx, registry.Request{Definitions: []feature.Definition{changed}, Base: planned.Base})
	require.Equal(t, feature.Conflict, feature.KindOf(err))
	p, err := r.Apply(ctx, registry.Request{Definitions: []feature.Definition{changed}, Base: planned.Base + 1})
	require.NoError(t, err)
	require.EqualValues(t, 3, p.Revision)
	_, err = r.Delete(ctx, feature.Ref{Kind: feature.KindEntity, Name: "a"})
	require.NoError(t, err)
	ref := feature.Ref{Kind: feature.KindEntity, Name: "a"}
	for v, owner := range map[int]string{1: "", 2: "me"} {
		d, err := r.GetVersion(ctx, ref, v)
		require.NoError(t, err)
		require.Equal(t, owner, d.GetMeta().Owner)
	}
	for _, v := range []int{-1, 0, 3} {
		_, err := r.GetVersion(ctx, ref, v)
		require.Equal(t, feature.NotFound, feature.KindOf(err))
	}
}

// TestGivenDefinitionsAreNotKept: the caller may go on using what it passed in,
// and what the catalog hands out shares nothing with it.
func TestGivenDefinitionsAreNotKept(t *testing.T) {
	r := registrytest.Open(t, memory.New(), registry.Checks{})
	e := entity("a")
	apply(t, r, e)
	require.Empty(t, e.Meta.Project, "not even the project is filled in")
	e.JoinKeys[0].Name = "changed"
	got, err := must(r.Current(ctx)).Entity("default", "a")
	require.NoError(t, err)
	require.Equal(t, "a_id", got.JoinKeys[0].Name)
}

func TestApplyReadersAndWritersAtOnce(t *testing.T) {
	r := registrytest.Open(t, memory.New(), registry.Checks{})
	apply(t, r, entity("a"))
	stop, readers := make(chan struct{}), sync.WaitGroup{}
	for range 3 {
		ch, cancel := r.Subscribe()
		readers.Go(func() {
			defer cancel()
			last := int64(-1)
			for {
				select {
				case <-stop:
					return
				case c := <-ch:
					if c.Revision() <= last {
						t.Errorf("revision %d after %d", c.Revision(), last)
					}
					last = c.Revision()
				default:
					c := must(r.Current(ctx))
					if _, err := c.Entity("", "a"); err != nil {
						t.Error(err)
					}
					if old, err := r.At(ctx, max(0, c.Revision()-1)); err != nil || old.Revision() >= c.Revision() && c.Revision() > 0 {
						t.Error(old, err)
					}
				}
			}
		})
	}
	var writers sync.WaitGroup
	errs := make([]error, 4)
	for w := range errs {
		writers.Go(func() {
			for i := range 20 {
				if _, err := r.Apply(ctx, registry.Request{Definitions: []feature.Definition{entity(fmt.Sprintf("w%d_%d", w, i))}}); err != nil {
					errs[w] = err
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	require.NoError(t, errors.Join(errs...))
	require.EqualValues(t, 81, must(r.Current(ctx)).Revision())
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
