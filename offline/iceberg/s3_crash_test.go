package iceberg_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/objects"
	"github.com/weir-ml/weir/internal/objects/objectstest"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/offline/offlinetest"
)

// With these set a child of a crash test has its warehouse in a bucket.
const (
	envBucket   = "WEIR_TEST_CRASH_BUCKET"
	envEndpoint = "WEIR_TEST_CRASH_ENDPOINT"
)

// openCrashed opens the store of a child.
func openCrashed(catalog, dir string) (*iceberg.Store, error) {
	bucket := os.Getenv(envBucket)
	if bucket == "" {
		return iceberg.Open(ctx, catalog, filepath.Join(dir, "ware house"), quiet)
	}
	cfg := objects.DefaultConfig() // the keys come by the usual chain
	cfg.Endpoint = os.Getenv(envEndpoint)
	return iceberg.Open(ctx, catalog, bucket, quiet, iceberg.S3(cfg))
}

// TestKilledOnS3 kills workers at random moments: every row that the positions
// cover is in the table once, and every file that the table names is there, whole.
func TestKilledOnS3(t *testing.T) {
	s := testserver.S3(t)
	seed := testseed.For(t)
	dir := t.TempDir()
	t.Setenv(envBucket, s.URL()+"/ware-house/x")
	t.Setenv(envEndpoint, s.Endpoint)
	t.Setenv("AWS_ACCESS_KEY_ID", s.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s.Secret)
	open := onS3(t, s, objectstest.Config(s), dir, quiet)
	tb, err := open().Table(ctx, offlinetest.View("stats"))
	require.NoError(t, err)
	var wg sync.WaitGroup
	for part := range 2 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(part)))
			for range 4 {
				if err := killOne("sqlite:"+filepath.Join(dir, "tables.db"), dir, part, r.Uint64(), time.Duration(r.IntN(100_000))*time.Microsecond); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	st, err := tb.Load(ctx, offline.Version{})
	require.NoError(t, err)
	require.Len(t, st.Positions, 2)
	var want []string
	for _, p := range st.Positions {
		for o := range p.Next {
			want = append(want, fmt.Sprintf("%d/%d", p.Partition, o))
		}
	}
	offlinetest.SameRows(t, want, offlinetest.Coordinates(offlinetest.Read(t, tb, st)))
	t.Logf("%d rows in %d files, %d files in the bucket", st.Rows, len(st.Files), len(dataKeys(t, s)))
}
