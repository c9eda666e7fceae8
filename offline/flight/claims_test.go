package flight

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	arrowmemory "github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// written is a client's messages, to be read back.
type written []*arrowflight.FlightData

func (w *written) Send(d *arrowflight.FlightData) error {
	*w = append(*w, proto.CloneOf(d))
	return nil
}

func (w *written) Recv() (*arrowflight.FlightData, error) {
	if len(*w) == 0 {
		return nil, io.EOF
	}
	d := (*w)[0]
	*w = (*w)[1:]
	return d, nil
}

func write(t testing.TB, schema *arrow.Schema, recs []arrow.RecordBatch, o ...ipc.Option) written {
	var w written
	to := arrowflight.NewRecordWriter(&w, append(o, ipc.WithSchema(schema))...)
	for _, r := range recs {
		require.NoError(t, to.Write(r))
	}
	require.NoError(t, to.Close())
	return w
}

// readAll reads a spine as the service does, and uses each value.
func readAll(w written, most int) (rows int64, err error) {
	in := &inbox{from: &w, most: most}
	s, err := in.open()
	if err != nil {
		return 0, err
	}
	defer s.Release()
	for {
		rec, err := s.Read()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		rows += rec.NumRows()
		use(rec)
		rec.Release()
	}
}

// use does to a batch what joins do: cut it, put it together, write it.
func use(rec arrow.RecordBatch) {
	n := rec.NumRows()
	part := rec.NewSlice(n/3, n)
	for i, c := range rec.Columns() {
		both, err := array.Concatenate([]arrow.Array{c, part.Column(i)}, arrowmemory.DefaultAllocator)
		if err == nil {
			both.Release()
		}
		for i := range min(c.Len(), 100) {
			if c.IsValid(i) && c.DataType().ID() != arrow.TIMESTAMP { // a zone that does not exist has no text
				_ = c.ValueStr(i)
			}
		}
	}
	w := ipc.NewWriter(io.Discard, ipc.WithSchema(rec.Schema()))
	_ = w.Write(part)
	_ = w.Close()
}

// everyKind is a batch with a column of every kind.
func everyKind(n int) (*arrow.Schema, arrow.RecordBatch) {
	types := []arrow.DataType{arrow.PrimitiveTypes.Int64, arrow.FixedWidthTypes.Boolean, arrow.BinaryTypes.String, arrow.BinaryTypes.LargeBinary, arrow.BinaryTypes.StringView,
		arrow.FixedWidthTypes.Timestamp_us, arrow.ListOf(arrow.BinaryTypes.String), arrow.LargeListOf(arrow.PrimitiveTypes.Int8), arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Float32),
		arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int32), arrow.StructOf(arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Uint8, Nullable: true}),
		&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}, &arrow.FixedSizeBinaryType{ByteWidth: 3}, &arrow.Decimal128Type{Precision: 9, Scale: 2}, arrow.Null}
	var fields []arrow.Field
	for i, t := range types {
		fields = append(fields, arrow.Field{Name: fmt.Sprint("c", i), Type: t, Nullable: true})
	}
	schema := arrow.NewSchema(fields, nil)
	text := []string{`7`, `true`, `"some text of more than twelve bytes"`, `"YWJj"`, `"a view of more than twelve bytes"`, `1767225600000000`, `["a",null]`, `[1,2]`, `[1.5,2]`,
		`[{"key":"a","value":1}]`, `{"a":1}`, `"d%d"`, `"YWJj"`, `"1.25"`, `null`}
	var rows strings.Builder
	for i := range n {
		rows.WriteString("{")
		for c, x := range text {
			if (i+c)%5 == 0 {
				x = "null"
			} else if strings.Contains(x, "%d") {
				x = fmt.Sprintf(x, i%4)
			}
			fmt.Fprintf(&rows, "%s%q:%s", map[bool]string{true: ","}[c > 0], schema.Field(c).Name, x)
		}
		rows.WriteString("}")
	}
	rec, _, err := array.RecordFromJSON(arrowmemory.DefaultAllocator, schema, strings.NewReader("["+strings.ReplaceAll(rows.String(), "}{", "},{")+"]"))
	if err != nil {
		panic(err)
	}
	return schema, rec
}

