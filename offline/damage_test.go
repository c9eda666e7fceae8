package offline_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/memory"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// merged is a damaged table whose merges are not committed, but counted.
type merged struct {
	*hurt
	t    *testing.T
	made int
}

func (m *merged) Replace(_ context.Context, r *offline.Rewrite) error {
	m.made++
	// What was hurt then is nothing that counts.
	state := func(files []offline.File) *offline.State {
		st := &offline.State{Files: files}
		for _, f := range files {
			st.Rows += f.Rows
		}
		return st
	}
	had, has := offlinetest.Read(m.t, m.Table, state(r.Gone)), offlinetest.Read(m.t, m.Table, state(r.New))
	offlinetest.SameRows(m.t, had, has)
	return feature.Errorf(feature.Unavailable, "test", "", "not committed")
}

// TestDamageEverywhere flips bytes of files that Weir has written and merged, and cuts
// them: whatever reads them must end, with an error or with rows, and never panic.
func TestDamageEverywhere(t *testing.T) {
	r := rand.New(rand.NewPCG(testseed.For(t), 9))
	v := offlinetest.View("stats")
	tb, err := memory.Open().Table(t.Context(), v)
	require.NoError(t, err)
	w, g := offlinetest.NewWriter(t, tb), &offlinetest.Gen{R: r, View: v, Days: 1}
	at := feature.Position{}
	cfg := offline.DefaultConfig()
	cfg.Compact.MinFiles = 2
	for i := range 4 {
		b := g.Batch(0, at.Next, 60, true)
		c := &feature.Commit{ID: fmt.Sprint("c", i), View: v}
		c.Advances = []feature.Advance{{From: at, To: offlinetest.At(0, b.Origin.Next, c.ID)}}
		at = c.Advances[0].To
		require.NoError(t, offlinetest.Flush(t.Context(), w, c, b))
		if i == 1 {
			_, err := offline.Compact(t.Context(), tb, offline.CompactOptions{Config: cfg})
			require.NoError(t, err)
		}
	}
	st, err := tb.Load(t.Context(), offline.Version{})
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(st.Files), 3)
	// All files are hurt in the same place.
	size := int64(0)
	for _, f := range st.Files {
		size = max(size, f.Bytes)
	}
	found, made, tries := map[string]int{}, 0, 0
	for at := r.Int64N(23); at < size; at += 1 + r.Int64N(46) {
		h := &hurt{Table: tb, at: at, xor: byte(1 + r.IntN(255))}
		if r.IntN(8) == 0 {
			h.cut = at
		}
		tries++
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		m := &merged{hurt: h, t: t}
		for what, do := range map[string]func() error{
			"compact": func() error {
				_, err := offline.Compact(ctx, m, offline.CompactOptions{Config: cfg})
				return err
			},
			"scan": func() error {
				return offline.Scan(ctx, h, offline.ScanOptions{}, func(*feature.Batch) error { return nil })
			},
			"newest": func() error {
				return offline.Newest(ctx, h, offline.NewestOptions{}, func(*feature.Batch) error { return nil })
			},
			"rows": func() error {
				_, err := offline.Rows(ctx, h, st, 50, func(arrow.RecordBatch) error { return nil })
				return err
			},
		} {
			if err := do(); err != nil {
				found[what]++
			}
			require.NoError(t, ctx.Err(), "%s hangs at byte %d", what, at)
		}
		made += m.made
		cancel()
	}
	t.Logf("%d damages, found %v, merged %d times all the same", tries, found, made)
	for what, n := range found {
		require.Positive(t, n, what)
	}
}

// TestReadRowCounts: row counts of a footer that do not add up are found before memory is taken for them.
func TestReadRowCounts(t *testing.T) {
	v := makeView("v", 0, []feature.Field{field("id", feature.Int64)}, field("x", feature.Float64))
	for _, all := range []int64{2, 1 << 30} {
		table := openTable(t, v)
		fw, err := table.Create(t.Context(), "counted")
		require.NoError(t, err)
		var file bytes.Buffer
		pw := parquet.NewWriter(&file, offline.ParquetSchema("v", table.Columns()))
		_, err = pw.WriteRows([]parquet.Row{factRow(v, fact{keys: []any{int64(1)}, values: []any{1.5}})})
		require.NoError(t, err)
		require.NoError(t, pw.Close())
		b := file.Bytes()
		end := len(b) - 8
		begin := end - int(binary.LittleEndian.Uint32(b[end:]))
		var footer format.FileMetaData
		require.NoError(t, thrift.Unmarshal(&thrift.CompactProtocol{}, b[begin:end], &footer))
		footer.RowGroups[0].NumRows = all
		changed, err := thrift.Marshal(&thrift.CompactProtocol{}, &footer)
		require.NoError(t, err)
		b = binary.LittleEndian.AppendUint32(append(b[:begin:begin], changed...), uint32(len(changed)))
		_, err = fw.Write(append(b, "PAR1"...))
		require.NoError(t, err)
		path, err := fw.Commit()
		require.NoError(t, err)
		appendFiles(t, table, []offline.File{{Path: path, Rows: 1, Sorted: true}})
		err = offline.Newest(t.Context(), table, offline.NewestOptions{}, func(*feature.Batch) error { return nil })
		require.ErrorContains(t, err, "rows, and 1 rows in all")
	}
}
