package ingest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/ingest/sinktest"
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
func (w *works) file(n int) ingest.ImportRequest {
	w.t.Helper()
	var text []byte
	for i := range n {
		age := i % 90
		if i%10 == 3 {
			age = 5000
		}
		text = fmt.Appendf(text, "{\"id\":\"k%d\",\"at\":%d,\"age\":%d}\n", i%20, base.Add(time.Duration(i)*time.Second).UnixMicro(), age)
	}
	path := filepath.Join(w.t.TempDir(), "rows.jsonl")
	require.NoError(w.t, os.WriteFile(path, text, 0o600))
	return ingest.ImportRequest{Project: "p", View: "first", Path: path, Name: "rows.jsonl"}
}

// quarantinedOnce checks that the view's quarantine holds n entries.
func (w *works) quarantined(n int) {
	w.t.Helper()
	res, err := quarantine.NewReader(w.opts...).Read(w.t.Context(), quarantine.Query{Project: "p", View: "first"})
	require.NoError(w.t, err)
	require.Len(w.t, res.Entries, n)
}

// TestImportResumed: an import that dies again and again, at any step, goes on
// where its last commit stands; in the end each row counts once.
func TestImportResumed(t *testing.T) {
	w := newWorks(t, 1)
	w.apply(personView("first"))
	req := w.file(5000)
	c := w.config()
	c.BatchRows, c.FlushBytes = 50, 40_000 // a commit every 400 rows
	faults := sinktest.NewFaults(7, 0.05)
	im := w.importer(c, func(s *sinktest.Writer) *sinktest.FaultyWriter { return &sinktest.FaultyWriter{Writer: s, F: faults} })
	tries, resumed := 0, false
	for {
		tries++
		require.Less(t, tries, 200)
		ctx, cancel := context.WithCancel(t.Context())
		res, err := im.Import(ctx, req, func(p ingest.ImportProgress) {
			if tries%3 == 0 && p.Rows > 2000 {
				cancel() // the client goes away
			}
		})
		cancel()
		resumed = resumed || res.Skipped > 0 && res.Skipped < 5000
		if err == nil {
			break
		}
	}
	require.True(t, resumed)
	w.holds("first", 4500)
	w.quarantined(500)
	res, err := im.Import(t.Context(), req, nil)
	for err != nil {
		res, err = im.Import(t.Context(), req, nil)
	}
	require.EqualValues(t, 5000, res.Skipped)
	w.holds("first", 4500)
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
