package iceberg_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/objects"
	"github.com/weir-ml/weir/internal/objects/objectstest"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// onS3 opens stores whose warehouse is in a bucket, with a catalog in dir.
func onS3(t testing.TB, s *testserver.S3Server, cfg objects.Config, dir string, log *slog.Logger) offlinetest.Open {
	return func() offline.Store {
		store, err := iceberg.Open(ctx, "sqlite:"+filepath.Join(dir, "tables.db"), s.URL()+"/ware-house/x", log, iceberg.S3(cfg))
		require.NoError(t, err)
		t.Cleanup(func() { _ = store.Close() })
		return store
	}
}

var quiet = slog.New(slog.DiscardHandler)

// TestStoreOnS3 runs the suite of every table store on a bucket.
func TestStoreOnS3(t *testing.T) {
	t.Parallel()
	testserver.S3(t) // skips where there is none
	offlinetest.StoreElsewhere(t, func(t *testing.T) offlinetest.Open {
		s := testserver.S3(t)
		return onS3(t, s, objectstest.Config(s), t.TempDir(), quiet)
	})
}

// dataKeys are the data files that lie in the bucket, by their last names.
func dataKeys(t testing.TB, s *testserver.S3Server) (out []string) {
	for _, k := range s.Keys(t, "") {
		if strings.HasSuffix(k, ".parquet") {
			out = append(out, k)
		}
	}
	return out
}

// Requests fail in every way that passes, at random, and some for so long that a
// call gives up: commits come through all the same, with each row once.
func TestFaultsOfS3(t *testing.T) {
	t.Parallel()
	seed := testseed.For(t)
	s := testserver.S3(t)
	p := objectstest.NewProxy(t, s.Endpoint)
	cfg := objectstest.Config(s)
	cfg.Endpoint = p.URL
	var logged bytes.Buffer
	open := onS3(t, s, cfg, t.TempDir(), slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})))
	v := offlinetest.View("stats")
	tb, err := open().Table(ctx, v)
	require.NoError(t, err)
	want, at, _ := fill(t, tb, 1)
	r := rand.New(rand.NewPCG(seed, 1))
	dead := "" // all tries of this call fail
	p.Judge(func(req *http.Request) objectstest.Fault {
		id := req.Header.Get("Amz-Sdk-Invocation-Id")
		if id == dead {
			return []objectstest.Fault{objectstest.Down, objectstest.Reset}[r.IntN(2)]
		}
		if r.IntN(60) == 0 && req.Method == http.MethodPut {
			dead = id
			return objectstest.LoseReply // there, and never acknowledged
		}
		return []objectstest.Fault{objectstest.None, objectstest.None, objectstest.None, objectstest.Down, objectstest.Reset, objectstest.LoseReply}[r.IntN(6)]
	})
	g := &offlinetest.Gen{R: r, View: v, Days: 2}
	failed := 0
	for i := range 12 {
		b := g.Batch(0, at.Next, 10, false)
		c := offlinetest.Move(v, fmt.Sprintf("c%d", i), at, offlinetest.At(0, at.Next+10, ""))
		failed += attempt(t, offlinetest.NewWriter(t, tb), c, b, func() {})
		at, want = c.Advances[0].To, append(want, offlinetest.Lines(b)...)
	}
	p.Judge(func(*http.Request) objectstest.Fault { return objectstest.None })
	offlinetest.SameRows(t, want, rows(t, tb, offline.Version{}))
	t.Logf("%d calls failed, %d requests", failed, p.Requests.Load())
	require.NotContains(t, logged.String(), s.Secret)
}

// The server is killed and started while commits and reads are under way.
func TestS3Restarts(t *testing.T) {
	t.Parallel()
	s := testserver.OwnS3(t)
	open := onS3(t, s, objectstest.Config(s), t.TempDir(), quiet)
	v := offlinetest.View("stats")
	tb, err := open().Table(ctx, v)
	require.NoError(t, err)
	want, at, _ := fill(t, tb, 2)
	g := generator(v)
	for i := range 3 {
		s.Kill(t)
		back := make(chan struct{})
		go func() { defer close(back); s.Start(t) }()
		b := g.Batch(0, at.Next, 10, false)
		c := offlinetest.Move(v, fmt.Sprintf("c%d", i), at, offlinetest.At(0, at.Next+10, ""))
		attempt(t, offlinetest.NewWriter(t, tb), c, b, func() {})
		at, want = c.Advances[0].To, append(want, offlinetest.Lines(b)...)
		<-back
		offlinetest.SameRows(t, want, rows(t, tb, offline.Version{}))
	}
}

// A data file that is gone from the bucket is told by its name; dropping a table
// leaves nothing; half uploads are swept.
func TestFilesOnS3(t *testing.T) {
	s := testserver.S3(t)
	open := onS3(t, s, objectstest.Config(s), t.TempDir(), quiet)
	v := offlinetest.View("stats")
	store := open()
	tb, err := store.Table(ctx, v)
	require.NoError(t, err)
	fill(t, tb, 3)
	st, err := tb.Load(ctx, offline.Version{})
	require.NoError(t, err)
	for _, f := range st.Files {
		require.True(t, strings.HasPrefix(f.Path, s.URL()+"/ware-house/x/"), f.Path)
	}
	require.Len(t, dataKeys(t, s), len(st.Files))
	lost := st.Files[len(st.Files)/2].Path
	s.Delete(t, strings.TrimPrefix(lost, s.URL()+"/"))
	err = offline.Scan(ctx, tb, offline.ScanOptions{}, func(*feature.Batch) error { return nil })
	require.Equal(t, feature.NotFound, feature.KindOf(err), "%v", err)
	require.ErrorContains(t, err, filepath.Base(lost))
	var fe *feature.Error
	require.True(t, errors.As(err, &fe))
	require.Contains(t, err.Error(), "weir audit")

	// A file is not there before it is whole.
	before := dataKeys(t, s)
	w, err := tb.Create(ctx, "half.parquet")
	require.NoError(t, err)
	_, err = w.Write(make([]byte, 20<<20))
	require.NoError(t, err)
	require.Equal(t, before, dataKeys(t, s))
	require.Equal(t, 1, s.Uploads(t))
	w.Abort()
	require.Zero(t, s.Uploads(t))
	_, err = tb.Open(ctx, "s3://elsewhere/x")
	require.Equal(t, feature.Unsupported, feature.KindOf(err), "%v", err)
	require.NoError(t, store.Drop(ctx, v.Meta.Project, v.Meta.Name))
	require.Empty(t, s.Keys(t, ""))
}

// What is wrong with a bucket is told when a store is opened.
func TestOpenOnS3(t *testing.T) {
	s := testserver.S3(t)
	cfg := objectstest.Config(s)
	_, err := iceberg.Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "t.db"), "s3://no-such-bucket-here/x", quiet, iceberg.S3(cfg))
	require.Equal(t, feature.NotFound, feature.KindOf(err), "%v", err)
	_, err = iceberg.Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "t.db"), s.URL()+"/ware house", quiet, iceberg.S3(cfg))
	require.Equal(t, feature.Invalid, feature.KindOf(err), "%v", err)
	cfg.SecretAccessKey = "wrong"
	_, err = iceberg.Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "t.db"), s.URL(), quiet, iceberg.S3(cfg))
	require.Equal(t, feature.Unauthorized, feature.KindOf(err), "%v", err)
}
