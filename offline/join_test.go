package offline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

var eof = io.EOF

// TestJoinAgainstOracle compares the join with a naive search through all rows in
// random worlds: many overlapping files, ties, ttl ends, nulls, tombstones, late
// and future rows, composite keys, several views, times a microsecond apart.
// WEIR_SEED repeats one, WEIR_CASES sets how many.
func TestJoinAgainstOracle(t *testing.T) {
	cases := 300
	if s := os.Getenv("WEIR_CASES"); s != "" {
		cases, _ = strconv.Atoi(s)
	}
	first := rand.Uint64()
	if s := os.Getenv("WEIR_SEED"); s != "" {
		first, _ = strconv.ParseUint(s, 10, 64)
		cases = 1
	}
	for i := range cases {
		seed := first + uint64(i)
		if !t.Run("", func(t *testing.T) { oracleCase(t, seed) }) {
			t.Fatalf("seed %d: run again with WEIR_SEED=%d", seed, seed)
		}
	}
}

func oracleCase(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	w := randomWorld(t, r)
	req := offline.JoinRequest{
		Service: w.service, Tables: w.tables(), Clock: w.clock,
		Spine:   offline.Spine{Rows: w.records(r), Time: "at"},
		Memory:  []int64{1, 4000, 0}[r.IntN(3)], // one batch a chunk, some chunks, one chunk
		Workers: 1 + r.IntN(3),
	}
	row := 0
	names := []string{}
	res, err := offline.Join(context.Background(), req, func(rec arrow.RecordBatch) error {
		for i := range int(rec.NumRows()) {
			s := w.spine[row]
			for c := range int(rec.NumCols()) {
				name := rec.ColumnName(c)
				got := cellAny(rec.Column(c), i)
				if c < w.schema.NumFields() {
					want := any(s.id)
					if name == "at" {
						want = s.time
					} else if name != "row_id" {
						want = s.keys[name]
					}
					require.Equal(t, want, got, "seed %d: spine row %d, column %s", seed, row, name)
					continue
				}
				sc := w.service.Columns[c-w.schema.NumFields()]
				require.Equal(t, sc.Name, name)
				want := w.oracle(w.views[sc.View], s)[sc.Feature]
				require.Equal(t, want, got, "seed %d: spine row %d (%v at %v), column %s", seed, row, s.keys, s.time, name)
			}
			row++
		}
		names = names[:0]
		return nil
	})
	require.NoError(t, err, "seed %d", seed)
	require.Equal(t, len(w.spine), row, "seed %d", seed)
	require.Equal(t, int64(row), res.Rows)
}

var keyShapes = [][]feature.Field{
	{field("id", feature.Int64)},
	{field("id", feature.Int64)},
	{field("name", feature.String)},
	{field("name", feature.String), field("id", feature.Int64)},
	{field("flag", feature.Bool), field("small", feature.Int32)},
	{field("raw", feature.Bytes), field("when", feature.Timestamp)},
	{field("small", feature.Int32)},
}

// randomKey draws from few values, so that keys meet; some of them are awkward.
func randomKey(r *rand.Rand, t feature.Type, many int) any {
	n := r.IntN(many)
	switch t {
	case feature.Bool:
		return n%2 == 0
	case feature.Int32:
		return int32(n - many/2)
	case feature.Int64, feature.Timestamp:
		return int64(n-many/2) * 1_000_003
	case feature.Bytes:
		return append([]byte{0, 0xff, 0}[:n%4], byte(n))
	}
	return []string{"", "a", "a\x00", "a\x00b", "customer_1", "customer_10", "customer_100", "ab", "é"}[n%9] + fmt.Sprint(n/9)
}

func randomValue(r *rand.Rand, t feature.Type) any {
	if r.IntN(4) == 0 {
		return nil
	}
	switch t {
	case feature.Bool:
		return r.IntN(2) == 0
	case feature.Int32:
		return int32(r.Uint32())
	case feature.Int64, feature.Timestamp:
		return r.Int64()
	case feature.Float32:
		return r.Float32()
	case feature.Float64:
		return r.NormFloat64()
	case feature.Bytes:
		return []byte(strconv.Itoa(r.IntN(50)))
	}
	return "value " + strconv.Itoa(r.IntN(50))
}

func randomWorld(t *testing.T, r *rand.Rand) *world {
	w := &world{clock: feature.KnownClock}
	if r.IntN(2) == 0 {
		w.clock = feature.EventClock
	}
	span := []int64{20, 1000, 3 * offline.Day}[r.IntN(3)] // microseconds: from everything at once to days
	base := int64(1_700_000_000_000_000)
	when := func() int64 { return base + r.Int64N(span) }
	types := []feature.Type{feature.Bool, feature.Int32, feature.Int64, feature.Float32, feature.Float64, feature.String, feature.Bytes, feature.Timestamp}
	many := 1 + r.IntN(12)
	var views []*feature.View
	keyNames := map[string]feature.Type{}
	for i := range 1 + r.IntN(3) {
		var fs []feature.Field
		for k := range 1 + r.IntN(4) {
			fs = append(fs, field(fmt.Sprintf("f%d", k), types[r.IntN(len(types))]))
		}
		ttl := feature.Duration(0)
		if r.IntN(2) == 0 {
			ttl = feature.Duration(1 + r.Int64N(span)*1000)
			ttl -= ttl % 1000
		}
		keys := keyShapes[r.IntN(len(keyShapes))]
		for _, k := range keys {
			keyNames[k.Name] = k.Type
		}
		views = append(views, makeView(fmt.Sprintf("v%d", i), ttl, keys, fs...))
	}
	w.service = makeService(t, views...)
	for _, v := range views {
		w.views = append(w.views, randomTable(t, r, v, many, when))
	}
	w.randomSpine(r, keyNames, many, when, span)
	return w
}

