package drift

import (
	"context"
	"math"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/cespare/xxhash/v2"

	"github.com/weir-ml/weir/internal/window"
	"github.com/weir-ml/weir/registry/feature"
)

// joiner reads predictions and outcomes from the tables of their views and brings them together by key.
//
// A prediction is what the order of rows puts last among a key's rows in a window: a
// correction counts, a tombstone in the window takes it away. Its outcome is what the order puts last among the key's
// outcomes within so much time of it: one that comes later, or corrects later, is not seen, so
// that a window has the same verdict whenever it is judged. Tables have each event
// once, whatever workers died on the way.
type joiner struct {
	m       *feature.Monitor // with its defaults
	size    window.Size
	history History
	most    int // predictions that are held at once
	absent  *value
	is      value // the positive label
}

// mostJoined bounds the memory of a join, to about 150 MiB. Where there are more predictions, the tables
// are read several times, each time for the keys of one part.
const mostJoined = 1 << 19

func newJoiner(m *feature.Monitor, h History) (*joiner, error) {
	size, err := window.Parse(m.Window.Size)
	if err != nil {
		return nil, err
	}
	p := m.Performance
	j := &joiner{m: m, size: size, history: h, most: mostJoined}
	t := p.Outcomes.ViewOf.Features[p.Outcomes.ViewOf.Feature(p.Outcomes.Label)].Type
	if p.Positive != "" {
		j.is = parseValue(t, p.Positive)
	}
	if p.Outcomes.Absent != "" {
		v := parseValue(t, p.Outcomes.Absent)
		j.absent = &v
	}
	return j, nil
}

// value is a prediction or a label; values of one feature are equal when these are.
type value struct {
	num  float64
	text string
}

// prediction is one, with the outcome that was found.
type prediction struct {
	key     string
	next    int32 // the same key's in another window, -1 for none
	window  int64 // start
	stamp   feature.Stamp
	value   value
	is      presence
	outcome feature.Stamp // where seen
	seen    bool
	label   value
	came    presence
}

// presence of a value: rows that were deleted are nothing.
type presence uint8

const (
	nothing presence = iota
	aNull            // or what cannot be a value
	aValue
)

// run calls each for every prediction with an event time in [from, to), in no order.
func (j *joiner) run(ctx context.Context, from, to int64, each func(*prediction)) error {
	parts := uint64(1)
	for part := uint64(0); part < parts; part++ {
		t := &joined{at: map[string]int32{}, part: part, parts: parts}
		if err := j.predictions(ctx, from, to, t); err != nil {
			return err
		}
		parts = t.parts
		if err := j.outcomes(ctx, from, to, t); err != nil {
			return err
		}
		for i := range t.rows {
			if p := &t.rows[i]; p.is != nothing {
				each(p)
			}
		}
	}
	return nil
}

// joined are the predictions of a part of the keys.
type joined struct {
	at          map[string]int32 // the first of a key's
	rows        []prediction
	part, parts uint64 // parts is a power of two
}

func (t *joined) has(key []byte) bool { return xxhash.Sum64(key)&(t.parts-1) == t.part }

// split halves the part, until it is small enough. Only the first one is split: hashes
// spread keys evenly, so the others are no larger.
func (t *joined) split(most int) {
	for t.part == 0 && len(t.rows) > most && t.parts < 1<<20 {
		t.parts *= 2
		all := t.rows
		t.rows, t.at = all[:0], map[string]int32{}
		for i := range all {
			if p := all[i]; xxhash.Sum64String(p.key)&(t.parts-1) == 0 {
				t.insert(p)
			}
		}
		clear(all[len(t.rows):])
	}
}

func (t *joined) insert(p prediction) {
	head, ok := t.at[p.key]
	if p.next = -1; ok {
		p.next, p.key = head, t.rows[head].key // one copy of the key
	}
	t.at[p.key] = int32(len(t.rows))
	t.rows = append(t.rows, p)
}

// each calls fn for the predictions of a key, until it returns false.
func (t *joined) each(key []byte, fn func(*prediction) bool) {
	i, ok := t.at[string(key)]
	for ok && i >= 0 && fn(&t.rows[i]) {
		i = t.rows[i].next
	}
}

