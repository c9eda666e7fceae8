package redis

import (
	"context"
	"strings"
	"sync"

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
				if err := s.getGroups(ctx, s.writes, keys[:n], s.group(keys[:n]), vals, failed); err != nil {
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
