package quarantine_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/registry/feature"
)

// TestLimits: whatever a broker says and allows about the size of records, an
// event that does not fit has a place in the end, with its size and its hash.
func TestLimits(t *testing.T) {
	const project = "p"
	big := noise(700 << 10)
	for _, tc := range []struct {
		name  string
		limit string // of the topic, made smaller behind Weir's back
		prep  func(c *kfake.Cluster)
		tries int
		omit  bool
	}{
		{name: "made smaller and raised again", limit: "100000", tries: 2},
		{name: "made smaller, may not be changed", limit: "100000", tries: 2, omit: true, prep: func(c *kfake.Cluster) {
			deny(c, kmsg.IncrementalAlterConfigs)
		}},
		{name: "made smaller, may not even be seen", limit: "100000", tries: 2, omit: true, prep: func(c *kfake.Cluster) {
			deny(c, kmsg.IncrementalAlterConfigs)
			deny(c, kmsg.DescribeConfigs)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := kfake.NewCluster(kfake.NumBrokers(1))
			require.NoError(t, err)
			t.Cleanup(c.Close)
			opts := []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}
			cl, err := kgo.NewClient(append(opts, kgo.ProducerBatchMaxBytes(64<<20))...)
			require.NoError(t, err)
			t.Cleanup(cl.Close)
			w := quarantine.NewWriter(cl)
			require.NoError(t, w.Ensure(t.Context(), project, "v", 1<<20, 1))
			_, err = kadm.NewClient(cl).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &tc.limit}}, quarantine.Topic(project, "v"))
			require.NoError(t, err)
			if tc.prep != nil {
				tc.prep(c)
			}
			tries, s := 0, w.Session()
			for tries < 10 { // what a pipeline does that starts again
				tries++
				require.NoError(t, w.Ensure(t.Context(), project, "v", 1<<20, 1))
				require.NoError(t, s.Write(t.Context(), entry("v", 1, big)))
				if err := s.Flush(t.Context()); err == nil {
					break
				} else {
					require.Equal(t, feature.Conflict, feature.KindOf(err))
				}
			}
			require.Equal(t, tc.tries, tries)
			res, err := quarantine.NewReader(opts...).Read(t.Context(), quarantine.Query{Project: project, View: "v"})
			require.NoError(t, err)
			require.Len(t, res.Entries, 1)
			if tc.omit {
				require.EqualValues(t, len(big), res.Entries[0].Omitted)
				require.NotEmpty(t, res.Entries[0].SHA256)
			} else {
				require.Equal(t, big, string(res.Entries[0].Payload))
			}
		})
	}
}

// noise does not compress.
func noise(n int) string {
	rng, b := rand.New(rand.NewPCG(1, 2)), make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return string(b)
}

func deny(c *kfake.Cluster, key kmsg.Key) {
	c.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		switch r := req.(type) {
		case *kmsg.IncrementalAlterConfigsRequest:
			resp := r.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
			for _, x := range r.Resources {
				rr := kmsg.NewIncrementalAlterConfigsResponseResource()
				rr.ErrorCode, rr.ResourceType, rr.ResourceName = kerr.TopicAuthorizationFailed.Code, x.ResourceType, x.ResourceName
				resp.Resources = append(resp.Resources, rr)
			}
			return resp, nil, true
		case *kmsg.DescribeConfigsRequest:
			resp := r.ResponseKind().(*kmsg.DescribeConfigsResponse)
			for _, x := range r.Resources {
				rr := kmsg.NewDescribeConfigsResponseResource()
				rr.ErrorCode, rr.ResourceType, rr.ResourceName = kerr.TopicAuthorizationFailed.Code, x.ResourceType, x.ResourceName
				resp.Resources = append(resp.Resources, rr)
			}
			return resp, nil, true
		}
		return nil, nil, false
	})
}

// TestClientLimit: a source whose records are larger than Weir's own producer
// sends does not make it send them.
func TestClientLimit(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	opts := []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}
	cl, err := kgo.NewClient(append(opts, kgo.ProducerBatchMaxBytes(2<<20))...)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	w := quarantine.NewWriter(cl)
	require.NoError(t, w.Ensure(t.Context(), "p", "v", 16<<20, 1))
	s := w.Session()
	require.NoError(t, s.Write(t.Context(), entry("v", 1, noise(5<<20))))
	require.NoError(t, s.Write(t.Context(), entry("v", 2, noise(1<<20))))
	require.NoError(t, s.Flush(t.Context()))
	res, err := quarantine.NewReader(opts...).Read(t.Context(), quarantine.Query{Project: "p", View: "v"})
	require.NoError(t, err)
	require.Len(t, res.Entries, 2)
	require.EqualValues(t, 5<<20, res.Entries[0].Omitted)
	require.Len(t, res.Entries[1].Payload, 1<<20)
}

