// Package memory is a drift.Store that lives in memory: for tests, and for
// commands that look at files without a server.
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

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/registry/feature"
)

// Store implements drift.Store. The zero value is not ready; use New.
type Store struct {
	mu       sync.Mutex
	staged   map[string][]byte // encoded, as a database would keep them
	settled  map[string]int64
	progress map[string]*drift.Progress
	windows  map[windowKey]*drift.WindowRecord
	states   map[drift.Series]drift.MonitorState
	refs     map[string][]byte
	events   []drift.Event
	outbox   []*outbox.Entry // by Seq
	seq      int64
}

type windowKey struct {
	drift.Series
	start int64
}

// New returns an empty store.
func New() *Store {
	return &Store{
		staged: map[string][]byte{}, settled: map[string]int64{}, progress: map[string]*drift.Progress{},
		windows: map[windowKey]*drift.WindowRecord{}, states: map[drift.Series]drift.MonitorState{}, refs: map[string][]byte{},
	}
}

func (s *Store) Stage(_ context.Context, x *drift.Staged) error {
	b, err := x.MarshalBinary()
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

func (s *Store) decode(commit string) (*drift.Staged, error) {
	b, ok := s.staged[commit]
	if !ok {
		return nil, nil
	}
	x := new(drift.Staged)
	return x, x.UnmarshalBinary(b)
}

func (s *Store) Settle(_ context.Context, commit string, now time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, done := s.settled[commit]; done {
		return true, nil
	}
	return s.settle(commit, now.UnixMicro())
}

func (s *Store) settle(commit string, now int64) (bool, error) {
	x, err := s.decode(commit)
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
			s.windows[k] = &drift.WindowRecord{Series: d.Series, Start: d.Start, End: d.End, State: drift.Open}
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

func (s *Store) at(view string, topic [16]byte, p int32) *drift.Progress {
	k := progressKey(view, topic, p)
	if s.progress[k] == nil {
		s.progress[k] = &drift.Progress{View: view, TopicID: topic, Partition: p}
	}
	return s.progress[k]
}

// dropBelow drops staged commits of a view that start below next on the partition.
func (s *Store) dropBelow(view string, topic [16]byte, p int32, next int64) error {
	for id := range s.staged {
		x, err := s.decode(id)
		if err != nil {
			return err
		}
		if x.View == view && slices.ContainsFunc(x.Marks, func(m drift.Mark) bool {
			return !m.Carried && m.TopicID == topic && m.Partition == p && m.FromNext < next
		}) {
			delete(s.staged, id)
		}
	}
	return nil
}

func (s *Store) Assign(_ context.Context, view string, at []feature.Position, now time.Time) error {
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
		g := drift.Assigned(s.progress[k], view, p, now)
		s.progress[k] = &g
	}
	return nil
}

func (s *Store) Drop(_ context.Context, commits []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range commits {
		delete(s.staged, id)
	}
	return nil
}

func (s *Store) Progress(_ context.Context, view string) ([]drift.Progress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []drift.Progress
	for _, p := range s.progress {
		if p.View == view {
			out = append(out, *p)
		}
	}
	slices.SortFunc(out, func(a, b drift.Progress) int {
		return cmp.Or(slices.Compare(a.TopicID[:], b.TopicID[:]), cmp.Compare(a.Partition, b.Partition))
	})
	return out, nil
}

func (s *Store) Windows(_ context.Context, q drift.WindowQuery) ([]drift.WindowRecord, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []drift.WindowRecord
	for _, w := range s.windows {
		if (q.Project != "" && q.Project != w.Project) || (q.Monitor != "" && q.Monitor != w.Monitor) || (q.Size != "" && q.Size != w.Size) ||
			(len(q.States) > 0 && !slices.Contains(q.States, w.State)) {
			continue
		}
		out = append(out, *w)
	}
	slices.SortFunc(out, func(a, b drift.WindowRecord) int {
		start := cmp.Compare(a.Start, b.Start)
		if q.Newest {
			start = -start
		}
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Monitor, b.Monitor), cmp.Compare(a.Size, b.Size), start)
	})
	if q.Limit > 0 && len(out) > q.Limit {
		out = out[:q.Limit]
	}
	for i := range out {
		w := &out[i]
		w.Imports = slices.Clone(w.Imports)
		if !q.Profiles || w.Profile == nil {
			w.Profile = nil
			continue
		}
		b, err := w.Profile.MarshalBinary() // a copy of its own
		if err != nil {
			return nil, err
		}
		w.Profile = new(drift.Profile)
		if err := w.Profile.UnmarshalBinary(b); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Store) Close(_ context.Context, r drift.Series, starts []int64, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range starts {
		if w := s.windows[windowKey{r, at}]; w != nil && w.State == drift.Open {
			w.State, w.ClosedAt = drift.Closed, now.UnixMicro()
		}
	}
	return nil
}

