package redis

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const slots = 16384

// slot is the cluster slot of a key: CRC-16/XMODEM of what stands in its first
// braces, or of all of it.
func slot(key string) uint16 {
	if i := strings.IndexByte(key, '{'); i >= 0 {
		if j := strings.IndexByte(key[i+1:], '}'); j > 0 {
			key = key[i+1 : i+1+j]
		}
	}
	var crc uint16
	for i := range len(key) {
		crc = crc<<8 ^ crcOf[byte(crc>>8)^key[i]]
	}
	return crc % slots
}

// crcOf is the CRC of each byte.
var crcOf = func() (t [256]uint16) {
	for i := range t {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
		t[i] = crc
	}
	return t
}()

// shards finds the names of a view's marks, one for each server of a cluster:
// each shard loses and keeps its writes by itself, so each needs a mark of its own.
//
// A mark's slot moves with its server's slots when a cluster is resharded; the
// shard it leaves has none then and is refilled, which is slow but right.
type shards struct {
	client *goredis.ClusterClient // nil: one server

	mu    sync.Mutex
	owner []uint16 // guarded by mu: slot -> number of its shard
	count int      // guarded by mu
	until time.Time
}

// markKey names the marks of a view. n tells apart the shards of a cluster.
func markKey(view string, n int) string {
	if n == 0 {
		return "w:{" + view + "}:marks"
	}
	return fmt.Sprintf("w:{%s#%d}:marks", view, n)
}

// keys returns the mark keys of a view, one per shard.
func (s *shards) keys(ctx context.Context, view string, fresh bool) ([]string, error) {
	if s.client == nil {
		return []string{markKey(view, 0)}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if fresh || s.owner == nil || time.Now().After(s.until) {
		if err := s.load(ctx); err != nil {
			return nil, err
		}
	}
	keys := make([]string, 0, s.count)
	seen := make([]bool, s.count)
	for n := 0; len(keys) < s.count && n < 64*slots; n++ {
		k := markKey(view, n)
		if o := s.owner[slot(k)]; !seen[o] {
			seen[o] = true
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// load asks the cluster who has which slots; needs mu.
func (s *shards) load(ctx context.Context) error {
	list, err := s.client.ClusterShards(ctx).Result()
	if err != nil {
		return err
	}
	owner, count, covered := make([]uint16, slots), 0, 0
	for _, shard := range list {
		if len(shard.Slots) == 0 {
			continue // a server that has joined and serves nothing yet
		}
		for _, r := range shard.Slots {
			for i := r.Start; i <= r.End && i < slots; i++ {
				owner[i] = uint16(count)
				covered++
			}
		}
		count++
	}
	if covered < slots {
		return fmt.Errorf("CLUSTERDOWN only %d of %d slots are served", covered, slots)
	}
	s.owner, s.count, s.until = owner, count, time.Now().Add(time.Minute)
	return nil
}
