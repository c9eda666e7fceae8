package feast

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// frame is a data frame as requests have it: columns of raw JSON values.
type frame struct {
	names   []string
	columns [][]json.RawMessage
	rows    int
}

// readFrame takes {"column": [values]}, and what pandas' to_dict gives,
// {"column": {"index": value}}.
func readFrame(df ordered) (*frame, error) {
	f := &frame{}
	var index map[string]int // row by index, where columns are objects
	var owner string         // the column that it is of
	for _, c := range df {
		var col []json.RawMessage
		if b := bytes.TrimSpace(c.raw); len(b) > 0 && b[0] == '{' {
			var o ordered
			if err := json.Unmarshal(b, &o); err != nil {
				return nil, err
			}
			if index == nil {
				index, owner = make(map[string]int, len(o)), c.name
				for i, m := range o {
					index[m.name] = i
				}
			}
			col = make([]json.RawMessage, len(index))
			for _, m := range o {
				at, ok := index[m.name]
				if !ok {
					return nil, fmt.Errorf("column %s has an index %s, which %s has not", c.name, m.name, owner)
				}
				if at >= len(col) || col[at] != nil {
					return nil, fmt.Errorf("column %s has the index %s twice", c.name, m.name)
				}
				col[at] = json.RawMessage(m.raw)
			}
		} else if err := json.Unmarshal(c.raw, &col); err != nil {
			return nil, fmt.Errorf("column %s must be a list of values", c.name)
		}
		if len(f.names) > 0 && len(col) != f.rows {
			return nil, fmt.Errorf("column %s has %d values where %s has %d", c.name, len(col), f.names[0], f.rows)
		}
		if slices.Contains(f.names, c.name) {
			return nil, fmt.Errorf("column %s is there twice", c.name)
		}
		f.rows, f.names, f.columns = len(col), append(f.names, c.name), append(f.columns, col)
	}
	return f, nil
}

func (f *frame) column(names ...string) []json.RawMessage {
	for _, n := range names {
		if i := slices.Index(f.names, n); i >= 0 {
			return f.columns[i]
		}
	}
	return nil
}

// isNull also takes a value that is not there.
func isNull(raw []byte) bool { return len(raw) == 0 || raw[0] == 'n' }

// shape says how rows of a frame become events of a source: which value stands where.
type shape struct {
	src    *feature.Source
	leaves []leaf
	taken  map[string]bool // paths
	needed map[string]bool // paths that the schema wants where what they are in is there
	within []string        // of those, what leaves are in; the outer before the inner
	key    []int           // leaves of the record's key
	names  []string        // of the join keys in it
}

// leaf is one place in the event.
type leaf struct {
	path  string
	value func(row int) (json.RawMessage, error)
}

// shapeOf finds a column for everything that the views read: an event goes to all views
// of its source, and a row replaces the whole of what a view has for an entity. So
// nothing may be missing; what there is no value for is null in the frame.
func shapeOf(f *frame, src *feature.Source, views []*feature.View, now time.Time) (*shape, error) {
	s := &shape{src: src, taken: map[string]bool{}}
	var known map[string]bool
	s.needed, known = namesOf(src.Schema, pathsOf(f, src, views))
	var missing []string
	event := f.column(src.EventTime.Field, "event_timestamp")
	if event == nil {
		missing = append(missing, "event_timestamp")
	}
	s.add(src.EventTime.Field, func(row int) (json.RawMessage, error) { return timeValue(event[row], src.EventTime.Format) })
	if c := src.Created; c != nil && c.Field != src.EventTime.Field {
		created := f.column(c.Field, "created", "created_timestamp")
		s.add(c.Field, func(row int) (json.RawMessage, error) {
			if created == nil || isNull(created[row]) {
				return timeText(now, c.Format), nil
			}
			return timeValue(created[row], c.Format)
		})
	}
	for n, v := range views {
		for _, k := range v.Columns() {
			col := f.column(k.Name, k.EventPath())
			if s.taken[k.EventPath()] {
				// A time, or another view's too.
			} else if col == nil {
				missing = append(missing, k.Name+" of view "+v.Meta.Name)
				continue
			} else {
				s.add(k.EventPath(), func(row int) (json.RawMessage, error) { return featureValue(col[row], k.Type) })
			}
			if n == 0 && slices.ContainsFunc(v.Keys, func(x feature.Field) bool { return x.Name == k.Name }) {
				s.key = append(s.key, slices.IndexFunc(s.leaves, func(l leaf) bool { return l.path == k.EventPath() }))
				s.names = append(s.names, k.Name)
			}
		}
	}
	if len(missing) > 0 {
		return nil, feature.Errorf(feature.Invalid, "write", "source "+src.Meta.Name, "no column for %s", strings.Join(missing, ", ")).
			WithHint("an event goes to every view of its source and replaces all that a view has for the entity: give every feature, as null where there is no value")
	}
	for i, name := range f.names {
		col := f.columns[i]
		if (known[name] || s.needed[name]) && !s.taken[name] {
			s.add(name, func(row int) (json.RawMessage, error) { return col[row], nil })
		}
	}
	inner := map[string]bool{}
	for p := range s.taken {
		for at := strings.LastIndexByte(p, '.'); at >= 0; at = strings.LastIndexByte(p[:at], '.') {
			if s.taken[p[:at]] {
				return nil, feature.Errorf(feature.Unsupported, "write", "source "+src.Meta.Name, "both %s and %s are read from its events", p[:at], p).
					WithHint("publish such events to the topic %s", src.Topic)
			}
			if s.needed[p[:at]] {
				inner[p[:at]] = true
			}
		}
	}
	s.within = slices.Sorted(maps.Keys(inner))
	return s, nil
}