func (s *Store) States(_ context.Context, project, monitor string) ([]drift.MonitorState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []drift.MonitorState
	for k, st := range s.states {
		if (project == "" || project == k.Project) && (monitor == "" || monitor == k.Monitor) {
			out = append(out, st)
		}
	}
	slices.SortFunc(out, func(a, b drift.MonitorState) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Monitor, b.Monitor), cmp.Compare(a.Size, b.Size))
	})
	return out, nil
}

func (s *Store) Record(_ context.Context, j *drift.Judgement) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.windows[windowKey{j.Series, j.Start}]
	if w == nil || w.State != drift.Closed || (j.Next != nil && s.states[j.Series].Revision != j.Next.Revision) {
		return false, nil
	}
	now := j.At.UnixMicro()
	w.State, w.Verdict, w.JudgedAt = j.State, j.Verdict, now
	if j.Next != nil {
		st := *j.Next
		st.Revision++
		st.Updated = now
		s.states[j.Series] = st
	}
	if e := j.Event; e != nil && !slices.ContainsFunc(s.events, func(o drift.Event) bool { return o.ID == e.ID }) {
		s.events = append(s.events, *e)
	}
	for _, e := range j.Outbox {
		if !slices.ContainsFunc(s.outbox, func(o *outbox.Entry) bool { return o.ID == e.ID }) {
			s.seq++
			e.Seq, e.State, e.Created, e.Updated = s.seq, outbox.Pending, now, now
			s.outbox = append(s.outbox, &e)
		}
	}
	return true, nil
}

func (s *Store) Reference(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.refs[key]; ok {
		return b, nil
	}
	return nil, feature.Errorf(feature.NotFound, "drift.reference", key, "not built yet")
}

func (s *Store) PutReference(_ context.Context, key string, profile []byte, _ time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.refs[key]; !ok {
		s.refs[key] = slices.Clone(profile)
	}
	return nil
}

func (s *Store) Events(_ context.Context, q drift.EventQuery) ([]drift.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []drift.Event
	for _, e := range slices.Backward(s.events) {
		if (q.Project == "" || q.Project == e.Project) && (q.Monitor == "" || q.Monitor == e.Monitor) && (q.ID == "" || q.ID == e.ID) {
			out = append(out, e)
		}
	}
	return out[:min(len(out), limit(q.Limit))], nil
}

func limit(n int) int {
	if n <= 0 {
		return 100
	}
	return n
}

func (s *Store) Prune(_ context.Context, settled, judged, delivered time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, at := range s.settled {
		if at < settled.UnixMicro() {
			delete(s.settled, id)
		}
	}
	for _, w := range s.windows {
		if w.JudgedAt != 0 && w.JudgedAt < judged.UnixMicro() {
			w.Profile = nil
		}
	}
	s.outbox = slices.DeleteFunc(s.outbox, func(e *outbox.Entry) bool {
		return e.State == outbox.Delivered && e.Updated < delivered.UnixMicro()
	})
	return nil
}
