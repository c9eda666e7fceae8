// Package memory is an offline.Store that lives in memory and dies with the
// process: for tests, and for commands that need a table for a moment.
package memory

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// Store is an offline.Store in memory.
type Store struct {
	mu     sync.Mutex
	tables map[string]*shared
}

// Open returns an empty store.
func Open() *Store { return &Store{tables: map[string]*shared{}} }

// shared is one table; all handles of it look at the same.
type shared struct {
	mu     sync.Mutex
	layout offline.Layout // those dropped from the view too
	files  map[string]stored

	snaps     map[int64]*snap
	last      int64 // snapshot ids count up
	current   *snap // nil: none yet
	log       []offline.Reign
	tags      map[string]int64
	at        []feature.Position
	swept     int64
	rollbacks []offline.RolledBack
}

// snap is one snapshot; it does not change.
type snap struct {
	state     *offline.State
	parent    int64 // 0: none
	operation string
	id        string // of the commit or rewrite
	moves     *offline.Moves
}

type stored struct {
	bytes   []byte
	written int64
}

// Table opens the view's table, making it if need be.
func (s *Store) Table(_ context.Context, v *feature.View) (offline.Table, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tables[v.ID()]
	if t == nil {
		t = &shared{files: map[string]stored{}, tags: map[string]int64{}, snaps: map[int64]*snap{}}
		s.tables[v.ID()] = t
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	next, _, err := t.layout.For(v)
	if err != nil {
		return nil, err
	}
	t.layout = next
	h := &table{shared: t, view: v, cols: next.Of(v)}
	return h, nil
}

// Drop forgets a table.
func (s *Store) Drop(_ context.Context, project, view string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tables, project+"/"+view)
	return nil
}

// Close does nothing.
func (s *Store) Close() error { return nil }

type table struct {
	*shared
	view *feature.View
	cols []offline.Column
}

func (t *table) View() *feature.View       { return t.view }
func (t *table) Columns() []offline.Column { return t.cols }
func (t *table) Close() error              { return nil }

func (t *table) AllColumns() []offline.Column {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.layout.Columns)
}

func (t *table) Positions(context.Context) ([]feature.Position, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.at), nil
}

func (t *table) Load(_ context.Context, v offline.Version) (*offline.State, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	want := v.Snapshot
	switch {
	case v.Tag != "":
		id, ok := t.tags[v.Tag]
		if !ok {
			return nil, offline.NoVersion(t.view, v)
		}
		want = id
	case v.At != 0:
		id, ok := t.past().AsOf(v.At)
		if !ok {
			return nil, offline.NoVersion(t.view, v)
		}
		if want = id; id == 0 {
			return &offline.State{}, nil
		}
	case want == 0:
		newest := offline.State{}
		if t.current != nil {
			newest = *t.current.state
		}
		newest.Positions, newest.Columns = slices.Clone(t.at), t.layout.Columns
		return &newest, nil
	}
	s := t.snaps[want]
	if s == nil {
		return nil, offline.NoVersion(t.view, v)
	}
	return s.state, nil
}

func (t *table) Append(ctx context.Context, c *feature.Commit, files []offline.File) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	made, reached := t.madeBy(c.ID)
	switch what, why := offline.Decide(t.at, c); {
	case what == offline.Landed, reached:
		return nil
	case made:
		return offline.StaleError(t.view, c, "it has landed, and a rollback took it off the table")
	case what == offline.Stale:
		return offline.StaleError(t.view, c, why)
	}
	if err := offline.TooOld(t.view, "memory.append", c.ID, files, t.swept); err != nil {
		return err
	}
	at := offline.Advanced(t.at, c)
	if len(files) > 0 {
		if err := t.there("append", files); err != nil {
			if offline.MayBeGone(c, len(t.rollbacks)) {
				return offline.StaleError(t.view, c, err.Error())
			}
			return err
		}
		var had []offline.File
		if t.current != nil {
			had = t.current.state.Files
		}
		t.add(slices.Concat(had, bare(files)), at, &snap{operation: "append", id: c.ID, moves: offline.MovesOf(at, c)})
	}
	t.at = at
	return nil
}

// madeBy reports whether a snapshot is from commit or rewrite id, and whether the table still stands on it.
func (t *shared) madeBy(id string) (made, reached bool) {
	on := t.past().Reached()
	for _, s := range t.snaps {
		if s.id == id {
			made, reached = true, reached || on[s.state.Snapshot]
		}
	}
	return made, reached
}

func (t *shared) there(op string, files []offline.File) error {
	for _, f := range files {
		if _, ok := t.files[f.Path]; !ok {
			return feature.Errorf(feature.Internal, "memory."+op, f.Path, "no such file")
		}
	}
	return nil
}

// bare are files as Load gives them.
func bare(files []offline.File) []offline.File {
	out := slices.Clone(files)
	for i := range out {
		if len(out[i].Stats) > 0 {
			var has []int
			for _, s := range out[i].Stats {
				has = append(has, s.ID)
			}
			slices.Sort(has)
			out[i].Has = has
		}
		out[i].Stats, out[i].CreatedAt = nil, 0
	}
	return out
}

// add makes a snapshot of these files the newest, after the one before.
func (t *shared) add(files []offline.File, at []feature.Position, s *snap) {
	t.last++
	s.state = &offline.State{Snapshot: t.last, Positions: slices.Clone(at), Files: files, CommittedAt: t.now(), Columns: t.layout.Columns}
	for _, f := range files {
		s.state.Rows += f.Rows
	}
	if t.current != nil && s.operation != emptied {
		s.parent = t.current.state.Snapshot
	}
	t.snaps[t.last], t.current = s, s
	t.log = append(t.log, offline.Reign{ID: t.last, At: s.state.CommittedAt})
}

// now never stands still, so that every state has a time of its own.
func (t *shared) now() int64 {
	now := time.Now().UnixMicro()
	if n := len(t.log); n > 0 {
		now = max(now, t.log[n-1].At+1)
	}
	return now
}

func (t *table) Create(_ context.Context, name string) (offline.FileWriter, error) {
	return &file{t: t, name: name}, nil
}

func (t *table) Open(_ context.Context, path string) (offline.FileReader, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, ok := t.files[path]
	if !ok {
		return nil, feature.Errorf(feature.NotFound, "memory.open", path, "no such file")
	}
	return reader{bytes.NewReader(f.bytes)}, nil
}

type file struct {
	t    *table
	name string
	buf  bytes.Buffer
	done bool
}

func (f *file) Write(p []byte) (int, error) { return f.buf.Write(p) }
func (f *file) Abort()                      { f.done = true }

func (f *file) Commit() (string, error) {
	f.t.mu.Lock()
	defer f.t.mu.Unlock()
	path := "memory:" + f.name
	if _, ok := f.t.files[path]; ok || f.done {
		return "", fmt.Errorf("memory: %s is there already", path)
	}
	f.done = true
	f.t.files[path] = stored{f.buf.Bytes(), time.Now().UnixMicro()}
	return path, nil
}

type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }
