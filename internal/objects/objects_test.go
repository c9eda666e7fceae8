package objects_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/weir-ml/weir/internal/objects"
	"github.com/weir-ml/weir/internal/objects/objectstest"
	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/registry/feature"
)

func TestMain(m *testing.M) { testserver.Main(m) }

var ctx = context.Background()

func each(t *testing.T, f func(t *testing.T, b objects.Bucket)) {
	t.Run("folder", func(t *testing.T) {
		b, err := objects.Open(ctx, t.TempDir(), objects.DefaultConfig())
		require.NoError(t, err)
		f(t, b)
	})
	t.Run("s3", func(t *testing.T) {
		s := testserver.S3(t)
		b, err := objects.Open(ctx, s.URL()+"/some/prefix/", objectstest.Config(s))
		require.NoError(t, err)
		require.Equal(t, s.URL()+"/some/prefix", b.URL())
		f(t, b)
	})
}

func content(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

func get(t testing.TB, b objects.Bucket, key string) []byte {
	r, o, err := b.Get(ctx, key)
	require.NoError(t, err)
	defer r.Close()
	all, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Len(t, all, int(o.Size))
	return all
}

func keys(t testing.TB, b objects.Bucket, prefix string) (out []string) {
	require.NoError(t, b.List(ctx, prefix, func(o objects.Object) error { out = append(out, o.Key); return nil }))
	return out
}

func TestBucket(t *testing.T) {
	each(t, func(t *testing.T, b objects.Bucket) {
		require.Empty(t, keys(t, b, ""))
		_, err := b.Stat(ctx, "no/such")
		require.Equal(t, feature.NotFound, feature.KindOf(err), "%v", err)
		require.ErrorIs(t, err, fs.ErrNotExist)
		_, _, err = b.Get(ctx, "no/such")
		require.ErrorIs(t, err, fs.ErrNotExist)
		_, err = b.Open(ctx, "no/such")
		require.ErrorIs(t, err, fs.ErrNotExist)

		began := time.Now().Add(-2 * time.Second) // S3 counts in seconds
		require.NoError(t, b.Put(ctx, "a/x y=1", []byte("one")))
		err = b.Put(ctx, "a/x y=1", []byte("two"))
		require.Equal(t, feature.Conflict, feature.KindOf(err), "%v", err)
		require.Equal(t, "one", string(get(t, b, "a/x y=1")))
		o, err := b.Stat(ctx, "a/x y=1")
		require.NoError(t, err)
		require.Equal(t, int64(3), o.Size)
		require.True(t, o.Modified.After(began) && o.Modified.Before(time.Now().Add(time.Second)), o.Modified)
		require.NoError(t, b.Replace(ctx, "a/x y=1", []byte("three")))
		again, err := b.Stat(ctx, "a/x y=1")
		require.NoError(t, err)
		require.NotEqual(t, o.ETag, again.ETag)
		require.NoError(t, b.Put(ctx, "a/empty", nil))
		require.Empty(t, get(t, b, "a/empty"))
		require.NoError(t, b.Put(ctx, "b/z", []byte("z")))
		require.Equal(t, []string{"a/empty", "a/x y=1", "b/z"}, keys(t, b, ""))
		require.Equal(t, []string{"a/empty", "a/x y=1"}, keys(t, b, "a/"))
		require.Equal(t, []string{"a/x y=1"}, keys(t, b, "a/x"))
		enough := errors.New("enough")
		require.ErrorIs(t, b.List(ctx, "", func(objects.Object) error { return enough }), enough)
		require.NoError(t, b.Delete(ctx, []string{"a/empty", "a/nothing", "b/z"}))
		require.Equal(t, []string{"a/x y=1"}, keys(t, b, ""))
		require.NoError(t, b.Delete(ctx, nil))
	})
}

func TestListGoesOn(t *testing.T) {
	each(t, func(t *testing.T, b objects.Bucket) {
		var want []string
		var g errgroup.Group
		g.SetLimit(16)
		for i := range 1100 { // a page has a thousand
			key := fmt.Sprintf("d%d/%04d", i%3, i)
			want = append(want, key)
			g.Go(func() error { return b.Put(ctx, key, nil) })
		}
		require.NoError(t, g.Wait())
		require.ElementsMatch(t, want, keys(t, b, ""))
		require.NoError(t, b.Delete(ctx, want))
		require.Empty(t, keys(t, b, ""))
	})
}

func TestUploads(t *testing.T) {
	each(t, func(t *testing.T, b objects.Bucket) {
		for _, n := range []int{0, 1, 8 << 20, 8<<20 + 1, 20 << 20} {
			want := content(n)
			key := fmt.Sprintf("up/%d", n)
			u, err := b.Create(ctx, key)
			require.NoError(t, err)
			for at := 0; at < n; at += 1 << 20 {
				_, err := u.Write(want[at:min(n, at+1<<20)])
				require.NoError(t, err)
			}
			require.Empty(t, keys(t, b, "up/"), "nothing is seen before Close")
			require.NoError(t, u.Close())
			u.Abort()
			require.Error(t, u.Close())
			require.True(t, bytes.Equal(want, get(t, b, key)))
			// A second one of the name is refused at its end, and leaves the first as it is.
			u, err = b.Create(ctx, key)
			require.NoError(t, err)
			_, err = u.Write(content(n + 5))
			require.NoError(t, err)
			err = u.Close()
			require.Equal(t, feature.Conflict, feature.KindOf(err), "%v", err)
			require.True(t, bytes.Equal(want, get(t, b, key)))
			require.NoError(t, b.Delete(ctx, []string{key}))
		}
		u, err := b.Create(ctx, "up/away")
		require.NoError(t, err)
		_, err = u.Write(content(20 << 20))
		require.NoError(t, err)
		u.Abort()
		require.Empty(t, keys(t, b, ""))
		// One whose process has died is found later.
		u, err = b.Create(ctx, "up/dead")
		require.NoError(t, err)
		_, err = u.Write(content(20 << 20))
		require.NoError(t, err)
		n, err := b.Abandoned(ctx, "up/", time.Now().Add(-time.Hour))
		require.NoError(t, err)
		require.Zero(t, n, "it is young")
		n, err = b.Abandoned(ctx, "up/", time.Now().Add(time.Hour))
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Error(t, u.Close())
		require.Empty(t, keys(t, b, ""))
	})
}

func TestFile(t *testing.T) {
	each(t, func(t *testing.T, b objects.Bucket) {
		for _, n := range []int{0, 1, 200 << 10, 256 << 10, 3<<20 + 17, 20 << 20} {
			want := content(n)
			require.NoError(t, b.Replace(ctx, "f", want))
			f, err := b.Open(ctx, "f")
			require.NoError(t, err)
			require.Equal(t, int64(n), f.Size())
			all, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, all), n)
			var g errgroup.Group
			for w := range 4 {
				g.Go(func() error {
					r := rand.New(rand.NewPCG(uint64(n), uint64(w)))
					p := make([]byte, 1+r.IntN(3<<20))
					for range 50 {
						off := r.Int64N(int64(n) + 2)
						m, err := f.ReadAt(p, off)
						if full := int(max(0, min(int64(len(p)), int64(n)-off))); m != full || (m < len(p)) != errors.Is(err, io.EOF) {
							return fmt.Errorf("%d bytes at %d of %d: %d, %w", len(p), off, n, m, err)
						}
						if !bytes.Equal(p[:m], want[min(off, int64(n)):][:m]) {
							return fmt.Errorf("other bytes at %d of %d", off, n)
						}
					}
					return nil
				})
			}
			require.NoError(t, g.Wait())
			require.NoError(t, f.Close())
		}
	})
}

