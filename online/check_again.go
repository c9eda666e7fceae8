package online

import (
	"context"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/weir-ml/weir/registry/feature"
)

// suspect remembers a key to be looked at again. Takes s over.
func (c *checker) suspect(ctx context.Context, s suspect) error {
	c.suspects = append(c.suspects, s)
	if c.bytes += len(s.key) + len(s.want) + len(s.got); len(c.suspects) < mostSuspects && c.bytes < mostBytes {
		return nil
	}
	return c.lookAgain(ctx)
}

// looks is how often what differs is looked at before it is believed, once
// nobody knows of a loss any more.
const looks = 3

// lookAgain goes on looking at the suspects until all is well, or looking does
// not help. Which rows are ahead is judged by the newest marks each time.
func (c *checker) lookAgain(ctx context.Context) error {
	if len(c.suspects) == 0 {
		return nil
	}
	pause, quiet := c.Pause, 0
	for first := true; len(c.suspects) > 0; first = false {
		if err := c.readMarks(ctx); err != nil {
			return err
		}
		if quiet++; c.mending() {
			quiet = 0
		}
		left := c.Patience - c.waited
		if !first && (left <= 0 || quiet > looks) {
			break
		}
		if d := min(pause, left); d > 0 {
			if err := sleep(ctx, d); err != nil {
				return err
			}
			c.waited += d
			pause = min(2*pause, max(c.Pause, 2*time.Second))
		}
		if err := c.look(ctx); err != nil {
			return err
		}
	}
	list := c.suspects
	c.suspects, c.bytes = nil, 0
	for i := range list {
		s := &list[i]
		if s.want == nil {
			if c.odd[s.key] {
				continue // the scan gave it twice
			}
			if len(c.odd) < 1<<16 {
				c.odd[s.key] = true
			}
		}
		c.count(isFault, s)
		if err := c.fault(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// look reads the suspects again and keeps those that still differ.
func (c *checker) look(ctx context.Context) error {
	kept := c.suspects[:0]
	for part := range slices.Chunk(c.suspects, perRead) {
		keys := make([]string, len(part))
		for i := range part {
			keys[i] = part[i].key
		}
		vals, err := c.get(ctx, keys)
		if err != nil {
			return err
		}
		for i := range part {
			s := part[i]
			s.got = vals[i]
			v, err := c.judge(ctx, &s)
			if err != nil {
				return err
			}
			if v == isFault {
				kept = append(kept, s)
			} else {
				c.count(v, &s)
			}
		}
	}
	c.suspects = kept
	return nil
}

// strangers goes over the store's keys. Where the table has more keys than are
// remembered at once, it goes over both again for each range of the keys' hashes.
func (c *checker) strangers(ctx context.Context, s *scratch) error {
	for {
		c.seen.sort()
		err := c.Store.Scan(ctx, SpanOf(c.View), func(keys []string, vals [][]byte) error {
			for i, k := range keys {
				if h := xxhash.Sum64String(k); !c.seen.covers(h) || c.seen.has(h) {
					continue
				}
				x := suspect{key: k, got: vals[i]}
				v, err := c.judge(ctx, &x)
				if err != nil {
					return err
				}
				if v == isFault {
					if err := c.suspect(ctx, x); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err == nil {
			err = c.lookAgain(ctx)
		}
		if err != nil || !c.seen.next() {
			return err
		}
		err = c.Newest(func(b *feature.Batch) error {
			if err := c.rows(s, b); err != nil {
				return err
			}
			for i := range s.rows {
				c.seen.add(xxhash.Sum64String(s.rows[i].Key))
			}
			s.forget()
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// mostKeys bounds a keySet: 128 MiB.
const mostKeys = 16 << 20

// keySet holds the hashes of keys within [first, last], at most most of them: when
// more come it gives the upper half of its range up to a later turn.
type keySet struct {
	first, last uint64
	most        int
	hashes      []uint64
}

func newKeySet(most int) keySet { return keySet{last: 1<<64 - 1, most: most} }

func (k *keySet) covers(h uint64) bool { return k.first <= h && h <= k.last }

func (k *keySet) add(h uint64) {
	if !k.covers(h) {
		return
	}
	k.hashes = append(k.hashes, h)
	for len(k.hashes) > k.most && k.last > k.first {
		k.last = k.first + (k.last-k.first)/2
		k.hashes = slices.DeleteFunc(k.hashes, func(h uint64) bool { return h > k.last })
	}
}

func (k *keySet) sort() { slices.Sort(k.hashes) }

// has needs sort.
func (k *keySet) has(h uint64) bool {
	_, ok := slices.BinarySearch(k.hashes, h)
	return ok
}

// next turns to the range above, empty; false when there is none.
func (k *keySet) next() bool {
	if k.last == 1<<64-1 {
		return false
	}
	width := k.last - k.first
	k.first, k.hashes = k.last+1, k.hashes[:0]
	k.last = k.first + min(width, 1<<64-1-k.first)
	return true
}
