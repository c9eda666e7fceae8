package objects_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/objects"
	"github.com/weir-ml/weir/internal/objects/objectstest"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/registry/feature"
)

func behind(t *testing.T) (*objectstest.Proxy, objects.Bucket, *testserver.S3Server) {
	s := testserver.S3(t)
	p := objectstest.NewProxy(t, s.Endpoint)
	cfg := objectstest.Config(s)
	cfg.Endpoint, cfg.Timeout = p.URL, time.Second
	b, err := objects.Open(ctx, s.URL(), cfg)
	require.NoError(t, err)
	return p, b, s
}

// Every request of everything fails once, in each way that passes: nobody notices.
func TestFaultsThatPass(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 1))
	p, b, s := behind(t)
	big := content(20 << 20)
	seen, faults := map[string]bool{}, map[objectstest.Fault]int{}
	p.Judge(func(req *http.Request) objectstest.Fault {
		// A first try of each kind of request; the SDK counts tries in a header.
		id := req.Header.Get("Amz-Sdk-Invocation-Id")
		if seen[id] {
			return objectstest.None
		}
		seen[id] = true
		f := []objectstest.Fault{objectstest.Down, objectstest.Reset, objectstest.LoseReply, objectstest.LoseReply, objectstest.CutBody}[r.IntN(5)]
		if f == objectstest.CutBody && req.Method != http.MethodGet {
			f = objectstest.LoseReply
		}
		faults[f]++
		return f
	})
	for range 3 {
		require.NoError(t, b.Put(ctx, "put", []byte("x")))
		require.Equal(t, "x", string(get(t, b, "put")))
		_, err := b.Stat(ctx, "put")
		require.NoError(t, err)
		u, err := b.Create(ctx, "up")
		require.NoError(t, err)
		_, err = u.Write(big)
		require.NoError(t, err)
		require.NoError(t, u.Close(), "the answer to its last request may have been lost")
		require.True(t, bytes.Equal(big, get(t, b, "up")))
		f, err := b.Open(ctx, "up")
		require.NoError(t, err)
		all, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
		require.NoError(t, err)
		require.True(t, bytes.Equal(big, all))
		require.NoError(t, f.Close())
		require.Equal(t, []string{"put", "up"}, keys(t, b, ""))
		require.Equal(t, feature.Conflict, feature.KindOf(b.Put(ctx, "put", []byte("x"))), "the same content, but not our write")
		require.NoError(t, b.Delete(ctx, []string{"put", "up"}))
	}
	p.Judge(func(*http.Request) objectstest.Fault { return objectstest.None })
	require.Empty(t, s.Keys(t, ""))
	t.Logf("faults: %v", faults)
}

// TestNobodyToAsk: the answer to a write is lost, its next try meets an object of
// that name, and the server does not say whose: nobody knows, so it is no Conflict.
func TestNobodyToAsk(t *testing.T) {
	p, b, _ := behind(t)
	require.NoError(t, b.Put(ctx, "theirs", []byte("theirs")))
	seen := map[string]bool{}
	p.Judge(func(req *http.Request) objectstest.Fault {
		id := req.Header.Get("Amz-Sdk-Invocation-Id")
		first := !seen[id]
		seen[id] = true
		switch {
		case req.Method == http.MethodHead:
			return objectstest.Down
		case first && req.Header.Get("If-None-Match") != "":
			return objectstest.LoseReply
		}
		return objectstest.None
	})
	writes := map[string]func() error{
		"put": func() error { return b.Put(ctx, "put", []byte("x")) },
		"upload": func() error {
			u, err := b.Create(ctx, "upload")
			if err != nil {
				return err
			}
			if _, err := u.Write([]byte("x")); err != nil {
				return err
			}
			return u.Close()
		},
		"theirs": func() error { return b.Put(ctx, "theirs", []byte("theirs")) },
	}
	var wg sync.WaitGroup
	for what, write := range writes {
		wg.Go(func() {
			err := write()
			assert.Equal(t, feature.Unavailable, feature.KindOf(err), "%s: %v", what, err)
		})
	}
	wg.Wait()
	p.Judge(func(*http.Request) objectstest.Fault { return objectstest.None })
	for what, write := range writes {
		err := write()
		require.Equal(t, feature.Conflict, feature.KindOf(err), "%s: it is there, and now the server says so: %v", what, err)
	}
}

