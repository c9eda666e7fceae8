package tabular

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

var packings = map[string][]ipc.Option{"plain": nil, "lz4": {ipc.WithLZ4()}, "zstd": {ipc.WithZstd()}}

// arrowBytes are batches as a file or a stream.
func arrowBytes(t testing.TB, file bool, batches []arrow.RecordBatch, options ...ipc.Option) []byte {
	options = append([]ipc.Option{ipc.WithSchema(batches[0].Schema())}, options...)
	path := filepath.Join(t.TempDir(), "w")
	out, err := os.Create(path)
	require.NoError(t, err)
	if file {
		w, err := ipc.NewFileWriter(out, options...)
		require.NoError(t, err)
		for _, b := range batches {
			require.NoError(t, w.Write(b))
		}
		require.NoError(t, w.Close())
	} else {
		w := ipc.NewWriter(out, options...)
		for _, b := range batches {
			require.NoError(t, w.Write(b))
		}
		require.NoError(t, w.Close())
	}
	require.NoError(t, out.Close())
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

// someBatches has columns of many kinds.
func someBatches(t testing.TB, rnd *rand.Rand, dictionary bool) []arrow.RecordBatch {
	fields := []arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "b", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
		{Name: "l", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true}, {Name: "f", Type: arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Float32), Nullable: true},
		{Name: "z", Type: arrow.Null, Nullable: true}, {Name: "v", Type: arrow.BinaryTypes.StringView, Nullable: true}, {Name: "x", Type: &arrow.FixedSizeBinaryType{ByteWidth: 3}, Nullable: true},
		{Name: "o", Type: arrow.StructOf(arrow.Field{Name: "k", Type: arrow.PrimitiveTypes.Int32, Nullable: true}, arrow.Field{Name: "t", Type: arrow.BinaryTypes.LargeString, Nullable: true}), Nullable: true},
		{Name: "m", Type: arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Float64), Nullable: true},
	}
	if dictionary {
		fields = append(fields, arrow.Field{Name: "d", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int16, ValueType: arrow.BinaryTypes.String}, Nullable: true})
	}
	schema := arrow.NewSchema(fields, nil)
	var out []arrow.RecordBatch
	n := 1 + rnd.IntN(2)
	if dictionary {
		n = 1 // a file has one dictionary for all batches, and each of these has its own
	}
	for range n {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for range []int{0, 1, 9, 100}[rnd.IntN(4)] {
			for i := range fields {
				f := b.Field(i)
				if rnd.IntN(6) == 0 {
					f.AppendNull()
					continue
				}
				text := strings.Repeat("ab", rnd.IntN(20))
				var value string
				switch fields[i].Name {
				case "n":
					value = fmt.Sprint(rnd.Int64())
				case "b":
					value = fmt.Sprint(rnd.IntN(2) == 0)
				case "s", "v":
					value = text
				case "d":
					value = text[:min(len(text), 2)]
				case "l":
					value = fmt.Sprintf(`[%q, %q]`, text, "c")
				case "f":
					value = fmt.Sprintf("[%d, 0.5]", rnd.IntN(9))
				case "x":
					value = "YWJj"
				case "o":
					value = fmt.Sprintf(`{"k": %d, "t": %q}`, rnd.IntN(9), text)
				case "m":
					value = fmt.Sprintf(`[{"key": %q, "value": 0.25}]`, text)
				}
				if fields[i].Name == "z" {
					f.AppendNull()
				} else {
					require.NoError(t, f.AppendValueFromString(value), fields[i].Name)
				}
			}
		}
		out = append(out, b.NewRecordBatch())
	}
	return out
}

