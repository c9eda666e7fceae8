package offlinetest

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// version is a view with one key and these features.
func version(n int, features ...feature.Field) *feature.View {
	return &feature.View{Meta: feature.Meta{Project: "shop", Name: "sales"}, Source: "events", Entities: []string{"shop"}, Version: n,
		Keys: []feature.Field{{Name: "shop_id", Type: feature.Int64}}, Features: features}
}

func named(name string, t feature.Type, column ...string) feature.Field {
	f := feature.Field{Name: name, Type: t}
	if len(column) > 0 && column[0] != name {
		f.Column = column[0]
	}
	return f
}

// values are a row's features by what they are kept under: int64, float64, string, or of
// an array its packed form; absent is null.
type values map[string]any

// evolving is a table under test with what must be in it.
type evolving struct {
	t    *testing.T
	open Open
	rows []values // by offset
}

func (e *evolving) table(v *feature.View) offline.Table { return table(e.t, e.open(), v) }

// write commits rows through a handle, as a worker with its view does.
func (e *evolving) write(tb offline.Table, rows ...values) {
	e.t.Helper()
	v, first := tb.View(), int64(len(e.rows))
	b := &feature.Batch{View: v, Origin: feature.Origin{Topic: "events", TopicID: TopicID, First: first, Next: first + int64(len(rows))}}
	rb := array.NewRecordBuilder(memory.DefaultAllocator, v.Schema())
	defer rb.Release()
	for i, r := range rows {
		at := first + int64(i)
		b.Offsets = append(b.Offsets, at)
		b.EventTime, b.KnownTime = append(b.EventTime, Base+at), append(b.KnownTime, Base+at)
		rb.Field(0).(*array.Int64Builder).Append(at)
		kept := values{}
		for k, f := range v.Features {
			x, ok := r[f.Stored()]
			if !ok {
				rb.Field(k + 1).AppendNull()
				continue
			}
			kept[f.Stored()] = x
			switch fb := rb.Field(k + 1).(type) {
			case *array.Int32Builder:
				fb.Append(int32(x.(int64)))
			case *array.Int64Builder:
				fb.Append(x.(int64))
			case *array.Float32Builder:
				fb.Append(float32(x.(float64)))
				kept[f.Stored()] = float64(float32(x.(float64)))
			case *array.Float64Builder:
				fb.Append(x.(float64))
			case *array.StringBuilder:
				fb.Append(x.(string))
			case *array.BinaryBuilder:
				fb.Append(x.([]byte))
			}
		}
		e.rows = append(e.rows, kept)
	}
	b.Rows = rb.NewRecordBatch()
	from := At(0, first, "")
	if first > 0 {
		from.Commit = fmt.Sprint("c", first)
	}
	require.NoError(e.t, Flush(ctx, NewWriter(e.t, tb), Move(v, fmt.Sprint("c", b.Origin.Next), from, At(0, b.Origin.Next, "")), b))
}

// seen is what a view must show of the rows.
func (e *evolving) seen(v *feature.View) []string {
	out := make([]string, len(e.rows))
	for i, r := range e.rows {
		cells := []string{fmt.Sprint(i)}
		for _, f := range v.Features {
			x, ok := r[f.Stored()]
			if !ok {
				x = "null"
			}
			if n, ok := x.(float64); ok && f.Type == feature.Float32 {
				x = float32(n)
			}
			if b, ok := x.([]byte); ok {
				x = fmt.Sprintf("%x", b)
			}
			cells = append(cells, fmt.Sprint(f.Name, "=", x))
		}
		out[i] = strings.Join(cells, " ")
	}
	return out
}

