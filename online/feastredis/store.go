package feastredis

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/weir-ml/weir/registry/feature"
)

// Store fetches the hashes of a Redis: one server, one behind sentinels, or a cluster.
type Store struct {
	client goredis.UniversalClient
	addrs  string
}

// quiet keeps the client from printing failed dials to stderr: every error comes back
// to the caller. The client offers this per process only.
var quiet = sync.OnceFunc(func() { goredis.SetLogger(silence{}) })

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// Open makes a store without waiting for the server.
func Open(c Config) (*Store, error) {
	tls, err := c.tls()
	if err != nil {
		return nil, err
	}
	if len(c.Addrs) > 1 && c.Master == "" || c.Cluster {
		if c.DB != 0 {
			return nil, feature.Errorf(feature.Invalid, opOpen, strings.Join(c.Addrs, ","), "a cluster has no database but 0")
		}
	}
	quiet()
	return &Store{addrs: strings.Join(c.Addrs, ","), client: goredis.NewUniversalClient(&goredis.UniversalOptions{
		Addrs: c.Addrs, IsClusterMode: c.Cluster, MasterName: c.Master, DB: c.DB,
		Username: c.Username, Password: string(c.Password), TLSConfig: tls,
		DisableIdentity: true, Protocol: 2, // no command that a reader may not be allowed
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		ContextTimeoutEnabled:    true, DialTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second,
	})}, nil
}

// Close closes the connections.
func (s *Store) Close() error { return s.client.Close() }

// at once: keys that a SCAN looks at, and hashes that are fetched together.
const atOnce = 500

// Size is how many keys there are, about.
func (s *Store) Size(ctx context.Context) (int64, error) {
	n, err := s.client.DBSize(ctx).Result()
	return n, s.fault("size", err)
}

// Scan hands the hash of every key that is wanted to read, and tells seen how many
// keys were looked at since it was last called. The calls come one at a time. A hash
// may come several times; one that changes meanwhile comes as it was or as it is.
func (s *Store) Scan(ctx context.Context, wants func(key []byte) bool, read func(key []byte, hash map[string]string) error, seen func(keys int)) error {
	var one sync.Mutex
	node := func(ctx context.Context, from goredis.Cmdable) error {
		var cursor uint64
		for {
			keys, next, err := from.Scan(ctx, cursor, "", atOnce).Result()
			if err != nil {
				return s.fault("scan", err)
			}
			one.Lock()
			wanted := keys[:0:0]
			for _, k := range keys {
				if wants([]byte(k)) {
					wanted = append(wanted, k)
				}
			}
			seen(len(keys))
			one.Unlock()
			for len(wanted) > 0 {
				n := min(len(wanted), atOnce)
				if err := s.fetch(ctx, from, wanted[:n], &one, read); err != nil {
					return err
				}
				wanted = wanted[n:]
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	if c, ok := s.client.(*goredis.ClusterClient); ok {
		return s.fault("scan", c.ForEachMaster(ctx, func(ctx context.Context, m *goredis.Client) error { return node(ctx, m) }))
	}
	return node(ctx, s.client)
}

func (s *Store) fetch(ctx context.Context, from goredis.Cmdable, keys []string, one *sync.Mutex, read func([]byte, map[string]string) error) error {
	if c, ok := s.client.(*goredis.ClusterClient); ok {
		from = c // a slot may move while it is read
	}
	all := make([]*goredis.MapStringStringCmd, len(keys))
	_, err := from.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, k := range keys {
			all[i] = p.HGetAll(ctx, k)
		}
		return nil
	})
	one.Lock()
	defer one.Unlock()
	for i, k := range keys {
		hash, herr := all[i].Result()
		switch {
		case herr != nil && strings.HasPrefix(herr.Error(), "WRONGTYPE"):
			continue // somebody else's
		case herr != nil:
			return s.fault("read", errors.Join(herr, ctx.Err()))
		}
		if err := read([]byte(k), hash); err != nil {
			return err
		}
	}
	if err != nil && !strings.HasPrefix(err.Error(), "WRONGTYPE") {
		return s.fault("read", err)
	}
	return nil
}

// fault says of whom the client's errors are; nil stays nil.
func (s *Store) fault(what string, err error) error {
	var known *feature.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) {
		return err
	}
	e := feature.Errorf(feature.Unavailable, "feastredis."+what, "Feast's Redis at "+s.addrs, "%w", err)
	switch text := err.Error(); {
	case strings.HasPrefix(text, "NOAUTH"), strings.HasPrefix(text, "WRONGPASS"), strings.Contains(text, "invalid username-password"), strings.HasPrefix(text, "NOPERM"):
		e.Kind = feature.Unauthorized
		return e.WithHint("the user needs SCAN, DBSIZE, HGETALL and SELECT (in a cluster CLUSTER and COMMAND) on all keys; give the password with --password-file or in FEAST_REDIS_PASSWORD")
	case strings.HasPrefix(text, "MOVED"), strings.Contains(text, "cluster support disabled"):
		e.Kind = feature.Invalid
		return e.WithHint("say --cluster where it is a cluster, and leave it out where it is none")
	}
	return e.WithHint("is it reachable from here, and is --redis right?")
}
