package quarantine

import (
	"cmp"
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// place is a path without the numbers of lists' items: tags[3] and tags[40] are
// tags[]. What is wrong with the items of lists is one thing, wherever they stand.
func place(path string) string {
	if !strings.Contains(path, "[") {
		return path
	}
	var out []byte
	for i := 0; i < len(path); i++ {
		out = append(out, path[i])
		if path[i] != '[' {
			continue
		}
		if end := strings.IndexByte(path[i:], ']'); end > 0 && strings.Trim(path[i+1:i+end], "0123456789") == "" {
			i += end - 1 // at the last digit, or the bracket itself where there is none
		}
	}
	return string(out)
}

// named reports whether a rule, as a Filter has it, is that of a reason: the rule
// alone, with its path, or with its place.
func named(rules []string, r feature.Reason) bool {
	return slices.Contains(rules, r.Rule) || slices.Contains(rules, r.Rule+"("+r.Path+")") ||
		strings.Contains(r.Path, "[") && slices.Contains(rules, r.Rule+"("+place(r.Path)+")")
}

// Grouping is what entries are counted by.
type Grouping string

// The groupings. By reason is by rule and path.
const (
	ByReason Grouping = ""
	ByRule   Grouping = "rule"
	ByPath   Grouping = "path"
	ByNone   Grouping = "none"
)

// mostGroups is how many groups of a view are told apart. Rules are few; paths may be as many
// as there are events, where the names of members are data.
const mostGroups = 4096

// Group is what entries of a view have in common.
type Group struct {
	View string
	Rule string // "" where rules are not told apart
	Path string // items of lists as one: tags[]; "" where paths are not told apart
	// Others tells of a group of many paths: those that came after mostGroups others.
	Others      bool
	Count       int64 // entries; one that failed several rules is in several groups
	First, Last int64 // record times of the oldest and of the newest event, microseconds UTC
	// The newest event, and what was wrong with it.
	Topic     string
	Partition int32
	Offset    int64
	Reason    feature.Reason
}

// groups counts entries in bounded memory.
type groups struct {
	by   Grouping
	mask *feature.Mask
	all  map[groupKey]*Group
}

type groupKey struct {
	rule, path string
	others     bool
}

func newGroups(by Grouping, mask *feature.Mask) *groups {
	return &groups{by: by, mask: mask, all: map[groupKey]*Group{}}
}

func (g *groups) key(r feature.Reason) groupKey {
	k := groupKey{rule: r.Rule, path: place(r.Path)}
	switch g.by {
	case ByRule:
		k.path = ""
	case ByPath:
		k.rule = ""
	}
	if g.all[k] != nil || len(g.all) < mostGroups {
		return k
	}
	k.path, k.others = "", true
	if g.all[k] == nil && len(g.all) >= 2*mostGroups {
		k.rule = ""
	}
	return k
}

// add counts an entry once for each of its groups.
func (g *groups) add(e *Entry) {
	var seen []groupKey
	for _, r := range e.Reasons {
		k := g.key(r)
		if slices.Contains(seen, k) {
			continue
		}
		seen = append(seen, k)
		x := g.all[k]
		if x == nil {
			x = &Group{View: e.View, Rule: k.rule, Path: k.path, Others: k.others, First: e.Timestamp, Last: e.Timestamp}
			g.all[k] = x
		}
		x.First = min(x.First, e.Timestamp)
		if x.Count == 0 || e.Timestamp >= x.Last {
			x.Last, x.Topic, x.Partition, x.Offset, x.Reason = e.Timestamp, e.Topic, e.Partition, e.Offset, r
		}
		x.Count++
	}
}

// sorted has the largest group first. What is masked today is, whenever the entry was written.
func (g *groups) sorted() (out []Group) {
	for _, x := range g.all {
		x.Reason = g.mask.Reasons([]feature.Reason{x.Reason})[0]
		out = append(out, *x)
	}
	SortGroups(out)
	return out
}

// rules has the rule that most entries failed first.
func (g *groups) rules() (out []RuleCount) {
	for _, x := range g.sorted() {
		out = append(out, RuleCount{Rule: x.Rule, Path: x.Path, Count: x.Count})
	}
	return out
}

// SortGroups puts the largest group first.
func SortGroups(all []Group) {
	slices.SortFunc(all, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.View, b.View), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Path, b.Path), cmp.Compare(flag(a.Others), flag(b.Others)))
	})
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