// check reads the table in every way that a handle has.
func (e *evolving) check(tb offline.Table, why string, args ...any) {
	e.t.Helper()
	why = fmt.Sprintf(why, args...)
	v := tb.View()
	for name, read := range map[string]func(fn func(*feature.Batch) error) error{
		"scan":   func(fn func(*feature.Batch) error) error { return offline.Scan(ctx, tb, offline.ScanOptions{}, fn) },
		"newest": func(fn func(*feature.Batch) error) error { return offline.Newest(ctx, tb, offline.NewestOptions{}, fn) },
	} {
		got := make([]string, len(e.rows))
		err := read(func(b *feature.Batch) error {
			for i, o := range b.Offsets {
				cells := []string{fmt.Sprint(o)}
				for k, f := range v.Features {
					require.True(e.t, b.Rows.Schema().Field(k+1).Name == f.Name)
					cells = append(cells, f.Name+"="+cell(b.Rows.Column(k+1), i))
				}
				got[o] = strings.Join(cells, " ")
			}
			return nil
		})
		require.NoError(e.t, err, "%s: %s", name, why)
		require.Equal(e.t, e.seen(v), got, "%s: %s", name, why)
	}
}

func renames(t *testing.T, open Open) {
	e := &evolving{t: t, open: open}
	v1 := version(1, named("amount", feature.Float64), named("n", feature.Int64))
	t1 := e.table(v1)
	e.write(t1, values{"amount": 1.5, "n": int64(1)})
	id := t1.Columns()[1].ID

	v2 := version(2, named("n", feature.Int64), named("total", feature.Float64, "amount"))
	t2 := e.table(v2)
	require.Equal(t, offline.Column{ID: id, Name: "total", Stored: "amount", Type: feature.Float64}, t2.Columns()[2], "the same column under another name")
	e.check(t2, "old rows")
	e.write(t2, values{"amount": 2.5, "n": int64(2)})
	// A worker that has not heard of it goes on, and comes back as it was.
	e.write(t1, values{"amount": 3.5, "n": int64(3)})
	again := e.table(v1)
	e.write(again, values{"amount": 4.5, "n": int64(4)})
	for _, tb := range []offline.Table{t1, t2, again, e.table(v2)} {
		e.check(tb, "version %d", tb.View().Version)
		require.Len(t, tb.AllColumns(), 1+2+7, "no column was made for a name of before")
	}
	names := func(tb offline.Table) (out []string) {
		for _, c := range tb.AllColumns() {
			if !strings.HasPrefix(c.Name, "_") {
				out = append(out, fmt.Sprint(c.Name, " ", c.Stored, " ", c.Type))
			}
		}
		return out
	}
	require.Equal(t, []string{"shop_id shop_id int64", "total amount float64", "n n int64"}, names(e.table(v1)), "a late worker renames nothing back")

	// A new feature of the old name is another column.
	v3 := version(3, named("total", feature.Float64, "amount"), named("amount", feature.String, "amount@3"), named("n", feature.Int64))
	t3 := e.table(v3)
	e.write(t3, values{"amount": 5.5, "amount@3": "five", "n": int64(5)})
	e.write(t1, values{"amount": 6.5, "n": int64(6)})
	// Two names are swapped, in one step.
	v4 := version(4, named("amount", feature.Float64), named("total", feature.String, "amount@3"), named("n", feature.Int64))
	t4 := e.table(v4)
	require.Equal(t, []string{"shop_id shop_id int64", "amount amount float64", "n n int64", "total amount@3 string"}, names(t4))
	e.write(t4, values{"amount": 7.5, "amount@3": "seven"})
	e.write(t3, values{"amount": 8.5, "amount@3": "eight"})
	e.write(e.table(v2), values{"amount": 9.5})
	for _, tb := range []offline.Table{t1, t2, t3, t4, e.table(v4)} {
		e.check(tb, "version %d after the swap", tb.View().Version)
	}
	// A name of a column that the view has lost is free again.
	v5 := version(5, named("total", feature.Int64, "n"))
	t5 := e.table(v5)
	e.write(t5, values{"n": int64(10)})
	require.Len(t, names(t5), 4, "lost columns stay")
	v6 := version(6, named("n", feature.Int64), named("total", feature.String, "amount@3"))
	t6 := e.table(v6)
	require.Equal(t, []string{"shop_id shop_id int64", "amount amount float64", "n n int64", "total amount@3 string"}, names(t6))
	for _, tb := range []offline.Table{t1, t3, t5, t6} {
		e.check(tb, "version %d at the end", tb.View().Version)
	}
}

