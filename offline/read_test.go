package offline_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	memstore "github.com/weir-ml/weir/offline/memory"
	"github.com/weir-ml/weir/registry/feature"
)

// TestReadOlderFile: a feature the view has gained since is null in older files,
// and in newer ones is found by its id.
func TestReadOlderFile(t *testing.T) {
	store, ctx := memstore.Open(), context.Background()
	keys := []feature.Field{field("id", feature.Int64)}
	old := makeView("v", 0, keys, field("a", feature.Float64))
	table, err := store.Table(ctx, old)
	require.NoError(t, err)
	one := func(k int64, values ...any) []fact {
		return []fact{{keys: []any{k}, stamp: feature.Stamp{Event: 10, Known: 10, Offset: k}, values: values}}
	}
	appendFiles(t, table, []offline.File{writeFile(t, table, "old", one(1, 1.0), true, true, 10, 100)})

	grown := makeView("v", 0, keys, field("b", feature.String), field("a", feature.Float64))
	table, err = store.Table(ctx, grown)
	require.NoError(t, err)
	appendFiles(t, table, []offline.File{writeFile(t, table, "new", one(2, "two", 2.0), true, true, 10, 100)})

	svc := makeService(t, grown)
	req := func() offline.JoinRequest {
		return offline.JoinRequest{Service: svc, Tables: []offline.TableAt{{Table: table}},
			Spine: offline.Spine{Rows: csvSpine(t, svc, "id,t\n1,20\n2,20\n"), Time: "t", Unit: "us"}}
	}
	got, _, err := joinColumn(t, req(), "a")
	require.NoError(t, err)
	require.Equal(t, []any{1.0, 2.0}, got)
	got, _, err = joinColumn(t, req(), "b")
	require.NoError(t, err)
	require.Equal(t, []any{nil, "two"}, got)
}

// hurt is a table whose files are damaged on the way.
type hurt struct {
	offline.Table
	at  int64
	xor byte
	cut int64
}

type hurtReader struct {
	offline.FileReader
	h *hurt
}

func (h *hurt) Open(ctx context.Context, path string) (offline.FileReader, error) {
	r, err := h.Table.Open(ctx, path)
	return &hurtReader{r, h}, err
}

func (r *hurtReader) Size() int64 { return r.FileReader.Size() - r.h.cut }

func (r *hurtReader) ReadAt(b []byte, off int64) (int, error) {
	n, err := r.FileReader.ReadAt(b, off)
	if i := r.h.at - off; i >= 0 && i < int64(n) {
		b[i] ^= r.h.xor
	}
	return n, err
}

// TestReadDamage flips many bytes of a file in turn: a join must end with an error
// that names the file, or with an answer; it must neither panic nor hang.
func TestReadDamage(t *testing.T) {
	v := makeView("v", 0, []feature.Field{field("name", feature.String)}, field("s", feature.String), field("x", feature.Float64), field("b", feature.Bool))
	table := openTable(t, v)
	r := rand.New(rand.NewPCG(1, 2))
	var facts []fact
	for i := range 40 {
		facts = append(facts, fact{keys: []any{fmt.Sprint("k", i%9)}, stamp: feature.Stamp{Event: int64(i), Known: int64(i), Offset: int64(i)},
			values: []any{"value " + fmt.Sprint(r.IntN(50)), r.NormFloat64(), true}})
	}
	f := writeFile(t, table, "damaged-file", facts, true, true, 25, 60)
	appendFiles(t, table, []offline.File{f})
	svc := makeService(t, v)
	file, err := table.Open(context.Background(), f.Path)
	require.NoError(t, err)
	size := file.Size()
	step := int64(17)
	if testing.Short() {
		step = 13
	}
	failed := 0
	spine := "name,t\nk0,100\nk3,100\nk8,12\nk8,30\nnone,5\n"
	for at := int64(0); at < size; at += step {
		h := &hurt{Table: table, at: at, xor: byte(1 + r.IntN(255))}
		if at%97 == 0 {
			h.cut = at
		}
		_, err := offline.Join(context.Background(), offline.JoinRequest{Service: svc, Tables: []offline.TableAt{{Table: h}},
			Spine: offline.Spine{Rows: csvSpine(t, svc, spine), Time: "t", Unit: "us"}}, func(arrow.RecordBatch) error { return nil })
		if err != nil {
			failed++
			require.ErrorContains(t, err, "damaged-file", "byte %d", at)
		}
	}
	t.Logf("%d of %d damages found", failed, size/step)
}

// TestReadWrongType: a file whose column has a type that cannot be the view's.
func TestReadWrongType(t *testing.T) {
	v := makeView("v", 0, []feature.Field{field("id", feature.Int64)}, field("x", feature.Float64))
	other := makeView("v", 0, []feature.Field{field("id", feature.Int64)}, field("x", feature.String))
	table := openTable(t, v)
	wrong := openTable(t, other)
	fw, err := table.Create(context.Background(), "strange")
	require.NoError(t, err)
	pw := parquet.NewWriter(fw, offline.ParquetSchema("v", wrong.Columns()))
	_, err = pw.WriteRows([]parquet.Row{factRow(other, fact{keys: []any{int64(1)}, values: []any{"text"}})})
	require.NoError(t, err)
	require.NoError(t, pw.Close())
	path, err := fw.Commit()
	require.NoError(t, err)
	appendFiles(t, table, []offline.File{{Path: path, Rows: 1, Sorted: true}})
	svc := makeService(t, v)
	_, _, err = joinColumn(t, offline.JoinRequest{Service: svc, Tables: []offline.TableAt{{Table: table}},
		Spine: offline.Spine{Rows: csvSpine(t, svc, "id,t\n1,20\n"), Time: "t", Unit: "us"}}, "x")
	require.ErrorContains(t, err, "strange, column x: the file has STRING, the view wants float64")
}
