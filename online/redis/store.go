// Package redis is the online.Store on Redis 7 (or Valkey): one server, one
// behind sentinels, or a cluster.
//
// The one rule: the server decides which of two rows is newer, in a script, so
// that any number of writers agree. The layout of keys is in online/key.go, of
// values in online/cells.go, of marks in scripts.go.
package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry/feature"
)

// Store is an online.Store; parallel use is fine.
//
// Lookups go over connections of their own (lane, wire), which keep to each request's time
// whatever the servers do, and cost less; all else goes through a client, whose
// defaults (a hung server returns after 5 s whatever the context says, failed dials are
// tried five times) are turned off.
type Store struct {
	cfg    Config
	lanes  *lanes
	top    *topology
	writes goredis.UniversalClient
	shards shards

	tab       atomic.Pointer[table]
	redirects atomic.Uint64
	lookups   sync.Pool // *lookup

	stop func()        // ends what runs in the background
	done chan struct{} // closed when it has ended
}

var _ online.Store = (*Store)(nil)

// quiet keeps the client from printing each failed dial to stderr: every error
// comes back to the caller, who logs it once. The client offers this per process only.
var quiet = sync.OnceFunc(func() { goredis.SetLogger(silence{}) })

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// Open makes a store for the configured servers without waiting for them.
func Open(cfg Config, log *slog.Logger) (*Store, error) {
	if len(cfg.Addrs) == 0 {
		return nil, feature.Errorf(feature.Invalid, "redis.open", "redis.addrs", "no address is configured")
	}
	if err := cfg.Validate(); err != nil {
		return nil, &feature.Error{Kind: feature.Invalid, Op: "redis.open", Err: err}
	}
	secure, err := cfg.TLS.load(log)
	if err != nil {
		return nil, &feature.Error{Kind: feature.Invalid, Op: "redis.open", What: "redis.tls", Err: err}
	}
	quiet()
	o := goredis.UniversalOptions{
		Addrs: cfg.Addrs, IsClusterMode: cfg.Cluster, MasterName: cfg.Master, DB: cfg.DB,
		Username: cfg.Username, Password: string(cfg.Password), Dialer: secure.dialer(cfg.DialTimeout),
		SentinelUsername: cfg.SentinelUsername, SentinelPassword: string(cfg.SentinelPassword),
		ClientName: "weir", DisableIdentity: true, Protocol: 2,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		MaxRetries:               -1, ContextTimeoutEnabled: true,
		DialTimeout: cfg.DialTimeout, DialerRetries: 1,
		PoolSize: cfg.PoolSize, PoolTimeout: cfg.WriteTimeout,
		ReadTimeout: cfg.WriteTimeout, WriteTimeout: cfg.WriteTimeout,
	}
	s := &Store{cfg: cfg, writes: goredis.NewUniversalClient(&o), lookups: sync.Pool{New: func() any { return &lookup{} }}}
	s.shards.client, _ = s.writes.(*goredis.ClusterClient)
	log.Info("online store", "redis", cfg.Addrs, "cluster", s.shards.client != nil, "user", cfg.Username)
	ctx, cancel := context.WithCancel(context.Background())
	s.stop, s.done = cancel, make(chan struct{})
	s.route(ctx, log, secure)
	go func() {
		defer close(s.done)
		s.warnOfEviction(ctx, log)
	}()
	return s, nil
}

// route begins to find out where lookups go.
func (s *Store) route(ctx context.Context, log *slog.Logger, secure *secure) {
	s.lanes = &lanes{cfg: &s.cfg, log: log, born: time.Now(),
		login: &login{username: s.cfg.Username, password: string(s.cfg.Password), db: s.cfg.DB, tls: secure, master: s.cfg.Master != ""}}
	s.top = &topology{lanes: s.lanes, current: s.tab.Load, publish: s.tab.Store, ctx: ctx,
		known: make(chan struct{}), byAddr: map[string]*lane{}, kick: make(chan struct{}, 1)}
	s.lanes.moved = s.top.stale
	switch {
	case s.cluster():
		s.lanes.spawn(func() { s.top.watch(s.top.cluster, clusterEvery) })
	case s.cfg.Master != "":
		s.lanes.spawn(func() { s.top.watch(s.top.sentinel, sentinelEvery) })
	default:
		s.top.adopt(s.top.single(s.cfg.Addrs[0]))
	}
	s.lanes.spawn(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(refreshEvery):
			}
			if tab := s.tab.Load(); tab != nil {
				for _, l := range tab.lanes {
					l.refresh(ctx, tab)
				}
			}
		}
	})
}

// refreshEvery is how old what is remembered of marks may be.
const refreshEvery = time.Second

func (s *Store) cluster() bool { return s.shards.client != nil }

// rowsPerTrip bounds one pipeline of writes, bytesPerTrip what it sends.
const (
	rowsPerTrip  = 8192
	bytesPerTrip = 4 << 20
)

