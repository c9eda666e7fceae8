package embedded

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func startRedis(t testing.TB) (*Redis, *redis.Client) {
	t.Helper()
	r, err := StartRedis(t.Context(), RedisConfig{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	cl := redis.NewClient(&redis.Options{Addr: r.Addr()})
	t.Cleanup(func() { cl.Close(); r.Close() })
	return r, cl
}

func TestRedisServes(t *testing.T) {
	r, cl := startRedis(t)
	ctx := t.Context()
	big := bytes.Repeat([]byte("0123456789\r\n$*"), 100_000)
	require.NoError(t, cl.HSet(ctx, "h", "f", big, "empty", "").Err())
	got, err := cl.HGet(ctx, "h", "f").Bytes()
	require.NoError(t, err)
	require.True(t, bytes.Equal(big, got))

	pipe := cl.Pipeline()
	for i := range 5000 {
		pipe.Set(ctx, fmt.Sprint("k", i), i, 0)
	}
	_, err = pipe.Exec(ctx)
	require.NoError(t, err)
	n, err := cl.DBSize(ctx).Result()
	require.NoError(t, err)
	require.EqualValues(t, 5001, n)

	script := redis.NewScript(`return redis.call('HGET', KEYS[1], ARGV[1])`)
	s, err := script.Run(ctx, cl, []string{"h"}, "empty").Text()
	require.NoError(t, err)
	require.Empty(t, s)
	require.NoError(t, r.Close())
	require.NoError(t, r.Close())
	require.Error(t, cl.Ping(ctx).Err())
}

func TestRedisKeysExpire(t *testing.T) {
	_, cl := startRedis(t)
	ctx := t.Context()
	require.NoError(t, cl.Set(ctx, "soon", 1, 10*time.Millisecond).Err())
	require.NoError(t, cl.Set(ctx, "late", 1, time.Hour).Err())
	require.NoError(t, cl.Set(ctx, "never", 1, 0).Err())
	require.Eventually(t, func() bool { return cl.Exists(ctx, "soon").Val() == 0 }, 30*time.Second, 20*time.Millisecond)
	require.EqualValues(t, 2, cl.Exists(ctx, "late", "never").Val())
}

// TestRedisStrangers sends what is not a command of a well-behaved client.
func TestRedisStrangers(t *testing.T) {
	r, cl := startRedis(t)
	for name, msg := range map[string]string{
		"http":          "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"empty command": "*0\r\n",
		"null command":  "*-1\r\n",
		"huge bulk":     "*1\r\n$999999999999999\r\n",
		"negative bulk": "*1\r\n$-5\r\n",
		"many args":     "*999999999\r\n",
		"not a bulk":    "*1\r\n:5\r\n",
		"no end":        "*" + string(bytes.Repeat([]byte("1"), 64<<10)),
	} {
		t.Run(name, func(t *testing.T) { closesOn(t, r.Addr(), msg) })
	}
	require.NoError(t, cl.Ping(t.Context()).Err())
}
