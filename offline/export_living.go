package offline

import (
	"bytes"
	"context"
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// seenKeys are the keys of a row group, those that follow each other and are the
// same once, with what was seen of them.
type seenKeys struct {
	keys []byte
	ends []uint32
	seen []keyState
}

// collect adds the keys that the view's rows known by a time have, and says of
// each whether it lives. Tombstones are rare, and nobody needs to know which row of
// a key is the newest where there is none: only keys are read. Keys that have
// both are looked at again, with the rows' times.
func (v *entityView) collect(ctx context.Context, s *keySet, by int64) error {
	above := s.above
	err := inOrder(ctx, len(v.files), func(ctx context.Context, i int, emit func(*seenKeys) error) error {
		return v.read(ctx, v.files[i], above, by, emit)
	}, func(*seenKeys) {}, func(r *seenKeys) error {
		from := uint32(0)
		for i, end := range r.ends {
			s.add(r.keys[from:end], r.seen[i])
			from = end
		}
		return nil
	})
	if err != nil {
		return err
	}
	doubtful := map[int32]*newestOfKey{}
	for i, st := range s.states {
		if st&keyLives == 0 && st&ofThisView == rowSeen {
			s.states[i] |= keyLives
		} else if st&keyLives == 0 && st&ofThisView == ofThisView {
			doubtful[int32(i)] = &newestOfKey{}
		}
		s.states[i] &^= ofThisView
	}
	if len(doubtful) == 0 {
		return nil
	}
	if err := v.decide(ctx, s, doubtful, by); err != nil {
		return err
	}
	for i, n := range doubtful {
		if !n.dead {
			s.states[i] |= keyLives
		}
	}
	return nil
}

// read reads the keys of a file, above a bound.
func (v *entityView) read(ctx context.Context, f File, above []byte, by int64, emit func(*seenKeys) error) error {
	sys := columnsByName(v.table.Columns())
	return eachGroup(ctx, v.table, f.Path, func(g *groupReader) error {
		keys, err := g.columns(ctx, v.keys)
		if err != nil {
			return err
		}
		dead, err := g.column(ctx, sys[ColTombstone], nil, nil)
		if err != nil {
			return err
		}
		var known []int64
		if f.MaxKnown > by {
			k, err := g.column(ctx, sys[ColKnown], nil, nil)
			if err != nil {
				return err
			}
			known = k.Int64s
		}
		r := &seenKeys{}
		start := 0 // of the last key taken
		for i := range g.rows {
			if known != nil && known[i] > by {
				continue
			}
			at := len(r.keys)
			r.keys = appendVectorKey(r.keys, keys, i)
			seen := rowSeen
			if dead.Bools[i] {
				seen = tombSeen
			}
			if n := len(r.ends); n > 0 && bytes.Equal(r.keys[start:at], r.keys[at:]) {
				r.keys = r.keys[:at]
				r.seen[n-1] |= seen
				continue
			}
			if bytes.Compare(r.keys[at:], above) <= 0 {
				r.keys = r.keys[:at]
				continue
			}
			start = at
			r.ends = append(r.ends, uint32(len(r.keys)))
			r.seen = append(r.seen, seen)
		}
		return emit(r)
	})
}

// newestOfKey is the newest row seen of a key.
type newestOfKey struct {
	any, dead bool
	stamp     feature.Stamp
}

// doubtfulRow is a row of a key that has tombstones.
type doubtfulRow struct {
	key   int32
	dead  bool
	stamp feature.Stamp
}

// decide finds the newest rows of some keys; the set is not changed.
func (v *entityView) decide(ctx context.Context, s *keySet, of map[int32]*newestOfKey, by int64) error {
	sys := columnsByName(v.table.Columns())
	var cols []Column
	for _, name := range []string{ColEvent, ColKnown, ColPartition, ColOffset, ColTombstone} {
		cols = append(cols, sys[name])
	}
	return inOrder(ctx, len(v.files), func(ctx context.Context, i int, emit func([]doubtfulRow) error) error {
		return eachGroup(ctx, v.table, v.files[i].Path, func(g *groupReader) error {
			keys, err := g.columns(ctx, v.keys)
			if err != nil {
				return err
			}
			var rows, at []int32
			var key []byte
			for i := range g.rows {
				key = appendVectorKey(key[:0], keys, i)
				if n := int32(s.get(key)); n >= 0 && of[n] != nil {
					rows, at = append(rows, int32(i)), append(at, n)
				}
			}
			if len(rows) == 0 {
				return nil
			}
			x := make([]*feature.Vector, len(cols))
			for i, c := range cols {
				if x[i], err = g.column(ctx, c, rows, nil); err != nil {
					return err
				}
			}
			out := make([]doubtfulRow, 0, len(rows))
			for i, n := range at {
				st := feature.Stamp{Event: x[0].Int64s[i], Known: x[1].Int64s[i], Partition: x[2].Int32s[i], Offset: x[3].Int64s[i]}
				if st.Known <= by {
					out = append(out, doubtfulRow{n, x[4].Bools[i], st})
				}
			}
			return emit(out)
		})
	}, func([]doubtfulRow) {}, func(rows []doubtfulRow) error {
		for _, r := range rows {
			if n := of[r.key]; !n.any || n.stamp.Compare(r.stamp) < 0 {
				*n = newestOfKey{true, r.dead, r.stamp}
			}
		}
		return nil
	})
}

// columns reads whole columns of the row group.
func (g *groupReader) columns(ctx context.Context, cols []Column) ([]*feature.Vector, error) {
	out := make([]*feature.Vector, len(cols))
	for i, c := range cols {
		var err error
		if out[i], err = g.column(ctx, c, nil, nil); err != nil {
			return nil, err
		}
	}
	return slices.Clip(out), nil
}
