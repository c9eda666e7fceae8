// Package memory is an offline.Store that lives in memory and dies with the
// process: for tests, and for commands that need a table for a moment.
package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
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
	cols   map[string]offline.Column // by name, those dropped from the view too
	keys   []string
	lastID int
	files  map[string][]byte
	states []*offline.State // oldest first; the first is the empty one
	tags   map[string]int64
	at     []feature.Position
	landed map[string]bool // commits that had files, by id
}

// Table opens the view's table, making it if need be.
func (s *Store) Table(_ context.Context, v *feature.View) (offline.Table, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tables[v.ID()]
	if t == nil {
		t = &shared{cols: map[string]offline.Column{}, files: map[string][]byte{}, tags: map[string]int64{}, landed: map[string]bool{},
			states: []*offline.State{{}}}
		for _, k := range v.Keys {
			t.keys = append(t.keys, k.Name)
		}
		s.tables[v.ID()] = t
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	have := make([]offline.Column, 0, len(t.cols))
	for _, c := range t.cols {
		have = append(have, c)
	}
	missing, err := offline.Evolve(v, t.keys, have)
	if err != nil {
		return nil, err
	}
	for _, c := range missing {
		t.lastID++
		c.ID = t.lastID
		t.cols[c.Name] = c
	}
	h := &table{shared: t, view: v}
	for _, c := range offline.ViewColumns(v) {
		h.cols = append(h.cols, t.cols[c.Name])
	}
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

// AllColumns are in the order in which the table got them, system columns last.
func (t *table) AllColumns() []offline.Column {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]offline.Column, 0, len(t.cols))
	for _, c := range t.cols {
		out = append(out, c)
	}
	system := func(c offline.Column) int {
		if strings.HasPrefix(c.Name, "_") {
			return 1
		}
		return 0
	}
	slices.SortFunc(out, func(a, b offline.Column) int { return cmp.Or(system(a)-system(b), a.ID-b.ID) })
	return out
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
	if v.Tag != "" {
		id, ok := t.tags[v.Tag]
		if !ok {
			return nil, offline.NoVersion(t.view, v)
		}
		want = id
	} else if want == 0 {
		newest := *t.states[len(t.states)-1]
		newest.Positions = slices.Clone(t.at)
		return &newest, nil
	}
	i := slices.IndexFunc(t.states, func(s *offline.State) bool { return s.Snapshot == want })
	if i < 0 {
		return nil, offline.NoVersion(t.view, v)
	}
	return t.states[i], nil
}

func (t *table) Append(ctx context.Context, c *feature.Commit, files []offline.File) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch what, why := offline.Decide(t.at, c); {
	case what == offline.Landed, t.landed[c.ID]:
		return nil
	case what == offline.Stale:
		return offline.StaleError(t.view, c, why)
	}
	at := offline.Advanced(t.at, c)
	if len(files) > 0 {
		last := t.states[len(t.states)-1]
		next := &offline.State{Snapshot: last.Snapshot + 1, Positions: slices.Clone(at), Rows: last.Rows,
			Files: slices.Clone(last.Files), CommittedAt: time.Now().UnixMicro()}
		for _, f := range files {
			if _, ok := t.files[f.Path]; !ok {
				return feature.Errorf(feature.Internal, "memory.append", f.Path, "no such file")
			}
			f.Stats = nil
			next.Rows += f.Rows
			next.Files = append(next.Files, f)
		}
		t.states = append(t.states, next)
		t.landed[c.ID] = true
	}
	t.at = at
	return nil
}

func (t *table) Create(_ context.Context, name string) (offline.FileWriter, error) {
	return &file{t: t, name: name}, nil
}

func (t *table) Open(_ context.Context, path string) (offline.FileReader, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, ok := t.files[path]
	if !ok {
		return nil, feature.Errorf(feature.NotFound, "memory.open", path, "no such file")
	}
	return reader{bytes.NewReader(b)}, nil
}

func (t *table) Tag(_ context.Context, name string, snapshot int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.ContainsFunc(t.states[1:], func(s *offline.State) bool { return s.Snapshot == snapshot }) {
		return offline.NoVersion(t.view, offline.Version{Snapshot: snapshot})
	}
	if old, ok := t.tags[name]; ok && old != snapshot {
		return feature.Errorf(feature.Conflict, "memory.tag", name, "it names snapshot %d already", old)
	}
	t.tags[name] = snapshot
	return nil
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
	f.t.files[path] = f.buf.Bytes()
	return path, nil
}

type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }
