package onlinetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry/feature"
)

// testScan has rows of three views whose keys look alike, and keys of odd bytes.
func testScan(t *testing.T, s online.Store, p string) {
	ctx := context.Background()
	want := map[string][]byte{}
	span := online.Span{Prefix: "w:{" + p + "/e[1]?*\\/", Suffix: "}:v"}
	var rows []online.Row
	put := func(key string) {
		rows = append(rows, online.Row{Key: key, Value: value(feature.Stamp{Event: 1, Known: 1, Offset: int64(len(rows))}, key), Expire: time.Duration(len(rows)%2) * time.Hour})
	}
	for i := range 2500 {
		put(fmt.Sprintf("%s%d%s", span.Prefix, i, span.Suffix))
	}
	for _, odd := range []string{"", "*", "?[x]^", "\\", "\xff\xfe", "ä", "a/b}:v"} {
		put(span.Prefix + odd + span.Suffix)
	}
	for _, r := range rows {
		want[r.Key] = r.Value
	}
	for _, other := range []string{"w:{" + p + "/e1xy/1}:v", span.Prefix + "1}:vv", span.Prefix + "1}:w", "x" + span.Prefix + "1" + span.Suffix} {
		put(other)
	}
	_, err := s.Put(ctx, rows, &online.Advance{View: p + "/v", Next: 3})
	require.NoError(t, err)
	require.NoError(t, s.PutSchema(ctx, p+"/v", 1, "a int32\n"))
	got := map[string][]byte{}
	require.NoError(t, s.Scan(ctx, span, func(keys []string, vals [][]byte) error {
		require.Len(t, vals, len(keys))
		for i, k := range keys {
			got[k] = vals[i]
		}
		return nil
	}))
	require.Equal(t, want, got)
	stop := errors.New("enough")
	calls := 0
	require.ErrorIs(t, s.Scan(ctx, span, func([]string, [][]byte) error { calls++; return stop }), stop)
	require.Equal(t, 1, calls)
	require.NoError(t, s.Scan(ctx, online.Span{Prefix: "w:{" + p + "/none/", Suffix: "}:v"}, func(keys []string, _ [][]byte) error {
		require.Empty(t, keys)
		return nil
	}))
}

func testRemove(t *testing.T, s online.Store, p string) {
	ctx := context.Background()
	var rows, ask []online.Row
	for i := range 1500 {
		v := value(feature.Stamp{Event: 1, Known: 1, Offset: int64(i)}, "x")
		rows = append(rows, online.Row{Key: fmt.Sprintf("w:{%s/e/%d}:v", p, i), Value: v, Expire: time.Duration(i%2) * time.Hour})
		if i%3 == 0 {
			v = bytes.Clone(v)
			v[len(v)-1]++ // a byte differs
		}
		ask = append(ask, online.Row{Key: rows[i].Key, Value: v})
	}
	ask = append(ask, online.Row{Key: "w:{" + p + "/e/none}:v", Value: []byte("x")})
	_, err := s.Put(ctx, rows, nil)
	require.NoError(t, err)
	n, err := s.Remove(ctx, ask)
	require.NoError(t, err)
	require.Equal(t, 1000, n)
	for i, r := range rows {
		if i%3 == 0 {
			require.Equal(t, r.Value, get(t, s, r.Key))
		} else {
			require.Nil(t, get(t, s, r.Key))
		}
	}
	n, err = s.Remove(ctx, ask)
	require.NoError(t, err)
	require.Zero(t, n)
}

func testForget(t *testing.T, s online.Store, p string) {
	ctx := context.Background()
	advance := func(view string, part int32, from int64) bool {
		r, err := s.Put(ctx, nil, &online.Advance{View: p + view, Partition: part, From: from, Next: from + 5})
		require.NoError(t, err)
		return r.Lost
	}
	for _, view := range []string{"/a", "/b"} {
		for part := range int32(3) {
			require.False(t, advance(view, part, 0))
			require.True(t, advance(view, part, 100))
		}
	}
	for range 2 { // the second time there is nothing to forget
		require.NoError(t, s.Forget(ctx, p+"/a", []online.Mark{{Partition: 0}, {Partition: 2, Written: 77}, {Partition: 9}}))
		require.NoError(t, s.Forget(ctx, p+"/none", []online.Mark{{Partition: 0}}))
		require.NoError(t, s.Forget(ctx, p+"/b", nil))
	}
	m, err := s.Marks(ctx, p+"/a")
	require.NoError(t, err)
	require.Equal(t, []online.Mark{{Partition: 1, Written: 105, LostFrom: 5, LostTo: 100}}, m.Part)
	m, err = s.Marks(ctx, p+"/b")
	require.NoError(t, err)
	require.Len(t, m.Part, 3)
	require.True(t, advance("/a", 0, 5))
}