func TestNames(t *testing.T) {
	bucket, key, ok := objects.SplitS3("s3a://b/x%20y/z?")
	require.True(t, ok)
	require.Equal(t, []string{"b", "x%20y/z?"}, []string{bucket, key})
	for _, bad := range []string{"s3://", "s3:///x", "s3://KEY:hunter2@b/x"} {
		_, err := objects.Open(ctx, bad, objects.DefaultConfig())
		require.Equal(t, feature.Invalid, feature.KindOf(err), bad)
		require.NotContains(t, err.Error(), "hunter2")
	}
	b, err := objects.Open(ctx, t.TempDir(), objects.DefaultConfig())
	require.NoError(t, err)
	require.Equal(t, feature.Invalid, feature.KindOf(b.Put(ctx, "../x", nil)))
}

func TestConfig(t *testing.T) {
	require.NoError(t, objects.DefaultConfig().Validate())
	c := objects.Config{Endpoint: "ftp://x", AccessKeyID: "a", PathStyle: "perhaps"}
	err := c.Validate()
	for _, s := range []string{"s3.endpoint", "s3.access_key_id", "s3.path_style", "s3.timeout", "s3.cache_bytes"} {
		require.ErrorContains(t, err, s)
	}
	c.SecretAccessKey, c.SessionToken = "hunter2", "hunter3"
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", c, c, c), "hunter")
}
