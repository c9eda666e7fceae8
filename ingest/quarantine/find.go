package quarantine

import (
	"context"
	"encoding/binary"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-ml/weir/internal/offsets"
	"github.com/weir-ml/weir/registry/feature"
)

// State is what became of an entry.
type State string

// The states. An entry whose event has a row in the view's table is void: the
// table is what counts, whatever the entry says.
const (
	Held      State = "held"      // not in the table
	Replayed  State = "replayed"  // in the table, by a replay
	Taken     State = "taken"     // in the table, by ingestion: after a rollback the log was read and judged again
	Discarded State = "discarded" // not in the table, and given up
)

// States are all of them.
func States() []State { return []State{Held, Replayed, Taken, Discarded} }

// Event names an event by its coordinates. Topic may be empty where partition
// and offset tell enough.
type Event struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Filter chooses entries. Empty fields do not choose, but for States: empty is Held alone.
type Filter struct {
	Rules      []string // as in a Reason, or with its path: rule(path), rule(list[]) for any item; any of them
	Since      int64    // record time, microseconds UTC, at or after
	Until      int64    // and before
	Partitions []int32  // of the source; -1 for imports
	Events     []Event
	States     []State
}

// Takes reports whether an entry is chosen, states aside.
func (f *Filter) Takes(e *Entry) bool {
	if e.Timestamp < f.Since && f.Since != 0 || e.Timestamp >= f.Until && f.Until != 0 {
		return false
	}
	if len(f.Partitions) > 0 && !slices.Contains(f.Partitions, e.Partition) {
		return false
	}
	if len(f.Events) > 0 && !slices.ContainsFunc(f.Events, func(x Event) bool {
		return x.Partition == e.Partition && x.Offset == e.Offset && (x.Topic == "" || x.Topic == e.Topic)
	}) {
		return false
	}
	return len(f.Rules) == 0 || slices.ContainsFunc(e.Reasons, func(r feature.Reason) bool {
		return named(f.Rules, r)
	})
}

func (f *Filter) wants(s State) bool {
	if len(f.States) == 0 {
		return s == Held
	}
	return slices.Contains(f.States, s)
}

// String is the filter in words, as it is recorded with a replay.
func (f *Filter) String() string {
	var out []string
	if len(f.Rules) > 0 {
		out = append(out, "rule "+strings.Join(f.Rules, ", "))
	}
	if f.Since != 0 {
		out = append(out, "since "+feature.Time(f.Since).Format("2006-01-02T15:04:05.999999Z"))
	}
	if f.Until != 0 {
		out = append(out, "until "+feature.Time(f.Until).Format("2006-01-02T15:04:05.999999Z"))
	}
	for _, p := range f.Partitions {
		out = append(out, "partition "+strconv.Itoa(int(p)))
	}
	if n := len(f.Events); n > 0 && n <= 5 {
		for _, e := range f.Events {
			out = append(out, "event "+strconv.Itoa(int(e.Partition))+"/"+strconv.FormatInt(e.Offset, 10))
		}
	} else if n > 5 {
		out = append(out, strconv.Itoa(n)+" events")
	}
	return strings.Join(out, "; ")
}

// Range is offsets [First, Next) of a partition.
type Range struct {
	TopicID     [16]byte
	Partition   int32
	First, Next int64
}

// Rows calls fn with the coordinates and the known time of every row that the
// view's table has within the ranges, in no order. Ranges may be many.
type Rows func(ctx context.Context, v *feature.View, within []Range, fn func(topicID [16]byte, partition int32, offset, known int64) error) error

// Find calls fn with the entries of a view that a filter chooses, as they are at
// the call, in the order in which they were last written, with what became of each.
// Memory holds a few bits an entry.
func (r *Reader) Find(ctx context.Context, v *feature.View, f *Filter, rows Rows, progress func(done, total int64), fn func(*Entry, State) error) error {
	var in void
	known := map[int64]bool{}
	return r.walk(ctx, v.Meta.Project, v.Meta.Name, progress, walk{
		replay: func(x *Replay) { known[x.Known] = true },
		between: func(sets map[[20]byte]*offsets.Set) error {
			within := f.ranges(sets)
			if len(within) == 0 {
				return nil
			}
			return rows(ctx, v, within, func(topic [16]byte, part int32, offset, at int64) error {
				if k := logKey(topic, part); sets[k] != nil && sets[k].Has(offset) {
					in.add(k, offset, known[at])
				}
				return nil
			})
		},
		entry: func(e *Entry) error {
			if !f.Takes(e) {
				return nil
			}
			if s := in.state(e); f.wants(s) {
				return fn(e, s)
			}
			return nil
		},
	})
}

// void knows which entries have rows in the table.
type void struct {
	replayed, taken map[[20]byte]*offsets.Set
}

func (v *void) add(k [20]byte, offset int64, replayed bool) {
	into := &v.taken
	if replayed {
		into = &v.replayed
	}
	if *into == nil {
		*into = map[[20]byte]*offsets.Set{}
	}
	if (*into)[k] == nil {
		(*into)[k] = &offsets.Set{}
	}
	(*into)[k].Add(offset)
}

func (v *void) state(e *Entry) State {
	k := logKey(e.TopicID, e.Partition)
	switch {
	case v.replayed[k] != nil && v.replayed[k].Has(e.Offset):
		return Replayed
	case v.taken[k] != nil && v.taken[k].Has(e.Offset):
		return Taken
	case e.Discarded != nil:
		return Discarded
	}
	return Held
}

func logKey(topic [16]byte, partition int32) (k [20]byte) {
	copy(k[:], topic[:])
	binary.BigEndian.PutUint32(k[16:], uint32(partition))
	return k
}

// mostRanges bounds the ranges that a table is asked for at once.
const mostRanges = 4096

// ranges covers the entries that may be chosen; gaps between them are covered
// too where there are too many.
func (f *Filter) ranges(sets map[[20]byte]*offsets.Set) []Range {
	var out []Range
	for gap := int64(64); ; gap *= 16 {
		out = out[:0]
		for k, s := range sets {
			part := int32(binary.BigEndian.Uint32(k[16:]))
			if len(f.Partitions) > 0 && !slices.Contains(f.Partitions, part) {
				continue
			}
			for o := range f.offsets(s, part) {
				if n := len(out) - 1; n >= 0 && out[n].TopicID == [16]byte(k[:16]) && out[n].Partition == part && o <= out[n].Next+gap {
					out[n].Next = o + 1
				} else {
					out = append(out, Range{[16]byte(k[:16]), part, o, o + 1})
				}
			}
		}
		if len(out) <= mostRanges || gap > 1<<56 {
			return out
		}
	}
}

// offsets are those of a set that may be chosen, ascending.
func (f *Filter) offsets(s *offsets.Set, part int32) iter.Seq[int64] {
	if len(f.Events) == 0 {
		return s.All()
	}
	var out []int64
	for _, e := range f.Events {
		if e.Partition == part && s.Has(e.Offset) {
			out = append(out, e.Offset)
		}
	}
	slices.Sort(out)
	return slices.Values(slices.Compact(out))
}
