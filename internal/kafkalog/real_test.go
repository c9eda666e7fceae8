package kafkalog_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/internal/kafkalog"
	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/registry/feature"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// TestRealKafka: Kafka itself answers as the one in memory does: aborted records
// and markers are passed, the end is found, and what is gone is said.
func TestRealKafka(t *testing.T) {
	k := testserver.Kafka(t)
	opts := []kgo.Opt{kgo.SeedBrokers(k.Addr), kgo.RecordPartitioner(kgo.ManualPartitioner())}
	name := testserver.Name(t)
	cl := client(t, opts, kgo.TransactionalID(name), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	adm := kadm.NewClient(client(t, opts))
	_, err := adm.CreateTopic(t.Context(), 1, 1, nil, name)
	require.NoError(t, err)
	for i := range 4 {
		require.NoError(t, cl.BeginTransaction())
		for n := range 3 {
			require.NoError(t, cl.ProduceSync(t.Context(), &kgo.Record{Topic: name, Value: fmt.Append(nil, i, n)}).FirstErr())
		}
		require.NoError(t, cl.EndTransaction(t.Context(), kgo.TransactionEndTry(i%2 == 0)))
	}
	l, err := kafkalog.Open(t.Context(), opts, name)
	require.NoError(t, err)
	defer l.Close()
	b, err := l.Bounds(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[int32]kafkalog.Bounds{0: {Start: 0, End: 16}}, b)
	compacted, err := l.Compacted(t.Context())
	require.NoError(t, err)
	require.False(t, compacted)
	require.Equal(t, []string{"0=0 0", "1=0 1", "2=0 2", "8=2 0", "9=2 1", "10=2 2"}, read(t, l, 0, 0, 16))
	require.Equal(t, []string{"9=2 1"}, read(t, l, 0, 9, 10))
	require.Empty(t, read(t, l, 0, 4, 8))
	require.Empty(t, read(t, l, 0, 12, 16))
	require.Empty(t, read(t, l, 0, 16, 20), "the log ends")

	_, err = adm.DeleteRecords(t.Context(), kadm.Offsets{name: {0: {Topic: name, Partition: 0, At: 9}}})
	require.NoError(t, err)
	err = l.Read(t.Context(), 0, 0, 16, func([]*kgo.Record) error { return nil })
	require.ErrorIs(t, err, kafkalog.ErrGone)
	b, err = l.Bounds(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 9, b[0].Start)
	require.Equal(t, []string{"9=2 1", "10=2 2"}, read(t, l, 0, 9, 16))

	_, err = adm.DeleteTopic(t.Context(), name)
	require.NoError(t, err)
	_, err = adm.CreateTopic(t.Context(), 1, 1, nil, name)
	require.NoError(t, err)
	err = l.Read(t.Context(), 0, 9, 16, func([]*kgo.Record) error { return nil })
	require.Equal(t, feature.NotFound, feature.KindOf(err), "%v", err)
}
