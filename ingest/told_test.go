package ingest_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-ml/weir/ingest"
)

// TestTold: beside its offset the group is told where each view's table stands.
func TestTold(t *testing.T) {
	f := setup(t, 2)
	f.told()
	for _, text := range []string{"", "x", "weir1 00", "weir1 zz112233445566778899aabbccddeeff person=1", "weir1 00112233445566778899aabbccddeeff person=x"} {
		_, told := ingest.Told(text, "people", 0, "person")
		require.False(t, told, text)
	}
}

// TestToldLater: a group that refuses offsets for a while, as in a rebalance, is
// told of them even when no further event comes.
func TestToldLater(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "people"))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	var refused atomic.Int32
	c.ControlKey(int16(kmsg.OffsetCommit), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		if refused.Add(1) > 5 {
			return nil, nil, false
		}
		c.KeepControl()
		req := kreq.(*kmsg.OffsetCommitRequest)
		resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, rt := range req.Topics {
			st := kmsg.NewOffsetCommitResponseTopic()
			st.Topic, st.TopicID = rt.Topic, rt.TopicID
			for _, rp := range rt.Partitions {
				sp := kmsg.NewOffsetCommitResponseTopicPartition()
				sp.Partition, sp.ErrorCode = rp.Partition, kerr.RebalanceInProgress.Code
				st.Partitions = append(st.Partitions, sp)
			}
			resp.Topics = append(resp.Topics, st)
		}
		return resp, nil, true
	})
	setupOn(t, c.ListenAddrs()[0], "people").told()
	require.Greater(t, refused.Load(), int32(5))
}

// told takes events in and waits until the group knows where the table stands.
func (f *fixture) told() {
	t := f.t
	t.Helper()
	rng := newRand(8)
	var events []event
	for i := range 40 {
		events = append(events, f.event(rng, int32(i%2), i))
	}
	f.produce(events...)
	stop := f.run(f.table.Open(), f.config())
	f.committed(map[int32]int64{0: 20, 1: 20})
	adm := kadm.NewClient(f.cl)
	id := f.table.Positions()[0].TopicID
	require.Eventually(t, func() bool {
		got, err := adm.FetchOffsets(t.Context(), "g."+f.source.Topic)
		if err != nil {
			return false
		}
		for p := range int32(2) {
			o, ok := got.Lookup("people", p)
			at, told := ingest.Told(o.Metadata, "people", p, "person")
			if !ok || !told || at.Next != 20 || at.TopicID != id || at.Partition != p {
				return false
			}
			if _, told := ingest.Told(o.Metadata, "people", p, "another"); told {
				return false
			}
		}
		return true
	}, 3*time.Minute, 5*time.Millisecond)
	require.NoError(t, stop())
}
