package audit

import (
	"cmp"
	"slices"
	"strings"
	"sync"
)

// findings collects differences: all are counted, neighbours merged, and of each
// kind the first of each partition kept. Safe for concurrent use, as long as one
// goroutine at a time reports offsets of one kind and partition, in ascending order.
type findings struct {
	most int

	mu    sync.Mutex
	total int64
	runs  map[runKey]*kindRuns
	other []Difference
}

type runKey struct {
	kind string
	part partKey
	held bool // an entry of the quarantine
}

type kindRuns struct {
	list []*finding
	last int64 // the last offset reported
	open bool  // the last of list may grow
}

// finding is a run of offsets; log is the first event as the log has it.
type finding struct {
	Difference
	log *cells
}

func newFindings(most int) *findings { return &findings{most: most, runs: map[runKey]*kindRuns{}} }

// offset reports an event. before is the offset of the event before it that could
// have differed alike, so that runs go on over gaps. It returns the finding that the event has begun, for the
// caller to say more about it; nil when it belongs to one already or is only counted.
func (f *findings) offset(kind string, p *part, offset, before int64, day int32, held bool) *finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.total++
	k := runKey{kind, partKey{p.at.TopicID, p.at.Partition}, held}
	r := f.runs[k]
	if r == nil {
		r = &kindRuns{last: -1}
		f.runs[k] = r
	}
	follows := r.last >= 0 && r.last >= before
	r.last = offset
	if follows && r.open {
		d := r.list[len(r.list)-1]
		d.Last = offset
		d.Count++
		return nil
	}
	if r.open = len(r.list) < f.most; !r.open {
		return nil
	}
	d := &finding{Difference: Difference{Kind: kind, Topic: p.at.Topic, TopicID: p.at.TopicID, Partition: p.at.Partition,
		First: offset, Last: offset, Count: 1, Day: day}}
	r.list = append(r.list, d)
	return d
}

// thing reports what is not a run of offsets, or one that is complete.
func (f *findings) thing(d Difference) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.total += max(1, d.Count)
	if len(f.other) < f.most {
		f.other = append(f.other, d)
	}
}

// each calls fn with the runs of offsets that are kept.
func (f *findings) each(fn func(*finding)) {
	for _, r := range f.runs {
		for _, d := range r.list {
			fn(d)
		}
	}
}

var kindOrder = []string{RolledBack, LostFile, Missing, Doubled, InBoth, Changed, Unfaithful, Stranger}

// list gives the first differences, what concerns the whole table first, and how many there are.
func (f *findings) list() ([]Difference, int64) {
	out := slices.Clone(f.other)
	f.each(func(d *finding) { out = append(out, d.Difference) })
	rank := func(d Difference) int {
		switch i := slices.Index(kindOrder, d.Kind); {
		case i < 0:
			return len(kindOrder) // keys of the online store
		case i < 2:
			return i
		}
		return 2
	}
	slices.SortStableFunc(out, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a.Topic, b.Topic), slices.Compare(a.TopicID[:], b.TopicID[:]),
			cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.First, b.First), cmp.Compare(slices.Index(kindOrder, a.Kind), slices.Index(kindOrder, b.Kind)),
			strings.Compare(a.Path, b.Path), strings.Compare(a.Key, b.Key), strings.Compare(a.Kind, b.Kind))
	})
	return out[:min(len(out), f.most)], f.total
}
