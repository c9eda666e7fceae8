package offline

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/weir-ml/weir/registry/feature"
)

// newestKeys is how many keys one pass of Newest remembers. A table with more is
// read in several passes, each for a range of the keys' hashes.
const newestKeys = 4 << 20

// NewestOptions says of which rows Newest shall give the newest. The zero value
// is all keys of the newest version.
type NewestOptions struct {
	Version Version
	// Part of Parts, counted from 0: only the keys whose hashes lie in that one of
	// so many equal ranges. Together the parts are all keys, each once. 0 Parts is one part.
	Part, Parts int
	// Counted, when set, hears before rows come how many keys this part has: an
	// estimate (by the share of the hashes that have been looked at) until the
	// last pass over the table, exact from then on.
	Counted func(keys int64)
}

// PartsFor is how many parts a table of so many rows may be split into without
// its keys being read more often than they are anyway.
func PartsFor(rows int64) int { return int(min(max((rows+newestKeys-1)/newestKeys, 1), 1<<16)) }

// Newest calls fn with the newest row of every key of a table, by the order of
// feature.Stamp; a key whose newest row is a tombstone comes as a tombstone.
// Batches are as in Scan. Keys come in no order, but in the same one whenever the same
// part of the same snapshot is read.
//
// Keys and times of all rows are read first, a few numbers a row; only the rows
// that win are read whole. A file is sorted, so most rows lose to the next one
// of their key before anything is looked up, and the newest days are read first,
// so that most others lose to a row that is there already.
func Newest(ctx context.Context, t Table, o NewestOptions, fn func(*feature.Batch) error) error {
	return newest(ctx, t, o, newestKeys, fn)
}

// bounds are the first and last hash of a part.
func (o NewestOptions) bounds() (first, last uint64, err error) {
	parts := max(o.Parts, 1)
	if o.Part < 0 || o.Part >= parts {
		return 0, 0, feature.Errorf(feature.Invalid, "offline.newest", "", "part %d of %d", o.Part, parts)
	}
	width := math.MaxUint64 / uint64(parts)
	first = uint64(o.Part) * width
	if o.Part == parts-1 {
		return first, math.MaxUint64, nil
	}
	return first, first + width - 1, nil
}

func newest(ctx context.Context, t Table, o NewestOptions, most int, fn func(*feature.Batch) error) error {
	first, end, err := o.bounds()
	if err != nil {
		return err
	}
	st, err := t.Load(ctx, o.Version)
	if err != nil {
		return err
	}
	files := slices.Clone(st.Files)
	slices.SortStableFunc(files, func(a, b File) int { return cmp.Compare(b.MaxEffective, a.MaxEffective) })
	lo, width, keys := first, end-first, int64(0)
	for {
		w := &newestRows{lo: lo, last: lo + min(width, end-lo), most: most, index: map[string]int32{}}
		err := inOrder(ctx, len(files), func(ctx context.Context, i int, emit func(*keyRun) error) error {
			return readRuns(ctx, t, int32(i), files[i].Path, emit)
		}, func(*keyRun) {}, w.add)
		if err != nil {
			return err
		}
		if keys += int64(len(w.rows)); o.Counted != nil {
			all := keys
			if w.last < end {
				all = int64(float64(keys) / (float64(w.last-first) + 1) * (float64(end-first) + 1))
			}
			o.Counted(all)
		}
		if err := w.gather(ctx, t, st, files, fn); err != nil {
			return err
		}
		if w.last == end {
			return nil
		}
		// A pass that was narrowed by a dense range does not make all others narrow.
		lo, width = w.last+1, 2*min(w.last-w.lo, math.MaxUint64/2)
	}
}

// keyRun is the keys of a row group with the newest row of each run of equal keys.
type keyRun struct {
	file, group int32
	keys        []byte
	ends        []uint32
	rows        []int32
	stamps      []feature.Stamp
}

