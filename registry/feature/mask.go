package feature

import "strings"

// Masked stands where a view does not let a value be shown.
const Masked = "(masked)"

// Mask knows which values of a view's events are not to be shown. A nil Mask hides nothing.
type Mask struct {
	places []string // columns and event paths, without the numbers of lists' items
	times  bool     // the event time or the known time is one of them
}

// Mask is that of the view's quality; nil where nothing is masked. A feature is meant by its
// name and by its path in the event, and a path with all that stands below it.
func (v *View) Mask() *Mask {
	if v.Quality == nil || len(v.Quality.Mask) == 0 {
		return nil
	}
	m := &Mask{}
	for _, name := range v.Quality.Mask {
		m.places = append(m.places, placeOf(name))
	}
	// What a name says of an event's path, and the other way round, holds for both.
	for _, c := range v.Columns() {
		name, path := placeOf(c.Name), placeOf(c.EventPath())
		if m.hides(name) || m.hides(path) {
			m.places = append(m.places, name, path)
		}
	}
	if s := v.SourceOf; s != nil {
		m.times = m.hides(placeOf(s.EventTime.Field)) || s.Created != nil && m.hides(placeOf(s.Created.Field))
	}
	return m
}

// Hides reports whether the value at a reason's path is, has in it or lies in a value that
// is not to be shown: "" is the whole event, and "a,b" are two columns.
func (m *Mask) Hides(path string) bool {
	if m == nil {
		return false
	}
	if path == "" || m.hides(placeOf(path)) {
		return true
	}
	for part := range strings.SplitSeq(path, ",") {
		if m.hides(placeOf(strings.TrimSpace(part))) {
			return true
		}
	}
	return false
}

func (m *Mask) hides(place string) bool {
	for _, p := range m.places {
		if p == place || below(p, place) || below(place, p) {
			return true
		}
	}
	return false
}

func below(path, other string) bool {
	return other == "" || len(path) > len(other) && path[:len(other)] == other && path[len(other)] == '.'
}

// Reasons are reasons without the values that are not to be shown; the same ones where there is none of these.
func (m *Mask) Reasons(rs []Reason) []Reason {
	out := rs
	for i, r := range rs {
		times := m != nil && m.times && r.Rule == RuleFuture
		if !times && (r.Value == "" || !m.Hides(r.Path)) {
			continue
		}
		if &out[0] == &rs[0] {
			out = append([]Reason(nil), rs...)
		}
		out[i].Value = Masked
		if times {
			out[i].Expected = "a time that is not too far ahead" // the limit is made of the other time
		}
	}
	return out
}

// placeOf is a path without the numbers of lists' items: tags[3].name is tags.name.
func placeOf(path string) string {
	if !strings.Contains(path, "[") {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '[' {
			if end := strings.IndexByte(path[i:], ']'); end > 0 && strings.Trim(path[i+1:i+end], "0123456789") == "" {
				i += end
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return strings.TrimPrefix(b.String(), ".")
}