func widening(t *testing.T, open Open) {
	e := &evolving{t: t, open: open}
	v1 := version(1, named("n", feature.Int32), named("x", feature.Float32))
	t1 := e.table(v1)
	e.write(t1, values{"n": int64(-1), "x": 0.1}, values{})
	old := load(t, t1, offline.Version{})

	v2 := version(2, named("n", feature.Int64), named("x", feature.Float64))
	t2 := e.table(v2)
	for i, c := range t1.Columns() {
		require.Equal(t, c.ID, t2.Columns()[i].ID, "the same column")
	}
	e.check(t2, "old rows")
	e.write(t2, values{"n": int64(7), "x": 0.1})
	// A worker that has not heard of it writes narrow files, also after a restart.
	e.write(t1, values{"n": int64(-3), "x": 0.2})
	e.write(e.table(v1), values{"n": int64(4), "x": 0.3})
	for _, tb := range []offline.Table{t1, t2, e.table(v1), e.table(v2)} {
		e.check(tb, "version %d", tb.View().Version)
	}
	require.Equal(t, feature.Int64, e.table(v1).AllColumns()[1].Type, "a late worker narrows nothing")

	e.write(t2, values{"n": int64(1) << 40, "x": 0.5})
	e.check(t2, "a value that needs the width")
	err := offline.Scan(ctx, t1, offline.ScanOptions{}, func(*feature.Batch) error { return nil })
	require.Equal(t, feature.Unavailable, feature.KindOf(err), "a reader of before waits for the new definition: %v", err)

	// The version of before reads with the definition of before as it did.
	n := 0
	require.NoError(t, offline.Scan(ctx, e.table(v1), offline.ScanOptions{Version: offline.Version{Snapshot: old.Snapshot}}, func(b *feature.Batch) error {
		n += b.Len()
		require.Equal(t, []string{"n=-1 x=0.1", "n=null x=null"}, []string{
			"n=" + cell(b.Rows.Column(1), 0) + " x=" + cell(b.Rows.Column(2), 0), "n=" + cell(b.Rows.Column(1), 1) + " x=" + cell(b.Rows.Column(2), 1)})
		return nil
	}))
	require.Equal(t, 2, n)

	for name, f := range map[string][]feature.Field{
		"int64 to int32":     {named("n", feature.Int32), named("x", feature.Float64)},
		"float64 to float32": {named("n", feature.Int64), named("x", feature.Float32)},
		"int64 to float64":   {named("n", feature.Float64), named("x", feature.Float64)},
		"int64 to timestamp": {named("n", feature.Timestamp), named("x", feature.Float64)},
		"float64 to string":  {named("n", feature.Int64), named("x", feature.String)},
	} {
		_, err := e.open().Table(ctx, version(3, f...))
		require.Equal(t, feature.Invalid, feature.KindOf(err), name)
		require.ErrorContains(t, err, "widened", name)
	}
	e.check(e.table(v2), "nothing has changed")
}

// evolutions runs random chains of changes, writes through handles of any
// age, and compares what each view shows with a plain model.
func evolutions(t *testing.T, open Open, versions int) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 5))
	e := &evolving{t: t, open: open}
	types := []feature.Type{feature.Int32, feature.Int64, feature.Float32, feature.Float64, feature.String, feature.Array(feature.Int32), feature.Array(feature.Bool)}
	now := version(1, named("a", feature.Int32))
	type kept struct {
		name string
		typ  feature.Type
	}
	columns := map[string]kept{"a": {"a", feature.Int32}} // all there ever were
	views, handles := []*feature.View{now}, []offline.Table{e.table(now)}
	free := func(v *feature.View) string {
		for {
			if n := string(rune('a' + r.IntN(6))); v.Feature(n) < 0 {
				return n
			}
		}
	}
	for range versions {
		next := version(now.Version+1, slices.Clone(now.Features)...)
		at := r.IntN(len(next.Features))
		f := &next.Features[at]
		what := r.IntN(6)
		switch {
		case what == 0 && len(next.Features) < 5: // a new one, or one that comes back
			n := free(next)
			column, typ := n, types[r.IntN(len(types))]
			if _, used := columns[n]; used {
				column = fmt.Sprint(n, "@", next.Version)
			}
			for _, c := range slices.Sorted(maps.Keys(columns)) {
				if k := columns[c]; k.name == n && now.Stored(c) < 0 {
					column, typ = c, k.typ
				}
			}
			next.Features = slices.Insert(next.Features, r.IntN(len(next.Features)+1), named(n, typ, column))
		case what == 1 && len(next.Features) > 1:
			next.Features = slices.Delete(next.Features, at, at+1)
		case what == 2 && len(next.Features) > 1: // a swap
			o := &next.Features[(at+1)%len(next.Features)]
			*f, *o = named(o.Name, f.Type, f.Stored()), named(f.Name, o.Type, o.Stored())
		case what == 3 || what == 4: // a rename, and perhaps another type
			*f = named(free(next), f.Type, f.Stored())
			if what == 4 {
				f.Type = wider(f.Type)
			}
		default:
			f.Type = wider(f.Type)
		}
		now = next
		for _, f := range now.Features {
			columns[f.Stored()] = kept{f.Name, f.Type}
		}
		views, handles = append(views, now), append(handles, e.table(now))
		for range 3 { // workers of any age, some just restarted
			i := max(0, len(views)-1-r.IntN(4))
			tb := handles[i]
			if r.IntN(3) == 0 {
				tb = e.table(views[i])
			}
			row := values{}
			for _, c := range slices.Sorted(maps.Keys(columns)) {
				k := columns[c]
				switch {
				case r.IntN(5) == 0:
				case k.typ.IsArray():
					row[c] = bytes.Repeat([]byte{1, 0, 0, 0}, r.IntN(4))
				case k.typ == feature.String:
					row[c] = fmt.Sprint("s", r.IntN(9))
				case k.typ == feature.Int32 || k.typ == feature.Int64:
					row[c] = int64(int32(r.Uint32()))
				default:
					row[c] = r.NormFloat64()
				}
			}
			e.write(tb, row)
		}
		e.check(handles[len(handles)-1], "version %d: %v", now.Version, now.Features)
		i := r.IntN(len(handles))
		if r.IntN(4) == 0 { // files of many versions become one, by a worker of any age
			cfg := offline.DefaultConfig()
			cfg.Compact.MinFiles = 2
			done, err := offline.Compact(ctx, handles[i], offline.CompactOptions{Config: cfg})
			require.NoError(t, err)
			require.Equal(t, 1, done.FilesAfter)
			e.check(handles[len(handles)-1], "version %d, merged by version %d", now.Version, views[i].Version)
		}
		e.check(handles[i], "version %d at %d: %v", views[i].Version, now.Version, views[i].Features)
	}
	var got []string
	load(e.t, handles[0], offline.Version{}) // what a handle tells is what it has seen
	for _, c := range handles[0].AllColumns() {
		if c.Name != "shop_id" && !strings.HasPrefix(c.Name, "_") {
			got = append(got, c.Stored)
		}
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(columns)), got, "a column for each feature there ever was, and no other")
}

func wider(t feature.Type) feature.Type {
	switch t {
	case feature.Int32:
		return feature.Int64
	case feature.Float32:
		return feature.Float64
	}
	return t
}
