package offline

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// TestFileEncoder: random files hold, for three readers, the very bits that were
// written, and say of themselves what is so.
func TestFileEncoder(t *testing.T) {
	seed := testseed.For(t)
	views, files := Fewer(16), 4
	if testing.Short() {
		views = 6
	}
	for i := range views {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		s := randomSheet(r)
		cfg := DefaultConfig()
		cfg.Compression = compressions[r.IntN(3)]
		cfg.PageBytes = []int{1 << 10, 4 << 10, 64 << 10}[r.IntN(3)]
		e := newFileEncoder(s.view, s.cols, cfg)
		for k := range files {
			t.Run(fmt.Sprintf("seed %d view %d file %d", seed, i, k), func(t *testing.T) {
				s.fill(r, 1+r.IntN(12000))
				var out bytes.Buffer
				e.start(&out)
				if r.IntN(4) == 0 { // a file that was given up leaves no trace
					require.NoError(t, e.group(1, func(ci int) (*columnData, error) { return dataOf(r, s.cols[ci], randomCells(r, s.cols[ci], 1)), nil }))
					failed := errors.New("no column")
					require.ErrorIs(t, e.group(1, func(int) (*columnData, error) { return nil, failed }), failed)
					out.Reset()
					e.start(&out)
				}
				for _, g := range s.groups {
					require.NoError(t, e.group(g.rows, func(ci int) (*columnData, error) { return g.data[ci], nil }))
				}
				f, err := e.finish()
				require.NoError(t, err)
				require.EqualValues(t, out.Len(), f.Bytes)
				require.EqualValues(t, s.rows(), f.Rows)
				require.True(t, f.Sorted)
				s.checkOurs(t, r, out.Bytes())
				s.checkRows(t, out.Bytes())
				s.checkArrow(t, out.Bytes())
				s.checkIndex(t, out.Bytes())
				s.checkStats(t, f)
			})
		}
	}
}

// same compares one cell; nil is null.
func (s *sheet) same(t *testing.T, group, ci, row int, got []byte) {
	want := s.groups[group].cells[ci][row]
	if (want == nil) != (got == nil) || !bytes.Equal(want, got) {
		t.Fatalf("row group %d, column %d (%s), row %d: %x became %x", group, ci, s.cols[ci].Type, row, want, got)
	}
}

// bytesTable is a table whose one file is these bytes.
type bytesTable struct {
	Table
	*bytes.Reader
}

func (b bytesTable) Open(context.Context, string) (FileReader, error) { return b, nil }
func (bytesTable) Close() error                                       { return nil }

// checkOurs reads with the reader of joins, whole columns and picked rows.
func (s *sheet) checkOurs(t *testing.T, r *rand.Rand, raw []byte) {
	d, err := openData(context.Background(), bytesTable{Reader: bytes.NewReader(raw)}, "f")
	require.NoError(t, err)
	require.Len(t, d.pf.RowGroups(), len(s.groups))
	for g, group := range s.groups {
		reader := groupReader{file: d, group: g, rows: group.rows}
		for ci, c := range s.cols {
			v, err := reader.column(context.Background(), c, nil, nil)
			require.NoError(t, err)
			for i := range group.rows {
				s.same(t, g, ci, i, vectorCell(v, i))
			}
			var some []int32
			for i := r.IntN(group.rows); i < group.rows; i += 1 + r.IntN(1+group.rows/3) {
				some = append(some, int32(i))
			}
			v, err = reader.column(context.Background(), c, some, nil)
			require.NoError(t, err)
			for k, i := range some {
				s.same(t, g, ci, int(i), vectorCell(v, k))
			}
		}
	}
}

func vectorCell(v *feature.Vector, i int) []byte {
	if !v.Valid[i] {
		return nil
	}
	switch v.Type {
	case feature.Bool:
		if v.Bools[i] {
			return []byte{1}
		}
		return []byte{0}
	case feature.Int32:
		return binary.LittleEndian.AppendUint32(nil, uint32(v.Int32s[i]))
	case feature.Float32:
		return binary.LittleEndian.AppendUint32(nil, math.Float32bits(v.Float32[i]))
	case feature.Float64:
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits(v.Float64[i]))
	case feature.Int64, feature.Timestamp:
		return binary.LittleEndian.AppendUint64(nil, uint64(v.Int64s[i]))
	}
	return append([]byte{}, v.Bytes[i]...)
}