// TestOthersAtWork: Amazon refuses a write while another one of that name is under
// way, which may be our own whose answer is late. That is no object that exists.
func TestOthersAtWork(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPut {
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, "<Error><Code>ConditionalRequestConflict</Code><Message>Try again</Message></Error>")
			return
		}
		_, _ = io.WriteString(w, "<ListBucketResult></ListBucketResult>")
	}))
	defer server.Close()
	cfg := objects.DefaultConfig()
	cfg.Endpoint, cfg.AccessKeyID, cfg.SecretAccessKey = server.URL, "key", "secret"
	b, err := objects.Open(ctx, "s3://bucket", cfg)
	require.NoError(t, err)
	err = b.Put(ctx, "x", nil)
	require.Equal(t, feature.Unavailable, feature.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "Try again")
}

// What does not pass is told as such, in a bounded time, and not kept for ever.
func TestFaultsThatStay(t *testing.T) {
	p, b, s := behind(t)
	require.NoError(t, b.Put(ctx, "x", content(3<<20)))
	f, err := b.Open(ctx, "x")
	require.NoError(t, err)
	defer f.Close()
	for name, fault := range map[string]objectstest.Fault{"5xx": objectstest.Down, "reset": objectstest.Reset} {
		p.Judge(func(*http.Request) objectstest.Fault { return fault })
		calls := map[string]func() error{
			"put":    func() error { return b.Put(ctx, "y", nil) },
			"list":   func() error { return b.List(ctx, "", nil) },
			"delete": func() error { return b.Delete(ctx, []string{"x"}) },
			"read":   func() error { _, err := f.ReadAt(make([]byte, 10), 0); return err },
		}
		var wg sync.WaitGroup
		for what, call := range calls {
			wg.Go(func() {
				err := call()
				assert.Equal(t, feature.Unavailable, feature.KindOf(err), "%s %s: %v", name, what, err)
				assert.NotContains(t, err.Error(), s.Secret)
			})
		}
		wg.Wait()
	}
	p.Judge(func(*http.Request) objectstest.Fault { return objectstest.None })
	got := make([]byte, 10)
	_, err = f.ReadAt(got, 0)
	require.NoError(t, err, "a block that could not be read is asked for again")
	require.Equal(t, content(3 << 20)[:10], got)
	// A server that does not answer is left after the timeout, and the next try helps.
	var hung atomic.Bool
	p.Judge(func(*http.Request) objectstest.Fault {
		if hung.CompareAndSwap(false, true) {
			return objectstest.Hang
		}
		return objectstest.None
	})
	require.NoError(t, b.Put(ctx, "z", []byte("z")))
	require.True(t, hung.Load())
}

// A file is one request to open and then few to read; what is small is one altogether.
func TestRequests(t *testing.T) {
	p, b, _ := behind(t)
	require.NoError(t, b.Put(ctx, "small", content(200<<10)))
	require.NoError(t, b.Put(ctx, "large", content(20<<20)))
	count := func(key string, read func(f *objects.File)) int64 {
		before := p.Requests.Load()
		f, err := b.Open(ctx, key)
		require.NoError(t, err)
		defer f.Close()
		read(f)
		return p.Requests.Load() - before
	}
	through := func(step int) func(f *objects.File) {
		return func(f *objects.File) {
			_, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{io.NewSectionReader(f, 0, f.Size())}, make([]byte, step))
			require.NoError(t, err)
		}
	}
	require.Equal(t, int64(1), count("small", through(4096)))
	require.LessOrEqual(t, count("large", through(4096)), int64(9), "read in order, by more and more at once")
	require.Equal(t, int64(2), count("large", func(f *objects.File) {
		for i := range 100 {
			_, err := f.ReadAt(make([]byte, 100), int64(i*1000))
			require.NoError(t, err)
		}
	}))
	require.Equal(t, int64(2), count("large", func(f *objects.File) {
		_, err := f.ReadAt(make([]byte, 10<<20), 5)
		require.NoError(t, err)
	}), "what is asked for at once is one request")
}

// An object that is replaced while it is read is not read in part.
func TestReplacedWhileRead(t *testing.T) {
	_, b, s := behind(t)
	require.NoError(t, b.Put(ctx, "x", content(8<<20)))
	f, err := b.Open(ctx, "x")
	require.NoError(t, err)
	defer f.Close()
	s.Put(t, "x", content(8<<20+1))
	_, err = f.ReadAt(make([]byte, 10), 0)
	require.Equal(t, feature.Conflict, feature.KindOf(err), "%v", err)
}

