package quarantine_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/registry/feature"
)

// TestFind: filters, what the table has, and what was given up.
func TestFind(t *testing.T) {
	w, _, opts := setup(t)
	r := quarantine.NewReader(opts...)
	require.NoError(t, w.Ensure(t.Context(), "p", "v", 1<<20, 1))
	s := w.Session()
	for i := range int64(10) {
		e := entry("v", i, "payload")
		e.Timestamp, e.Partition, e.Key = 100+i, int32(i%2), []byte("key")
		if i >= 5 {
			e.Reasons = []feature.Reason{{Rule: "schema.maximum", Path: "age", Value: "5000"}}
		}
		require.NoError(t, s.Write(t.Context(), e))
	}
	require.NoError(t, s.Record(t.Context(), &quarantine.Replay{Project: "p", View: "v", Known: 777, Revision: 3, By: "me"}))
	gone := entry("v", 4, "payload")
	gone.Timestamp, gone.Key = 104, []byte("key")
	gone.Discard(quarantine.Discard{At: 5, By: "me", Reason: "no use"})
	require.NoError(t, s.Write(t.Context(), gone))
	require.NoError(t, s.Flush(t.Context()))

	v := &feature.View{Meta: feature.Meta{Project: "p", Name: "v"}}
	table := map[int64]int64{6: 777, 7: 12} // by a replay, and by ingestion
	rows := func(_ context.Context, _ *feature.View, within []quarantine.Range, fn func([16]byte, int32, int64, int64) error) error {
		for o, known := range table {
			for _, x := range within {
				if x.Partition == int32(o%2) && x.First <= o && o < x.Next {
					require.NoError(t, fn(x.TopicID, x.Partition, o, known))
				}
			}
		}
		return nil
	}
	find := func(f quarantine.Filter) (out []int64) {
		t.Helper()
		require.NoError(t, r.Find(t.Context(), v, &f, rows, nil, func(e *quarantine.Entry, _ quarantine.State) error {
			out = append(out, e.Offset)
			return nil
		}))
		return out
	}
	require.Equal(t, []int64{0, 1, 2, 3, 5, 8, 9}, find(quarantine.Filter{}))
	require.Equal(t, []int64{6}, find(quarantine.Filter{States: []quarantine.State{quarantine.Replayed}}))
	require.Equal(t, []int64{7}, find(quarantine.Filter{States: []quarantine.State{quarantine.Taken}}))
	require.Equal(t, []int64{4}, find(quarantine.Filter{States: []quarantine.State{quarantine.Discarded}}))
	require.Equal(t, []int64{5, 8, 9}, find(quarantine.Filter{Rules: []string{"schema.maximum(age)"}}))
	require.Equal(t, []int64{5, 8, 9}, find(quarantine.Filter{Rules: []string{"nothing", "schema.maximum"}}))
	require.Empty(t, find(quarantine.Filter{Rules: []string{"schema.maximum(height)"}}))
	require.Equal(t, []int64{2, 3}, find(quarantine.Filter{Since: 102, Until: 105}))
	require.Equal(t, []int64{1, 3, 5, 9}, find(quarantine.Filter{Partitions: []int32{1}}))
	require.Equal(t, []int64{8}, find(quarantine.Filter{Events: []quarantine.Event{{Partition: 0, Offset: 8}, {Partition: 0, Offset: 6}, {Topic: "other", Partition: 1, Offset: 9}}}))

	l, err := r.List(t.Context(), v, quarantine.Filter{}, rows, quarantine.ListOptions{Limit: 2, Payload: 3})
	require.NoError(t, err)
	require.EqualValues(t, 7, l.Total)
	require.Equal(t, map[quarantine.State]int64{quarantine.Held: 7, quarantine.Replayed: 1, quarantine.Taken: 1, quarantine.Discarded: 1}, l.ByState)
	require.Equal(t, []quarantine.RuleCount{{Rule: "decode", Count: 4}, {Rule: "schema.maximum", Path: "age", Count: 3}}, l.ByRule)
	require.Len(t, l.Entries, 2)
	require.EqualValues(t, 9, l.Entries[1].Offset)
	require.Equal(t, "pay", string(l.Entries[1].Payload))
	require.EqualValues(t, 7, l.Entries[1].Size)
	require.Len(t, l.Groups, 2)
	require.Equal(t, []int64{4, 100, 103}, []int64{l.Groups[0].Count, l.Groups[0].First, l.Groups[0].Last})

	masked := *v
	masked.Quality = &feature.Quality{Mask: []string{"age"}}
	m, err := r.List(t.Context(), &masked, quarantine.Filter{}, rows, quarantine.ListOptions{Limit: 2, Group: quarantine.ByRule})
	require.NoError(t, err)
	require.Equal(t, feature.Masked, m.Entries[1].Reasons[0].Value)
	require.Equal(t, feature.Masked, m.Groups[1].Reason.Value)
	require.Equal(t, l.ByRule, m.ByRule)

	l, err = r.List(t.Context(), v, quarantine.Filter{States: []quarantine.State{quarantine.Discarded}}, rows, quarantine.ListOptions{})
	require.NoError(t, err)
	e := l.Entries[0]
	sum := sha256.Sum256([]byte("payload"))
	require.Nil(t, e.Key)
	require.Empty(t, e.Payload)
	require.EqualValues(t, 7, e.Omitted)
	require.EqualValues(t, 3, e.KeyOmitted)
	require.Equal(t, hex.EncodeToString(sum[:]), e.SHA256)
	require.Equal(t, &quarantine.Discard{At: 5, By: "me", Reason: "no use"}, e.Discarded)

	var known []int64
	require.NoError(t, r.All(t.Context(), "p", "v", nil, func(x *quarantine.Replay) { known = append(known, x.Known) }, func(*quarantine.Entry) error { return nil }))
	require.Equal(t, []int64{777}, known)
}
