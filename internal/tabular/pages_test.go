package tabular

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// flatTypes are the columns that pagesReader reads.
var flatTypes = []feature.Type{feature.Bool, feature.Int32, feature.Int64, feature.Float32, feature.Float64, feature.String, feature.Bytes, feature.Timestamp}

// randomPages writes a Parquet file of random columns, pages, row groups and encodings.
func randomPages(t *testing.T, rnd *rand.Rand, path string) {
	t.Helper()
	var fields []arrow.Field
	nulls, kinds := map[int]float64{}, map[int]int{}
	for i := range 1 + rnd.IntN(6) {
		typ := flatTypes[rnd.IntN(len(flatTypes))]
		nulls[i], kinds[i] = []float64{0, 0, 0.01, 0.5, 1}[rnd.IntN(5)], []int{1, 2, 5, 300, 1 << 30}[rnd.IntN(5)]
		fields = append(fields, arrow.Field{Name: fmt.Sprintf("c%d", i), Type: typ.Arrow(), Nullable: nulls[i] > 0 || rnd.IntN(2) == 0})
	}
	schema := arrow.NewSchema(fields, nil)
	f, err := os.Create(path)
	require.NoError(t, err)
	props := []parquet.WriterProperty{
		parquet.WithMaxRowGroupLength(int64(1 + rnd.IntN(4000))), parquet.WithDataPageSize(int64(64 << rnd.IntN(9))), parquet.WithBatchSize(int64(1 + rnd.IntN(300))),
		parquet.WithDictionaryDefault(rnd.IntN(3) > 0), parquet.WithDictionaryPageSizeLimit(int64(16 << rnd.IntN(10))),
		parquet.WithDataPageVersion([]parquet.DataPageVersion{parquet.DataPageV1, parquet.DataPageV2}[rnd.IntN(2)]),
		parquet.WithCompression([]compress.Compression{compress.Codecs.Uncompressed, compress.Codecs.Snappy, compress.Codecs.Zstd}[rnd.IntN(3)]),
	}
	w, err := pqarrow.NewFileWriter(schema, f, parquet.NewWriterProperties(props...), pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	require.NoError(t, err)
	for range rnd.IntN(4) {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		run := rnd.IntN(2) == 0 // values that come in a row
		for range 1 + rnd.IntN(3000) {
			for i := range fields {
				if rnd.Float64() < nulls[i] {
					b.Field(i).AppendNull()
					continue
				}
				k := rnd.IntN(kinds[i])
				if run && b.Field(i).Len() > 0 && rnd.IntN(20) > 0 {
					k = 0
				}
				switch c := b.Field(i).(type) {
				case *array.BooleanBuilder:
					c.Append(k&1 == 1)
				case *array.Int32Builder:
					c.Append(int32(k))
				case *array.Int64Builder:
					c.Append(int64(k) << 20)
				case *array.Float32Builder:
					c.Append(float32(k) / 3)
				case *array.Float64Builder:
					c.Append(float64(k) / 3)
				case *array.StringBuilder:
					c.Append(fmt.Sprint("ä", k)[k%2*2:])
				case *array.BinaryBuilder:
					c.Append([]byte{byte(k), 0xff}[:k%3%2+1])
				case *array.TimestampBuilder:
					c.Append(arrow.Timestamp(k))
				}
			}
		}
		rec := b.NewRecordBatch()
		require.NoError(t, w.WriteBuffered(rec))
		rec.Release()
	}
	require.NoError(t, w.Close())
}

// readTexts gives all values of a file by column, and the schema; of what is lent, before it is
// taken back.
func readTexts(t *testing.T, path string, o ReadOptions) (values [][]string, schema string, coded int, err error) {
	t.Helper()
	r, err := Open(context.Background(), path, o)
	if err != nil {
		return nil, "", 0, err
	}
	defer r.Close()
	values = make([][]string, r.Schema().NumFields())
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return values, r.Schema().String(), coded, nil
		}
		if err != nil {
			return nil, "", 0, err
		}
		require.Positive(t, rec.NumRows())
		for i, c := range rec.Columns() {
			require.EqualValues(t, rec.NumRows(), c.Len())
			if d, ok := c.(*array.Dictionary); ok {
				coded++
				require.True(t, o.Lend)
				for k := range d.Len() {
					require.Less(t, d.GetValueIndex(k), max(1, d.Dictionary().Len())) // of nulls too
				}
			}
			for k := range c.Len() {
				v := "null"
				if c.IsValid(k) {
					v = "=" + c.ValueStr(k)
				}
				values[i] = append(values[i], v)
			}
		}
		rec.Release()
	}
}

// TestPages: what is lent has the values that are read the general way, whatever the
// file's pages are like.
func TestPages(t *testing.T) {
	if raceOn {
		t.Skip("SKIP(race): one goroutine, which takes ten times as long under the race detector")
	}
	coded := 0
	for seed := range testseed.Each(t, 60) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		path := filepath.Join(t.TempDir(), "p.parquet")
		randomPages(t, rnd, path)
		o := ReadOptions{BatchRows: 1 + rnd.IntN(5000)}
		if rnd.IntN(3) == 0 {
			o.Only = map[string]bool{"c0": rnd.IntN(2) == 0, "c3": true}
		}
		want, schema, _, err := readTexts(t, path, o)
		require.NoError(t, err)
		o.Lend = true
		r, err := Open(context.Background(), path, o)
		require.NoError(t, err)
		require.IsType(t, &pagesReader{}, r.impl)
		require.NoError(t, r.Close())
		got, same, n, err := readTexts(t, path, o)
		require.NoError(t, err)
		require.Equal(t, schema, same)
		require.Equal(t, want, got)
		coded += n
	}
	require.Positive(t, coded)
}

// TestPagesLeft: what the pages' reader does not know is read the general way.
func TestPagesLeft(t *testing.T) {
	path, _ := fewTexts(t)
	for _, lend := range []bool{false, true} {
		got, _, _, err := readTexts(t, path, ReadOptions{Lend: lend})
		require.NoError(t, err)
		require.Len(t, got[4], 5*777)
	}
	randomPages(t, rand.New(rand.NewPCG(1, 1)), path)
	r, err := Open(context.Background(), path, ReadOptions{Lend: true, Types: map[string]feature.Type{"c0": feature.Bytes}})
	require.NoError(t, err)
	defer r.Close()
	require.IsType(t, &typedReader{}, r.impl)
}

// TestPagesDamaged: damage to a file's pages gives an error or other values, and never ends the process.
func TestPagesDamaged(t *testing.T) {
	if raceOn {
		t.Skip("SKIP(race): one goroutine, which takes ten times as long under the race detector")
	}
	failed := 0
	for seed := range testseed.Each(t, 10) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		path := filepath.Join(t.TempDir(), "p.parquet")
		randomPages(t, rnd, path)
		whole, err := os.ReadFile(path)
		require.NoError(t, err)
		pages := len(whole) - 8 - int(binary.LittleEndian.Uint32(whole[len(whole)-8:])) // without what the file says of itself
		for range 8 {
			b := append([]byte(nil), whole...)
			for range 1 + rnd.IntN(4) {
				b[rnd.IntN(pages)] = byte(rnd.Uint32())
			}
			require.NoError(t, os.WriteFile(path, b, 0o600))
			if _, _, _, err := readTexts(t, path, ReadOptions{Lend: true}); err != nil {
				failed++
			}
		}
	}
	require.Positive(t, failed)
}
