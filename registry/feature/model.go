package feature

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ChampionAlias names the version of a model that serves, and whose training set monitors compare with.
const ChampionAlias = "champion"

// Model is one version of a model, tied to what it was trained on. Name and version are as the model's own
// registry has them (MLflow); the service and the snapshot never change once it is registered.
type Model struct {
	Project        string            `json:"project"`
	Name           string            `json:"name"`
	Version        string            `json:"version"` // "3"
	Service        string            `json:"service"`
	ServiceVersion int               `json:"service_version"`
	Snapshot       string            `json:"snapshot"`
	URI            string            `json:"uri,omitempty"` // where its files are
	Tags           map[string]string `json:"tags,omitempty"`
	Aliases        []string          `json:"aliases,omitempty"` // sorted; an alias stands at one version of a model
	CreatedAt      int64             `json:"created_at"`        // microseconds UTC
}

// AliasMove is one step in the past of an alias: who was champion when.
type AliasMove struct {
	Project string `json:"project"`
	Model   string `json:"model"`
	Alias   string `json:"alias"`
	Version string `json:"version"` // that it moved to; empty where it was taken off
	// Snapshot is what that version was trained on, known also when the version has been deleted since.
	Snapshot string `json:"snapshot,omitempty"`
	At       int64  `json:"at"` // microseconds UTC
}

// ID is project/name@version.
func (m *Model) ID() string { return m.Project + "/" + m.Label() }

// Label is name@version.
func (m *Model) Label() string { return m.Name + "@" + m.Version }

// What a version may bring along: all versions of a model are read whenever somebody asks where an alias stands, as
// monitors do each second. MLflow's tags fit.
const (
	mostTags     = 200
	mostTagName  = 250
	mostTagValue = 8000
	mostURI      = 4096
)

var (
	versionRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.+-]{0,62}$`)
	aliasRE   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,62}$`)
)

// CheckModelName takes the names that MLflow takes as well.
func CheckModelName(field, s string) []Fault {
	switch {
	case strings.TrimSpace(s) == "":
		return []Fault{{field, "a model's name is required"}}
	case len(s) > 250:
		return []Fault{{field, "a model's name has 250 bytes at most"}}
	case strings.ContainsAny(s, "/:@") || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return []Fault{{field, fmt.Sprintf("%q is not a model's name: / : @ and control characters are not allowed", s)}}
	}
	return nil
}

// CheckAlias takes letters, digits, _ and -, and no digit first.
func CheckAlias(field, s string) []Fault {
	if !aliasRE.MatchString(s) {
		return []Fault{{field, fmt.Sprintf("%q is not an alias: start with a letter, then letters, digits, _ and - (63 at most), like %s", s, ChampionAlias)}}
	}
	return nil
}

// Check returns what is wrong with the model on its own.
func (m *Model) Check() []Fault {
	f := CheckName("project", m.Project)
	f = append(f, CheckModelName("name", m.Name)...)
	if !versionRE.MatchString(m.Version) {
		f = append(f, Fault{"version", fmt.Sprintf("%q is not a version: use letters, digits and . _ + - (63 at most), like 3", m.Version)})
	}
	if m.Snapshot == "" {
		f = append(f, Fault{"snapshot", "the snapshot that it was trained on is required"})
	}
	if strings.ContainsFunc(m.URI, func(r rune) bool { return r < ' ' }) {
		f = append(f, Fault{"uri", "must be one line"})
	}
	if len(m.URI) > mostURI {
		f = append(f, Fault{"uri", fmt.Sprintf("has %d bytes, %d at most", len(m.URI), mostURI)})
	}
	if len(m.Tags) > mostTags || len(m.Aliases) > mostTags {
		f = append(f, Fault{"tags", fmt.Sprintf("a version has %d tags and aliases at most", mostTags)})
		return f
	}
	for _, k := range slices.Sorted(maps.Keys(m.Tags)) {
		switch {
		case k == "":
			f = append(f, Fault{"tags", "a tag needs a name"})
		case len(k) > mostTagName || len(m.Tags[k]) > mostTagValue:
			f = append(f, Fault{"tags", fmt.Sprintf("%.40q: a tag's name has %d bytes at most, its value %d", k, mostTagName, mostTagValue)})
		}
	}
	for i, a := range m.Aliases {
		f = append(f, CheckAlias(fmt.Sprintf("aliases[%d]", i), a)...)
	}
	return f
}

// SameOrigin reports whether two records of a version say that it was made of the same.
func (m *Model) SameOrigin(o *Model) bool {
	return m.Service == o.Service && m.ServiceVersion == o.ServiceVersion && m.Snapshot == o.Snapshot
}

// HasAlias reports whether the alias stands at this version.
func (m *Model) HasAlias(a string) bool { return slices.Contains(m.Aliases, a) }

// CompareModels orders by project and name, then versions as people count them: numbers by size, before others.
func CompareModels(a, b Model) int {
	if c := cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Name, b.Name)); c != 0 {
		return c
	}
	x, xe := strconv.ParseUint(a.Version, 10, 64)
	y, ye := strconv.ParseUint(b.Version, 10, 64)
	switch {
	case xe == nil && ye == nil:
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(a.Version, b.Version))
	case xe == nil:
		return -1
	case ye == nil:
		return 1
	}
	return cmp.Compare(a.Version, b.Version)
}
