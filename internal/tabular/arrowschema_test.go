package tabular

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// schemaMessage is a schema as files carry it, before it becomes text.
func schemaMessage(t testing.TB, s *arrow.Schema) []byte {
	var buf bytes.Buffer
	require.NoError(t, ipc.NewWriter(&buf, ipc.WithSchema(s)).Close())
	return buf.Bytes()
}

// carrying is a Parquet file of one column that carries a text as its Arrow schema.
func carrying(t testing.TB, text string) string {
	s := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)
	var buf bytes.Buffer
	w, err := pqarrow.NewFileWriter(s, &buf, nil, pqarrow.DefaultWriterProps())
	require.NoError(t, err)
	require.NoError(t, w.AppendKeyValueMetadata(arrowSchemaKey, text))
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	b.Field(0).(*array.Int64Builder).AppendValues([]int64{1, 2, 3}, nil)
	require.NoError(t, w.Write(b.NewRecordBatch()))
	require.NoError(t, w.Close())
	path := filepath.Join(t.TempDir(), "n.parquet")
	require.NoError(t, os.WriteFile(path, buf.Bytes(), 0o600))
	return path
}

// withBody is a message that says how long its body is, which a schema's does not: a batch of rows.
func withBody(t testing.TB, length uint64) []byte {
	s := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)
	var buf bytes.Buffer
	w := ipc.NewWriter(&buf, ipc.WithSchema(s))
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	b.Field(0).(*array.Int64Builder).Append(1)
	require.NoError(t, w.Write(b.NewRecordBatch()))
	require.NoError(t, w.Close())
	out := buf.Bytes()
	out = out[8+binary.LittleEndian.Uint32(out[4:]):]
	m := flatSchema{b: out[8:]}
	at := m.field(m.follow(0), messageBody)
	require.Positive(t, at)
	binary.LittleEndian.PutUint64(m.b[at:], length)
	return out
}

func wideSchema() *arrow.Schema {
	meta := arrow.NewMetadata([]string{"pandas"}, []string{`{"columns": []}`})
	return arrow.NewSchema([]arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Int64, Metadata: arrow.NewMetadata([]string{"k", "l"}, []string{"", "v"})},
		{Name: "t", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}},
		{Name: "d", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}},
		{Name: "s", Type: arrow.StructOf(arrow.Field{Name: "l", Type: arrow.ListOf(arrow.ListOf(arrow.BinaryTypes.LargeString))})},
		{Name: "m", Type: arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Float64)},
		{Name: "u", Type: arrow.SparseUnionOf([]arrow.Field{{Name: "a", Type: arrow.PrimitiveTypes.Int8}, {Name: "b", Type: arrow.BinaryTypes.String}}, []arrow.UnionTypeCode{3, 7})},
	}, &meta)
}

// A file whose Arrow schema says that it is long is refused before room is made for it.
func TestDamagedArrowSchema(t *testing.T) {
	sound := schemaMessage(t, arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil))
	for _, text := range []string{base64.StdEncoding.EncodeToString(sound), base64.RawStdEncoding.EncodeToString(sound), base64.StdEncoding.EncodeToString(sound[4:])} {
		_, rows, err := readAll(t, carrying(t, text), ReadOptions{})
		require.NoError(t, err)
		require.Len(t, rows, 3)
	}
	const much = 1 << 22
	damage := map[string]func(b []byte){
		"the message": func(b []byte) { binary.LittleEndian.PutUint32(b[4:], 64*much) },
		"the fields": func(b []byte) {
			s := flatSchema{b: b[8:]}
			schema := s.follow(s.field(s.follow(0), messageHeader))
			binary.LittleEndian.PutUint32(s.b[s.follow(s.field(schema, schemaFields)):], much)
		},
		"the fields of a field": func(b []byte) {
			s := flatSchema{b: b[8:]}
			schema := s.follow(s.field(s.follow(0), messageHeader))
			f := s.follow(s.follow(s.field(schema, schemaFields)) + 4)
			at := s.field(f, fieldChildren)
			require.Positive(t, at)
			binary.LittleEndian.PutUint32(s.b[s.follow(at):], much)
		},
	}
	damaged := map[string][]byte{"the body": withBody(t, 64*much)}
	for what, change := range damage {
		b := bytes.Clone(sound)
		change(b)
		damaged[what] = b
	}
	for what, b := range damaged {
		path := carrying(t, base64.StdEncoding.EncodeToString(b))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := readAll(t, path, ReadOptions{})
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20), what)
		require.Equal(t, feature.Invalid, feature.KindOf(err), what)
		require.ErrorIs(t, err, errArrowSchema, what)
	}
}

// Whatever a schema is, it passes; damaged anywhere, it is refused or small.
func TestArrowSchemaLengths(t *testing.T) {
	meta := func(b []byte) metadata.KeyValueMetadata {
		m := metadata.NewKeyValueMetadata()
		require.NoError(t, m.Append(arrowSchemaKey, base64.StdEncoding.EncodeToString(b)))
		return m
	}
	sound := schemaMessage(t, wideSchema())
	require.NoError(t, soundArrowSchema(meta(sound)))
	require.NoError(t, soundArrowSchema(nil))
	require.NoError(t, soundArrowSchema(metadata.NewKeyValueMetadata()))
	for cut := range sound[:len(sound)-16] { // what is behind is the end of the stream, and padding
		require.Error(t, soundArrowSchema(meta(sound[:cut])), "%d bytes", cut)
	}
	r := rand.New(rand.NewPCG(testseed.For(t), 1))
	refused := 0
	for range 3000 {
		b := bytes.Clone(sound)
		for range 1 + r.IntN(3) {
			switch at := r.IntN(len(b) - 4); r.IntN(3) {
			case 0:
				b[at] = byte(r.Uint32())
			case 1:
				binary.LittleEndian.PutUint32(b[at:], r.Uint32())
			default:
				binary.LittleEndian.PutUint32(b[at&^3:], 1<<r.UintN(32))
			}
		}
		if soundArrowSchema(meta(b)) != nil {
			refused++
			continue
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		rd, err := ipc.NewReader(bytes.NewReader(b))
		if err == nil {
			rd.Release()
		}
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20), "%x", b)
	}
	require.Positive(t, refused)
}
