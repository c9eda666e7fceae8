package memory

import "maps"

// Copy returns a store with the same content and clock. With Restore a test
// makes a server that comes back with an older state.
func (s *Store) Copy() *Store {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := &Store{now: s.now, rows: maps.Clone(s.rows), schemas: maps.Clone(s.schemas), marks: map[string]*marks{}}
	for k, m := range s.marks {
		c.marks[k] = &marks{ttl: m.ttl, part: maps.Clone(m.part)}
	}
	return c
}

// Restore makes s what c was.
func (s *Store) Restore(c *Store) {
	c = c.Copy()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows, s.schemas, s.marks = c.rows, c.schemas, c.marks
}