// pathsOf are those that the events of a frame may have.
func pathsOf(f *frame, src *feature.Source, views []*feature.View) []string {
	paths := append([]string{src.EventTime.Field}, f.names...)
	if src.Created != nil {
		paths = append(paths, src.Created.Field)
	}
	for _, v := range views {
		for _, k := range v.Columns() {
			paths = append(paths, k.EventPath())
		}
	}
	return paths
}

func (s *shape) add(path string, value func(int) (json.RawMessage, error)) {
	s.leaves, s.taken[path] = append(s.leaves, leaf{path, value}), true
}

// event makes the event of a row.
func (s *shape) event(row int) (Event, error) {
	values := make([]json.RawMessage, len(s.leaves))
	root := map[string]any{}
	var null []string // that the schema may want
	for i, l := range s.leaves {
		v, err := l.value(row)
		if err != nil {
			return Event{}, feature.Errorf(feature.Invalid, "write", fmt.Sprintf("row %d, field %s", row, l.path), "%w", err)
		}
		if values[i] = v; isNull(v) {
			if s.needed[l.path] {
				null = append(null, l.path)
			}
			continue // absent is null, and every schema takes it that does not want the name
		}
		in, name := place(root, l.path, true)
		in[name] = v
	}
	for _, path := range s.within {
		if in, name := place(root, path, false); in != nil && in[name] == nil {
			in[name] = map[string]any{}
		}
	}
	for _, path := range null {
		if in, name := place(root, path, false); in != nil { // what is not there wants nothing in it
			in[name] = json.RawMessage("null")
		}
	}
	payload, err := json.Marshal(root)
	if err != nil {
		return Event{}, feature.Errorf(feature.Invalid, "write", fmt.Sprintf("row %d", row), "%w", err)
	}
	key, err := s.keyOf(values)
	return Event{Key: key, Payload: payload}, err
}

// place is what a path's last name is in; nil where that is not there, unless it is to be made.
func place(root map[string]any, path string, make bool) (in map[string]any, name string) {
	in = root
	for {
		head, rest, deeper := strings.Cut(path, ".")
		if !deeper {
			return in, head
		}
		next, ok := in[head].(map[string]any)
		if !ok {
			if !make {
				return nil, ""
			}
			next = map[string]any{}
			in[head] = next
		}
		in, path = next, rest
	}
}

// keyOf is the record's key, as that of a tombstone: rows of one entity share a partition.
func (s *shape) keyOf(values []json.RawMessage) ([]byte, error) {
	if len(s.key) == 1 {
		v := values[s.key[0]]
		var text string
		if len(v) > 0 && v[0] == '"' && json.Unmarshal(v, &text) == nil {
			return []byte(text), nil
		}
		return bytes.Clone(v), nil
	}
	key := map[string]json.RawMessage{}
	for i, at := range s.key {
		if key[s.names[i]] = values[at]; len(values[at]) == 0 {
			key[s.names[i]] = json.RawMessage("null")
		}
	}
	return json.Marshal(key)
}
