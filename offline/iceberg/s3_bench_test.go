package iceberg_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/objects/objectstest"
	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// BenchmarkS3 shows what a warehouse in a bucket costs beside a local folder: the
// median and the slowest of 100 commits, a flush of a million rows, and a scan of them with its requests.
func BenchmarkS3(b *testing.B) {
	s := testserver.S3(b)
	p := objectstest.NewProxy(b, s.Endpoint)
	direct, counted := objectstest.Config(s), objectstest.Config(s)
	counted.Endpoint = p.URL
	for name, open := range map[string]offlinetest.Open{
		"folder": opener(b, b.TempDir()), "s3": onS3(b, s, direct, b.TempDir(), quiet), "s3-counted": onS3(b, s, counted, b.TempDir(), quiet),
	} {
		b.Run(name, func(b *testing.B) {
			const n, per = 1_000_000, 8192
			v := benchView()
			v.Meta.Name = "stats_" + fmt.Sprint(len(name))
			tb, err := open().Table(ctx, v)
			require.NoError(b, err)
			r := rand.New(rand.NewPCG(1, 1))
			w, err := offline.NewWriter(tb, offline.DefaultConfig(), slog.New(slog.DiscardHandler), nil)
			require.NoError(b, err)
			var at feature.Position
			var took []time.Duration
			for b.Loop() {
				before := p.Requests.Load()
				for i := range 100 {
					c := offlinetest.Move(v, fmt.Sprintf("c%d", i), at, offlinetest.At(0, at.Next+10, ""))
					require.NoError(b, w.Write(ctx, benchBatch(r, v, at.Next, 10, 100)))
					w.Cut(c)
					require.NoError(b, w.Stage(ctx, c))
					began := time.Now()
					require.NoError(b, w.Commit(ctx, c))
					took = append(took, time.Since(began))
					require.NoError(b, w.Settle(ctx, c))
					at = c.Advances[0].To
				}
				b.ReportMetric(float64(p.Requests.Load()-before)/100, "requests/commit")
				for left := n; left > 0; left -= per {
					require.NoError(b, w.Write(ctx, benchBatch(r, v, at.Next+int64(n-left), min(per, left), 100_000)))
				}
				c := offlinetest.Move(v, "big", at, offlinetest.At(0, at.Next+n, ""))
				w.Cut(c)
				began, spent := time.Now(), cpu()
				require.NoError(b, w.Stage(ctx, c))
				b.ReportMetric(n/1000/time.Since(began).Seconds(), "krows/s-staged")
				b.ReportMetric(n/1000/(cpu()-spent).Seconds(), "krows/cpu-s-staged")
				require.NoError(b, w.Commit(ctx, c))
				require.NoError(b, w.Settle(ctx, c))
				before = p.Requests.Load()
				began = time.Now()
				require.NoError(b, offline.Scan(ctx, tb, offline.ScanOptions{}, func(*feature.Batch) error { return nil }))
				b.ReportMetric(time.Since(began).Seconds(), "s/scan")
				b.ReportMetric(float64(p.Requests.Load()-before), "requests/scan")
				st, err := tb.Load(ctx, offline.Version{})
				require.NoError(b, err)
				b.ReportMetric(float64(len(st.Files)), "files")
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms/commit-p50")
			b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "ms/commit-max")
		})
	}
}
