package redis_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/online/onlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// A process that begins beside a server without its rows, or with yesterday's, remembers nothing to hold its marks against. The table tells: nothing is
// taken for absent until a worker has written again what the table has, however long that takes.
func TestYoungProcessKnowsLosses(t *testing.T) {
	ctx := context.Background()
	srv := testserver.OwnRedis(t)
	s := impatient(t, nil, nil, srv.Addr)
	v, table, now := onlinetest.View("p", "v", 0), &onlinetest.Table{}, time.Now().UnixMicro()
	topic := [16]byte{1}
	var at atomic.Int64 // where the table stands
	stands := func(_ context.Context, view string) ([]feature.Position, error) {
		if view != "p/v" {
			return nil, nil
		}
		return []feature.Position{{TopicID: topic, Next: at.Load()}}, nil
	}
	key := []string{"w:{p/customer/k7}:v"}
	look := func(s interface{ Lookups() online.Store }) (there bool, err error) {
		vals, failed := make([][]byte, 1), make([]bool, 1)
		err = s.Lookups().Get(ctx, key, vals, failed)
		require.Equal(t, failed[0], err != nil, "%v", err)
		require.True(t, err == nil || feature.KindOf(err) == feature.Unavailable, "%v", err)
		return vals[0] != nil, err
	}
	young := func() interface {
		Lookups() online.Store
		Whole(context.Context, []string) error
	} {
		s := impatient(t, nil, nil, srv.Addr)
		s.Beside(stands)
		return s
	}
	views := []string{"p/v", "p/other"}

	// A view that has no rows has lost none.
	first := young()
	there, err := look(first)
	require.NoError(t, err)
	require.False(t, there)
	require.NoError(t, first.Whole(ctx, views))

	w := online.NewWriter(v, s, table, online.Options{})
	require.NoError(t, w.Assign(ctx, []feature.Position{{TopicID: topic}}))
	table.Append(texts(v, 0, 50, now))
	require.NoError(t, w.Write(ctx, texts(v, 0, 50, now)))
	settle := func(next int64) {
		require.NoError(t, w.Settle(ctx, &feature.Commit{View: v, Advances: []feature.Advance{{To: feature.Position{TopicID: topic, Next: next}}}}))
	}
	at.Store(50)
	settle(50)
	there, err = look(young())
	require.NoError(t, err)
	require.True(t, there)

	srv.Kill(t)
	srv.Start(t)
	x := young()
	for range 2 {
		_, err = look(x)
		require.ErrorContains(t, err, "offsets 0 to 50")
		require.ErrorContains(t, x.Whole(ctx, views), "p/v")
	}
	// Another partition's worker writes its first rows: that says nothing of the others.
	_, err = s.Put(ctx, nil, &online.Advance{View: "p/v", TopicID: topic, Partition: 1, Next: 3})
	require.NoError(t, err)
	_, err = look(young())
	require.ErrorContains(t, err, "offsets 0 to 50")

	until(t, func() bool {
		_, err := w.Mend(ctx)
		return err == nil
	}, "the worker")
	until(t, func() bool { there, err := look(x); return err == nil && there }, "the rows")
	until(t, func() bool { return x.Whole(ctx, views) == nil }, "the rows")
	key[0] = "w:{p/customer/never}:v"
	there, err = look(x)
	require.NoError(t, err)
	require.False(t, there)
}

// While a table cannot be read, nobody knows what an absence means; what is there is answered.
func TestTableCannotBeRead(t *testing.T) {
	ctx := context.Background()
	srv := testserver.Redis(t)
	var broken atomic.Bool
	broken.Store(true)
	s := impatient(t, nil, nil, srv.Addr)
	tr := load(t, s, testserver.Name(t), 30)
	var asked atomic.Int64
	s.Beside(func(context.Context, string) ([]feature.Position, error) {
		asked.Add(1)
		if broken.Load() {
			return nil, feature.Errorf(feature.Unavailable, "test", "", "no catalog")
		}
		return nil, nil
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			a := tr.ask(t, s, 0, 30, time.Minute)
			if a.good != 20 || a.failed != 10 {
				t.Errorf("%d are answered and %d not", a.good, a.failed)
			}
		})
	}
	wg.Wait()
	require.ErrorContains(t, tr.ask(t, s, 0, 30, time.Minute).err, "no catalog")
	require.ErrorContains(t, s.Whole(ctx, []string{testserver.Name(t) + "/v"}), "no catalog")
	broken.Store(false)
	until(t, func() bool { return tr.ask(t, s, 0, 30, time.Minute).err == nil }, "the table")
	was := asked.Load()
	for range 50 {
		require.NoError(t, tr.ask(t, s, 0, 30, time.Minute).err)
	}
	require.Equal(t, was, asked.Load(), "who knows does not ask")
}

// A table that takes longer than lookups wait, and longer than its answer holds, is read once all the same; and while one lookup is at it, nobody else is
// told that all is there.
func TestTableIsSlow(t *testing.T) {
	t.Parallel()
	s := impatient(t, nil, nil, testserver.OwnRedis(t).Addr)
	var asked atomic.Int64
	began, slow := make(chan struct{}, 9), make(chan struct{})
	s.Beside(func(ctx context.Context, _ string) ([]feature.Position, error) {
		asked.Add(1)
		began <- struct{}{}
		select {
		case <-slow:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	look := func(wait time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		return s.Lookups().Get(ctx, []string{"w:{p/customer/k7}:v"}, make([][]byte, 1), make([]bool, 1))
	}
	whole := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		return s.Whole(ctx, []string{"p/v"})
	}
	patient := make(chan error, 1)
	for asking := true; asking; {
		go func() { patient <- look(3 * time.Second) }()
		select {
		case <-began:
			asking = false
		case err := <-patient:
			require.Error(t, err, "whose time was over before it came to the table")
		}
	}
	require.Error(t, whole(), "another is finding out")
	require.Error(t, <-patient)
	require.Error(t, whole())
	time.Sleep(3 * time.Second) // nobody waits for this: it is how slow the table is
	close(slow)
	until(t, func() bool { return whole() == nil }, "the table")
	require.NoError(t, look(time.Minute))
	require.EqualValues(t, 1, asked.Load())
}

// A store is closed while lookups go on.
func TestCloseBesideLookups(t *testing.T) {
	addr := testserver.Redis(t).Addr
	tr := load(t, open(t, addr), testserver.Name(t), 30)
	for range 40 {
		s := impatient(t, nil, nil, addr)
		s.Beside(func(context.Context, string) ([]feature.Position, error) { return nil, nil })
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 5 {
					tr.ask(t, s, 0, 30, time.Second)
				}
			})
		}
		require.NoError(t, s.Close())
		wg.Wait()
	}
}