func (j *joiner) predictions(ctx context.Context, from, to int64, t *joined) error {
	v, name := j.m.ViewOf, j.m.Performance.Prediction
	col := len(v.Keys) + v.Feature(name)
	var key []byte
	err := j.history.Scan(ctx, v, from, to, []string{name}, func(b *feature.Batch) error {
		keys, read := b.KeyColumns(), reader(b.Rows.Column(col))
		for i := range b.Len() {
			key = feature.AppendKey(key[:0], keys, i)
			if !t.has(key) {
				continue
			}
			p := prediction{window: j.size.Of(b.EventTime[i]).Start, stamp: b.Stamp(i)}
			if !b.Deleted(i) {
				p.value, p.is = read(i)
			}
			found := false
			t.each(key, func(o *prediction) bool {
				if found = o.window == p.window; found && o.stamp.Compare(p.stamp) < 0 {
					o.stamp, o.value, o.is = p.stamp, p.value, p.is
				}
				return !found
			})
			if !found {
				p.key = string(key)
				t.insert(p)
				t.split(j.most)
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return feature.Errorf(feature.KindOf(err), "drift.performance", "view "+v.ID(), "%w", err)
	}
	return nil
}

func (j *joiner) outcomes(ctx context.Context, from, to int64, t *joined) error {
	if len(t.rows) == 0 {
		return nil
	}
	o := &j.m.Performance.Outcomes
	v, within := o.ViewOf, o.Within.Micros()
	col := len(v.Keys) + v.Feature(o.Label)
	var key []byte
	err := j.history.Scan(ctx, v, from-within, to+within, []string{o.Label}, func(b *feature.Batch) error {
		keys, read := b.KeyColumns(), reader(b.Rows.Column(col))
		for i := range b.Len() {
			key = feature.AppendKey(key[:0], keys, i)
			if !t.has(key) {
				continue
			}
			t.each(key, func(p *prediction) bool {
				stamp := b.Stamp(i)
				if by := stamp.Event - p.stamp.Event; by > within || by < -within {
					return true
				}
				if p.seen && p.outcome.Compare(stamp) >= 0 {
					return true
				}
				p.outcome, p.seen, p.label, p.came = stamp, true, value{}, nothing
				if !b.Deleted(i) {
					p.label, p.came = read(i)
				}
				return true
			})
		}
		return ctx.Err()
	})
	if err != nil {
		return feature.Errorf(feature.KindOf(err), "drift.performance", "view "+v.ID(), "%w", err)
	}
	return nil
}

// count adds a prediction to the scores.
func (j *joiner) count(s *scores, p *prediction) {
	c := j.m.Performance
	s.Predictions++
	if p.is != aValue || c.Kind == feature.Probability && (p.value.num < 0 || p.value.num > 1) {
		s.Invalid++
		return
	}
	label := p.label
	switch {
	case p.came == nothing && j.absent != nil:
		label = *j.absent
	case p.came != aValue:
		return
	}
	switch c.Kind {
	case feature.Probability:
		s.probability(p.value.num, c.Threshold, label == j.is)
	case feature.Number:
		s.number(p.value.num, label.num)
	default:
		s.label(p.value == label, p.value == j.is, label == j.is)
	}
}

// reader gives what reads a column's values.
func reader(col arrow.Array) func(i int) (value, presence) {
	number := func(at func(int) float64) func(i int) (value, presence) {
		return func(i int) (value, presence) {
			if col.IsNull(i) {
				return value{}, aNull
			}
			x := at(i)
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return value{}, aNull
			}
			return value{num: x}, aValue
		}
	}
	switch c := col.(type) {
	case *array.Float64:
		return number(c.Value)
	case *array.Float32:
		return number(func(i int) float64 { return float64(c.Value(i)) })
	case *array.Int64:
		return number(func(i int) float64 { return float64(c.Value(i)) })
	case *array.Int32:
		return number(func(i int) float64 { return float64(c.Value(i)) })
	case *array.Boolean:
		return number(func(i int) float64 {
			if c.Value(i) {
				return 1
			}
			return 0
		})
	case *array.String:
		return func(i int) (value, presence) {
			if c.IsNull(i) {
				return value{}, aNull
			}
			return value{text: string(append([]byte(nil), c.Value(i)...))}, aValue
		}
	}
	return func(int) (value, presence) { return value{}, aNull }
}

// parseValue is a label that the monitor names, as its type reads it; feature.Performance.Fits has looked at it.
func parseValue(t feature.Type, text string) value {
	switch {
	case t == feature.Bool:
		if b, _ := strconv.ParseBool(text); b {
			return value{num: 1}
		}
		return value{}
	case t == feature.Float32:
		x, _ := strconv.ParseFloat(text, 32)
		return value{num: x}
	case t.Numeric():
		x, _ := strconv.ParseFloat(text, 64)
		return value{num: x}
	}
	return value{text: text}
}