// readBytes reads bytes as an Arrow file, every value of it, and says how much memory that asked for.
func readBytes(t testing.TB, b []byte, path string) (texts []string, asked uint64, err error) {
	require.NoError(t, os.WriteFile(path, b, 0o600))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	defer func() {
		runtime.ReadMemStats(&after)
		asked = after.TotalAlloc - before.TotalAlloc
	}()
	r, err := Open(context.Background(), path, ReadOptions{})
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	for {
		rec, err := r.Read()
		if err == io.EOF {
			return texts, 0, nil
		}
		if err != nil {
			return texts, 0, err
		}
		for _, c := range rec.Columns() {
			for i := range c.Len() {
				if texts = append(texts, c.ValueStr(i)); len(texts) > 1<<16 {
					texts = texts[:0]
				}
			}
		}
	}
}

// A file that is whole is read as arrow-go alone reads it, however its buffers are packed.
func TestArrowBoundsLetThrough(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.arrow")
	for seed := range testseed.Each(t, 20) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		batches := someBatches(t, rnd, rnd.IntN(2) == 0)
		var want []string
		for i, options := range [][]ipc.Option{nil, packings["lz4"], packings["zstd"]} {
			for _, file := range []bool{false, true} {
				got, _, err := readBytes(t, arrowBytes(t, file, batches, options...), path)
				require.NoError(t, err)
				if i == 0 && !file {
					rows := 0
					for _, b := range batches {
						rows += int(b.NumRows())
					}
					require.Len(t, got, rows*int(batches[0].NumCols()))
					want = got
				}
				require.Equal(t, want, got)
			}
		}
	}
	// A column that is always the same is a thousandth of itself, which is true.
	b := array.NewInt64Builder(memory.DefaultAllocator)
	b.AppendValues(make([]int64, 4<<20), nil)
	column := b.NewArray()
	same := array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil), []arrow.Array{column}, int64(column.Len()))
	for name, options := range packings {
		raw := arrowBytes(t, true, []arrow.RecordBatch{same}, options...)
		if name == "zstd" {
			require.Less(t, 64*len(raw), 8*column.Len())
		}
		require.NoError(t, os.WriteFile(path, raw, 0o600))
		r, err := Open(context.Background(), path, ReadOptions{})
		require.NoError(t, err)
		rec, err := r.Read()
		require.NoError(t, err, name)
		require.EqualValues(t, column.Len(), rec.NumRows())
		require.NoError(t, r.Close())
	}
}

// messageOf is the n-th message of a stream: its metadata, and its body.
func messageOf(t testing.TB, b []byte, n int) (meta, body []byte) {
	for ; ; n-- {
		require.Equal(t, uint32(continued), binary.LittleEndian.Uint32(b))
		length := binary.LittleEndian.Uint32(b[4:])
		meta = b[8 : 8+length]
		size, err := bodySize(meta)
		require.NoError(t, err)
		body = b[8+length:][:size]
		if n == 0 {
			return meta, body
		}
		b = b[8+int(length)+int(size):]
	}
}

