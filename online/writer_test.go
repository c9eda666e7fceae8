package online_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/online/memory"
	"github.com/weir-ml/weir/online/onlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

func settle(t *testing.T, w *online.Writer, at ...feature.Position) {
	t.Helper()
	c := &feature.Commit{}
	for _, p := range at {
		c.Advances = append(c.Advances, feature.Advance{To: p})
	}
	require.NoError(t, w.Settle(context.Background(), c))
}

// What each kind of start costs: nothing, the missing range, or everything.
func TestAssignReadsWhatIsMissing(t *testing.T) {
	ctx := context.Background()
	s, table := memory.New(nil), &onlinetest.Table{}
	v := simple("v", 0, id)
	rows := func(from, to int64) *feature.Batch {
		var r []onlinetest.Row
		for o := from; o < to; o++ {
			r = append(r, onlinetest.Row{Values: []any{"k", float64(o)}, Event: base + o, Known: base + o, Offset: o})
		}
		return onlinetest.Batch(v, topic, 0, r...)
	}
	pos := func(n int64) feature.Position {
		return feature.Position{Topic: "events", TopicID: topic, Next: n}
	}
	table.Append(rows(0, 10))
	start := func(n int64) *online.Writer {
		w := online.NewWriter(v, s, table, online.Options{})
		require.NoError(t, w.Assign(ctx, []feature.Position{pos(n)}))
		return w
	}
	value := func() float64 {
		return lookup(t, s, base, onlinetest.Service(v), texts("k")).Columns[0].Float64[0]
	}
	start(10)
	require.Equal(t, []int{1, 0}, []int{table.Newests, table.Sinces}, "an empty store")
	require.Equal(t, 9.0, value())
	w := start(10)
	require.Equal(t, []int{1, 0}, []int{table.Newests, table.Sinces}, "a store that has everything")

	before := s.Copy()
	require.NoError(t, w.Write(ctx, rows(10, 20)))
	table.Append(rows(10, 20))
	settle(t, w, pos(20))
	require.Equal(t, []int{1, 0}, []int{table.Newests, table.Sinces}, "a quiet commit")
	require.Equal(t, 19.0, value())

	s.Restore(before)
	require.Equal(t, 9.0, value())
	start(20)
	require.Equal(t, []int{1, 1}, []int{table.Newests, table.Sinces}, "a store that went back")
	require.Equal(t, 19.0, value())

	// The same loss with the worker alive: noticed at the next write, mended at the next commit.
	w = start(20)
	s.Restore(before)
	require.NoError(t, w.Write(ctx, rows(20, 21)))
	table.Append(rows(20, 21))
	settle(t, w, pos(21))
	require.Equal(t, []int{1, 2}, []int{table.Newests, table.Sinces})
	require.Equal(t, 20.0, value())
	m, err := s.Marks(ctx, "default/v")
	require.NoError(t, err)
	require.Equal(t, []online.Mark{{TopicID: topic, Settled: 21, Written: 21}}, m.Part)

	// And with nothing more to write.
	s.Clear()
	n, err := w.Mend(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	require.Equal(t, 20.0, value())
}

// A longer ttl brings back what the store has dropped under the shorter one.
func TestLongerTTLRefills(t *testing.T) {
	ctx := context.Background()
	now := time.UnixMicro(base)
	clock := func() time.Time { return now }
	s, table := memory.New(clock), &onlinetest.Table{}
	v := simple("v", time.Minute, id)
	b := onlinetest.Batch(v, topic, 0, at(base, "a", 1.0))
	w := online.NewWriter(v, s, table, online.Options{Clock: clock})
	p := feature.Position{TopicID: topic, Next: 1}
	require.NoError(t, w.Assign(ctx, []feature.Position{{TopicID: topic}}))
	require.NoError(t, w.Write(ctx, b))
	table.Append(b)
	settle(t, w, p)
	now = now.Add(3 * time.Hour)
	status := func() feature.Status {
		return lookup(t, s, now.UnixMicro(), onlinetest.Service(v), texts("a")).Views[0].Status[0]
	}
	require.Equal(t, feature.NotFoundStatus, status())
	for _, ttl := range []time.Duration{time.Second, 24 * time.Hour, 0} {
		v.TTL = feature.Duration(ttl)
		w = online.NewWriter(v, s, table, online.Options{Clock: clock})
		require.NoError(t, w.Assign(ctx, []feature.Position{p}))
	}
	require.Equal(t, feature.Present, status())
	require.Equal(t, 2, table.Newests)
	now = now.Add(1000 * time.Hour)
	require.Equal(t, feature.Present, status())
}

func TestRolledBackTableIsLoud(t *testing.T) {
	var log bytes.Buffer
	s := memory.New(nil)
	v := simple("v", 0, id)
	w := online.NewWriter(v, s, &onlinetest.Table{}, online.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	p := feature.Position{Topic: "events", TopicID: topic, Next: 50}
	settle(t, w, p)
	require.NoError(t, w.Assign(context.Background(), []feature.Position{p}))
	require.NotContains(t, log.String(), "level=ERROR")
	p.Next = 20
	require.NoError(t, w.Assign(context.Background(), []feature.Position{p}))
	require.Contains(t, log.String(), "level=ERROR")
	require.Contains(t, log.String(), "rolled back")
}

func TestWriterErrors(t *testing.T) {
	ctx := context.Background()
	for _, op := range []string{"put", "marks", "settle", "put_schema"} {
		f := &onlinetest.Faulty{Store: memory.New(nil), Fail: func(o string, n int) onlinetest.Fault {
			if o == op && n == 0 {
				return onlinetest.Clean
			}
			return onlinetest.None
		}}
		v := simple("v", 0, id)
		w := online.NewWriter(v, f, &onlinetest.Table{}, online.Options{})
		failures := 0
		for _, step := range []func() error{
			func() error { return w.Assign(ctx, []feature.Position{{TopicID: topic}}) },
			func() error { return w.Write(ctx, onlinetest.Batch(v, topic, 0, at(base, "a", 1.0))) },
		} {
			if err := step(); err != nil {
				failures++
				require.True(t, errors.Is(err, onlinetest.ErrInjected))
				require.Equal(t, feature.Unavailable, feature.KindOf(err))
				require.NoError(t, step())
			}
		}
		require.Equal(t, 1, failures, op)
	}
}

func TestConfig(t *testing.T) {
	require.NoError(t, online.DefaultConfig().Validate())
	err := online.Config{KeepMin: 1, KeepMax: 0}.Validate()
	require.ErrorContains(t, err, "online.keep_min")
	require.ErrorContains(t, err, "online.keep_max")
}
