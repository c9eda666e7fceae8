package audit_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/audit"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// TestClean: a stream with everything that is normal in one audits clean, in a
// real table and in memory: events held back, tombstones, several partitions and
// days, an import, transactions and aborted ones.
func TestClean(t *testing.T) {
	for _, store := range []string{"iceberg", "memory"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, testseed.For(t), 3)
			if store == "memory" {
				w.inMemory()
			}
			stop := w.worker()
			w.produce(400)
			tx := w.client(kgo.TransactionalID("x"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
			events := 3 * 400
			for i := range 6 {
				require.NoError(t, tx.BeginTransaction())
				for p := range int32(3) {
					require.NoError(t, tx.ProduceSync(t.Context(), w.event(p), w.event(p)).FirstErr())
				}
				require.NoError(t, tx.EndTransaction(t.Context(), kgo.TransactionEndTry(i%2 == 0)))
				if i%2 == 0 {
					events += 6
				}
			}
			w.drained()
			w.imported(500)
			stop()
			var steps []string
			r, err := w.auditor().Run(t.Context(), w.view(), audit.Options{}, func(p audit.Progress) {
				if p.Done == p.Total && p.Total > 0 {
					steps = append(steps, p.Step)
				}
			})
			require.NoError(t, err)
			require.Equal(t, w.clean(), r, "audits of the same state are equal")
			require.Subset(t, steps, []string{"quarantine", "table", "log"})
			log, table, held := counts(r, false)
			require.EqualValues(t, events, log)
			require.EqualValues(t, events, table+held)
			require.NotZero(t, held)
			_, table, held = counts(r, true)
			require.EqualValues(t, 450, table)
			require.EqualValues(t, 50, held)
			require.Len(t, r.At, 4)
			require.NotZero(t, r.Snapshot)
			require.Len(t, r.Notes, 1, "%v", r.Notes) // about the import
			days := map[int32]bool{}
			for _, l := range r.Lines {
				days[l.Day] = true
				require.Equal(t, l.Partition >= 0, l.Compared)
			}
			require.Greater(t, len(days), 2)

			require.Zero(t, w.audit(audit.Options{SkipLog: true, Partitions: []int32{1}}).Found)
			r = w.audit(audit.Options{Partitions: []int32{1}})
			require.Zero(t, r.Found)
			log, _, _ = counts(r, false)
			require.EqualValues(t, events/3, log)
		})
	}
}

// TestEmpty: nothing to compare is nothing that differs.
func TestEmpty(t *testing.T) {
	w := newWorld(t, testseed.For(t), 2)
	r := w.clean()
	require.Zero(t, r.Snapshot)
	w.ingested(0)
	r = w.clean()
	require.Len(t, r.At, 2)
	require.Empty(t, r.Lines)
}

// TestDefinitionsChange: rows are right as the definition of their time made
// them: features added later whose values older events had already, a path, a time
// field, a schema and a suite that changed between.
func TestDefinitionsChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testseed.For(t), 2)
	stop := w.worker()
	step := func() {
		t.Helper()
		w.produce(150)
		w.drained()
		w.clean()
	}
	step()
	more := view()
	more.Features = append(more.Features, feature.Field{Name: "extra", Type: feature.Int64})
	w.apply(more)
	step()
	w.apply(&feature.Entity{Meta: meta("another"), JoinKeys: []feature.Field{{Name: "x", Type: feature.String}}}) // nothing of this view
	less := view()
	less.Features = []feature.Field{{Name: "age", Type: feature.Int64, Path: "extra"}, {Name: "score", Type: feature.Float64}}
	w.apply(less)
	step()
	strict := source()
	strict.Schema = []byte(`{"type":"object","required":["id","name"]}`)
	strict.Created = &feature.TimeField{Field: "at", Format: "unix_us"}
	w.apply(strict)
	step()
	judged := view()
	judged.Features = more.Features
	judged.Suite = "ages"
	w.apply(suite(50), judged)
	step()
	w.apply(suite(20))
	step()
	stop()
	r := w.clean()
	log, table, held := counts(r, false)
	require.EqualValues(t, 6*2*150, log)
	require.Equal(t, log, table+held)
	for _, l := range r.Lines {
		require.True(t, l.Compared)
	}
	// An audit with the first definition, as by one that was begun before all that.
	cat, err := w.reg.At(t.Context(), 1)
	require.NoError(t, err)
	old, err := cat.View("p", "person")
	require.NoError(t, err)
	r, err = w.auditor().Run(t.Context(), old, audit.Options{}, nil)
	require.NoError(t, err)
	require.Zero(t, r.Found, "%+v", r.Differences)
}

