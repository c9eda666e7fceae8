package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unsafe"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-ml/weir/online"
)

// perScan is how many slots of its table the server looks at in one SCAN, and
// how many values are asked for at a time.
const perScan = 1000

// Scan goes over every server's keys with SCAN. Keys and values travel on the
// connections of writes, whose patience is longer: lookups must not queue behind a scan.
func (s *Store) Scan(ctx context.Context, span online.Span, fn func(keys []string, vals [][]byte) error) error {
	servers, err := s.servers(ctx)
	if err != nil {
		return s.classify("scan", err)
	}
	for _, c := range servers {
		var cursor uint64
		for first := true; first || cursor != 0; first = false {
			var found []string
			if found, cursor, err = c.Scan(ctx, cursor, escapeGlob(span.Prefix)+"*"+escapeGlob(span.Suffix), perScan).Result(); err != nil {
				return s.classify("scan", err)
			}
			keys := found[:0]
			for _, k := range found {
				if span.Has(k) { // prefix and suffix may overlap in the pattern
					keys = append(keys, k)
				}
			}
			// A server may answer with more than it was asked for.
			for len(keys) > 0 {
				n := min(perScan, len(keys))
				vals, failed := make([][]byte, n), make([]bool, n)
				if err := s.getGroups(ctx, keys[:n], s.group(keys[:n]), vals, failed); err != nil {
					return s.classify("scan", err)
				}
				if err := fn(keys[:n:n], vals); err != nil {
					return err
				}
				keys = keys[n:]
			}
		}
	}
	return nil
}

// servers are those that hold keys.
func (s *Store) servers(ctx context.Context) (list []goredis.Cmdable, err error) {
	if !s.cluster() {
		return []goredis.Cmdable{s.writes}, nil
	}
	var mu sync.Mutex
	err = s.shards.client.ForEachMaster(ctx, func(_ context.Context, c *goredis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		list = append(list, c)
		return nil
	})
	return list, err
}

var globs = strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `\`, `\\`)

// escapeGlob makes a pattern that matches only s.
func escapeGlob(s string) string { return globs.Replace(s) }

// Remove drops rows through removeScript.
func (s *Store) Remove(ctx context.Context, rows []online.Row) (int, error) {
	removed := 0
	for len(rows) > 0 {
		n := trip(rows)
		got, err := s.tally(ctx, s.rowCalls(&removeScript, rows[:n], func(c *call, r *online.Row) { c.args = append(c.args, r.Value) }))
		removed += got
		if err != nil {
			return removed, s.classify("remove", err)
		}
		rows = rows[n:]
	}
	return removed, nil
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

func (s *Store) getGroups(ctx context.Context, keys []string, groups [][]int, vals [][]byte, failed []bool) (first error) {
	pipe := s.writes.Pipeline()
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
