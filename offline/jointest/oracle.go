package jointest

import (
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// Answer is what the join must give for a row of the spine: the values of every
// feature of every view. It reads the rule and tries every fact.
//
// A fact of the row's key counts when it was known by the row's time (event clock:
// when it had happened by then). Of those the last in the order of the key counts:
// by effective time, known time, partition and offset (event clock: by event time
// instead of effective time). It answers nothing when it is a tombstone or when
// that time is more than ttl before the row's.
func (w *World) Answer(row Row) []any {
	var out []any
	for i := range w.Views {
		out = append(out, w.Views[i].answer(w.Clock, row)...)
	}
	return out
}

func (v *View) answer(clock feature.Clock, row Row) []any {
	nothing := make([]any, len(v.Features))
	at, ok := row.Time.(int64)
	if !ok {
		return nothing
	}
	var asked []any
	for _, k := range v.Keys {
		if row.Keys[k.Name] == nil {
			return nothing
		}
		asked = append(asked, row.Keys[k.Name])
	}
	var last *Fact
	for i := range v.Facts {
		f := &v.Facts[i]
		seen := f.Known
		if clock == feature.EventClock {
			seen = f.Event
		}
		if seen <= at && slices.EqualFunc(f.Keys, asked, Same) && (last == nil || after(clock, f, last)) {
			last = f
		}
	}
	if last == nil || last.Dead || v.TTL > 0 && counts(clock, last) < at-v.TTL {
		return nothing
	}
	return last.Values
}

// counts is the time that orders a fact and that its age counts from.
func counts(clock feature.Clock, f *Fact) int64 {
	if clock == feature.EventClock || f.Event < f.Known {
		return f.Event
	}
	return f.Known
}

// after tells whether a comes after b in the order of their key.
func after(clock feature.Clock, a, b *Fact) bool {
	switch x, y := counts(clock, a), counts(clock, b); {
	case x != y:
		return x > y
	case a.Known != b.Known:
		return a.Known > b.Known
	case a.Partition != b.Partition:
		return a.Partition > b.Partition
	}
	return a.Offset > b.Offset
}