// randomTable makes a view's facts and spreads them over files.
func randomTable(t *testing.T, r *rand.Rand, v *feature.View, many int, when func() int64) *worldView {
	wv := &worldView{view: v, table: openTable(t, v)}
	var offsets [3]int64
	for range r.IntN(120) {
		f := fact{}
		for _, k := range v.Keys {
			f.keys = append(f.keys, randomKey(r, k.Type, many))
		}
		p := r.IntN(3)
		offsets[p]++
		f.stamp = feature.Stamp{Event: when(), Partition: int32(p) - 1, Offset: offsets[p]}
		switch r.IntN(4) {
		case 0:
			f.stamp.Known = f.stamp.Event
		case 1:
			f.stamp.Known = when() // late, or ahead of itself
		case 2:
			f.stamp.Known = f.stamp.Event + r.Int64N(5)
		case 3:
			f.stamp.Known = f.stamp.Event + 2*offline.Day // history loaded later
		}
		f.dead = r.IntN(8) == 0
		if f.dead {
			f.stamp.Event = f.stamp.Known
		}
		for _, x := range v.Features {
			if f.dead {
				f.values = append(f.values, nil)
			} else {
				f.values = append(f.values, randomValue(r, x.Type))
			}
		}
		wv.facts = append(wv.facts, f)
	}
	files := make([][]fact, 1+r.IntN(6))
	for _, f := range wv.facts {
		i := r.IntN(len(files))
		if len(files) > 3 { // as ingested: a file holds one day
			i = int(offline.DayOf(f.stamp.Effective())) % len(files)
		}
		files[i] = append(files[i], f)
	}
	var done []offline.File
	for i, fs := range files {
		if len(fs) > 0 {
			done = append(done, writeFile(t, wv.table, fmt.Sprintf("f%d", i), fs, r.IntN(5) > 0, r.IntN(5) > 0, 1+r.IntN(40), 1+r.IntN(200)))
		}
	}
	if len(done) > 0 {
		appendFiles(t, wv.table, done)
	}
	return wv
}

func (w *world) randomSpine(r *rand.Rand, keys map[string]feature.Type, many int, when func() int64, span int64) {
	fields := []arrow.Field{{Name: "row_id", Type: arrow.PrimitiveTypes.Int64}, {Name: "at", Type: feature.Timestamp.Arrow(), Nullable: true}}
	for _, shape := range keyShapes { // in a fixed order
		for _, k := range shape {
			if t, ok := keys[k.Name]; ok {
				fields = append(fields, arrow.Field{Name: k.Name, Type: t.Arrow(), Nullable: true})
				delete(keys, k.Name)
			}
		}
	}
	w.schema = arrow.NewSchema(fields, nil)
	n := r.IntN(150)
	for len(w.spine) < n {
		s := spineRow{id: int64(len(w.spine)), time: when() + r.Int64N(3)*span/2, keys: map[string]any{}}
		if len(w.spine) > 0 && r.IntN(10) == 0 { // the same again
			s = w.spine[r.IntN(len(w.spine))]
			s.id = int64(len(w.spine))
		} else {
			for _, f := range fields[2:] {
				if r.IntN(20) > 0 {
					s.keys[f.Name] = randomKey(r, typeNamed(f.Name), many)
				}
			}
			if r.IntN(20) == 0 {
				s.time = nil
			} else if v := w.views[r.IntN(len(w.views))]; len(v.facts) > 0 && r.IntN(3) == 0 { // exactly at an end
				f := v.facts[r.IntN(len(v.facts))]
				ends := []int64{f.stamp.Known, f.stamp.Event, f.stamp.Effective() + v.view.TTL.Micros(), f.stamp.Event + v.view.TTL.Micros()}
				s.time = ends[r.IntN(4)] + r.Int64N(3) - 1
				for i, k := range v.view.Keys {
					s.keys[k.Name] = f.keys[i]
				}
			}
		}
		w.spine = append(w.spine, s)
	}
}

func typeNamed(name string) feature.Type {
	for _, shape := range keyShapes {
		for _, k := range shape {
			if k.Name == name {
				return k.Type
			}
		}
	}
	panic(name)
}

func TestJoinStopsAtOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 20 {
		w := randomWorld(t, r)
		if len(w.spine) < 50 {
			continue
		}
		ctx, cancel := context.WithCancelCause(context.Background())
		why := errors.New("enough")
		seen := 0
		_, err := offline.Join(ctx, offline.JoinRequest{
			Service: w.service, Tables: w.tables(), Spine: offline.Spine{Rows: w.records(r), Time: "at"}, Memory: 1,
		}, func(rec arrow.RecordBatch) error {
			seen++
			cancel(why)
			return nil
		})
		require.ErrorIs(t, err, why)
		require.Equal(t, 1, seen)

		fault := errors.New("disk full")
		_, err = offline.Join(context.Background(), offline.JoinRequest{
			Service: w.service, Tables: w.tables(), Spine: offline.Spine{Rows: w.records(r), Time: "at"},
		}, func(arrow.RecordBatch) error { return fault })
		require.ErrorIs(t, err, fault)
	}
}
