package onlinetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry/feature"
)

// Run tests a store. open returns a store to use for one subtest; it need not
// be empty, for every subtest works in a project of its own.
func Run(t *testing.T, open func(t *testing.T) online.Store) {
	for name, f := range map[string]func(*testing.T, online.Store, string){
		"GetAndPut":       testGetAndPut,
		"NewestWins":      testNewestWins,
		"EqualHeals":      testEqualHeals,
		"ParallelWriters": testParallelWriters,
		"ManyKeys":        testManyKeys,
		"OddKeys":         testOddKeys,
		"Fill":            testFill,
		"Scan":            testScan,
		"Remove":          testRemove,
		"Marks":           testMarks,
		"Forget":          testForget,
		"MarksOfViews":    testMarksOfViews,
		"Schemas":         testSchemas,
		"WriteAndRead":    testWriteAndRead,
		"Check":           testCheck,
		"CheckMany":       testCheckMany,
		"Materialize":     testMaterialize,
	} {
		t.Run(name, func(t *testing.T) {
			f(t, open(t), Project(t))
		})
	}
}

// Project returns a project name that no other test uses.
func Project(t testing.TB) string {
	return fmt.Sprintf("t%x", rand.Uint64())
}

// Seed returns a random source whose seed a failing test prints.
func Seed(t testing.TB) *rand.Rand {
	seed := testseed.For(t)
	return rand.New(rand.NewPCG(seed, 0))
}

func get(t *testing.T, s online.Store, key string) []byte {
	t.Helper()
	vals, failed := make([][]byte, 1), make([]bool, 1)
	require.NoError(t, s.Get(context.Background(), []string{key}, vals, failed))
	require.False(t, failed[0])
	return vals[0]
}

// value makes a value with the given stamp; note tells values apart.
func value(st feature.Stamp, note string) []byte {
	v, err := online.Value(&online.Schema{ID: 7, Fields: []feature.Field{{Name: "note", Type: feature.String}}}, st, note)
	if err != nil {
		panic(err)
	}
	return v
}

func testGetAndPut(t *testing.T, s online.Store, p string) {
	ctx := context.Background()
	key := "w:{" + p + "/e/1}:v"
	require.Nil(t, get(t, s, key))
	require.NoError(t, s.Get(ctx, nil, nil, nil))
	v := value(feature.Stamp{Event: 5, Known: 5}, "a")
	r, err := s.Put(ctx, []online.Row{{Key: key, Value: v}}, nil)
	require.NoError(t, err)
	require.Equal(t, online.Result{Stored: 1}, r)
	kept := bytes.Clone(v)
	clear(v) // nothing of the row may be kept
	require.Equal(t, kept, get(t, s, key))
	r, err = s.Put(ctx, nil, nil)
	require.NoError(t, err)
	require.Zero(t, r)
	require.NoError(t, s.Ping(ctx))
	// An expiry does not hide a row before its time.
	r, err = s.Put(ctx, []online.Row{{Key: key, Value: value(feature.Stamp{Event: 6, Known: 6}, "b"), Expire: time.Hour}}, nil)
	require.NoError(t, err)
	require.Equal(t, 1, r.Stored)
	require.NotNil(t, get(t, s, key))
}

// randomStamp draws from few values, so that every kind of tie is common, and
// from the ends of the ranges.
func randomStamp(r *rand.Rand) feature.Stamp {
	at := func() int64 {
		switch r.IntN(6) {
		case 0:
			return feature.MinTime
		case 1:
			return feature.MaxTime
		case 2:
			return 1_700_000_000_000_000 + r.Int64N(3)*255
		default:
			return r.Int64N(5)*128 - 256
		}
	}
	st := feature.Stamp{Event: at(), Known: at(), Partition: int32(r.IntN(4) - 1), Offset: r.Int64N(4) * 255}
	switch r.IntN(20) {
	case 0:
		st.Partition = 1<<31 - 1
	case 1:
		st.Offset = 1<<63 - 1
	case 2:
		st.Offset = 1 << uint(r.IntN(63))
	}
	return st
}

func testNewestWins(t *testing.T, s online.Store, p string) {
	ctx, r := context.Background(), Seed(t)
	const keys = 20
	type put struct {
		key int
		st  feature.Stamp
	}
	var puts []put
	best := map[int]feature.Stamp{}
	for range 600 {
		x := put{r.IntN(keys), randomStamp(r)}
		puts = append(puts, x)
		if old, ok := best[x.key]; !ok || x.st.Compare(old) > 0 {
			best[x.key] = x.st
		}
	}
	for range 300 { // replays
		puts = append(puts, puts[r.IntN(len(puts))])
	}
	r.Shuffle(len(puts), func(i, j int) { puts[i], puts[j] = puts[j], puts[i] })
	name := func(k int) string { return fmt.Sprintf("w:{%s/e/%d}:v", p, k) }
	for len(puts) > 0 {
		var rows []online.Row
		used := map[int]bool{}
		for len(puts) > 0 && len(rows) < 1+r.IntN(8) && !used[puts[0].key] {
			x := puts[0]
			used[x.key] = true
			rows = append(rows, online.Row{Key: name(x.key), Value: value(x.st, fmt.Sprint(x.st))})
			puts = puts[1:]
		}
		_, err := s.Put(ctx, rows, nil)
		require.NoError(t, err)
	}
	for k, st := range best {
		got := get(t, s, name(k))
		h, _, err := online.ReadHeader(got)
		require.NoError(t, err)
		require.Zero(t, h.Stamp.Compare(st), "key %d holds %+v, should hold %+v", k, h.Stamp, st)
	}
}

