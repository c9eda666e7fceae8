// Package memory keeps windows in memory: for tests, and for commands that look
// at files without a server.
//
// The one rule: it keeps the same promises as the SQL store but for surviving its process.
package memory

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/registry/feature"
)

// Store implements tally.Store. The zero value is not ready; use New.
type Store[T tally.Tally[T], V comparable] struct {
	*Outbox
	decode   tally.Decode[T]
	mu       sync.Mutex        // before the outbox's
	staged   map[string][]byte // encoded, as a database would keep them
	settled  map[string]int64
	progress map[string]*tally.Progress
	windows  map[windowKey]*tally.Record[T, V]
	states   map[tally.Series]tally.State
	refs     map[string][]byte
}

type windowKey struct {
	tally.Series
	start int64
}

// New returns an empty store, whose events and outbox are those of box; nil is one of its own.
func New[T tally.Tally[T], V comparable](decode tally.Decode[T], box *Outbox) *Store[T, V] {
	if box == nil {
		box = NewOutbox()
	}
	return &Store[T, V]{
		Outbox: box, decode: decode,
		staged: map[string][]byte{}, settled: map[string]int64{}, progress: map[string]*tally.Progress{},
		windows: map[windowKey]*tally.Record[T, V]{}, states: map[tally.Series]tally.State{}, refs: map[string][]byte{},
	}
}

func (s *Store[T, V]) Stage(_ context.Context, x *tally.Staged[T]) error {
	b, err := x.Encode()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, done := s.settled[x.Commit]; !done {
		s.staged[x.Commit] = b
	}
	return nil
}

func (s *Store[T, V]) read(commit string) (*tally.Staged[T], error) {
	b, ok := s.staged[commit]
	if !ok {
		return nil, nil
	}
	return tally.DecodeStaged(b, s.decode)
}

func (s *Store[T, V]) Settle(_ context.Context, commit string, now time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, done := s.settled[commit]; done {
		return true, nil
	}
	return s.settle(commit, now.UnixMicro())
}

