package offline

import (
	"fmt"
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// Evolve compares a view with the columns and the sort keys its table has, and
// returns the columns to add (without ids; all of them for a table that has
// none yet). What cannot be mended is an Invalid error.
func Evolve(v *feature.View, keys []string, have []Column) (missing []Column, err error) {
	want := ViewColumns(v)
	if len(have) == 0 {
		return want, nil
	}
	byName := map[string]Column{}
	for _, c := range have {
		byName[c.Name] = c
	}
	var names []string
	for _, k := range v.Keys {
		names = append(names, k.Name)
	}
	if !slices.Equal(names, keys) {
		return nil, refuse(v, fmt.Sprintf("its join keys are %v, the view's are %v", keys, names))
	}
	for _, c := range want {
		old, ok := byName[c.Name]
		switch {
		case !ok && c.Required:
			return nil, refuse(v, fmt.Sprintf("column %s is missing", c.Name))
		case !ok:
			missing = append(missing, c)
		case old.Type != c.Type || old.Fixed != c.Fixed:
			return nil, refuse(v, fmt.Sprintf("column %s is %s there and %s in the view", c.Name, old.Type, c.Type))
		case old.Required != c.Required:
			return nil, refuse(v, fmt.Sprintf("column %s is a join key on one side only", c.Name))
		}
	}
	return missing, nil
}

func refuse(v *feature.View, why string) error {
	return feature.Errorf(feature.Invalid, "offline.table", "view "+v.ID(), "the table does not fit the view: %s", why).
		WithHint("only new features can be added to a table; give the changed view another name, or delete the old view first")
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
	return feature.Errorf(feature.NotFound, "offline.load", "view "+v.ID(), "the table has no %s", name).WithHint(hint)
}

// StaleError is the Conflict of a commit whose base has moved.
func StaleError(v *feature.View, c *feature.Commit, why string) error {
	return feature.Errorf(feature.Conflict, "offline.append", "view "+v.ID()+" commit "+c.ID, "%s", why)
}

// GoneError is the Conflict of a rewrite whose base has moved.
func GoneError(v *feature.View, r *Rewrite, path string) error {
	return feature.Errorf(feature.Conflict, "offline.replace", "view "+v.ID()+" rewrite "+r.ID, "the table does not name %s any more", path)
}
