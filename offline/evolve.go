package offline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// Layout is the columns of a table, as its store keeps them.
type Layout struct {
	Keys    []string // the join keys in order; they never change
	Columns []Column // in the order of the table's schema, system columns last
	Last    int      // the highest column id ever given out
	// Version is the newest version of the view that has changed the layout: names
	// follow the newest view, and a worker that learns late changes nothing back.
	Version int
}

// For is the layout that a table must have for a view, the same one where it has
// it. Columns are found by Column.Stored: features that the view has gained are
// added, renamed ones get their new names and widened ones their new types.
// Columns that the view has lost stay; one that is in the way of a name gets
// another. A view from before a change finds its columns as they are now. What the
// rows that are there cannot follow is an Invalid error that says what to do.
func (l Layout) For(v *feature.View) (next Layout, changed bool, err error) {
	newer := v.Version >= l.Version
	next = l
	next.Columns = slices.Clone(l.Columns)
	var keys []string
	for _, k := range v.Keys {
		keys = append(keys, k.Name)
	}
	if len(l.Columns) == 0 {
		next.Keys = keys
	} else if !slices.Equal(keys, l.Keys) {
		return l, false, refuse(v, fmt.Sprintf("its join keys are %v, the view's are %v", l.Keys, keys))
	}
	inView := map[int]bool{}
	for _, c := range ViewColumns(v) {
		at := next.stored(c.Stored)
		if at < 0 && c.Required && len(l.Columns) > 0 {
			return l, false, refuse(v, fmt.Sprintf("column %s is missing", c.Name))
		}
		if at < 0 {
			next.Last++
			c.ID = next.Last
			if c.Type.IsArray() {
				next.Last++
				c.Element = next.Last
			}
			if !newer && next.named(c.Name) >= 0 {
				c.Name = next.spare(c.Name, c.ID)
			}
			next.add(c)
			inView[c.ID] = true
			continue
		}
		old := &next.Columns[at]
		inView[old.ID] = true
		switch {
		case old.Required != c.Required:
			return l, false, refuse(v, fmt.Sprintf("column %s is a join key on one side only", c.Name))
		case old.Fixed != c.Fixed, !old.Type.Widens(c.Type) && !c.Type.Widens(old.Type), old.Required && old.Type != c.Type:
			return l, false, refuse(v, fmt.Sprintf("column %s is %s there and %s in the view", c.Name, old.Type, c.Type))
		case old.Type.Widens(c.Type):
			old.Type = c.Type
		case newer:
			return l, false, refuse(v, fmt.Sprintf("column %s is %s there and %s in the view, which does not hold every %s", c.Name, old.Type, c.Type, old.Type))
		}
		if newer {
			old.Name = c.Name
		}
	}
	if newer {
		for i := range next.Columns {
			c := &next.Columns[i]
			if !inView[c.ID] && slices.ContainsFunc(next.Columns, func(o Column) bool { return inView[o.ID] && o.Name == c.Name }) {
				c.Name = next.spare(c.Name, c.ID)
			}
		}
	}
	if slices.Equal(next.Columns, l.Columns) {
		return l, false, nil
	}
	next.Version = max(l.Version, v.Version)
	return next, true, nil
}

// Of are the columns that files of a view are written with: names and types of
// the view, ids of the table.
func (l Layout) Of(v *feature.View) []Column {
	out := ViewColumns(v)
	for i, c := range out {
		if at := l.stored(c.Stored); at >= 0 {
			out[i].ID, out[i].Element = l.Columns[at].ID, l.Columns[at].Element
		}
	}
	return out
}

// add puts a new column before the system columns, where it is none itself.
func (l *Layout) add(c Column) {
	at := slices.IndexFunc(l.Columns, func(o Column) bool { return strings.HasPrefix(o.Name, "_") })
	if at < 0 || strings.HasPrefix(c.Name, "_") {
		at = len(l.Columns)
	}
	l.Columns = slices.Insert(l.Columns, at, c)
}

func (l Layout) stored(name string) int {
	return slices.IndexFunc(l.Columns, func(c Column) bool { return c.Stored == name })
}

func (l Layout) named(name string) int {
	return slices.IndexFunc(l.Columns, func(c Column) bool { return c.Name == name })
}

// spare is a name for a column that cannot have its own.
func (l Layout) spare(name string, id int) string {
	s := fmt.Sprintf("%s__%d", name, id)
	for l.named(s) >= 0 {
		s += "_"
	}
	return s
}

func refuse(v *feature.View, why string) error {
	return feature.Errorf(feature.Invalid, "offline.table", "view "+v.ID(), "the table does not fit the view: %s", why).
		WithHint("features can be added, renamed (renamed_from) and widened (int32 to int64, float32 to float64, but no arrays); give what has another type, or other keys, a name of its own")
}

// NoVersion is the error of a version that a table does not have.
func NoVersion(v *feature.View, want Version) error {
	name, hint := "snapshot "+want.String(), "it may have expired: versions that must last need a tag"
	switch {
	case want.Tag != "":
		name = "tag " + want.Tag
	case want.At != 0:
		name, hint = "version of "+want.String(), "that part of its history has expired; weir table log lists the versions that are left"
	}
	return feature.Errorf(feature.NotFound, "offline.load", "view "+v.ID(), "the table has no %s", name).WithHint("%s", hint)
}

// StaleError is the Conflict of a commit whose base has moved.
func StaleError(v *feature.View, c *feature.Commit, why string) error {
	return feature.Errorf(feature.Conflict, "offline.append", "view "+v.ID()+" commit "+c.ID, "%s", why)
}

// GoneError is the Conflict of a rewrite whose base has moved.
func GoneError(v *feature.View, r *Rewrite, path string) error {
	return feature.Errorf(feature.Conflict, "offline.replace", "view "+v.ID()+" rewrite "+r.ID, "the table does not name %s any more", path)
}