// TestBrokerLimit: a broker whose own limit is small lets a topic's be larger,
// and takes it back when someone makes the topic's smaller.
func TestBrokerLimit(t *testing.T) {
	k := testserver.OwnKafka(t, "message.max.bytes=200000")
	opts := []kgo.Opt{kgo.SeedBrokers(k.Addr)}
	cl, err := kgo.NewClient(append(opts, kgo.ProducerBatchMaxBytes(64<<20))...)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	w := quarantine.NewWriter(cl)
	require.NoError(t, w.Ensure(t.Context(), "p", "v", 1<<20, 1))
	s := w.Session()
	big := noise(1 << 20)
	require.NoError(t, s.Write(t.Context(), entry("v", 1, big)))
	require.NoError(t, s.Flush(t.Context()))
	small := "200000"
	_, err = kadm.NewClient(cl).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &small}}, quarantine.Topic("p", "v"))
	require.NoError(t, err)
	require.NoError(t, s.Write(t.Context(), entry("v", 2, big)))
	require.Equal(t, feature.Conflict, feature.KindOf(s.Flush(t.Context())))
	require.NoError(t, w.Ensure(t.Context(), "p", "v", 1<<20, 1))
	require.NoError(t, s.Write(t.Context(), entry("v", 2, big)))
	require.NoError(t, s.Flush(t.Context()))
	res, err := quarantine.NewReader(opts...).Read(t.Context(), quarantine.Query{Project: "p", View: "v"})
	require.NoError(t, err)
	require.Len(t, res.Entries, 2)
	for _, e := range res.Entries {
		require.Equal(t, big, string(e.Payload))
	}
}

// TestManyLarge: many entries that each fit the topic and do not compress are
// not sent as one batch that does not.
func TestManyLarge(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	opts := []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}
	cl, err := kgo.NewClient(append(opts, kgo.ProducerBatchMaxBytes(64<<20))...)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	w := quarantine.NewWriter(cl)
	require.NoError(t, w.Ensure(t.Context(), "p", "v", 1<<20, 1))
	s := w.Session()
	payload := noise(300 << 10)
	for i := range 60 {
		require.NoError(t, s.Write(t.Context(), entry("v", int64(i), payload)))
	}
	require.NoError(t, s.Flush(t.Context()))
	res, err := quarantine.NewReader(opts...).Read(t.Context(), quarantine.Query{Project: "p", View: "v"})
	require.NoError(t, err)
	require.Len(t, res.Entries, 60)
	for _, e := range res.Entries {
		require.Equal(t, payload, string(e.Payload))
	}
}

// TestManySmall: a topic that takes less than it says refuses a batch. It is not
// the entries in it that were too large, and each has its place at the next attempt.
func TestManySmall(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	opts := []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}
	cl, err := kgo.NewClient(append(opts, kgo.ProducerBatchMaxBytes(64<<20), kgo.ProducerLinger(time.Second), kgo.ProducerBatchCompression(kgo.NoCompression()))...)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	w := quarantine.NewWriter(cl)
	require.NoError(t, w.Ensure(t.Context(), "p", "v", 1<<20, 1))
	small := "100000"
	_, err = kadm.NewClient(cl).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &small}}, quarantine.Topic("p", "v"))
	require.NoError(t, err)
	deny(c, kmsg.IncrementalAlterConfigs)
	deny(c, kmsg.DescribeConfigs)
	s, payload := w.Session(), noise(40_000)
	write := func() error {
		require.NoError(t, w.Ensure(t.Context(), "p", "v", 1<<20, 1))
		for i := range 4 {
			require.NoError(t, s.Write(t.Context(), entry("v", int64(i), payload)))
		}
		return s.Flush(t.Context())
	}
	require.Equal(t, feature.Conflict, feature.KindOf(write()), "one batch")
	require.NoError(t, write())
	res, err := quarantine.NewReader(opts...).Read(t.Context(), quarantine.Query{Project: "p", View: "v"})
	require.NoError(t, err)
	require.Len(t, res.Entries, 4)
	for _, e := range res.Entries {
		require.Equal(t, payload, string(e.Payload))
	}
}