func testEqualHeals(t *testing.T, s online.Store, p string) {
	ctx := context.Background()
	st := feature.Stamp{Event: 9, Known: 9, Offset: 4}
	good := value(st, "good")
	for i, damaged := range [][]byte{value(st, "changed"), []byte("rubbish"), []byte(strings.Repeat("x", 4)), {1}} {
		key := fmt.Sprintf("w:{%s/e/%d}:v", p, i)
		require.NoError(t, s.Fill(ctx, []online.Row{{Key: key, Value: damaged}}))
		require.Equal(t, damaged, get(t, s, key))
		r, err := s.Put(ctx, []online.Row{{Key: key, Value: good}}, nil)
		require.NoError(t, err)
		require.Equal(t, 1, r.Stored)
		require.Equal(t, good, get(t, s, key))
	}
}

func testParallelWriters(t *testing.T, s online.Store, p string) {
	ctx := context.Background()
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			for i := range 40 {
				var rows []online.Row
				for k := range 5 {
					st := feature.Stamp{Event: int64(i), Known: int64(i), Partition: int32(w), Offset: int64(i)}
					rows = append(rows, online.Row{Key: fmt.Sprintf("w:{%s/e/%d}:v", p, k), Value: value(st, "x")})
				}
				if _, err := s.Put(ctx, rows, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for k := range 5 {
		h, _, err := online.ReadHeader(get(t, s, fmt.Sprintf("w:{%s/e/%d}:v", p, k)))
		require.NoError(t, err)
		require.Equal(t, feature.Stamp{Event: 39, Known: 39, Partition: 5, Offset: 39}, h.Stamp)
	}
}

func testManyKeys(t *testing.T, s online.Store, p string) {
	ctx := context.Background()
	const n = 2777
	var rows []online.Row
	var keys []string
	for i := range n {
		k := fmt.Sprintf("w:{%s/e/%d}:v", p, i)
		if i%3 != 0 {
			rows = append(rows, online.Row{Key: k, Value: value(feature.Stamp{Event: int64(i), Known: int64(i)}, k)})
		}
		keys = append(keys, k)
	}
	r, err := s.Put(ctx, rows, nil)
	require.NoError(t, err)
	require.Equal(t, len(rows), r.Stored)
	r, err = s.Put(ctx, rows[:10], nil)
	require.NoError(t, err)
	require.Equal(t, 10, r.Stored, "the same rows again are stored again")
	keys = append(keys, keys[1], keys[0], keys[1]) // the same key twice is fine
	vals, failed := make([][]byte, len(keys)), make([]bool, len(keys))
	require.NoError(t, s.Get(ctx, keys, vals, failed))
	for i := range n {
		require.False(t, failed[i])
		if i%3 == 0 {
			require.Nil(t, vals[i])
		} else {
			require.Equal(t, value(feature.Stamp{Event: int64(i), Known: int64(i)}, keys[i]), vals[i])
		}
	}
	require.Equal(t, vals[1], vals[n])
	require.Nil(t, vals[n+1])
	require.Equal(t, vals[1], vals[n+2])
}

func testOddKeys(t *testing.T, s online.Store, p string) {
	ctx := context.Background()
	big := strings.Repeat("0123456789", 100_000)
	for i, k := range []string{"", "\xff\xfe", "äöü", strings.Repeat("k", 5000)} {
		key := "w:{" + p + "/e/" + k + "}:v"
		st := feature.Stamp{Event: int64(i), Known: int64(i)}
		_, err := s.Put(ctx, []online.Row{{Key: key, Value: value(st, big)}}, nil)
		require.NoError(t, err)
		require.Equal(t, value(st, big), get(t, s, key))
	}
}

func testFill(t *testing.T, s online.Store, p string) {
	ctx := context.Background()
	var rows []online.Row
	for i := range 1000 {
		rows = append(rows, online.Row{Key: fmt.Sprintf("w:{%s/e/%d}:v", p, i), Value: value(feature.Stamp{Event: 1, Known: 1}, "f"),
			Expire: time.Duration(i%2) * time.Hour})
	}
	newer, older := value(feature.Stamp{Event: 2, Known: 2}, "newer"), value(feature.Stamp{}, "older")
	_, err := s.Put(ctx, []online.Row{{Key: rows[0].Key, Value: newer}, {Key: rows[1].Key, Value: older}}, nil)
	require.NoError(t, err)
	require.NoError(t, s.Fill(ctx, rows))
	require.NoError(t, s.Fill(ctx, rows))
	require.Equal(t, newer, get(t, s, rows[0].Key))
	require.Equal(t, older, get(t, s, rows[1].Key))
	for i := 2; i < len(rows); i++ {
		require.Equal(t, rows[i].Value, get(t, s, rows[i].Key))
	}
}

// testMarks runs random operations on the store and on online.Mark's own rules.
func testMarks(t *testing.T, s online.Store, p string) {
	ctx, r := context.Background(), Seed(t)
	view := p + "/v"
	m, err := s.Marks(ctx, view)
	require.NoError(t, err)
	require.Empty(t, m.Part)
	model := map[int32]online.Mark{}
	var topic [16]byte
	binary.BigEndian.PutUint64(topic[:], r.Uint64())
	number := func() int64 {
		if r.IntN(5) == 0 {
			return 1<<52 + r.Int64N(30)
		}
		return r.Int64N(30)
	}
	for range 300 {
		part := int32(r.IntN(3) - 1)
		mark := model[part]
		mark.TopicID, mark.Partition = topic, part
		if r.IntN(3) > 0 {
			a := &online.Advance{View: view, TopicID: topic, Partition: part, From: number()}
			a.Next = a.From + r.Int64N(4)
			want, lost := a.Move(mark)
			got, err := s.Put(ctx, nil, a)
			require.NoError(t, err)
			require.Equal(t, lost, got.Lost, "%+v of %+v", a, mark)
			mark = want
		} else {
			x := online.Settlement{TopicID: topic, Partition: part, Settled: number(), Written: number(), Reset: r.IntN(5) == 0}
			if r.IntN(2) == 0 {
				x.MendedFrom, x.MendedTo, x.StillFrom = mark.LostFrom, mark.LostTo, number()
			} else {
				x.MendedFrom, x.StillFrom = number(), number()
				x.MendedTo = x.MendedFrom + r.Int64N(4)
			}
			var seen []online.Mark
			for _, k := range slices.Sorted(maps.Keys(model)) {
				if r.IntN(2) == 0 {
					at := online.Mark{TopicID: topic, Partition: k, Written: model[k].Good()}
					if r.IntN(4) == 0 {
						at.Written++
					}
					seen = append(seen, at)
				}
			}
			want := slices.ContainsFunc(seen, func(m online.Mark) bool { return m.Good() > model[m.Partition].Good() })
			got, err := s.Settle(ctx, view, 77, []online.Settlement{x}, seen)
			require.NoError(t, err)
			require.Equal(t, want, got)
			if got {
				continue
			}
			mark = x.Apply(mark)
		}
		model[part] = mark
		m, err := s.Marks(ctx, view)
		require.NoError(t, err)
		require.Len(t, m.Part, len(model))
		for k, want := range model {
			got, ok := m.Find(topic, k)
			require.True(t, ok)
			require.Equal(t, want, got)
		}
	}
	m, err = s.Marks(ctx, view)
	require.NoError(t, err)
	require.EqualValues(t, 77, m.TTL)
}

func testMarksOfViews(t *testing.T, s online.Store, p string) {
	ctx := context.Background()
	_, err := s.Put(ctx, nil, &online.Advance{View: p + "/a", Next: 5})
	require.NoError(t, err)
	m, err := s.Marks(ctx, p+"/b")
	require.NoError(t, err)
	require.Empty(t, m.Part)
	lost, err := s.Settle(ctx, p+"/b", 0, []online.Settlement{{Settled: 3, Written: 3}, {Partition: 1, Settled: 4, Written: 4}}, nil)
	require.NoError(t, err)
	require.False(t, lost)
	lost, err = s.Settle(ctx, p+"/b", 0, nil, []online.Mark{{Partition: 9, Written: 1}})
	require.NoError(t, err)
	require.True(t, lost, "a mark that is not there")
	m, err = s.Marks(ctx, p+"/b")
	require.NoError(t, err)
	require.Len(t, m.Part, 2)
	m, err = s.Marks(ctx, p+"/a")
	require.NoError(t, err)
	require.Len(t, m.Part, 1)
}

func testSchemas(t *testing.T, s online.Store, p string) {
	ctx := context.Background()
	text, err := s.Schema(ctx, p+"/v", 42)
	require.NoError(t, err)
	require.Empty(t, text)
	require.NoError(t, s.PutSchema(ctx, p+"/v", 42, "a int32\n"))
	require.NoError(t, s.PutSchema(ctx, p+"/v", 42, "a int32\n"))
	require.Equal(t, feature.Conflict, feature.KindOf(s.PutSchema(ctx, p+"/v", 42, "b int32\n")))
	text, err = s.Schema(ctx, p+"/v", 42)
	require.NoError(t, err)
	require.Equal(t, "a int32\n", text)
	text, err = s.Schema(ctx, p+"/other", 42)
	require.NoError(t, err)
	require.Empty(t, text)
}
