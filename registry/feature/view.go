package feature

import (
	"fmt"
	"regexp"
	"strings"
)

// View is a feature view: features of an entity that come from one source. A
// row replaces the view's whole value for its key; an absent feature is null.
type View struct {
	Meta     Meta     `json:"metadata"`
	Source   string   `json:"source"`
	Entities []string `json:"entities"`
	// KeyPaths gives the event path of a join key whose name differs there.
	KeyPaths map[string]string `json:"keys,omitempty"`
	Features []Field           `json:"features"`
	TTL      Duration          `json:"ttl,omitempty"`    // 0 never expires
	Online   *bool             `json:"online,omitempty"` // true when nil
	Suite    string            `json:"suite,omitempty"`  // ExpectationSuite by name
	// ShadowSuite names an ExpectationSuite that counts what it would reject, and rejects nothing.
	ShadowSuite string `json:"shadow_suite,omitempty"`
	// Quality watches the stream as a whole; nil watches nothing.
	Quality *Quality `json:"quality,omitempty"`

	// Set when the catalog resolves the view; not part of the manifest.
	Keys     []Field `json:"-"` // all join keys, in the order of Entities; Path set
	SourceOf *Source `json:"-"`
	SuiteOf  *Suite  `json:"-"` // nil without a suite
	ShadowOf *Suite  `json:"-"` // nil without one in shadow
	Version  int     `json:"-"` // version of the definition, from 1
}

func (v *View) Kind() Kind     { return KindView }
func (v *View) GetMeta() *Meta { return &v.Meta }

func (v *View) Refs() []Ref {
	r := []Ref{{KindSource, v.Meta.Project, v.Source}}
	for _, e := range v.Entities {
		r = append(r, Ref{KindEntity, v.Meta.Project, e})
	}
	if v.Suite != "" {
		r = append(r, Ref{KindSuite, v.Meta.Project, v.Suite})
	}
	if v.ShadowSuite != "" {
		r = append(r, Ref{KindSuite, v.Meta.Project, v.ShadowSuite})
	}
	return r
}

// IsOnline reports whether the view is served online.
func (v *View) IsOnline() bool { return v.Online == nil || *v.Online }

// ID is "project/name", unique among views.
func (v *View) ID() string { return v.Meta.Project + "/" + v.Meta.Name }

// EntityName names the entities together, as in online keys: "customer" or "customer,shop".
func (v *View) EntityName() string { return strings.Join(v.Entities, ",") }

// Feature returns the index of a feature by name, -1 when there is none.
func (v *View) Feature(name string) int {
	for i := range v.Features {
		if v.Features[i].Name == name {
			return i
		}
	}
	return -1
}

// NowCalled is the name of the feature that was called name before; "" when there is none.
func (v *View) NowCalled(name string) string {
	for _, f := range v.Features {
		if f.RenamedFrom == name && f.Name != name {
			return f.Name
		}
	}
	return ""
}

// Stored returns the index of the feature whose values are kept under a name, -1 when there is none.
func (v *View) Stored(column string) int {
	for i := range v.Features {
		if v.Features[i].Stored() == column {
			return i
		}
	}
	return -1
}

// Columns are the columns of the view's batches: join keys, then features.
func (v *View) Columns() []Field {
	c := make([]Field, 0, len(v.Keys)+len(v.Features))
	return append(append(c, v.Keys...), v.Features...)
}

func (v *View) Check() []Fault {
	f := v.Meta.check()
	if v.Source == "" {
		f = append(f, Fault{"spec.source", "the name of a Source is required"})
	}
	if len(v.Entities) == 0 {
		f = append(f, Fault{"spec.entities", "at least one Entity is required"})
	}
	dup := map[string]bool{}
	for i, e := range v.Entities {
		if dup[e] {
			f = append(f, Fault{fmt.Sprintf("spec.entities[%d]", i), fmt.Sprintf("%q is there twice", e)})
		}
		dup[e] = true
	}
	if len(v.Features) == 0 {
		f = append(f, Fault{"spec.features", "at least one feature is required"})
	}
	seen, stored := map[string]bool{}, map[string]string{}
	for i, x := range v.Features {
		at := fmt.Sprintf("spec.features[%d]", i)
		f = append(f, CheckName(at+".name", x.Name)...)
		if seen[x.Name] {
			f = append(f, Fault{at + ".name", fmt.Sprintf("%q is there twice", x.Name)})
		}
		seen[x.Name] = true
		f = append(f, checkRenamed(at, x)...)
		if other, dup := stored[x.Stored()]; dup && x.Name != other {
			f = append(f, Fault{at + ".column", fmt.Sprintf("%q is where feature %s is kept: leave column out, the catalog sets it", x.Stored(), other)})
		}
		stored[x.Stored()] = x.Name
		if x.Type == InvalidType {
			f = append(f, Fault{at + ".type", "a type is required: " + typeList})
		}
	}
	if v.TTL < 0 {
		f = append(f, Fault{"spec.ttl", "must not be negative; 0 never expires"})
	}
	if v.TTL > 0 && v.TTL%1000 != 0 { // below one it would be none
		f = append(f, Fault{"spec.ttl", "must be whole microseconds, which all times are counted in; 0 never expires"})
	}
	f = append(f, v.checkShadow()...)
	if v.Quality.Windowed() && v.Suite == "" && v.ShadowSuite == "" {
		f = append(f, Fault{"spec.quality.window", "windows are judged by a suite: set suite or shadow_suite, or leave window out"})
	}
	return append(f, v.Quality.check("spec.quality")...)
}

// columnName is a feature's name, or one with the version that made it.
var columnName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}(@[1-9][0-9]*)?$`)

func checkRenamed(at string, x Field) []Fault {
	var f []Fault
	switch {
	case x.RenamedFrom == "":
	case x.RenamedFrom == x.Name:
		f = append(f, Fault{at + ".renamed_from", "that is the name it has: leave renamed_from out"})
	case x.Path == "":
		f = append(f, Fault{at + ".path", fmt.Sprintf("a renamed feature must say where events have it: path: %s where they stay as they are, path: %s where they change too", x.RenamedFrom, x.Name)})
	}
	if x.Column != "" && !columnName.MatchString(x.Column) {
		f = append(f, Fault{at + ".column", fmt.Sprintf("%q is not a column: leave it out, the catalog sets it", x.Column)})
	}
	return f
}
