package drift

import (
	"context"

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
//
// Each table is read once. Predictions that do not fit in memory go to a file, by parts of the keys, and all
// outcomes after them; then one part after the other is joined.
type joiner struct {
	m       *feature.Monitor // with its defaults
	size    window.Size
	history History
	most    int64  // bytes that joined predictions may take
	folder  string // for what does not fit; the system's for temporary files when empty
	absent  *value
	is      value // the positive label
	held    int64 // the most bytes that predictions took
}

// mostJoined bounds the memory of a join.
const mostJoined = 96 << 20

func newJoiner(m *feature.Monitor, h History, folder string) (*joiner, error) {
	size, err := window.Parse(m.Window.Size)
	if err != nil {
		return nil, err
	}
	p := m.Performance
	j := &joiner{m: m, size: size, history: h, most: mostJoined, folder: folder}
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

// said is what a row says: of a prediction, or of an outcome.
type said struct {
	stamp feature.Stamp
	value value
	is    presence
}

// run calls each for every prediction with an event time in [from, to), in no order.
func (j *joiner) run(ctx context.Context, from, to int64, each func(*prediction)) (err error) {
	t := newJoined(j.m.Performance.Outcomes.Within.Micros())
	var file *joinFile
	defer func() {
		if cerr := file.close(); err == nil {
			err = cerr
		}
	}()
	err = j.scan(ctx, j.m.ViewOf, j.m.Performance.Prediction, from, to, func(key []byte, x *said) error {
		if file != nil {
			return file.predictions.add(xxhash.Sum64(key), key, x)
		}
		t.predict(xxhash.Sum64(key), key, j.size.Of(x.stamp.Event).Start, x)
		if t.bytes <= j.most {
			return nil
		}
		if file, err = newJoinFile(j.folder); err != nil {
			return err
		}
		err := t.all(func(p *prediction) error {
			return file.predictions.add(p.hash, []byte(p.key), &said{p.stamp, p.value, p.is})
		})
		t.reset()
		return err
	})
	if err != nil || file == nil && t.n == 0 {
		return err
	}
	j.held = max(j.held, t.bytes)
	if file == nil {
		t.settle()
	} else if err = file.predictions.end(); err != nil {
		return err
	}
	o := &j.m.Performance.Outcomes
	err = j.scan(ctx, o.ViewOf, o.Label, from-t.within, to+t.within, func(key []byte, x *said) error {
		if file != nil {
			return file.outcomes.add(xxhash.Sum64(key), key, x)
		}
		t.outcome(xxhash.Sum64(key), key, x)
		return nil
	})
	if err != nil {
		return err
	}
	if file == nil {
		return t.judged(each)
	}
	if err = file.outcomes.end(); err != nil {
		return err
	}
	for part := range joinParts {
		if err := j.part(ctx, file, part, t, each); err != nil {
			return err
		}
	}
	return nil
}

// mostPasses is how often a part of the file is read where its predictions do not fit. Beyond it memory grows:
// those of one key are held together.
const mostPasses = 64

// part joins a part of the file: at once where it fits, else key by key's hash in several passes. Only the first one is
// split: hashes spread keys evenly, so the others are no larger.
func (j *joiner) part(ctx context.Context, f *joinFile, part int, t *joined, each func(*prediction)) error {
	passes := uint64(1)
	for pass := uint64(0); pass < passes; pass++ {
		t.reset()
		mine := func(hash uint64) bool { return hash/joinParts&(passes-1) == pass }
		err := f.predictions.read(part, func(hash uint64, key []byte, x *said) error {
			if !mine(hash) {
				return nil
			}
			t.predict(hash, key, j.size.Of(x.stamp.Event).Start, x)
			for pass == 0 && t.bytes > j.most && passes < mostPasses {
				passes *= 2
				t.keep(mine)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if t.n == 0 {
			continue
		}
		j.held = max(j.held, t.bytes)
		t.settle()
		err = f.outcomes.read(part, func(hash uint64, key []byte, x *said) error {
			if mine(hash) {
				t.outcome(hash, key, x)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := t.judged(each); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// scan reads one feature of a view. What fn gets is the scan's.
func (j *joiner) scan(ctx context.Context, v *feature.View, name string, from, to int64, fn func(key []byte, x *said) error) error {
	col := len(v.Keys) + v.Feature(name)
	var key []byte
	var x said
	err := j.history.Scan(ctx, v, from, to, []string{name}, func(b *feature.Batch) error {
		keys, read := b.KeyColumns(), reader(b.Rows.Column(col))
		for i := range b.Len() {
			key = feature.AppendKey(key[:0], keys, i)
			x = said{stamp: b.Stamp(i)}
			if !b.Deleted(i) {
				x.value, x.is = read(i)
			}
			if err := fn(key, &x); err != nil {
				return err
			}
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
