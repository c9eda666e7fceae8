package iceberg

import (
	"context"
	"sync"

	"github.com/weir-ml/weir/offline"
)

// newest is what a process knows of a table's newest state. All that opened the
// table share it: a request that opens it again reads the catalog's pointer, and
// what that names only where it has moved.
type newest struct {
	mu        sync.Mutex
	last      *loaded                   // newest metadata seen
	manifests map[string][]offline.File // data files by manifest path; those of the newest state loaded
}

// maxNewest is of how many tables a store remembers the newest state. Those that are
// open keep theirs.
const maxNewest = 64

// tableName is the catalog's name for a table.
type tableName struct{ project, view string }

// newestOf is what the process knows of a table, brought up to date; nil where there is no such table.
func (s *Store) newestOf(ctx context.Context, name tableName) (*newest, error) {
	s.mu.Lock()
	n := s.known[name]
	s.mu.Unlock()
	var prev *loaded
	if n != nil {
		prev = n.seen()
	}
	now, err := s.read(ctx, name.project, name.view, prev)
	if err != nil || now == nil {
		return nil, err
	}
	if n != nil && prev.meta.Location() == now.meta.Location() {
		n.keep(now)
		return n, nil
	}
	n = &newest{last: now, manifests: map[string][]offline.File{}} // not seen before, or dropped and made again
	s.mu.Lock()
	defer s.mu.Unlock()
	for other := range s.known {
		if len(s.known) < maxNewest {
			break
		}
		delete(s.known, other)
	}
	s.known[name] = n
	return n, nil
}

func (n *newest) seen() *loaded {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last
}

func (n *newest) keep(l *loaded) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = l
}
