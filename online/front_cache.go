package online

import (
	"bytes"
	"hash/maphash"
	"strings"
	"sync"
	"time"
)

// cache keeps values by key within a bound of memory. It has two halves: what is used goes to the young one, and when
// that is full the old one is dropped and the young one becomes the old one.
type cache struct {
	seed   maphash.Seed
	shards [cacheShards]cacheShard
}

const (
	cacheShards = 64 // so that requests seldom wait for each other
	// What an entry takes beside key and value: the map's slot, half of which may be empty, and the headers.
	entryBytes = 160
)

type cacheShard struct {
	mu         sync.Mutex
	young, old map[string]entry // guarded by mu
	bytes      int64            // of young, guarded by mu
	most       int64            // of young
}

type entry struct {
	val []byte // nil: absent
	at  int64  // when the store was asked, nanoseconds
}

func newCache(size int64) *cache {
	c := &cache{seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i] = cacheShard{young: map[string]entry{}, most: size / cacheShards / 2}
	}
	return c
}

func (c *cache) shard(key string) *cacheShard {
	return &c.shards[maphash.String(c.seed, key)%cacheShards]
}

// get returns what was put for a key at since or later.
func (c *cache) get(key string, since time.Time) ([]byte, bool) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.young[key]
	if !ok {
		if e, ok = s.old[key]; ok && e.at >= since.UnixNano() {
			s.add(strings.Clone(key), e)
		}
	}
	if !ok || e.at < since.UnixNano() {
		return nil, false
	}
	return e.val, true
}

// put remembers a value, of which it takes a copy: values come many to an allocation.
func (c *cache) put(key string, val []byte, at time.Time) {
	e := entry{at: at.UnixNano()}
	if val != nil {
		e.val = bytes.Clone(val)
	}
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if was, ok := s.young[key]; ok {
		if was.at > e.at {
			return // asked later, answered sooner
		}
		s.bytes += int64(len(e.val) - len(was.val))
		s.young[key] = e
		return
	}
	if was, ok := s.old[key]; ok && was.at > e.at {
		return
	}
	s.add(strings.Clone(key), e)
}

// add puts a new entry among the young; needs mu.
func (s *cacheShard) add(key string, e entry) {
	size := int64(len(key)+len(e.val)) + entryBytes
	if size > s.most {
		return
	}
	if s.bytes+size > s.most {
		s.young, s.old, s.bytes = map[string]entry{}, s.young, 0
	}
	s.young[key] = e
	s.bytes += size
}