// readRuns reads keys and stamps of a file.
func readRuns(ctx context.Context, t Table, file int32, path string, emit func(*keyRun) error) error {
	sys := columnsByName(t.Columns())
	cols := slices.Clone(t.Columns()[:len(t.View().Keys)])
	for _, name := range []string{ColEvent, ColKnown, ColPartition, ColOffset} {
		cols = append(cols, sys[name])
	}
	return eachGroup(ctx, t, path, func(g *groupReader) error {
		v := make([]*feature.Vector, len(cols))
		for i, c := range cols {
			var err error
			if v[i], err = g.column(ctx, c, nil, nil); err != nil {
				return err
			}
		}
		nk := len(cols) - 4
		r := &keyRun{file: file, group: int32(g.group), keys: make([]byte, 0, 16*g.rows)}
		start := 0
		for i := range g.rows {
			s := feature.Stamp{Event: v[nk].Int64s[i], Known: v[nk+1].Int64s[i], Partition: v[nk+2].Int32s[i], Offset: v[nk+3].Int64s[i]}
			at := len(r.keys)
			r.keys = appendVectorKey(r.keys, v[:nk], i)
			if n := len(r.ends); n > 0 && string(r.keys[start:at]) == string(r.keys[at:]) {
				r.keys = r.keys[:at]
				// Sorted files have the newest row of a key last, others anywhere.
				if r.stamps[n-1].Compare(s) < 0 {
					r.rows[n-1], r.stamps[n-1] = int32(i), s
				}
				continue
			}
			start = at
			r.ends = append(r.ends, uint32(len(r.keys)))
			r.rows = append(r.rows, int32(i))
			r.stamps = append(r.stamps, s)
		}
		return emit(r)
	})
}

func appendVectorKey(dst []byte, cols []*feature.Vector, i int) []byte {
	for _, v := range cols {
		switch v.Type {
		case feature.Bool:
			dst = feature.AppendKeyBool(dst, v.Bools[i])
		case feature.Int32:
			dst = feature.AppendKeyInt32(dst, v.Int32s[i])
		case feature.Int64, feature.Timestamp:
			dst = feature.AppendKeyInt64(dst, v.Int64s[i])
		default:
			dst = feature.AppendKeyText(dst, v.Bytes[i])
		}
	}
	return dst
}

// newestRows holds the best row so far of every key whose hash is in [lo, last].
type newestRows struct {
	lo, last uint64
	most     int
	index    map[string]int32
	rows     []newestRow
}

type newestRow struct {
	hash             uint64
	stamp            feature.Stamp
	file, group, row int32
}

func (w *newestRows) add(r *keyRun) error {
	from := uint32(0)
	for i, end := range r.ends {
		key := r.keys[from:end]
		from = end
		at, ok := w.index[string(key)]
		if ok {
			if b := &w.rows[at]; b.stamp.Compare(r.stamps[i]) < 0 {
				b.stamp, b.file, b.group, b.row = r.stamps[i], r.file, r.group, r.rows[i]
			}
			continue
		}
		h := xxhash.Sum64(key)
		if h < w.lo || h > w.last {
			continue
		}
		if len(w.rows) >= w.most && w.last > w.lo {
			w.narrow()
			if h > w.last {
				continue
			}
		}
		w.index[string(key)] = int32(len(w.rows))
		w.rows = append(w.rows, newestRow{h, r.stamps[i], r.file, r.group, r.rows[i]})
	}
	return nil
}

// narrow gives the upper half of the hashes up to a later pass.
func (w *newestRows) narrow() {
	for len(w.rows) >= w.most && w.last > w.lo {
		w.last = w.lo + (w.last-w.lo)/2
		kept := w.rows[:0:0]
		for key, at := range w.index {
			if w.rows[at].hash > w.last {
				delete(w.index, key)
				continue
			}
			w.index[key] = int32(len(kept))
			kept = append(kept, w.rows[at])
		}
		w.rows = kept
	}
}

// gather reads the winners whole.
func (w *newestRows) gather(ctx context.Context, t Table, st *State, files []File, fn func(*feature.Batch) error) error {
	w.index = nil
	slices.SortFunc(w.rows, func(a, b newestRow) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.group, b.group), cmp.Compare(a.row, b.row))
	})
	type part struct {
		file int32
		rows []newestRow
	}
	var parts []part
	for lo := 0; lo < len(w.rows); {
		hi := lo
		for hi < len(w.rows) && w.rows[hi].file == w.rows[lo].file {
			hi++
		}
		parts = append(parts, part{w.rows[lo].file, w.rows[lo:hi]})
		lo = hi
	}
	topics := topicNames(st)
	every := func(string) bool { return true }
	return inOrder(ctx, len(parts), func(ctx context.Context, i int, emit func([]*feature.Batch) error) error {
		left := parts[i].rows
		return eachGroup(ctx, t, files[parts[i].file].Path, func(g *groupReader) error {
			n := 0
			for n < len(left) && int(left[n].group) == g.group {
				n++
			}
			if n == 0 {
				return nil
			}
			rows := make([]int32, n)
			for k := range rows {
				rows[k] = left[k].row
			}
			left = left[n:]
			bs, err := g.batches(ctx, t, topics, rows, every)
			if err != nil {
				return err
			}
			return emit(bs)
		})
	}, releaseAll, func(bs []*feature.Batch) error { return eachBatch(bs, fn) })
}
