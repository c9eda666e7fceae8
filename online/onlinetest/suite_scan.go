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
	for _, view := range []string{"/a", "/b"} {
		_, err := s.Put(ctx, nil, &online.Advance{View: p + view, Next: 5})
		require.NoError(t, err)
	}
	require.NoError(t, s.Forget(ctx, p+"/a"))
	require.NoError(t, s.Forget(ctx, p+"/none"))
	m, err := s.Marks(ctx, p+"/a")
	require.NoError(t, err)
	require.Empty(t, m.Part)
	m, err = s.Marks(ctx, p+"/b")
	require.NoError(t, err)
	require.Len(t, m.Part, 1)
	r, err := s.Put(ctx, nil, &online.Advance{View: p + "/a", From: 5, Next: 6})
	require.NoError(t, err)
	require.True(t, r.Lost)
}