// TestEveryKindIsRead: what is right passes, packed too.
func TestEveryKindIsRead(t *testing.T) {
	schema, rec := everyKind(200)
	for _, o := range [][]ipc.Option{nil, {ipc.WithZstd()}, {ipc.WithLZ4()}} {
		rows, err := readAll(write(t, schema, []arrow.RecordBatch{rec, rec.NewSlice(50, 90), rec.NewSlice(0, 0)}, o...), 1<<20)
		require.NoError(t, err)
		require.EqualValues(t, 240, rows)
	}
}

// TestClaimsAreNotBelieved: heads that say what would take more memory than there is.
func TestClaimsAreNotBelieved(t *testing.T) {
	refused := func(w written, kind feature.ErrorKind, says string) {
		t.Helper()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := readAll(w, 1<<20)
		runtime.ReadMemStats(&after)
		require.ErrorContains(t, err, says)
		require.Equal(t, kind, feature.KindOf(err))
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20))
	}
	// A column that says that it will be a terabyte.
	schema, recs := spineOf(1000, 1000)
	for _, o := range []ipc.Option{ipc.WithZstd(), ipc.WithLZ4()} {
		w := write(t, schema, recs, o)
		at := bytes.Index(w[1].DataBody, binary.LittleEndian.AppendUint64(nil, 8000))
		require.GreaterOrEqual(t, at, 0)
		binary.LittleEndian.PutUint64(w[1].DataBody[at:], 1<<40)
		refused(w, feature.Exhausted, "decompressed")
	}
	// One that really is large.
	b := array.NewStringBuilder(arrowmemory.DefaultAllocator)
	b.Append(strings.Repeat("x", 4<<20))
	text := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.BinaryTypes.String}}, nil)
	refused(write(t, text, []arrow.RecordBatch{array.NewRecordBatch(text, []arrow.Array{b.NewArray()}, 1)}, ipc.WithZstd()), feature.Exhausted, "decompressed")

	deep := arrow.DataType(arrow.PrimitiveTypes.Int64)
	for range 40 {
		deep = arrow.ListOf(deep)
	}
	refused(write(t, arrow.NewSchema([]arrow.Field{{Name: "n", Type: deep}}, nil), nil), feature.Invalid, "nested")
	wide := make([]arrow.Field, mostFields+1)
	for i := range wide {
		wide[i] = arrow.Field{Name: "n", Type: arrow.Null}
	}
	refused(write(t, arrow.NewSchema(wide, nil), nil), feature.Invalid, "more than 20000 columns")
	refused(written{{DataHeader: shared(20, 40)}}, feature.Invalid, "columns")
	refused(written{{DataHeader: shared(40, 1000)}}, feature.Invalid, "nested")
	refused(write(t, arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64)}}, nil), nil), feature.Invalid, "run-end")

	// Rows of nothing.
	nothing := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.Null}}, nil)
	refused(write(t, nothing, []arrow.RecordBatch{array.NewRecordBatch(nothing, []arrow.Array{array.NewNull(1 << 30)}, 1<<30)}), feature.Invalid, "no values")
}

// shared is a schema whose every field has the next one, twice, as its children: few bytes, 2^depth fields.
func shared(depth, name int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0)
	put := func(at int) { binary.LittleEndian.PutUint32(b[at:], uint32(len(b)-at)) } // a reference to what comes next
	u16 := func(v ...uint16) {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint16(b, x)
		}
	}
	u32 := func(v uint32) { b = binary.LittleEndian.AppendUint32(b, v) }
	u16(14, 12, 0, 4, 8, 0, 0) // of a message: where its kind and its head are
	put(0)
	u32(14)
	b = append(b, aSchema, 0, 0, 0)
	u32(0)
	head := len(b) - 4
	u16(8, 8, 0, 4) // of a schema: its fields
	put(head)
	u32(8)
	u32(0)
	fields := len(b) - 4
	put(fields)
	u32(2)
	u32(0)
	u32(0)
	children := len(b) - 8
	for range depth {
		u16(16, 16, 4, 0, 12, 0, 0, 8) // of a field: its name, its kind and its children
		put(children)
		put(children + 4)
		u32(16)
		u32(0)
		named := len(b) - 4
		u32(0)
		list := len(b) - 4
		b = append(b, 12, 0, 0, 0)
		put(named)
		u32(uint32(name))
		b = append(b, make([]byte, name)...)
		put(list)
		u32(2)
		u32(0)
		u32(0)
		children = len(b) - 8
	}
	u16(4, 4)
	put(children)
	put(children + 4)
	u32(4)
	return b
}