// A cache smaller than what is read still gives every byte.
func TestSmallCache(t *testing.T) {
	s := testserver.S3(t)
	cfg := objectstest.Config(s)
	cfg.CacheBytes = 1
	b, err := objects.Open(ctx, s.URL(), cfg)
	require.NoError(t, err)
	want := content(5 << 20)
	require.NoError(t, b.Put(ctx, "x", want))
	f, err := b.Open(ctx, "x")
	require.NoError(t, err)
	defer f.Close()
	for i := 5<<20 - 100; i >= 0; i -= 300_000 {
		got := make([]byte, 100)
		_, err := f.ReadAt(got, int64(i))
		require.NoError(t, err)
		require.Equal(t, want[i:i+100], got)
	}
}

func TestServerKilled(t *testing.T) {
	s := testserver.OwnS3(t)
	b, err := objects.Open(ctx, s.URL(), objectstest.Config(s))
	require.NoError(t, err)
	u, err := b.Create(ctx, "x")
	require.NoError(t, err)
	want := content(30 << 20)
	_, err = u.Write(want[:10<<20])
	require.NoError(t, err)
	s.Kill(t)
	back := make(chan struct{})
	go func() { defer close(back); s.Start(t) }()
	_, err = u.Write(want[10<<20:])
	require.NoError(t, err)
	require.NoError(t, u.Close())
	<-back
	require.True(t, bytes.Equal(want, get(t, b, "x")))
}

// What is wrong with the settings is told at the start, with the way out and without the secret.
func TestWrongSettings(t *testing.T) {
	s := testserver.S3(t)
	for name, c := range map[string]struct {
		change func(*objects.Config)
		url    string
		kind   feature.ErrorKind
		says   string
	}{
		"no such bucket":   {func(*objects.Config) {}, "s3://there-is-no-such-bucket/x", feature.NotFound, "s3.endpoint"},
		"wrong secret":     {func(c *objects.Config) { c.SecretAccessKey = "hunter2hunter2" }, s.URL(), feature.Unauthorized, "s3.secret_access_key"},
		"wrong key":        {func(c *objects.Config) { c.AccessKeyID = "nobody" }, s.URL(), feature.Unauthorized, "s3.access_key_id"},
		"nothing listens":  {func(c *objects.Config) { c.Endpoint = "http://127.0.0.1:1" }, s.URL(), feature.Unavailable, "s3.endpoint"},
		"not an S3 server": {func(c *objects.Config) { c.Endpoint = s.Endpoint + "/weir-test-health/x" }, s.URL(), feature.Invalid, ""},
		"wrong region":     {func(c *objects.Config) { c.Region = "eu-west-9" }, s.URL(), feature.Invalid, "s3.region"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := objectstest.Config(s)
			c.change(&cfg)
			_, err := objects.Open(ctx, c.url, cfg)
			require.Error(t, err)
			t.Log(err)
			require.NotContains(t, err.Error(), string(cfg.SecretAccessKey))
			require.NotContains(t, err.Error(), s.Secret)
			if name == "not an S3 server" {
				return // some answer or other
			}
			require.Equal(t, c.kind, feature.KindOf(err), "%v", err)
			require.ErrorContains(t, err, c.says)
			require.False(t, strings.Contains(err.Error(), "\n"), "one line")
		})
	}
	t.Run("no credentials", func(t *testing.T) {
		for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"} {
			t.Setenv(name, "")
		}
		t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
		t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
		t.Setenv("AWS_CONFIG_FILE", "/dev/null")
		cfg := objectstest.Config(s)
		cfg.AccessKeyID, cfg.SecretAccessKey = "", ""
		_, err := objects.Open(ctx, s.URL(), cfg)
		require.Equal(t, feature.Unauthorized, feature.KindOf(err), "%v", err)
		require.ErrorContains(t, err, "no credentials")
		// And the usual chain is used.
		t.Setenv("AWS_ACCESS_KEY_ID", s.AccessKey)
		t.Setenv("AWS_SECRET_ACCESS_KEY", s.Secret)
		_, err = objects.Open(ctx, s.URL(), cfg)
		require.NoError(t, err)
	})
}
