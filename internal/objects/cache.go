package objects

import (
	"container/list"
	"sync"
)

// cache keeps blocks of the files that are open, the last used ones, up to a limit.
type cache struct {
	mu    sync.Mutex
	limit int64
	used  int64
	order list.List // of *block, last used first; only those that have been read
}

func newCache(limit int64) *cache { return &cache{limit: limit} }

// block is a part of a file. ready is closed when data or err is there.
type block struct {
	file  *File
	index int64
	ready chan struct{}
	data  []byte
	err   error
	place *list.Element // nil while it is read, and after it has gone
}

// add keeps a block that has been read. The caller holds mu.
func (c *cache) add(b *block) {
	b.place = c.order.PushFront(b)
	c.used += int64(len(b.data))
	for c.used > c.limit {
		oldest := c.order.Back()
		if oldest == b.place {
			return
		}
		c.drop(oldest.Value.(*block))
	}
}

// drop forgets a block; who copies from it goes on. The caller holds mu.
func (c *cache) drop(b *block) {
	delete(b.file.blocks, b.index)
	if b.place != nil {
		c.order.Remove(b.place)
		b.place = nil
		c.used -= int64(len(b.data))
	}
}

// touch makes a block the last used one. The caller holds mu.
func (c *cache) touch(b *block) {
	if b.place != nil {
		c.order.MoveToFront(b.place)
	}
}
