package redis_test

import (
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/registry/feature"
)

// A server that answers but does not serve: its word is told with the way out, and never taken for an absence.
func TestRefusals(t *testing.T) {
	m := miniredis.RunT(t)
	tr := load(t, open(t, m.Addr()), testserver.Name(t), 30)
	for text, want := range map[string]struct {
		kind feature.ErrorKind
		hint string
	}{
		"LOADING Redis is loading the dataset in memory":                                        {feature.Unavailable, ""},
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.":      {feature.Unavailable, ""},
		"CLUSTERDOWN The cluster is down":                                                       {feature.Unavailable, ""},
		"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAV.": {feature.Unavailable, "script"},
		"MOVED 3999 127.0.0.1:1":                                                                {feature.Unavailable, "redis.cluster"},
		"ASK 3999 127.0.0.1:1":                                                                  {feature.Unavailable, ""},
		"TRYAGAIN Multiple keys request":                                                        {feature.Unavailable, ""},
		"READONLY You can't write":                                                              {feature.Unavailable, "replica"},
		"ERR max number of clients reached":                                                     {feature.Unavailable, "maxclients"},
		"NOPERM this user has no permissions to run the 'mget' command":                         {feature.Unauthorized, "redis.username"},
		"NOAUTH Authentication required.":                                                       {feature.Unauthorized, "redis.password"},
		"WRONGTYPE Operation against a key":                                                     {feature.Internal, "another program"},
		"ERR unknown command 'mget'":                                                            {feature.Internal, ""},
	} {
		s := impatient(t, nil, nil, m.Addr())
		require.NoError(t, tr.ask(t, s, 0, 30, time.Minute).err)
		m.SetError(text)
		a := tr.ask(t, s, 0, 30, time.Minute)
		require.Equal(t, 30, a.failed)
		require.Equal(t, want.kind, feature.KindOf(a.err), "%v", a.err)
		require.ErrorContains(t, a.err, text[:4])
		require.ErrorContains(t, a.err, want.hint)
		m.SetError("")
		until(t, func() bool { return tr.ask(t, s, 0, 30, time.Minute).err == nil }, "the server")
	}
}

// A wrong database, user or password is told as that, and asked no more than now and then.
func TestWrongPassword(t *testing.T) {
	ctx := context.Background()
	srv := testserver.OwnRedis(t, "--requirepass", "secret")
	for name, c := range map[string]struct{ user, pass, want string }{
		"none":    {"", "", "NOAUTH"},
		"wrong":   {"", "false", "WRONGPASS"},
		"no user": {"nobody", "secret", "WRONGPASS"},
	} {
		t.Run(name, func(t *testing.T) {
			var said lines
			s := impatient(t, said.log(), withUser(c.user, c.pass), srv.Addr)
			for range 30 {
				vals, failed := make([][]byte, 1), make([]bool, 1)
				err := s.Get(ctx, []string{"w:{p/e/1}:v"}, vals, failed)
				require.Equal(t, []bool{true}, failed)
				require.Equal(t, feature.Unauthorized, feature.KindOf(err), "%v", err)
				require.ErrorContains(t, err, c.want)
				require.ErrorContains(t, err, "redis.password")
				require.NotContains(t, err.Error(), "false")
			}
			require.Equal(t, feature.Unauthorized, feature.KindOf(s.Ping(ctx)))
			require.Equal(t, 1, said.count("does not answer"))
			require.False(t, said.has("secret"))
			_, err := s.Put(ctx, nil, advance)
			require.Equal(t, feature.Unauthorized, feature.KindOf(err), "writes too: %v", err)
		})
	}
	s := impatient(t, nil, withUser("", "secret"), srv.Addr)
	require.NoError(t, s.Ping(ctx))
	_, err := s.Put(ctx, nil, advance)
	require.NoError(t, err)
	// A server without a password is offered one.
	open := testserver.OwnRedis(t)
	err = impatient(t, nil, withUser("", "secret"), open.Addr).Ping(ctx)
	require.Equal(t, feature.Unauthorized, feature.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "redis.password")
}

// The rights that docs/operations.md names are enough, and a user with fewer is told so.
func TestACLUser(t *testing.T) {
	ctx := context.Background()
	srv := testserver.OwnRedis(t)
	c := client(t, srv.Addr)
	require.NoError(t, c.Do(ctx, append([]any{"acl", "setuser", "weir", "on", ">secret", "~w:*"}, rights...)...).Err())
	require.NoError(t, c.Do(ctx, "acl", "setuser", "reader", "on", ">secret", "~w:*", "+mget").Err())
	s := impatient(t, nil, withUser("weir", "secret"), srv.Addr)
	tr := load(t, s, testserver.Name(t), 30)
	require.NoError(t, tr.ask(t, s, 0, 30, time.Minute).err)
	require.NoError(t, s.Ping(ctx))
	n := 0
	require.NoError(t, s.Scan(ctx, spanOf(tr), func(keys []string, _ [][]byte) error { n += len(keys); return nil }))
	require.Equal(t, 20, n)
	_, err := s.Put(ctx, nil, advance)
	require.NoError(t, err)
	_, err = s.Marks(ctx, "p/v")
	require.NoError(t, err)

	reader := impatient(t, nil, withUser("reader", "secret"), srv.Addr)
	require.NoError(t, tr.ask(t, reader, 0, 30, time.Minute).err, "mget alone is enough to look values up")
	require.NoError(t, reader.Ping(ctx))
	_, err = reader.Put(ctx, nil, advance)
	require.Equal(t, feature.Unauthorized, feature.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "rights")

	// A right is taken away and given back while lookups go on.
	require.NoError(t, c.Do(ctx, "acl", "setuser", "weir", "-mget").Err())
	a := tr.ask(t, s, 0, 30, time.Minute)
	require.Equal(t, 30, a.failed)
	require.Equal(t, feature.Unauthorized, feature.KindOf(a.err), "%v", a.err)
	require.NoError(t, c.Do(ctx, "acl", "setuser", "weir", "+mget").Err())
	require.NoError(t, tr.ask(t, s, 0, 30, time.Minute).err)
}
