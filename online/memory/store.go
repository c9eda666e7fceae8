// Package memory is an online.Store in a map: for tests, and for trying things
// out without any server. It holds what it was given until the process ends.
package memory

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"

	"github.com/weir-ml/weir/online"
)

// Store is safe for parallel use.
type Store struct {
	now func() time.Time

	mu      sync.RWMutex // guards everything below
	rows    map[string]entry
	marks   map[string]*marks
	schemas map[schemaKey]string
}

var _ online.Store = (*Store)(nil)

type entry struct {
	value   []byte
	expires time.Time // zero: never
}

type marks struct {
	ttl  int64
	part map[partition]online.Mark
}

type partition struct {
	topicID [16]byte
	id      int32
}

type schemaKey struct {
	view string
	id   uint32
}

// New returns an empty store. now is the clock that expiry goes by; time.Now when nil.
func New(now func() time.Time) *Store {
	if now == nil {
		now = time.Now
	}
	s := &Store{now: now}
	s.Clear()
	return s
}

// Clear forgets everything, as a server does that restarts empty.
func (s *Store) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows, s.marks, s.schemas = map[string]entry{}, map[string]*marks{}, map[schemaKey]string{}
}

// Len is the number of keys, expired ones included.
func (s *Store) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.rows)
}

func (s *Store) Get(_ context.Context, keys []string, vals [][]byte, _ []bool) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i, k := range keys {
		if e, ok := s.rows[k]; ok && (e.expires.IsZero() || e.expires.After(s.now())) {
			vals[i] = e.value
		}
	}
	return nil
}

func (s *Store) Put(_ context.Context, rows []online.Row, adv *online.Advance) (online.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var r online.Result
	now := s.now()
	for _, row := range rows {
		old, ok := s.rows[row.Key]
		if ok && (old.expires.IsZero() || old.expires.After(now)) && !online.Replaces(row.Value, old.value) {
			continue
		}
		s.set(row, now)
		r.Stored++
	}
	if adv != nil {
		m, p := s.of(adv.View), partition{adv.TopicID, adv.Partition}
		mark := m.part[p]
		mark.TopicID, mark.Partition = p.topicID, p.id
		m.part[p], r.Lost = adv.Move(mark)
	}
	return r, nil
}

func (s *Store) Fill(_ context.Context, rows []online.Row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for _, row := range rows {
		if old, ok := s.rows[row.Key]; !ok || !old.expires.IsZero() && !old.expires.After(now) {
			s.set(row, now)
		}
	}
	return nil
}

// set needs mu. The caller's memory is copied; values handed out by Get stay as they are.
func (s *Store) set(row online.Row, now time.Time) {
	e := entry{value: bytes.Clone(row.Value)}
	if row.Expire > 0 {
		e.expires = now.Add(row.Expire)
	}
	s.rows[strings.Clone(row.Key)] = e
}

// Scan gives the rows as they are when it is called.
func (s *Store) Scan(ctx context.Context, span online.Span, fn func(keys []string, vals [][]byte) error) error {
	const most = 500
	var keys []string
	var vals [][]byte
	s.mu.RLock()
	now := s.now()
	for k, e := range s.rows {
		if span.Has(k) && (e.expires.IsZero() || e.expires.After(now)) {
			keys, vals = append(keys, k), append(vals, e.value)
		}
	}
	s.mu.RUnlock()
	for len(keys) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(most, len(keys))
		if err := fn(keys[:n:n], vals[:n:n]); err != nil {
			return err
		}
		keys, vals = keys[n:], vals[n:]
	}
	return nil
}

func (s *Store) Remove(_ context.Context, rows []online.Row) (removed int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, row := range rows {
		if e, ok := s.rows[row.Key]; ok && bytes.Equal(e.value, row.Value) {
			delete(s.rows, row.Key)
			removed++
		}
	}
	return removed, nil
}

// of needs mu.
func (s *Store) of(view string) *marks {
	m := s.marks[view]
	if m == nil {
		m = &marks{part: map[partition]online.Mark{}}
		s.marks[view] = m
	}
	return m
}

func (s *Store) Marks(_ context.Context, view string) (online.Marks, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m := s.marks[view]
	if m == nil {
		return online.Marks{}, nil
	}
	r := online.Marks{TTL: m.ttl}
	for _, p := range m.part {
		r.Part = append(r.Part, p)
	}
	return r, nil
}

func (s *Store) Settle(_ context.Context, view string, ttl int64, list []online.Settlement, seen []online.Mark) (lost bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.of(view)
	for _, x := range seen {
		if m.part[partition{x.TopicID, x.Partition}].Good() < x.Good() {
			return true, nil
		}
	}
	m.ttl = ttl
	for _, x := range list {
		p := partition{x.TopicID, x.Partition}
		mark := m.part[p]
		mark.TopicID, mark.Partition = p.topicID, p.id
		m.part[p] = x.Apply(mark)
	}
	return false, nil
}

func (s *Store) Forget(_ context.Context, view string, list []online.Mark) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range list {
		delete(s.of(view).part, partition{m.TopicID, m.Partition})
	}
	return nil
}

func (s *Store) Schema(_ context.Context, view string, id uint32) (string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.schemas[schemaKey{view, id}], nil
}

func (s *Store) PutSchema(_ context.Context, view string, id uint32, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := schemaKey{view, id}
	if old, ok := s.schemas[k]; ok && old != text {
		return online.SchemaClash("memory.put_schema", view, id)
	}
	s.schemas[k] = text
	return nil
}

func (s *Store) Ping(context.Context) error { return nil }
func (s *Store) Close() error               { return nil }
