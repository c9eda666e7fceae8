package quarantine

import (
	"bytes"
	"context"
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// Found is an entry and what became of it.
type Found struct {
	*Entry
	State State
	Size  int64 // of the payload, which ListOptions.Payload may have cut
}

// ListOptions say what a list has.
type ListOptions struct {
	Limit   int // the newest entries; 0 for all
	Payload int // how much of payloads and keys is kept, in bytes; 0 for all
	Group   Grouping
}

// Listing is what List found.
type Listing struct {
	Entries []Found // newest last
	Total   int64   // entries that match, whatever the limit
	ByRule  []RuleCount
	Groups  []Group         // the largest first; none where they were not asked for
	ByState map[State]int64 // of all states, where the rest of the filter matches
}

// mostKept bounds the entries of a list, in bytes: beyond it the oldest are left out, but for one.
const mostKept = 64 << 20

// List returns the newest entries that a filter chooses, and counts. Reasons come as the
// view's mask lets them be shown. Memory holds the entries that are listed, up to 64 MiB
// of them, a few thousand groups, and a few bits of each other entry.
func (r *Reader) List(ctx context.Context, v *feature.View, f Filter, rows Rows, o ListOptions) (*Listing, error) {
	l := &Listing{ByState: map[State]int64{}}
	mask := v.Mask()
	reasons := newGroups(ByReason, mask)
	wanted := reasons
	if o.Group != ByReason && o.Group != ByNone {
		wanted = newGroups(o.Group, mask)
	}
	size := 0
	drop := func(n int) {
		for _, e := range l.Entries[:n] {
			size -= e.bytes()
		}
		l.Entries = slices.Delete(l.Entries, 0, n)
	}
	all := f
	all.States = States()
	err := r.Find(ctx, v, &all, rows, nil, func(e *Entry, s State) error {
		l.ByState[s]++
		if !f.wants(s) {
			return nil
		}
		l.Total++
		reasons.add(e)
		if wanted != reasons {
			wanted.add(e)
		}
		found := Found{e, s, int64(len(e.Payload))}
		if o.Payload > 0 {
			// A copy: what was read is part of something larger.
			e.Payload, e.Key = bytes.Clone(e.Payload[:min(len(e.Payload), o.Payload)]), bytes.Clone(e.Key[:min(len(e.Key), o.Payload)])
		}
		e.Reasons = mask.Reasons(e.Reasons)
		l.Entries, size = append(l.Entries, found), size+found.bytes()
		if o.Limit > 0 && len(l.Entries) >= 2*o.Limit {
			drop(len(l.Entries) - o.Limit)
		}
		if o.Limit > 0 && size > 2*mostKept {
			drop(surplus(l.Entries, size))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if o.Limit > 0 {
		drop(max(0, len(l.Entries)-o.Limit))
		drop(surplus(l.Entries, size))
	}
	l.ByRule = reasons.rules()
	if o.Group != ByNone {
		l.Groups = wanted.sorted()
	}
	return l, nil
}

// surplus is how many of the oldest entries of a list have to go.
func surplus(all []Found, size int) int {
	n := 0
	for ; size > mostKept && n < len(all)-1; n++ {
		size -= all[n].bytes()
	}
	return n
}

// bytes is what an entry of a list takes.
func (f Found) bytes() int {
	n := 512 + len(f.Payload) + len(f.Key)
	for _, r := range f.Reasons {
		n += 128 + len(r.Rule) + len(r.Path) + len(r.Value) + len(r.Expected)
	}
	return n
}
