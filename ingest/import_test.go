package ingest_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/ingest/sinktest"
	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// importer makes an importer whose writers are what wrap makes of them.
func (w *works) importer(c ingest.Config, wrap func(*sinktest.Writer) *sinktest.FaultyWriter) *ingest.Importer {
	w.t.Helper()
	qcl, err := kgo.NewClient(append(w.opts, kgo.ProducerBatchMaxBytes(16<<20))...)
	require.NoError(w.t, err)
	w.t.Cleanup(qcl.Close)
	return ingest.NewImporter(ingest.ImportConfig{Config: c, Catalogs: w.cat, Quarantine: quarantine.NewWriter(qcl), Replicas: 1,
		Open: func(_ context.Context, _ *registry.Catalog, v *feature.View) (*ingest.Outlets, error) {
			s := wrap(w.table(v.Meta.Name).Open())
			return &ingest.Outlets{View: v, Sinks: []ingest.Sink{s}, Table: s}, nil
		}, Log: w.log, Metrics: w.met})
}

// file writes n rows, every tenth of them bad.
func (w *works) file(n int) ingest.ImportRequest { return w.fileOf(n, "jsonl") }

// fileOf writes them in a format.
func (w *works) fileOf(n int, format string) ingest.ImportRequest {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "rows."+format)
	var text []byte
	if format == "csv" {
		text = append(text, "id,at,age\n"...)
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "at", Type: arrow.PrimitiveTypes.Int64}, {Name: "age", Type: arrow.PrimitiveTypes.Int32}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := range n {
		age := i % 90
		if i%10 == 3 {
			age = 5000
		}
		id, at := fmt.Sprintf("k%d", i%20), base.Add(time.Duration(i)*time.Second).UnixMicro()
		switch format {
		case "jsonl":
			text = fmt.Appendf(text, "{\"id\":%q,\"at\":%d,\"age\":%d}\n", id, at, age)
		case "csv":
			text = fmt.Appendf(text, "%s,%d,%d\n", id, at, age)
		default:
			b.Field(0).(*array.StringBuilder).Append(id)
			b.Field(1).(*array.Int64Builder).Append(at)
			b.Field(2).(*array.Int32Builder).Append(int32(age))
		}
	}
	if text != nil {
		require.NoError(w.t, os.WriteFile(path, text, 0o600))
	} else {
		f, err := tabular.Create(path, schema, tabular.WriteOptions{RowGroup: 1000})
		require.NoError(w.t, err)
		rec := b.NewRecordBatch()
		defer rec.Release()
		require.NoError(w.t, f.Write(rec))
		require.NoError(w.t, f.Close())
	}
	return ingest.ImportRequest{Project: "p", View: "first", Path: path, Name: filepath.Base(path)}
}

// quarantined checks that the view's quarantine holds n entries.
func (w *works) quarantined(n int) {
	w.t.Helper()
	res, err := quarantine.NewReader(w.opts...).Read(w.t.Context(), quarantine.Query{Project: "p", View: "first"})
	require.NoError(w.t, err)
	require.Len(w.t, res.Entries, n)
}

// TestImportResumed: an import that dies again and again, at any step, goes on
// where its last commit stands; in the end each row counts once.
func TestImportResumed(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"jsonl", "csv", "parquet"} {
		t.Run(format, func(t *testing.T) { importResumed(t, format) })
	}
}

func importResumed(t *testing.T, format string) {
	w := newWorks(t, 1)
	w.apply(personView("first"))
	// Columns come some thousand rows at a time.
	const n = 50_000
	req := w.fileOf(n, format)
	c := w.config()
	c.BatchRows, c.FlushBytes = 500, 400_000 // a commit every 4,000 rows
	faults := sinktest.NewFaults(7, 0.05)
	im := w.importer(c, func(s *sinktest.Writer) *sinktest.FaultyWriter { return &sinktest.FaultyWriter{Writer: s, F: faults} })
	tries, resumed := 0, false
	for {
		tries++
		require.Less(t, tries, 200)
		ctx, cancel := context.WithCancel(t.Context())
		res, err := im.Import(ctx, req, func(p ingest.ImportProgress) {
			if tries%3 == 0 && p.Rows > 20_000 {
				cancel() // the client goes away
			}
		})
		cancel()
		resumed = resumed || res.Skipped > 0 && res.Skipped < n
		if err == nil {
			break
		}
	}
	require.True(t, resumed)
	w.holds("first", n*9/10)
	w.quarantined(n / 10)
	res, err := im.Import(t.Context(), req, nil)
	for err != nil {
		res, err = im.Import(t.Context(), req, nil)
	}
	require.EqualValues(t, n, res.Skipped)
	w.holds("first", n*9/10)
	t.Logf("%d tries, faults %v", tries, faults.Hits)
}