func (s *Store[T, V]) settle(commit string, now int64) (bool, error) {
	x, err := s.read(commit)
	if x == nil || err != nil {
		return false, err
	}
	delete(s.staged, commit) // before its predecessors, so that a loop in broken data ends
	for i := range x.Marks {
		if m := &x.Marks[i]; m.FromCommit != "" && !m.Carried {
			if _, err := s.settle(m.FromCommit, now); err != nil {
				return false, err
			}
		}
	}
	s.settled[commit] = now
	for i := range x.Deltas {
		d := &x.Deltas[i]
		k := windowKey{d.Series, d.Start}
		if s.windows[k] == nil {
			s.windows[k] = &tally.Record[T, V]{Series: d.Series, Start: d.Start, End: d.End, State: tally.Open}
		}
		s.windows[k].Add(d)
	}
	for i := range x.Marks {
		m := &x.Marks[i]
		s.at(x.View, m.TopicID, m.Partition).Apply(m, now)
		if !m.Carried {
			if err := s.dropBelow(x.View, m.TopicID, m.Partition, m.Next); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

func progressKey(view string, topic [16]byte, p int32) string {
	return fmt.Sprintf("%s %s %d", view, hex.EncodeToString(topic[:]), p)
}

func (s *Store[T, V]) at(view string, topic [16]byte, p int32) *tally.Progress {
	k := progressKey(view, topic, p)
	if s.progress[k] == nil {
		s.progress[k] = &tally.Progress{View: view, TopicID: topic, Partition: p}
	}
	return s.progress[k]
}

// dropBelow drops staged commits of a view that start below next on the partition.
func (s *Store[T, V]) dropBelow(view string, topic [16]byte, p int32, next int64) error {
	for id := range s.staged {
		x, err := s.read(id)
		if err != nil {
			return err
		}
		if x.View == view && slices.ContainsFunc(x.Marks, func(m tally.Mark) bool {
			return !m.Carried && m.TopicID == topic && m.Partition == p && m.FromNext < next
		}) {
			delete(s.staged, id)
		}
	}
	return nil
}

func (s *Store[T, V]) Assign(_ context.Context, view string, at []feature.Position, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range at {
		if _, err := s.settle(p.Commit, now.UnixMicro()); err != nil {
			return err
		}
	}
	for _, p := range at {
		if err := s.dropBelow(view, p.TopicID, p.Partition, p.Next); err != nil {
			return err
		}
		k := progressKey(view, p.TopicID, p.Partition)
		g := tally.Assigned(s.progress[k], view, p, now)
		s.progress[k] = &g
	}
	return nil
}

func (s *Store[T, V]) Drop(_ context.Context, commits []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range commits {
		delete(s.staged, id)
	}
	return nil
}

func (s *Store[T, V]) Progress(_ context.Context, view string) ([]tally.Progress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []tally.Progress
	for _, p := range s.progress {
		if p.View == view {
			out = append(out, *p)
		}
	}
	slices.SortFunc(out, func(a, b tally.Progress) int {
		return cmp.Or(slices.Compare(a.TopicID[:], b.TopicID[:]), cmp.Compare(a.Partition, b.Partition))
	})
	return out, nil
}

func (s *Store[T, V]) Windows(_ context.Context, q tally.WindowQuery) ([]tally.Record[T, V], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []tally.Record[T, V]
	for _, w := range s.windows {
		if (q.Project != "" && q.Project != w.Project) || (q.Owner != "" && q.Owner != w.Owner) || (q.Size != "" && q.Size != w.Size) ||
			(len(q.States) > 0 && !slices.Contains(q.States, w.State)) || (len(q.Starts) > 0 && !slices.Contains(q.Starts, w.Start)) ||
			((q.From != 0 || q.Before != 0) && (w.Start < q.From || w.Start >= q.Before)) {
			continue
		}
		out = append(out, *w)
	}
	slices.SortFunc(out, func(a, b tally.Record[T, V]) int {
		start := cmp.Compare(a.Start, b.Start)
		if q.Newest {
			start = -start
		}
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Size, b.Size), start)
	})
	if q.Limit > 0 && len(out) > q.Limit {
		out = out[:q.Limit]
	}
	for i := range out {
		w := &out[i]
		w.Imports = slices.Clone(w.Imports)
		if q.Bare {
			var none V
			w.Verdict = none
		}
		var none T
		if !q.Profiles || w.Profile == none {
			w.Profile = none
			continue
		}
		b, err := w.Profile.MarshalBinary() // a copy of its own
		if err != nil {
			return nil, err
		}
		if w.Profile, err = s.decode(b); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Store[T, V]) Counts(_ context.Context, r tally.Series) (map[tally.WindowState]int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[tally.WindowState]int64{}
	for k, w := range s.windows {
		if k.Series == r {
			out[w.State]++
		}
	}
	return out, nil
}

func (s *Store[T, V]) Close(_ context.Context, r tally.Series, starts []int64, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range starts {
		if w := s.windows[windowKey{r, at}]; w != nil && w.State == tally.Open {
			w.State, w.ClosedAt = tally.Closed, now.UnixMicro()
		}
	}
	return nil
}

func (s *Store[T, V]) States(_ context.Context, project, owner string) ([]tally.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []tally.State
	for k, st := range s.states {
		if (project == "" || project == k.Project) && (owner == "" || owner == k.Owner) {
			out = append(out, st)
		}
	}
	slices.SortFunc(out, func(a, b tally.State) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Size, b.Size))
	})
	return out, nil
}

func (s *Store[T, V]) Record(_ context.Context, j *tally.Judgement[V]) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.windows[windowKey{j.Series, j.Start}]
	if w == nil || !w.Takes(j) || !s.change(&j.Change) {
		return false, nil
	}
	w.Take(j)
	return true, nil
}

func (s *Store[T, V]) Tell(_ context.Context, c *tally.Change) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.change(c), nil
}

// change moves the state and tells; false when the state has moved on.
func (s *Store[T, V]) change(c *tally.Change) bool {
	now := c.At.UnixMicro()
	if c.Next != nil {
		if s.states[c.Next.Series].Revision != c.Next.Revision {
			return false
		}
		st := *c.Next
		st.Revision++
		st.Updated = now
		s.states[st.Series] = st
	}
	s.tell(c, now)
	return true
}

func (s *Store[T, V]) Reference(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.refs[key]; ok {
		return b, nil
	}
	return nil, feature.Errorf(feature.NotFound, "tally.reference", key, "not built yet")
}

func (s *Store[T, V]) PutReference(_ context.Context, key string, profile []byte, _ time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.refs[key]; !ok {
		s.refs[key] = slices.Clone(profile)
	}
	return nil
}

func (s *Store[T, V]) Prune(_ context.Context, settled, judged, delivered time.Time, keep ...tally.Kept) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, at := range s.settled {
		if at < settled.UnixMicro() {
			delete(s.settled, id)
		}
	}
	var none T
	for _, w := range s.windows {
		if w.State != tally.Open && w.State != tally.Closed && w.JudgedAt < judged.UnixMicro() &&
			!slices.ContainsFunc(keep, func(k tally.Kept) bool { return k.Series == w.Series && w.End > k.From }) {
			w.Profile = none
		}
	}
	s.prune(delivered.UnixMicro())
	return nil
}