// TestDictionaries: those that grow do so within bounds; those that are replaced are not counted on.
func TestDictionaries(t *testing.T) {
	dt := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: dt}}, nil)
	batches := func(grow bool) (out []arrow.RecordBatch) {
		b := array.NewDictionaryBuilder(arrowmemory.DefaultAllocator, dt).(*array.BinaryDictionaryBuilder)
		for i := range 50 {
			if !grow {
				b.ResetFull()
			}
			for j := range 100 {
				require.NoError(t, b.AppendString(fmt.Sprintf("%0500d", 100*i+j)))
			}
			out = append(out, array.NewRecordBatch(schema, []arrow.Array{b.NewArray()}, 100))
		}
		return out
	}
	rows, err := readAll(write(t, schema, batches(false)), 1<<20)
	require.NoError(t, err)
	require.EqualValues(t, 5000, rows)
	_, err = readAll(write(t, schema, batches(true), ipc.WithDictionaryDeltas(true)), 1<<20)
	require.ErrorContains(t, err, "dictionaries")
	require.Equal(t, feature.Exhausted, feature.KindOf(err))
	rows, err = readAll(write(t, schema, batches(true), ipc.WithDictionaryDeltas(true)), 64<<20)
	require.NoError(t, err)
	require.EqualValues(t, 5000, rows)
}

// damage changes some of a stream's bytes, above all those that are numbers.
func damage(rng *rand.Rand, w written) written {
	var out written
	for _, d := range w {
		out = append(out, proto.CloneOf(d))
	}
	for range 1 + rng.IntN(3) {
		d := out[rng.IntN(len(out))]
		b := d.DataHeader
		if rng.IntN(3) == 0 {
			b = d.DataBody
		}
		if len(b) < 8 {
			continue
		}
		at := rng.IntN(len(b)-7) &^ 3
		switch rng.IntN(5) {
		case 0:
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		case 1:
			binary.LittleEndian.PutUint32(b[at:], []uint32{0, 1, 1 << 20, 1<<31 - 1, 1 << 31, 1<<32 - 1, uint32(rng.IntN(len(b)))}[rng.IntN(7)])
		case 2:
			binary.LittleEndian.PutUint64(b[at:], []uint64{1 << 30, 1 << 36, 1 << 40, 1<<63 - 1, 1 << 63, 1<<64 - 1, 1<<64 - 8}[rng.IntN(7)])
		case 3:
			cut := rng.IntN(len(b))
			if len(b) == len(d.DataBody) {
				d.DataBody = d.DataBody[:cut]
			} else {
				d.DataHeader = d.DataHeader[:cut]
			}
		default:
			b[at] = byte(rng.Uint32())
		}
	}
	return out
}

// TestDamagedSpines: whatever comes is read or refused. Nothing panics, or asks for memory that nobody sent.
func TestDamagedSpines(t *testing.T) {
	seed := testseed.For(t)
	rng := rand.New(rand.NewPCG(seed, 1))
	schema, rec := everyKind(40)
	var good []written
	for _, o := range [][]ipc.Option{nil, {ipc.WithZstd()}, {ipc.WithLZ4()}} {
		good = append(good, write(t, schema, []arrow.RecordBatch{rec, rec}, o...))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	read := 0
	for i := range 800 {
		w := damage(rng, good[i%len(good)])
		rows, err := readAll(w, 1<<20)
		runtime.ReadMemStats(&after)
		if err == nil && rows > 0 {
			read++
		}
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(100<<20), "%d of seed %d: %v", i, seed, err)
		before = after
	}
	require.Greater(t, read, 40, "nearly everything is refused: the test reaches nothing")
	require.Less(t, read, 760)
}

func FuzzSpine(f *testing.F) {
	schema, rec := everyKind(5)
	for _, o := range [][]ipc.Option{nil, {ipc.WithZstd()}, {ipc.WithLZ4()}} {
		var b bytes.Buffer
		for _, d := range write(f, schema, []arrow.RecordBatch{rec}, o...) {
			_, err := protodelim.MarshalTo(&b, d)
			require.NoError(f, err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		var w written
		for r := bytes.NewReader(b); r.Len() > 0; {
			d := new(arrowflight.FlightData)
			if protodelim.UnmarshalFrom(r, d) != nil {
				break
			}
			w = append(w, d)
		}
		_, _ = readAll(w, 1<<20)
	})
}
