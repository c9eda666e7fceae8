package quarantine_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/registry/feature"
)

func setup(t *testing.T) (*quarantine.Writer, *kgo.Client, []kgo.Opt) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	opts := []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}
	cl, err := kgo.NewClient(append(opts, kgo.ProducerBatchMaxBytes(64<<20))...)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	return quarantine.NewWriter(cl), cl, opts
}

func entry(view string, offset int64, payload string) *quarantine.Entry {
	return &quarantine.Entry{Project: "p", View: view, Topic: "t", Offset: offset, Payload: []byte(payload),
		Reasons: []feature.Reason{{Rule: "decode", Expected: "JSON"}}}
}

// TestSessionsAreTold: an entry that was not taken is news for the session that
// wrote it, whichever session flushes first.
func TestSessionsAreTold(t *testing.T) {
	w, _, _ := setup(t)
	require.NoError(t, w.Ensure(t.Context(), "p", "here", 1<<20, 1))
	a, b := w.Session(), w.Session()
	require.NoError(t, a.Write(t.Context(), entry("gone", 1, "x"))) // there is no such topic
	require.NoError(t, b.Write(t.Context(), entry("here", 2, "y")))
	require.NoError(t, b.Flush(t.Context()))
	err := a.Flush(t.Context())
	require.Equal(t, feature.Conflict, feature.KindOf(err), "%v", err)
	require.NoError(t, a.Flush(t.Context()), "told once")

	// A caller that gives up takes nothing back, neither its own nor another's.
	given, up := context.WithCancel(t.Context())
	require.NoError(t, a.Write(given, entry("here", 3, "x")))
	up()
	require.NoError(t, b.Write(t.Context(), entry("here", 4, "x")))
	require.NoError(t, a.Flush(t.Context()))
	require.NoError(t, b.Flush(t.Context()))
}

// TestTopicDeleted: a topic that went away is made again before the next try.
func TestTopicDeleted(t *testing.T) {
	t.Parallel()
	w, cl, opts := setup(t)
	require.NoError(t, w.Ensure(t.Context(), "p", "v", 1<<20, 1))
	s := w.Session()
	require.NoError(t, s.Write(t.Context(), entry("v", 1, "x")))
	require.NoError(t, s.Flush(t.Context()))
	_, err := kadm.NewClient(cl).DeleteTopic(t.Context(), quarantine.Topic("p", "v"))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		if err := w.Ensure(t.Context(), "p", "v", 1<<20, 1); err != nil {
			return false
		}
		if err := s.Write(t.Context(), entry("v", 2, "y")); err != nil {
			return false
		}
		return s.Flush(t.Context()) == nil
	}, 60*time.Second, 10*time.Millisecond)
	res, err := quarantine.NewReader(opts...).Read(t.Context(), quarantine.Query{Project: "p", View: "v"})
	require.NoError(t, err)
	require.Len(t, res.Entries, 1)
}

// TestLargeEntries: whatever is large about an event, its entry has a place.
func TestLargeEntries(t *testing.T) {
	w, _, opts := setup(t)
	require.NoError(t, w.Ensure(t.Context(), "p", "v", 1<<20, 1))
	s := w.Session()
	long := strings.Repeat("k\x01", 3<<20)
	byKey := entry("v", 1, "small")
	byKey.Key = []byte(long)
	byReason := entry("v", 2, "small")
	for range 300 {
		byReason.Reasons = append(byReason.Reasons, feature.Reason{Rule: "schema.additionalProperties", Path: long[:1<<20]})
	}
	keyOnly := entry("v", 3, "")
	keyOnly.Key, keyOnly.Payload = []byte(long), nil
	for _, e := range []*quarantine.Entry{entry("v", 0, long), byKey, byReason, keyOnly} {
		require.NoError(t, s.Write(t.Context(), e))
	}
	require.NoError(t, s.Flush(t.Context()))
	res, err := quarantine.NewReader(opts...).Read(t.Context(), quarantine.Query{Project: "p", View: "v"})
	require.NoError(t, err)
	require.Len(t, res.Entries, 4)
	require.EqualValues(t, len(long), res.Entries[0].Omitted)
	require.NotEmpty(t, res.Entries[0].SHA256)
	require.Equal(t, "small", string(res.Entries[1].Payload))
	require.EqualValues(t, len(long), res.Entries[1].KeyOmitted)
	require.Equal(t, "small", string(res.Entries[2].Payload))
	require.Nil(t, res.Entries[3].Payload)
	require.Zero(t, res.Entries[3].Omitted)

	// A source that takes larger records makes the topic take them too.
	require.NoError(t, w.Ensure(t.Context(), "p", "v", 8<<20, 1))
	require.NoError(t, s.Write(t.Context(), entry("v", 4, long)))
	require.NoError(t, s.Flush(t.Context()))
	res, err = quarantine.NewReader(opts...).Read(t.Context(), quarantine.Query{Project: "p", View: "v"})
	require.NoError(t, err)
	require.Equal(t, long, string(res.Entries[4].Payload))
}

// TestEnsureAgain: an entry that was refused makes Ensure look at the topic again.
// What is written afterwards is written, and not taken for what was written
// before: a client that forgets a topic numbers its batches from zero again, and a
// broker acknowledges a number that it knows without writing anything.
func TestEnsureAgain(t *testing.T) {
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
	write := func(offset int64) error {
		require.NoError(t, s.Write(t.Context(), entry("v", offset, "x")))
		return s.Flush(t.Context())
	}
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: quarantine.Topic("p", "v"), Err: kerr.PolicyViolation})
	require.Error(t, write(1))
	require.NoError(t, write(2))
	require.NoError(t, w.Ensure(t.Context(), "p", "v", 1<<20, 1))
	require.NoError(t, write(3))
	res, err := quarantine.NewReader(opts...).Read(t.Context(), quarantine.Query{Project: "p", View: "v"})
	require.NoError(t, err)
	require.Len(t, res.Entries, 2)
}
