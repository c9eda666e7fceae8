package testserver

import (
	"context"
	"os"
	"testing"

	"github.com/weir-ml/weir/internal/testserver/native"
)

// RedisServer is one server.
type RedisServer struct {
	Addr string // host:port
	control
}

// Redis gives a server that is empty at first, unless the environment names
// one; then other tests may use it too.
func Redis(t testing.TB) *RedisServer {
	t.Helper()
	if addr := os.Getenv("WEIR_TEST_REDIS"); addr != "" {
		return &RedisServer{Addr: addr}
	}
	if engine() {
		ctx := starting(t)
		c, err := runContainer(ctx, "redis:7", "6379/tcp", t.Cleanup, nil, "redis-server", "--save", "")
		if err == nil {
			err = await(ctx, func(ctx context.Context) error { return native.Dial(ctx, c.addr) })
		}
		if err == nil {
			return &RedisServer{Addr: c.addr}
		}
		t.Logf("no redis container, starting a process instead: %v", err)
	}
	return OwnRedis(t)
}

// OwnRedis gives an empty server of the test's own, which it may stop, kill,
// pause and start again. Args are redis-server's; without any it keeps nothing
// over a restart. It is always a child process.
func OwnRedis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	return ownRedis(t, "redis", native.StartRedis, args...)
}

// OwnValkey is OwnRedis with Valkey.
func OwnValkey(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	return ownRedis(t, "valkey", native.StartValkey, args...)
}

func ownRedis(t testing.TB, name string, start func(context.Context, string, ...string) (*native.Redis, error), args ...string) *RedisServer {
	t.Helper()
	r, err := start(starting(t), tempDir(t, t.Cleanup), args...)
	if r != nil && r.Process != nil {
		t.Cleanup(func() { r.Kill() })
	}
	if err != nil {
		absent(t, name, err)
	}
	return &RedisServer{Addr: r.Addr, control: control{r}}
}

// OwnSentinel gives a sentinel of the test's own, which watches the server at addr under a name.
func OwnSentinel(t testing.TB, name, addr string, quorum int) *RedisServer {
	t.Helper()
	r, err := native.StartSentinel(starting(t), tempDir(t, t.Cleanup), name, addr, quorum)
	if r != nil && r.Process != nil {
		t.Cleanup(func() { r.Kill() })
	}
	if err != nil {
		absent(t, "redis", err)
	}
	return &RedisServer{Addr: r.Addr, control: control{r}}
}

// Restart stops the server and starts it again.
func (r *RedisServer) Restart(t testing.TB) {
	t.Helper()
	r.Stop(t)
	r.Start(t)
}

// Forget has a stopped or killed server lose the last bytes of its append-only
// file, or with all everything.
func (r *RedisServer) Forget(t testing.TB, bytes int64, all bool) {
	t.Helper()
	if err := r.own(t).(*native.Redis).Forget(bytes, all); err != nil {
		t.Fatal(err)
	}
}
