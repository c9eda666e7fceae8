// Package memory keeps quality's clocks in memory, for tests.
//
// The one rule: it keeps the same promises as the SQL store but for surviving its process.
package memory

import (
	"context"
	"slices"
	"sync"

	"github.com/weir-ml/weir/validate/quality"
)

// Clocks implements quality.Clocks. The zero value is ready.
type Clocks struct {
	mu  sync.Mutex
	all map[string]quality.Clock
}

var _ quality.Clocks = (*Clocks)(nil)

func (s *Clocks) Clock(_ context.Context, view string) (*quality.Clock, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.all[view]
	if !ok {
		return nil, nil
	}
	c.Samples = slices.Clone(c.Samples)
	return &c, nil
}

func (s *Clocks) PutClock(_ context.Context, c *quality.Clock) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[c.View].Revision != c.Revision {
		return false, nil
	}
	n := *c
	n.Samples = slices.Clone(c.Samples)
	n.Revision++
	if s.all == nil {
		s.all = map[string]quality.Clock{}
	}
	s.all[c.View] = n
	return true, nil
}

func (s *Clocks) DropClocks(_ context.Context, keep []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.all {
		if !slices.Contains(keep, id) {
			delete(s.all, id)
		}
	}
	return nil
}