// TestDamagedArrowFiles: a length that cannot be is refused before room is made for it, in files and in streams.
func TestDamagedArrowFiles(t *testing.T) {
	const much = 1 << 34
	path := filepath.Join(t.TempDir(), "a.arrow")
	le := binary.LittleEndian
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}, {Name: "z", Type: arrow.Null, Nullable: true}, {Name: "v", Type: arrow.BinaryTypes.StringView}},
		&arrow.Metadata{})
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range 1000 {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).AppendNull()
		b.Field(2).(*array.StringViewBuilder).Append("a text that is longer than what a view holds")
	}
	batches := []arrow.RecordBatch{b.NewRecordBatch()}
	batchOf := func(meta []byte) (*flatSchema, int) {
		s := &flatSchema{b: meta, left: len(meta)}
		return s, s.follow(s.field(s.follow(0), messageHeader))
	}
	first := func(meta []byte, field int) []byte {
		s, t := batchOf(meta)
		at, _, _ := s.vector(t, field, 1)
		return meta[at:]
	}
	for what, change := range map[string]func(meta, body []byte){
		"rows":             func(meta, _ []byte) { s, t := batchOf(meta); le.PutUint64(meta[s.field(t, batchRows):], much) },
		"rows of a column": func(meta, _ []byte) { le.PutUint64(first(meta, batchNodes)[16:], much) },
		"nulls":            func(meta, _ []byte) { le.PutUint64(first(meta, batchNodes)[8:], much) },
		"a buffer":         func(meta, _ []byte) { le.PutUint64(first(meta, batchBuffers)[16+8:], much) },
		"where it begins":  func(meta, _ []byte) { le.PutUint64(first(meta, batchBuffers)[16:], much) },
		"buffers":          func(meta, _ []byte) { le.PutUint32(meta[len(meta)-len(first(meta, batchBuffers))-4:], 1<<28) },
		"columns":          func(meta, _ []byte) { le.PutUint32(meta[len(meta)-len(first(meta, batchNodes))-4:], 1<<28) },
		"buffers of texts": func(meta, _ []byte) { le.PutUint64(first(meta, batchVariadic), much) },
		"decompressed": func(meta, body []byte) {
			le.PutUint64(body[le.Uint64(first(meta, batchBuffers)[16:]):], much)
		},
		"decompressed, less": func(meta, body []byte) {
			le.PutUint64(body[le.Uint64(first(meta, batchBuffers)[16:]):], 1<<30)
		},
		"below zero": func(meta, body []byte) {
			le.PutUint64(body[le.Uint64(first(meta, batchBuffers)[16:]):], 1<<63)
		},
	} {
		for packing, options := range packings {
			if packing == "plain" && (strings.Contains(what, "decompressed") || what == "below zero") {
				continue
			}
			for _, file := range []bool{false, true} {
				raw := arrowBytes(t, file, batches, options...)
				from := 0
				if file {
					from = 8
				}
				change(messageOf(t, raw[from:], 1))
				_, asked, err := readBytes(t, raw, path)
				require.Equal(t, feature.Invalid, feature.KindOf(err), "%s %s %v: %v", what, packing, file, err)
				require.ErrorIs(t, err, errArrowMessage, "%s %s %v", what, packing, file)
				require.Less(t, asked, uint64(64<<20), "%s %s %v", what, packing, file)
			}
		}
	}

	stream, file := arrowBytes(t, false, batches), arrowBytes(t, true, batches)
	lengthOf := func(b []byte, n int) []byte { // of a message
		for range n {
			meta, body := messageOf(t, b, 0)
			b = b[8+len(meta)+len(body):]
		}
		return b[4:]
	}
	footer := func(b []byte) (*flatSchema, int) {
		n := int(le.Uint32(b[len(b)-10:]))
		s := &flatSchema{b: b[len(b)-10-n : len(b)-10], left: n}
		return s, s.follow(0)
	}
	for what, c := range map[string]struct {
		from   []byte
		change func(b []byte)
	}{
		"the schema's length": {stream, func(b []byte) { le.PutUint32(lengthOf(b, 0), 1<<30) }},
		"a batch's length":    {stream, func(b []byte) { le.PutUint32(lengthOf(b, 1), 1<<31-8) }},
		"a length below zero": {stream, func(b []byte) { le.PutUint32(lengthOf(b, 1), 1<<31) }},
		"the body": {stream, func(b []byte) {
			meta, _ := messageOf(t, b, 1)
			s := flatSchema{b: meta}
			le.PutUint64(meta[s.field(s.follow(0), messageBody):], much)
		}},
		"the schema's fields": {stream, func(b []byte) {
			meta, _ := messageOf(t, b, 0)
			s := flatSchema{b: meta}
			le.PutUint32(meta[s.follow(s.field(s.follow(s.field(s.follow(0), messageHeader)), schemaFields)):], 1<<28)
		}},
		"the footer":       {file, func(b []byte) { le.PutUint32(b[len(b)-10:], 1<<31) }},
		"a shorter footer": {file, func(b []byte) { le.PutUint32(b[len(b)-10:], 16) }},
		"the footer's fields": {file, func(b []byte) {
			s, root := footer(b)
			le.PutUint32(s.b[s.follow(s.field(s.follow(s.field(root, footerSchema)), schemaFields)):], 1<<28)
		}},
		"the footer's batches": {file, func(b []byte) {
			s, root := footer(b)
			le.PutUint32(s.b[s.follow(s.field(root, footerRecordBlocks)):], 1<<28)
		}},
		"a batch of the footer": {file, func(b []byte) {
			s, root := footer(b)
			le.PutUint64(s.b[s.follow(s.field(root, footerRecordBlocks))+4+16:], much)
		}},
		"its metadata": {file, func(b []byte) {
			s, root := footer(b)
			le.PutUint32(s.b[s.follow(s.field(root, footerRecordBlocks))+4+8:], 1<<30)
		}},
		"where it is": {file, func(b []byte) {
			s, root := footer(b)
			le.PutUint64(s.b[s.follow(s.field(root, footerRecordBlocks))+4:], much)
		}},
	} {
		b := bytes.Clone(c.from)
		c.change(b)
		_, asked, err := readBytes(t, b, path)
		require.Equal(t, feature.Invalid, feature.KindOf(err), "%s: %v", what, err)
		require.Less(t, asked, uint64(64<<20), what)
	}
	_, _, err := readBytes(t, stream, path)
	require.NoError(t, err)

	// A zstd stream that wants a window that nobody needs is refused, and one that says how long it is and is not.
	for what, head := range map[string][]byte{"window": {0x28, 0xb5, 0x2f, 0xfd, 0, 0xa0, 0}, "length": zstdOf(t, make([]byte, 1000))} {
		body := append(le.AppendUint64(nil, 8<<10), head...)
		_, err := expanded(codecZstd, 0, int64(len(body)), func(offset, n int64) ([]byte, error) { return body[offset : offset+n], nil })
		require.ErrorIs(t, err, errArrowMessage, what)
	}
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, _, err = readBytes(t, nil, path)
	require.Error(t, err)
}