// Put stores rows through putScript, then moves the mark.
func (s *Store) Put(ctx context.Context, rows []online.Row, adv *online.Advance) (online.Result, error) {
	var r online.Result
	for len(rows) > 0 {
		n := trip(rows)
		stored, err := s.putTrip(ctx, rows[:n])
		r.Stored += stored
		if err != nil {
			return r, s.classify("put", err)
		}
		rows = rows[n:]
	}
	if adv == nil {
		return r, nil
	}
	// In a trip of its own after the rows: a mark must never be ahead of them.
	keys, err := s.shards.keys(ctx, adv.View, false)
	if err != nil {
		return r, s.classify("put", err)
	}
	calls := make([]*call, len(keys))
	for i, k := range keys {
		calls[i] = &call{script: &advanceScript, keys: []any{k},
			args: []any{partName(adv.TopicID, adv.Partition), adv.From, adv.Next}}
	}
	if err := run(ctx, s.writes, calls); err != nil {
		return r, s.classify("put", err)
	}
	for _, c := range calls {
		n, err := c.cmd.Int64()
		if err != nil {
			return r, s.classify("put", err)
		}
		r.Lost = r.Lost || n != 0
	}
	return r, nil
}

func trip(rows []online.Row) int {
	n, bytes := 0, 0
	for n < len(rows) && n < rowsPerTrip && bytes < bytesPerTrip {
		bytes += len(rows[n].Key) + len(rows[n].Value)
		n++
	}
	return n
}

func (s *Store) putTrip(ctx context.Context, rows []online.Row) (int, error) {
	return s.tally(ctx, s.rowCalls(&putScript, rows, func(c *call, r *online.Row) {
		c.args = append(c.args, r.Value, r.Expire.Milliseconds())
	}))
}

// rowCalls makes the calls of a script for rows, at most RowsPerWrite each, and
// on a cluster those of one slot.
func (s *Store) rowCalls(script *script, rows []online.Row, args func(*call, *online.Row)) (calls []*call) {
	var of map[uint16]*call // the open call of a slot
	if s.cluster() {
		of = map[uint16]*call{}
	}
	var c *call
	var n uint16
	for i := range rows {
		if of != nil {
			n = slot(rows[i].Key)
			c = of[n]
		}
		if c == nil || len(c.keys) == s.cfg.RowsPerWrite {
			c = &call{script: script}
			if of != nil {
				of[n] = c
			} else {
				size := min(s.cfg.RowsPerWrite, len(rows)-i)
				c.keys, c.args = make([]any, 0, size), make([]any, 0, 2*size)
			}
			calls = append(calls, c)
		}
		c.keys = append(c.keys, rows[i].Key)
		args(c, &rows[i])
	}
	return calls
}

// tally runs calls that answer a number, and adds those up.
func (s *Store) tally(ctx context.Context, calls []*call) (sum int, err error) {
	if err := run(ctx, s.writes, calls); err != nil {
		return 0, err
	}
	for _, c := range calls {
		n, err := c.cmd.Int()
		if err != nil {
			return sum, err
		}
		sum += n
	}
	return sum, nil
}

// Fill stores rows with SET NX.
func (s *Store) Fill(ctx context.Context, rows []online.Row) error {
	for len(rows) > 0 {
		n := trip(rows)
		pipe := s.writes.Pipeline()
		for i := range rows[:n] {
			args := append(make([]any, 0, 6), "set", rows[i].Key, rows[i].Value, "nx")
			if x := rows[i].Expire; x > 0 {
				args = append(args, "px", max(x.Milliseconds(), 1))
			}
			_ = pipe.Process(ctx, goredis.NewStatusCmd(ctx, args...))
		}
		cmds, all := pipe.Exec(ctx)
		for _, c := range cmds { // Exec's own error is Nil when a key was there
			if err := c.Err(); err != nil && !errors.Is(err, goredis.Nil) {
				return s.classify("fill", err)
			}
		}
		if all != nil && !errors.Is(all, goredis.Nil) {
			return s.classify("fill", all)
		}
		rows = rows[n:]
	}
	return nil
}

func schemaKey(view string, id uint32) string { return fmt.Sprintf("w:{%s}:schema:%08x", view, id) }

func (s *Store) Schema(ctx context.Context, view string, id uint32) (string, error) {
	vals, failed := make([][]byte, 1), make([]bool, 1)
	err := s.Get(ctx, []string{schemaKey(view, id)}, vals, failed)
	return string(vals[0]), err
}

func (s *Store) PutSchema(ctx context.Context, view string, id uint32, text string) error {
	k := schemaKey(view, id)
	if err := s.writes.SetNX(ctx, k, text, 0).Err(); err != nil {
		return s.classify("put_schema", err)
	}
	old, err := s.writes.Get(ctx, k).Result()
	if err != nil {
		return s.classify("put_schema", err)
	}
	if old != text {
		return online.SchemaClash("redis.put_schema", view, id)
	}
	return nil
}

// Close ends what runs in the background and closes the connections.
func (s *Store) Close() error {
	s.stop()
	<-s.done
	s.lanes.wait()
	for _, l := range s.top.all() {
		l.close()
	}
	return s.writes.Close()
}
