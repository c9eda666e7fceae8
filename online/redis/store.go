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
	"slices"
	"sync"
	"unsafe"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry/feature"
)

// Store is an online.Store; parallel use is fine.
//
// It has two connection pools. Lookups wait briefly and would be held up by
// pipelines of writes on the same connections; the client's own defaults (a hung
// server returns after 5 s whatever the context says, failed dials are tried five
// times) are turned off for both.
type Store struct {
	cfg    Config
	reads  goredis.UniversalClient
	writes goredis.UniversalClient
	shards shards

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
	tls, err := cfg.TLS.load()
	if err != nil {
		return nil, &feature.Error{Kind: feature.Invalid, Op: "redis.open", What: "redis.tls", Err: err}
	}
	quiet()
	o := goredis.UniversalOptions{
		Addrs: cfg.Addrs, IsClusterMode: cfg.Cluster, MasterName: cfg.Master, DB: cfg.DB,
		Username: cfg.Username, Password: string(cfg.Password), TLSConfig: tls,
		ClientName: "weir", DisableIdentity: true, Protocol: 2,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		MaxRetries:               -1, ContextTimeoutEnabled: true,
		DialTimeout: cfg.DialTimeout, DialerRetries: 1,
		PoolSize: cfg.PoolSize, PoolTimeout: cfg.ReadTimeout,
		ReadTimeout: cfg.ReadTimeout, WriteTimeout: cfg.ReadTimeout,
	}
	s := &Store{cfg: cfg, reads: goredis.NewUniversalClient(&o)}
	w := o
	w.ReadTimeout, w.WriteTimeout, w.PoolTimeout = cfg.WriteTimeout, cfg.WriteTimeout, cfg.WriteTimeout
	s.writes = goredis.NewUniversalClient(&w)
	s.shards.client, _ = s.writes.(*goredis.ClusterClient)
	log.Info("online store", "redis", cfg.Addrs, "cluster", s.shards.client != nil, "user", cfg.Username)
	ctx, cancel := context.WithCancel(context.Background())
	s.stop, s.done = cancel, make(chan struct{})
	go func() {
		defer close(s.done)
		s.warnOfEviction(ctx, log)
	}()
	return s, nil
}

func (s *Store) cluster() bool { return s.shards.client != nil }

// Get asks with MGET, at most KeysPerRead keys each; on a cluster the keys of
// one slot at a time (it refuses others), all in one pipeline.
func (s *Store) Get(ctx context.Context, keys []string, vals [][]byte, failed []bool) error {
	if len(keys) == 0 {
		return nil
	}
	if !s.cluster() && len(keys) <= s.cfg.KeysPerRead {
		cmd := mget(ctx, keys)
		err := s.reads.Process(ctx, cmd)
		if err != nil && broken(err) && ctx.Err() == nil {
			cmd = mget(ctx, keys)
			err = s.reads.Process(ctx, cmd)
		}
		if err != nil {
			for i := range failed {
				failed[i] = true
			}
			return s.classify("get", err)
		}
		return s.classify("get", take(cmd, nil, vals, failed))
	}
	groups := s.group(keys)
	err := s.getGroups(ctx, s.reads, keys, groups, vals, failed)
	if err != nil && broken(err) && ctx.Err() == nil {
		again := slices.DeleteFunc(groups, func(g []int) bool { return !failed[g[0]] })
		err = s.getGroups(ctx, s.reads, keys, again, vals, failed)
	}
	return s.classify("get", err)
}

// group splits the positions of keys into those that one MGET may ask for.
func (s *Store) group(keys []string) [][]int {
	order := make([]int, len(keys))
	for i := range order {
		order[i] = i
	}
	var of []uint16
	if s.cluster() {
		of = make([]uint16, len(keys))
		for i, k := range keys {
			of[i] = slot(k)
		}
		slices.SortStableFunc(order, func(a, b int) int { return int(of[a]) - int(of[b]) })
	}
	var groups [][]int
	for len(order) > 0 {
		n := 1
		for n < len(order) && n < s.cfg.KeysPerRead && (of == nil || of[order[n]] == of[order[0]]) {
			n++
		}
		groups = append(groups, order[:n:n])
		order = order[n:]
	}
	return groups
}

func (s *Store) getGroups(ctx context.Context, from goredis.UniversalClient, keys []string, groups [][]int, vals [][]byte, failed []bool) (first error) {
	pipe := from.Pipeline()
	cmds := make([]*goredis.StringSliceCmd, len(groups))
	for i, g := range groups {
		args := make([]any, 1, 1+len(g))
		args[0] = "mget"
		for _, k := range g {
			args = append(args, keys[k])
		}
		cmds[i] = goredis.NewStringSliceCmd(ctx, args...)
		_ = pipe.Process(ctx, cmds[i])
	}
	_, all := pipe.Exec(ctx)
	for i, g := range groups {
		for _, k := range g {
			failed[k] = false
		}
		err := cmds[i].Err()
		if err == nil && cmds[i].Val() == nil {
			err = all // never sent: no connection could be set up
		}
		if err == nil {
			err = take(cmds[i], g, vals, failed)
		} else {
			for _, k := range g {
				failed[k] = true
			}
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// mget asks one server. Pointers to the keys go into the interfaces, so that
// asking allocates one slice whatever the number of keys.
func mget(ctx context.Context, keys []string) *goredis.StringSliceCmd {
	args := make([]any, 1+len(keys))
	args[0] = "mget"
	for i := range keys {
		args[i+1] = &keys[i]
	}
	return goredis.NewStringSliceCmd(ctx, args...)
}

// take moves an answer into vals at the positions that at names (nil: all). The
// client gives "" for an absent key; no value of ours is empty. The bytes alias
// the strings, which nobody else has: Store.Get forbids changing them.
func take(cmd *goredis.StringSliceCmd, at []int, vals [][]byte, failed []bool) error {
	got := cmd.Val()
	want := len(at)
	if at == nil {
		want = len(vals)
	}
	if len(got) != want {
		for i := range want {
			if at != nil {
				failed[at[i]] = true
			} else {
				failed[i] = true
			}
		}
		return fmt.Errorf("mget of %d keys gave %d values", want, len(got))
	}
	for i, v := range got {
		if v == "" {
			continue
		}
		k := i
		if at != nil {
			k = at[i]
		}
		vals[k] = unsafe.Slice(unsafe.StringData(v), len(v))
	}
	return nil
}

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
	text, err := s.reads.Get(ctx, schemaKey(view, id)).Result()
	if errors.Is(err, goredis.Nil) {
		return "", nil
	}
	return text, s.classify("schema", err)
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

func (s *Store) Ping(ctx context.Context) error {
	return s.classify("ping", s.reads.Ping(ctx).Err())
}

func (s *Store) Close() error {
	s.stop()
	<-s.done
	return errors.Join(s.reads.Close(), s.writes.Close())
}
