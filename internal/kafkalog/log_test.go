package kafkalog_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/internal/kafkalog"
	"github.com/weir-ml/weir/registry/feature"
)

func cluster(t *testing.T, partitions int32, configs map[string]string) (*kfake.Cluster, []kgo.Opt) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(3))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	require.NoError(t, c.CreateTopic("t", partitions, configs))
	return c, []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner())}
}

func client(t *testing.T, opts []kgo.Opt, more ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(append([]kgo.Opt{}, opts...), more...)...)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	return cl
}

func produce(t *testing.T, cl *kgo.Client, part int32, values ...string) {
	t.Helper()
	for _, v := range values {
		require.NoError(t, cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Partition: part, Key: []byte(v), Value: []byte(v)}).FirstErr())
	}
}

func open(t *testing.T, opts []kgo.Opt) *kafkalog.Log {
	t.Helper()
	l, err := kafkalog.Open(t.Context(), opts, "t")
	require.NoError(t, err)
	t.Cleanup(l.Close)
	return l
}

func read(t *testing.T, l *kafkalog.Log, part int32, from, to int64) (got []string) {
	t.Helper()
	require.NoError(t, l.Read(t.Context(), part, from, to, func(recs []*kgo.Record) error {
		require.NotEmpty(t, recs)
		for _, r := range recs {
			require.Equal(t, part, r.Partition)
			got = append(got, fmt.Sprintf("%d=%s", r.Offset, r.Value))
		}
		return nil
	}))
	return got
}

// TestTransactions: aborted records and markers are passed over, also at the end.
func TestTransactions(t *testing.T) {
	_, opts := cluster(t, 1, nil)
	cl := client(t, opts, kgo.TransactionalID("x"))
	for _, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		require.NoError(t, cl.BeginTransaction())
		produce(t, cl, 0, "a", "b")
		require.NoError(t, cl.EndTransaction(t.Context(), commit))
	}
	l := open(t, opts)
	b, err := l.Bounds(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[int32]kafkalog.Bounds{0: {Start: 0, End: 12}}, b)
	require.Equal(t, []string{"0=a", "1=b", "6=a", "7=b"}, read(t, l, 0, 0, 12))
	require.Equal(t, []string{"1=b", "6=a"}, read(t, l, 0, 1, 7))
	require.Empty(t, read(t, l, 0, 3, 6))
	require.Empty(t, read(t, l, 0, 9, 12))
	require.Empty(t, read(t, l, 0, 5, 5))
	// An open transaction ends the log for readers of what is committed.
	require.NoError(t, cl.BeginTransaction())
	produce(t, cl, 0, "open")
	require.Empty(t, read(t, l, 0, 9, 100))
	require.NoError(t, cl.EndTransaction(t.Context(), kgo.TryCommit))
}

// TestCompacted: a log whose last records are gone is read to its end without waiting for them.
func TestCompacted(t *testing.T) {
	c, opts := cluster(t, 2, map[string]string{"cleanup.policy": "compact", "segment.bytes": "200"})
	cl := client(t, opts)
	for i := range 40 {
		require.NoError(t, cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Partition: 1, Key: fmt.Append(nil, min(i, 1+i%3)), Value: fmt.Append(nil, i)}).FirstErr())
	}
	l := open(t, opts)
	compacted, err := l.Compacted(t.Context())
	require.NoError(t, err)
	require.True(t, compacted)
	whole := read(t, l, 1, 0, 40)
	require.Len(t, whole, 40)
	c.Compact()
	left := read(t, l, 1, 0, 40)
	require.Less(t, len(left), 40)
	require.Contains(t, left, "39=39")
	require.Equal(t, []string{"0=0"}, read(t, l, 1, 0, 20), "the others below are superseded, and their place is passed")
	began := time.Now()
	require.Empty(t, read(t, l, 0, 0, 40), "an empty log ends at once, whatever was asked for")
	require.Less(t, time.Since(began), 20*time.Second)
}

// TestLargeBatch: a batch larger than what is asked for at once comes whole.
func TestLargeBatch(t *testing.T) {
	_, opts := cluster(t, 1, map[string]string{"max.message.bytes": "33554432"})
	cl := client(t, opts, kgo.ProducerBatchMaxBytes(32<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	big := string(bytes.Repeat([]byte("x"), 9<<20))
	produce(t, cl, 0, "a")
	require.NoError(t, cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte(big)}).FirstErr())
	produce(t, cl, 0, "c")
	got := read(t, open(t, opts), 0, 0, 3)
	require.Equal(t, []string{"0=a", "1=" + big, "2=c"}, got)
}

// TestMoved: a partition is followed to its next leader.
func TestMoved(t *testing.T) {
	c, opts := cluster(t, 3, nil)
	cl := client(t, opts)
	l := open(t, opts)
	for p := range int32(3) {
		produce(t, cl, p, "a", "b")
	}
	for p := range int32(3) {
		require.NoError(t, c.MoveTopicPartition("t", p, (c.LeaderFor("t", p)+1)%3))
		require.Equal(t, []string{"0=a", "1=b"}, read(t, l, p, 0, 2))
	}
	require.Equal(t, []int32{0, 1, 2}, l.Partitions())
}

// TestGone: what the log no longer has is an error of its own, and so is a topic that is gone.
func TestGone(t *testing.T) {
	c, opts := cluster(t, 1, nil)
	cl := client(t, opts)
	produce(t, cl, 0, "a", "b", "c")
	l := open(t, opts)
	require.NoError(t, c.DeleteRecords("t", 0, 2))
	err := l.Read(t.Context(), 0, 0, 3, func([]*kgo.Record) error { return nil })
	require.ErrorIs(t, err, kafkalog.ErrGone)
	require.Equal(t, feature.Conflict, feature.KindOf(err))
	require.Equal(t, []string{"2=c"}, read(t, l, 0, 2, 3))

	require.NoError(t, c.DeleteTopic("t"))
	err = l.Read(t.Context(), 0, 2, 3, func([]*kgo.Record) error { return nil })
	require.Equal(t, feature.NotFound, feature.KindOf(err), "%v", err)
	require.NoError(t, c.CreateTopic("t", 1, nil))
	err = l.Read(t.Context(), 0, 0, 3, func([]*kgo.Record) error { return nil })
	require.Equal(t, feature.NotFound, feature.KindOf(err), "a topic of the same name is another one: %v", err)
	_, err = kafkalog.Open(t.Context(), opts, "none")
	require.Equal(t, feature.NotFound, feature.KindOf(err))
}