// behindCatalogs answers with an older catalog, as a process does that has not
// looked at the store yet.
type behindCatalogs struct {
	ingest.Catalogs
	revision int64
}

func (b behindCatalogs) Current(ctx context.Context) (*registry.Catalog, error) {
	return b.Catalogs.At(ctx, b.revision)
}

// TestCatalogBehind: rows of a definition that the auditor's process has not
// heard of yet are right all the same.
func TestCatalogBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testseed.For(t), 1)
	w.ingested(50)
	old := w.view()
	v := view()
	v.Features[0].Path = "extra"
	w.apply(v)
	w.ingested(50)
	a := audit.New(audit.Config{Kafka: w.opts, Catalogs: behindCatalogs{w.reg, 1}, Tables: w.store, Log: w.log})
	r, err := a.Run(t.Context(), old, audit.Options{}, nil)
	require.NoError(t, err)
	require.Zero(t, r.Found, "%+v", r.Differences)
}

// TestLive: an audit of a system at work finds nothing, again and again.
func TestLive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testseed.For(t), 3)
	w.cfg.BatchRows = 7
	stop := w.worker()
	w.produce(10)
	w.drained()
	w.next = 0
	for i := range 12 {
		w.produce(100)
		if i%4 == 1 {
			w.imported(200 + i)
		}
		if i == 6 {
			v := view()
			v.Features = append(v.Features, feature.Field{Name: "extra", Type: feature.Int64})
			w.apply(v)
		}
		w.clean()
	}
	w.drained()
	stop()
	log, table, held := counts(w.clean(), false)
	require.EqualValues(t, 3*(10+12*100), log)
	require.Equal(t, log, table+held)
}

// TestLogLost: what the log no longer has is said and not compared; all else is.
func TestLogLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testseed.For(t), 2)
	w.ingested(300)
	require.NoError(t, w.cluster.DeleteRecords(topic, 0, 120))
	r := w.clean()
	require.Len(t, r.Notes, 1, "%v", r.Notes)
	require.Contains(t, r.Notes[0], "people/0: the log begins at 120")
	lines := map[bool]int{}
	for _, l := range r.Lines {
		lines[l.Compared]++
		require.True(t, l.Compared || l.LogHash == 0 && l.TableHash == 0)
		require.True(t, l.Compared || l.Partition == 0)
	}
	require.NotZero(t, lines[true])
	require.NotZero(t, lines[false])
	require.NoError(t, w.cluster.DeleteRecords(topic, 1, 300))
	require.Len(t, w.clean().Notes, 2)

	// A topic made anew: its rows are compared, those of the old one not.
	require.NoError(t, w.cluster.DeleteTopic(topic))
	_, err := w.auditor().Run(t.Context(), w.view(), audit.Options{}, nil)
	require.Equal(t, feature.NotFound, feature.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "--skip-log")
	require.Zero(t, w.audit(audit.Options{SkipLog: true}).Found)
	require.NoError(t, w.cluster.CreateTopic(topic, 2, nil))
	w.cl = w.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	w.cfg.RecreatedTopic = "start"
	w.ingested(50)
	r = w.clean()
	require.Contains(t, fmt.Sprint(r.Notes), "recreated")
	log, table, held := counts(r, false)
	require.EqualValues(t, 100, log)
	require.EqualValues(t, 700, table+held)

	w.cluster.Close()
	w.opts = append(w.opts, kgo.RequestRetries(1))
	_, err = w.auditor().Run(t.Context(), w.view(), audit.Options{}, nil)
	require.Equal(t, feature.Unavailable, feature.KindOf(err), "%v", err)
}

// TestCompactedLog: of a compacted topic the audit compares what is left.
func TestCompactedLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testseed.For(t), 1)
	require.NoError(t, w.cluster.DeleteTopic(topic))
	require.NoError(t, w.cluster.CreateTopic(topic, 1, map[string]string{"cleanup.policy": "compact", "segment.bytes": "2000"}))
	w.cl = w.client()
	var recs []*kgo.Record
	for i := range 200 {
		rec := w.event(0)
		rec.Key = fmt.Append(nil, min(i, 100+i%7))
		if rec.Value == nil {
			rec.Value = []byte("{")
		}
		recs = append(recs, rec)
	}
	stop := w.worker()
	for _, rec := range recs { // batches of one, so that segments close
		require.NoError(t, w.cl.ProduceSync(t.Context(), rec).FirstErr())
	}
	w.drained()
	stop()
	w.clean()
	w.cluster.Compact()
	r := w.clean()
	log, table, held := counts(r, false)
	require.Less(t, log, int64(200))
	require.EqualValues(t, 200, table+held)
	require.Contains(t, fmt.Sprint(r.Notes), "compacted")
}
