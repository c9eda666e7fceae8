package quarantine_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/internal/testseed"
)

// TestEach compares what is read with a map, while entries are written twice,
// deleted, written again, and compacted away, also the last records of the topic.
func TestEach(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 1))
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	topic := quarantine.Topic("p", "v")
	require.NoError(t, c.CreateTopic(topic, 1, map[string]string{"cleanup.policy": "compact", "segment.bytes": "1000", "delete.retention.ms": "0", "min.cleanable.dirty.ratio": "0"}))
	opts := []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}
	cl, err := kgo.NewClient(opts...)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	w := quarantine.NewWriter(cl)
	require.NoError(t, w.Ensure(t.Context(), "p", "v", 1<<20, 1))
	s := w.Session()
	var order []int64 // offsets, as last written
	want := map[int64]string{}
	drop := func(o int64) {
		delete(want, o)
		order = slices.DeleteFunc(order, func(x int64) bool { return x == o })
	}
	check := func() {
		t.Helper()
		var got, offsets []string
		done, total := int64(0), int64(0)
		require.NoError(t, quarantine.NewReader(opts...).Each(t.Context(), "p", "v", func(d, n int64) { done, total = d, n }, func(e *quarantine.Entry) error {
			got = append(got, fmt.Sprintf("%d=%s", e.Offset, e.Payload))
			return nil
		}))
		require.Equal(t, total, done)
		for _, o := range order {
			offsets = append(offsets, fmt.Sprintf("%d=%s", o, want[o]))
		}
		require.Equal(t, offsets, got)
		res, err := quarantine.NewReader(opts...).Read(t.Context(), quarantine.Query{Project: "p", View: "v", Limit: 3})
		require.NoError(t, err)
		require.EqualValues(t, len(order), res.Total)
		require.Len(t, res.Entries, min(3, len(order)))
		for i, e := range res.Entries {
			require.Equal(t, order[len(order)-len(res.Entries)+i], e.Offset)
		}
	}
	check()
	for round := range 8 {
		for range 40 {
			o := r.Int64N(25)
			drop(o)
			if r.IntN(3) == 0 {
				require.NoError(t, cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte(entry("v", o, "").ID())}).FirstErr())
				continue
			}
			want[o], order = fmt.Sprintf("x%d", r.IntN(100)), append(order, o)
			require.NoError(t, s.Write(t.Context(), entry("v", o, want[o])))
			require.NoError(t, s.Flush(t.Context()))
		}
		// Records of others, and entries of another view, are not this view's.
		other := entry("v2", 1, "x")
		require.NoError(t, cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte("hello"), Value: []byte("x")},
			&kgo.Record{Topic: topic, Key: []byte(other.ID()), Value: []byte("x")},
			&kgo.Record{Topic: topic, Key: []byte(entry("v", 99, "").ID()), Value: []byte("no headers")}).FirstErr())
		check()
		if round%2 == 1 {
			c.Compact()
			check()
		}
	}
	stop := errors.New("enough")
	require.ErrorIs(t, quarantine.NewReader(opts...).Each(t.Context(), "p", "v", nil, func(*quarantine.Entry) error { return stop }), stop)
	require.NoError(t, quarantine.NewReader(opts...).Each(t.Context(), "p", "none", nil, func(*quarantine.Entry) error { return stop }))
}

// TestEmptiedTopic: a topic whose last records compaction took away is read at
// once; a reader that waited for them would wait for ever.
func TestEmptiedTopic(t *testing.T) {
	w, _, opts := setup(t)
	require.NoError(t, w.Ensure(t.Context(), "p", "v", 1<<20, 1))
	tx, err := kgo.NewClient(append(opts, kgo.TransactionalID("x"))...)
	require.NoError(t, err)
	t.Cleanup(tx.Close)
	s := w.Session()
	require.NoError(t, s.Write(t.Context(), entry("v", 1, "x")))
	require.NoError(t, s.Flush(t.Context()))
	// Aborted records at the end: nothing that a consumer would ever be given.
	require.NoError(t, tx.BeginTransaction())
	require.NoError(t, tx.ProduceSync(t.Context(), &kgo.Record{Topic: quarantine.Topic("p", "v"), Key: []byte(entry("v", 2, "").ID()), Value: []byte("y")}).FirstErr())
	require.NoError(t, tx.EndTransaction(t.Context(), kgo.TryAbort))
	n := 0
	began := time.Now()
	require.NoError(t, quarantine.NewReader(opts...).Each(t.Context(), "p", "v", nil, func(*quarantine.Entry) error { n++; return nil }))
	require.Equal(t, 1, n)
	require.Less(t, time.Since(began), 30*time.Second)
}