// TestImportOfTwoProcesses: two processes import the same content at once.
func TestImportOfTwoProcesses(t *testing.T) {
	w := newWorks(t, 1)
	w.apply(personView("first"))
	req := w.file(3000)
	c := w.config()
	c.BatchRows, c.FlushBytes = 50, 40_000
	none := sinktest.NewFaults(1, 0)
	var wg sync.WaitGroup
	for range 2 {
		im := w.importer(c, func(s *sinktest.Writer) *sinktest.FaultyWriter { return &sinktest.FaultyWriter{Writer: s, F: none} })
		for range 2 {
			wg.Go(func() {
				_, err := im.Import(context.Background(), req, nil)
				if feature.KindOf(err) != feature.Conflict { // more rivalry than it bears is said, and loses nothing
					require.NoError(t, err)
				}
			})
		}
	}
	wg.Wait()
	w.holds("first", 2700)
	w.quarantined(300)
}

// TestImportSaysWhy: the result names the rules that the rows held back failed.
func TestImportSaysWhy(t *testing.T) {
	w := newWorks(t, 1)
	w.apply(personView("first"))
	none := sinktest.NewFaults(1, 0)
	im := w.importer(w.config(), func(s *sinktest.Writer) *sinktest.FaultyWriter { return &sinktest.FaultyWriter{Writer: s, F: none} })
	res, err := im.Import(t.Context(), w.file(1000), nil)
	require.NoError(t, err)
	require.EqualValues(t, 100, res.Quarantined)
	require.Equal(t, map[string]int64{"schema.maximum": 100}, res.Rules)
	require.Positive(t, res.Started)
}

// TestImportOfAnyFormat: the same rows have the same fate whatever they are
// written in: the same values, times, positions, entries in quarantine.
func TestImportOfAnyFormat(t *testing.T) {
	t.Parallel()
	w := newWorks(t, 1)
	type entry struct {
		Offset  int64
		Payload string
		Reasons []feature.Reason
	}
	var rows [][]sinktest.Row
	var entries [][]entry
	var ends []feature.Position
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for _, format := range []string{"jsonl", "csv", "parquet", "arrow"} {
		v := personView(format)
		v.SuiteOf = between(1, "age", 3, 80)
		v.SuiteOf.Meta.Name = "of_" + format
		v.Suite = v.SuiteOf.Meta.Name
		w.apply(v.SuiteOf, v)
		none := sinktest.NewFaults(1, 0)
		im := w.importer(w.config(), func(s *sinktest.Writer) *sinktest.FaultyWriter { return &sinktest.FaultyWriter{Writer: s, F: none} })
		im.Now = func() time.Time { return start }
		req := w.fileOf(20_000, format)
		req.View = format
		_, err := im.Import(t.Context(), req, nil)
		require.NoError(t, err)
		got := w.table(format).Rows()
		for i := range got {
			got[i].TopicID = [16]byte{}
		}
		rows = append(rows, got)
		res, err := quarantine.NewReader(w.opts...).Read(t.Context(), quarantine.Query{Project: "p", View: format})
		require.NoError(t, err)
		var held []entry
		for _, e := range res.Entries {
			require.Equal(t, start.UnixMicro(), e.Timestamp)
			held = append(held, entry{e.Offset, string(e.Payload), e.Reasons})
		}
		slices.SortFunc(held, func(a, b entry) int { return cmp.Compare(a.Offset, b.Offset) })
		entries = append(entries, held)
		at := w.table(format).Positions()[0]
		ends = append(ends, feature.Position{Partition: at.Partition, Next: at.Next, Started: at.Started})
	}
	require.Greater(t, len(entries[0]), 3000)
	for i := range rows {
		require.Equal(t, rows[0], rows[i])
		require.Equal(t, entries[0], entries[i])
		require.Equal(t, ends[0], ends[i])
	}
}

// TestImportDryRun: a dry run says what an import will do, and does nothing.
func TestImportDryRun(t *testing.T) {
	for _, format := range []string{"jsonl", "csv"} {
		w := newWorks(t, 1)
		w.apply(personView("first"))
		none := sinktest.NewFaults(1, 0)
		im := w.importer(w.config(), func(s *sinktest.Writer) *sinktest.FaultyWriter { return &sinktest.FaultyWriter{Writer: s, F: none} })
		req := w.fileOf(1000, format)
		req.DryRun = true
		said, err := im.Import(t.Context(), req, nil)
		require.NoError(t, err)
		require.Empty(t, w.table("first").Rows())
		require.Empty(t, w.table("first").Positions())
		w.quarantined(0)
		req.DryRun = false
		done, err := im.Import(t.Context(), req, nil)
		require.NoError(t, err)
		said.Started = done.Started
		require.Equal(t, done, said)
		w.quarantined(100)
	}
}
