package simtest

import (
	"context"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry/feature"
)

// check compares what there is at the end with the model.
func (w *world) check() {
	cat, err := w.cat.Current(context.Background())
	w.must(err)
	w.views = map[string]*feature.View{}
	for _, v := range cat.Views() {
		w.views[v.Meta.Name] = v
	}
	w.readHeld()
	for name, v := range w.views {
		t, err := w.tables.Table(context.Background(), v)
		w.must(err)
		rows, err := readRows(t)
		if err != nil {
			w.wrong("%s: %v", name, err)
			continue
		}
		w.checkTable(name, t, rows)
		if v.IsOnline() {
			w.checkOnline(v, rows)
		}
	}
}

// checkTable: every event is in the table once, or in quarantine.
func (w *world) checkTable(name string, t offline.Table, rows map[coord]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.ledger[name]
	if l == nil {
		w.wrongLocked("%s: no commit at all", name)
		return
	}
	if len(rows) != len(l.rows) {
		w.wrongLocked("%s: %d rows in the table, %d came with commits", name, len(rows), len(l.rows))
	}
	good := 0
	for _, c := range sorted(w.events, compareCoords) {
		e := w.events[c]
		from, known := l.begins(c.part)
		if !known || c.off < from {
			if _, there := rows[c]; there {
				w.wrongLocked("%s: %s is older than the view", name, c)
			}
			continue
		}
		revision, _ := l.judged(c)
		w.compare(name, l, c, e, revision)
		r := w.rules[revision]
		if r == nil {
			continue
		}
		entry := w.held[name][c]
		switch isGood := r.good(name, e); {
		case isGood:
			good++
			if entry != nil { // void, for the row is in the table
				w.hits["entries that are void"]++
				if w.calm {
					w.wrongLocked("%s: event %s, good by revision %d, is in quarantine too", name, c, revision)
				}
			}
		case entry == nil:
			w.wrongLocked("%s: event %s, bad by revision %d, is not in quarantine", name, c, revision)
		case entry.times > 1:
			w.wrongLocked("%s: event %s is in quarantine %d times", name, c, entry.times)
		}
	}
	for c := range rows {
		if w.events[c] == nil {
			w.wrongLocked("%s: row %s is no event of a committed transaction", name, c)
		}
	}
	for c := range w.held[name] {
		if w.events[c] == nil {
			w.wrongLocked("%s: entry %s is no event of a committed transaction", name, c)
		}
	}
	if good != len(rows) {
		w.wrongLocked("%s: %d rows, wants %d", name, len(rows), good)
	}
	w.hits["events"] += len(w.events)
	w.hits["rows"] += len(rows)
	w.hits["commits"] += l.commits
}

// checkOnline: the store answers the newest row of each key.
func (w *world) checkOnline(v *feature.View, rows map[coord]string) {
	name := v.Meta.Name
	newest, stray := map[string]coord{}, map[string]coord{}
	later := func(m map[string]coord, c coord) {
		e := w.events[c]
		if e == nil {
			return
		}
		if old, ok := m[e.key]; !ok || e.stamp(c).Compare(w.events[old].stamp(old)) > 0 {
			m[e.key] = c
		}
	}
	for c := range rows {
		later(newest, c)
		later(stray, c)
	}
	for c := range w.shown[name] {
		if _, there := rows[c]; !there && w.events[c] != nil {
			w.hits["rows shown by who was overtaken"]++
			if w.calm {
				w.wrong("%s: event %s was shown online and is not in the table", name, c)
			}
			later(stray, c)
		}
	}
	s := &feature.Service{Meta: feature.Meta{Project: "p", Name: "all"}, Version: 1, Features: []string{name + ":*"}}
	if f := s.Resolve(func(string) *feature.View { return v }); len(f) > 0 {
		w.wrong("%v", f)
		return
	}
	plan, err := online.NewReader(w.store, nil, nil, nil).Compile(s)
	w.must(err)
	var names []string
	for i := range keys {
		names = append(names, "k"+string(rune('0'+i)))
	}
	var in feature.Vector
	in.Reset(feature.String, len(names))
	for i, k := range names {
		in.Valid[i], in.Bytes[i] = true, []byte(k)
	}
	var b feature.Block
	w.must(plan.Read(context.Background(), []feature.Vector{in}, len(names), &b))
	for i, k := range names {
		same := func(m map[string]coord) bool {
			c, known := m[k]
			if !known || w.events[c].deleted {
				return b.Views[0].Status[i] == feature.NotFoundStatus
			}
			e := w.events[c]
			if b.Views[0].Status[i] != feature.Present || b.Views[0].EventTime[i] != e.at {
				return false
			}
			for j, want := range []*int64{e.age, e.score} {
				v := &b.Columns[j].Vector
				if v.Valid[i] != (want != nil) || want != nil && v.Int64s[i] != *want {
					return false
				}
			}
			v, tags := &b.Columns[2].Vector, "null"
			if v.Valid[i] {
				tags = feature.ArrayText(v.Type, v.Bytes[i])
			}
			return tags == e.tags
		}
		if !same(newest) && !same(stray) {
			w.wrong("%s: key %s is online with status %s, event time %d; its newest row is %s %s", name, k, b.Views[0].Status[i], b.Views[0].EventTime[i], newest[k], rows[newest[k]])
		}
	}
}
