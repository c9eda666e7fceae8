package offline

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	arrowparquet "github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// longsOf is a packed array of int64.
func longsOf(x ...int64) []byte {
	out := []byte{}
	for _, x := range x {
		out = binary.LittleEndian.AppendUint64(out, uint64(x))
	}
	return out
}

// listFile writes lists of int64 as another writer might: row by row, with a schema of its own.
func listFile(t *testing.T, column parquet.Node, rows [][]int64, options ...parquet.WriterOption) []byte {
	t.Helper()
	schema := parquet.NewSchema("rows", parquet.Group{"x": column})
	leaf := schema.Columns()[0]
	path, ok := schema.Lookup(leaf...)
	require.True(t, ok)
	full := path.Node
	var file bytes.Buffer
	w := parquet.NewWriter(&file, append([]parquet.WriterOption{schema}, options...)...)
	value := func(x int64) parquet.Value {
		if full.Type().Kind() == parquet.Int32 {
			return parquet.Int32Value(int32(x))
		}
		return parquet.Int64Value(x)
	}
	for _, r := range rows {
		var row parquet.Row
		there := 0 // the level of a list that is there
		if column.Optional() {
			there = 1
		}
		switch {
		case r == nil:
			row = append(row, parquet.NullValue().Level(0, 0, 0))
		case len(r) == 0:
			row = append(row, parquet.NullValue().Level(0, there, 0))
		}
		for i, x := range r {
			if x == nullElement {
				row = append(row, parquet.NullValue().Level(min(i, 1), there+1, 0))
				continue
			}
			row = append(row, value(x).Level(min(i, 1), path.MaxDefinitionLevel, 0))
		}
		_, err := w.WriteRows([]parquet.Row{row})
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return file.Bytes()
}

const nullElement = -1 << 40

func readLists(t *testing.T, raw []byte, c Column) (*feature.Vector, error) {
	t.Helper()
	d, err := openData(context.Background(), bytesTable{Reader: bytes.NewReader(raw)}, "lists.parquet")
	require.NoError(t, err)
	out := &feature.Vector{}
	for g, rg := range d.pf.RowGroups() {
		r := groupReader{file: d, group: g, rows: int(rg.NumRows())}
		v, err := r.column(context.Background(), c, nil, nil)
		if err != nil {
			return nil, err
		}
		out.Valid, out.Bytes = append(out.Valid, v.Valid...), append(out.Bytes, v.Bytes...)
	}
	return out, nil
}

// Lists of other writers: however deep, whatever their parts are called.
func TestListsOfOthers(t *testing.T) {
	long := parquet.Leaf(parquet.Int64Type)
	nested := func(mid, element string, of parquet.Node) parquet.Node {
		return parquet.Group{mid: parquet.Repeated(parquet.Group{element: of})}
	}
	rows := [][]int64{{1, 2, 3}, {}, nil, {4}, {5, 6}}
	for name, column := range map[string]parquet.Node{
		"three levels":             parquet.Optional(parquet.List(long)),
		"elements may be null":     parquet.Optional(parquet.List(parquet.Optional(long))),
		"of hive":                  parquet.Optional(nested("bag", "array_element", parquet.Optional(long))),
		"of arrow":                 parquet.Optional(nested("list", "item", parquet.Optional(long))),
		"required":                 nested("list", "element", long),
		"two levels":               parquet.Optional(parquet.Group{"array": parquet.Repeated(long)}),
		"one level":                parquet.Repeated(long),
		"integers that were wider": parquet.Optional(parquet.List(parquet.Leaf(parquet.Int32Type))),
		"in a dictionary":          parquet.Optional(parquet.List(parquet.Encoded(long, &parquet.RLEDictionary))),
	} {
		for _, version := range []int{1, 2} {
			t.Run(fmt.Sprint(name, ", pages of version ", version), func(t *testing.T) {
				raw := listFile(t, column, rows, parquet.DataPageVersion(version))
				v, err := readLists(t, raw, Column{Name: "x", Type: feature.Array(feature.Int64)})
				require.NoError(t, err)
				null := column.Optional()
				require.Equal(t, []bool{true, true, !null, true, true}, v.Valid)
				for i, r := range rows {
					if v.Valid[i] {
						require.Equal(t, longsOf(r...), append([]byte{}, v.Bytes[i]...), "row %d", i)
					}
				}
			})
		}
	}
}

// A null in a list is an error that says where, and so is a column that is no list of these.
func TestListsRefused(t *testing.T) {
	c := Column{Name: "x", ID: 7, Type: feature.Array(feature.Int64)}
	long := parquet.Leaf(parquet.Int64Type)
	raw := listFile(t, parquet.Optional(parquet.List(parquet.Optional(long))), [][]int64{{1}, {2, 3, nullElement}}, parquet.MaxRowsPerRowGroup(1))
	_, err := readLists(t, raw, c)
	require.ErrorContains(t, err, "data file lists.parquet, column x: element 2 of the list in row 1 is null")
	require.Equal(t, feature.Unsupported, feature.KindOf(err))
	for says, column := range map[string]parquet.Node{
		"the file has INT(64,true), the view wants array<int64>":             parquet.Int(64),
		"the file has a list of STRING, the view wants array<int64>":         parquet.List(parquet.String()),
		"the file has a structure, the view wants array<int64>":              parquet.Group{"a": long, "b": long},
		"the file has a list of INT(64,true), the view wants array<int64>":   parquet.List(parquet.List(parquet.Int(64))),
		"the file has a list of DOUBLE, the view wants array<int64>":         parquet.Repeated(parquet.Leaf(parquet.DoubleType)),
		"the file has a list of INT(32,true), the view wants array<float32>": parquet.List(parquet.Int(32)),
	} {
		raw := emptyFile(t, column)
		want := c
		if bytes.Contains([]byte(says), []byte("array<float32>")) {
			want.Type = feature.Array(feature.Float32)
		}
		_, err := readLists(t, raw, want)
		require.ErrorContains(t, err, says)
	}
	_, err = readLists(t, emptyFile(t, parquet.List(long)), Column{Name: "x", Type: feature.Int64})
	require.ErrorContains(t, err, "the view wants int64")
}

// emptyFile has one row group all the same: a row of nothing but zeros and empty lists.
func emptyFile(t *testing.T, column parquet.Node) []byte {
	schema := parquet.NewSchema("rows", parquet.Group{"x": column})
	var file bytes.Buffer
	w := parquet.NewWriter(&file, schema)
	var row parquet.Row
	for i, path := range schema.Columns() {
		leaf, _ := schema.Lookup(path...)
		v := parquet.NullValue()
		if leaf.MaxDefinitionLevel == 0 {
			v = parquet.Int64Value(0)
		}
		row = append(row, v.Level(0, 0, i))
	}
	_, err := w.WriteRows([]parquet.Row{row})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return file.Bytes()
}

// In pages of the older version a list may go on over the end of its page; arrow's
// writer makes such files. Whatever the pages, all rows and any of them are as written.
func TestListsOverPages(t *testing.T) {
	r := rand.New(rand.NewPCG(testseed.For(t), 1))
	for range Fewer(20) {
		b := array.NewListBuilder(memory.DefaultAllocator, arrow.PrimitiveTypes.Int64)
		var want [][]byte
		for range 1 + r.IntN(300) {
			if r.IntN(5) == 0 {
				b.AppendNull()
				want = append(want, nil)
				continue
			}
			b.Append(true)
			list := make([]int64, r.IntN(4)*r.IntN(60))
			for i := range list {
				list[i] = r.Int64N(50)
			}
			b.ValueBuilder().(*array.Int64Builder).AppendValues(list, nil)
			want = append(want, longsOf(list...))
		}
		schema := arrow.NewSchema([]arrow.Field{{Name: "x", Type: b.Type(), Nullable: true}}, nil)
		rec := array.NewRecordBatch(schema, []arrow.Array{b.NewListArray()}, int64(len(want)))
		var file bytes.Buffer
		version := arrowparquet.DataPageV1
		if r.IntN(3) == 0 {
			version = arrowparquet.DataPageV2
		}
		props := arrowparquet.NewWriterProperties(arrowparquet.WithDataPageSize(int64(8+r.IntN(400))), arrowparquet.WithBatchSize(int64(1+r.IntN(40))),
			arrowparquet.WithDictionaryDefault(r.IntN(2) == 0), arrowparquet.WithDataPageVersion(version))
		w, err := pqarrow.NewFileWriter(schema, &file, props, pqarrow.DefaultWriterProps())
		require.NoError(t, err)
		require.NoError(t, w.Write(rec))
		require.NoError(t, w.Close())
		c := Column{Name: "x", Type: feature.Array(feature.Int64)}
		v, err := readLists(t, file.Bytes(), c)
		require.NoError(t, err)
		for i, x := range want {
			require.Equal(t, x != nil, v.Valid[i])
			require.Equal(t, string(x), string(v.Bytes[i]), "row %d", i)
		}
		// A stretch, as a merge reads it.
		d, err := openData(context.Background(), bytesTable{Reader: bytes.NewReader(file.Bytes())}, "f")
		require.NoError(t, err)
		lo := r.Int64N(int64(len(want)))
		hi := lo + 1 + r.Int64N(int64(len(want))-lo)
		var got columnData
		require.NoError(t, newRowReader(d).read(context.Background(), c, nil, lo, hi, &got))
		for i, x := range want[lo:hi] {
			require.Equal(t, x != nil, got.valid == nil || got.valid[i] == 1)
			if x != nil {
				require.Equal(t, string(x), string(got.at(i)))
			}
		}
	}
}

// Levels that no writer makes are errors: never a panic, and never rows that are not there.
func TestListLevels(t *testing.T) {
	raw := listFile(t, parquet.Optional(parquet.List(parquet.Leaf(parquet.Int64Type))), [][]int64{{1, 2}, {3}})
	d, err := openData(context.Background(), bytesTable{Reader: bytes.NewReader(raw)}, "f")
	require.NoError(t, err)
	chunk, err := d.chunk(0, Column{Name: "x", Type: feature.Array(feature.Int64)})
	require.NoError(t, err)
	pages := chunk.Pages()
	page, err := pages.ReadPage()
	require.NoError(t, err)
	for says, levels := range map[string]levelled{
		"has not begun":                 {Page: page, reps: []byte{1, 0, 0}, defs: []byte{2, 2, 2}},
		"has not begun ":                {Page: page, reps: []byte{0, 1, 0}, defs: []byte{0, 2, 2}},
		"that has not begun":            {Page: page, reps: []byte{0, 1, 0}, defs: []byte{2, 1, 2}},
		"levels 1 and 3":                {Page: page, reps: []byte{0, 1, 0}, defs: []byte{2, 3, 2}},
		"levels 2 and 2":                {Page: page, reps: []byte{0, 2, 0}, defs: []byte{2, 2, 2}},
		"fewer values than levels":      {Page: page, reps: []byte{0, 1, 1, 1}, defs: []byte{2, 2, 2, 2}},
		"2 levels of one kind and 3 of": {Page: page, reps: []byte{0, 1}, defs: []byte{2, 2, 2}},
	} {
		l := &listPages{list: *chunk.list}
		l.drop()
		err := l.add(levels, 0)
		require.ErrorContains(t, err, strings.TrimSpace(says))
	}
}

// Lists that go on over the ends of pages, as only older writers leave them, and
// the same with levels and values that are damaged: then an error, or as many rows as
// the levels have, and never a panic.
func TestListsCutAnywhere(t *testing.T) {
	r := rand.New(rand.NewPCG(testseed.For(t), 2))
	at := list{elem: feature.Int64, full: 2, there: 2}
	for n := range Fewer(400) {
		var reps, defs []byte
		var want [][]byte
		for range r.IntN(12) {
			reps = append(reps, 0)
			switch k := r.IntN(6); k {
			case 0:
				defs, want = append(defs, 0), append(want, nil)
			case 1:
				defs, want = append(defs, 1), append(want, []byte{})
			default:
				var x []int64
				for i := range k - 1 {
					if x = append(x, r.Int64()); i > 0 {
						reps = append(reps, 1)
					}
					defs = append(defs, 2)
				}
				want = append(want, longsOf(x...))
			}
		}
		damaged := n%2 == 1
		if damaged && len(defs) > 0 {
			for range 1 + r.IntN(2) {
				reps[r.IntN(len(reps))], defs[r.IntN(len(defs))] = byte(r.IntN(3)), byte(r.IntN(4))
			}
		}
		var pages cutPages
		values := bytes.Join(want, nil)
		for k, i := 0, 0; i < len(reps); {
			end := i + 1 + r.IntN(len(reps)-i)
			var x []int64
			for range bytes.Count(defs[i:end], []byte{2}) {
				if k < len(values) {
					x = append(x, int64(binary.LittleEndian.Uint64(values[k:])))
				}
				k += 8
			}
			pages = append(pages, levelled{parquet.Int64Type.NewPage(0, len(x), encoding.Int64Values(x)), reps[i:end], defs[i:end]})
			i = end
		}
		l, p, rows := &listPages{list: at}, page{}, [][]byte{}
		var err error
		for err == nil {
			if err = l.next(&pages, &p); err != nil {
				break
			}
			k := 0
			for i := range p.rows {
				if p.present != nil && p.present[i] == 0 {
					rows = append(rows, nil)
					continue
				}
				rows = append(rows, append([]byte{}, p.values.bytes(k)...))
				k++
			}
			require.Equal(t, k, p.values.len())
			p.first += int64(p.rows)
		}
		if damaged && !errors.Is(err, io.EOF) {
			continue
		}
		require.ErrorIs(t, err, io.EOF)
		if damaged {
			require.Len(t, rows, bytes.Count(reps, []byte{0}))
			continue
		}
		require.Equal(t, len(want), len(rows))
		for i := range want {
			require.Equal(t, want[i], rows[i], "row %d", i)
		}
	}
}

// cutPages gives pages one after the other.
type cutPages []levelled

func (c *cutPages) ReadPage() (parquet.Page, error) {
	if len(*c) == 0 {
		return nil, io.EOF
	}
	p := (*c)[0]
	*c = (*c)[1:]
	return p, nil
}

func (c *cutPages) SeekToRow(int64) error { return nil }
func (c *cutPages) Close() error          { return nil }

type levelled struct {
	parquet.Page
	reps, defs []byte
}

func (l levelled) RepetitionLevels() []byte { return l.reps }
func (l levelled) DefinitionLevels() []byte { return l.defs }