// checkRows reads with parquet-go's reader of rows.
func (s *sheet) checkRows(t *testing.T, raw []byte) {
	pf, err := parquet.OpenFile(bytes.NewReader(raw), int64(len(raw)))
	require.NoError(t, err)
	for i, c := range s.cols {
		require.Equal(t, c.ID, pf.Root().Columns()[i].ID())
		require.Equal(t, c.Name, pf.Root().Columns()[i].Name())
		if c.Type.IsArray() {
			require.Equal(t, c.Element, pf.Root().Columns()[i].Columns()[0].Columns()[0].ID())
		}
	}
	for g, group := range s.groups {
		rows := pf.RowGroups()[g].Rows()
		buf := make([]parquet.Row, 100)
		for at := 0; at < group.rows; {
			n, err := rows.ReadRows(buf)
			for _, row := range buf[:n] {
				cells := make([][]byte, len(s.cols))
				for _, v := range row {
					ci := v.Column()
					if typ := s.cols[ci].Type; !typ.IsArray() {
						if !v.IsNull() {
							cells[ci] = v.AppendBytes([]byte{})
						}
					} else if v.DefinitionLevel() > 0 {
						if cells[ci] == nil {
							cells[ci] = []byte{}
						}
						if v.DefinitionLevel() == 2 {
							cells[ci] = appendCell(cells[ci], typ, v.AppendBytes(nil))
						}
					}
				}
				for ci, cell := range cells {
					s.same(t, g, ci, at, cell)
				}
				at++
			}
			if n == 0 {
				require.NoError(t, err)
			}
		}
		require.NoError(t, rows.Close())
	}
}

// checkArrow reads with arrow's reader, which shares no code with the writer.
func (s *sheet) checkArrow(t *testing.T, raw []byte) {
	pf, err := file.NewParquetReader(bytes.NewReader(raw))
	require.NoError(t, err)
	defer pf.Close()
	require.Equal(t, "weir version 1(build )", pf.MetaData().GetCreatedBy())
	fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	require.NoError(t, err)
	all := make([]int, len(s.cols))
	for i := range all {
		all[i] = i
	}
	for g, group := range s.groups {
		tab, err := fr.RowGroup(g).ReadTable(context.Background(), all)
		require.NoError(t, err)
		require.EqualValues(t, group.rows, tab.NumRows())
		for ci := range s.cols {
			row := 0
			for _, a := range tab.Column(ci).Data().Chunks() {
				for i := range a.Len() {
					s.same(t, g, ci, row, arrowCell(s.cols[ci].Type, a, i))
					row++
				}
			}
			require.Equal(t, group.rows, row)
		}
		tab.Release()
	}
}

func arrowCell(typ feature.Type, a arrow.Array, i int) []byte {
	if a.IsNull(i) {
		return nil
	}
	switch a := a.(type) {
	case *array.List:
		cell := []byte{}
		from, to := a.ValueOffsets(i)
		for k := from; k < to; k++ {
			cell = appendCell(cell, typ, arrowCell(typ.Elem(), a.ListValues(), int(k)))
		}
		return cell
	case *array.Boolean:
		if a.Value(i) {
			return []byte{1}
		}
		return []byte{0}
	case *array.Int32:
		return binary.LittleEndian.AppendUint32(nil, uint32(a.Value(i)))
	case *array.Int64:
		return binary.LittleEndian.AppendUint64(nil, uint64(a.Value(i)))
	case *array.Timestamp:
		return binary.LittleEndian.AppendUint64(nil, uint64(a.Value(i)))
	case *array.Float32:
		return binary.LittleEndian.AppendUint32(nil, math.Float32bits(a.Value(i)))
	case *array.Float64:
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits(a.Value(i)))
	case *array.String:
		return append([]byte{}, a.Value(i)...)
	case *array.Binary:
		return append([]byte{}, a.Value(i)...)
	case *array.FixedSizeBinary:
		return append([]byte{}, a.Value(i)...)
	}
	panic(fmt.Sprintf("no cell of %T", a))
}

// TestFileEncoderRefuses: columns that do not fit are errors, not panics, and
// those of the writer below come through.
func TestFileEncoderRefuses(t *testing.T) {
	v := &feature.View{Keys: []feature.Field{{Name: "id", Type: feature.String}}, Features: []feature.Field{{Name: "x", Type: feature.Float64}}}
	e := newFileEncoder(v, columnsWithIDs(v), DefaultConfig())
	for want, d := range map[string]*columnData{
		"1 values for 2 rows":              {text: []byte("a"), ends: []uint32{1}},
		"row 1 is null and may not be":     {text: []byte("a"), ends: []uint32{1, 1}, valid: []byte{1, 0}},
		"row 1 is text 1 of 1":             {codes: []uint32{0, 1}, dict: [][]byte{nil}},
		"text 1 ends at 5, the texts at 1": {text: []byte("a"), ends: []uint32{1, 5}},
	} {
		e.start(io.Discard)
		err := e.group(2, func(int) (*columnData, error) { return d, nil })
		require.ErrorContains(t, err, want)
		require.Equal(t, feature.Internal, feature.KindOf(err))
	}
	full := errors.New("disk full")
	e.start(writerFunc(func([]byte) (int, error) { return 0, full }))
	_, err := e.finish()
	require.ErrorIs(t, err, full)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