func zstdOf(t testing.TB, b []byte) []byte {
	z, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	return z.EncodeAll(b, nil)
}

// TestArrowDamage: damaged anywhere, a file is refused or read, in little memory, and never ends the process.
func TestArrowDamage(t *testing.T) {
	if raceOn {
		t.Skip("SKIP(race): one goroutine, which takes ten times as long under the race detector")
	}
	path := filepath.Join(t.TempDir(), "a.arrow")
	refused, read := 0, 0
	for seed := range testseed.Each(t, 60) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		file := rnd.IntN(2) == 0
		whole := arrowBytes(t, file, someBatches(t, rnd, rnd.IntN(2) == 0), [][]ipc.Option{nil, packings["lz4"], packings["zstd"]}[rnd.IntN(3)]...)
		for range 20 {
			b := bytes.Clone(whole)
			for range 1 + rnd.IntN(3) {
				switch at := rnd.IntN(len(b) - 8); rnd.IntN(4) {
				case 0:
					b[at] = byte(rnd.Uint32())
				case 1:
					binary.LittleEndian.PutUint32(b[at&^3:], 1<<rnd.UintN(32))
				case 2:
					binary.LittleEndian.PutUint64(b[at&^7:], 1<<rnd.UintN(64))
				default:
					b = b[:8+at]
				}
				if len(b) < 16 {
					break
				}
			}
			_, asked, err := readBytes(t, b, path)
			require.Less(t, asked, uint64(128<<20), "%v %x", err, b)
			if err != nil {
				require.Equal(t, feature.Invalid, feature.KindOf(err), err)
				refused++
			} else {
				read++
			}
		}
	}
	require.Positive(t, refused)
	require.Positive(t, read)
	t.Logf("%d damaged files were refused, %d read", refused, read)
}

// FuzzArrow: no bytes ask for much memory or end the process.
func FuzzArrow(f *testing.F) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, options := range packings {
		for _, file := range []bool{false, true} {
			f.Add(arrowBytes(f, file, someBatches(f, rnd, file), options...))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, asked, _ := readBytes(t, b, filepath.Join(t.TempDir(), "a.arrow"))
		require.Less(t, asked, uint64(256<<20))
	})
}
