package offline

import (
	"context"
	"encoding/binary"
	"math"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/weir-ml/weir/registry/feature"
)

func timeText(micros int64) string { return feature.Time(micros).Format(time.RFC3339Nano) }

// diffPass remembers the rows of files that are gone, those whose coordinates
// have a hash in [lo, last], as a hash a column; rows of files that came are held against them.
type diffPass struct {
	d        *differ
	lo, last uint64
	at       map[coordinate]int32 // row in hashes
	hashes   []uint32             // of all columns, row after row
}

// passes compares the files, as often as it takes.
func (d *differ) passes(ctx context.Context) error {
	lo, width := uint64(0), uint64(math.MaxUint64)
	for {
		p := &diffPass{d: d, lo: lo, last: lo + min(width, math.MaxUint64-lo), at: map[coordinate]int32{}}
		if err := p.read(ctx, d.gone, p.remember); err != nil {
			return err
		}
		if err := p.read(ctx, d.made, p.compare); err != nil {
			return err
		}
		for c := range p.at {
			d.out.Removed++
			d.example(DiffRemoved, c, nil)
		}
		if p.last == math.MaxUint64 {
			return nil
		}
		lo, width = p.last+1, 2*min(p.last-p.lo, math.MaxUint64/2)
	}
}

// diffRows is the rows of a row group that a pass is after.
type diffRows struct {
	at      []coordinate
	hashes  []uint32 // as in diffPass
	counted int      // rows of the group
}

func (p *diffPass) read(ctx context.Context, files []File, each func(*diffRows)) error {
	d := p.d
	type found struct {
		topics     [][]byte
		partitions []int32
		offsets    []int64
		diffRows
	}
	lo, last := p.lo, p.last // as they are now: remember may narrow the pass meanwhile
	return inOrder(ctx, len(files), func(ctx context.Context, i int, emit func(*found) error) error {
		return eachGroup(ctx, d.t, files[i].Path, func(g *groupReader) error {
			f := &found{diffRows: diffRows{counted: g.rows}}
			var v [3]*feature.Vector
			for k, c := range d.coordinates {
				var err error
				if v[k], err = g.column(ctx, c, nil, nil); err != nil {
					return err
				}
			}
			var rows []int32
			for r := range int32(g.rows) {
				if h := placeHash(v[0].Bytes[r], v[1].Int32s[r], v[2].Int64s[r]); h < lo || h > last {
					continue
				}
				rows = append(rows, r)
				f.topics, f.partitions, f.offsets = append(f.topics, v[0].Bytes[r]), append(f.partitions, v[1].Int32s[r]), append(f.offsets, v[2].Int64s[r])
			}
			if len(rows) == 0 {
				return emit(f)
			}
			n := len(d.columns)
			f.hashes = make([]uint32, n*len(rows))
			for k, c := range d.columns {
				v, err := g.column(ctx, c, rows, nil)
				if err != nil {
					return err
				}
				for r := range rows {
					f.hashes[r*n+k] = valueHash(v, r)
				}
			}
			return emit(f)
		})
	}, func(*found) {}, func(f *found) error {
		for r := range f.offsets {
			k := partKey{partition: f.partitions[r]}
			copy(k.topic[:], f.topics[r])
			f.at = append(f.at, coordinate{d.number(k), f.offsets[r]})
		}
		each(&f.diffRows)
		if d.o.Progress != nil {
			d.done += int64(f.counted)
			d.o.Progress(d.done, max(d.done, d.total))
		}
		return nil
	})
}

// remember takes rows of a file that is gone.
func (p *diffPass) remember(rows *diffRows) {
	n := len(p.d.columns)
	for r, c := range rows.at {
		if p.hash(c) > p.last {
			continue // narrowed since
		}
		if len(p.at) >= p.d.o.most && p.last > p.lo {
			p.narrow()
			if p.hash(c) > p.last {
				continue
			}
		}
		p.at[c] = int32(len(p.hashes) / max(n, 1))
		p.hashes = append(p.hashes, rows.hashes[r*n:(r+1)*n]...)
	}
}

func (p *diffPass) hash(c coordinate) uint64 {
	k := p.d.parts[c.part]
	return placeHash(k.topic[:], k.partition, c.offset)
}

// narrow gives the upper half of the hashes up to a later pass.
func (p *diffPass) narrow() {
	n := len(p.d.columns)
	for len(p.at) >= p.d.o.most && p.last > p.lo {
		p.last = p.lo + (p.last-p.lo)/2
		kept := make([]uint32, 0, len(p.hashes)/2)
		for c, at := range p.at {
			if p.hash(c) > p.last {
				delete(p.at, c)
				continue
			}
			p.at[c] = int32(len(kept) / max(n, 1))
			kept = append(kept, p.hashes[int(at)*n:int(at+1)*n]...)
		}
		p.hashes = kept
	}
}

// compare holds rows of a file that came against those that are gone.
func (p *diffPass) compare(rows *diffRows) {
	d, n := p.d, len(p.d.columns)
	for r, c := range rows.at {
		at, ok := p.at[c]
		if !ok {
			d.out.Added++
			d.example(DiffAdded, c, nil)
			continue
		}
		delete(p.at, c)
		var changed []string
		for k, col := range d.columns {
			if p.hashes[int(at)*n+k] != rows.hashes[r*n+k] {
				changed = append(changed, col.Name)
				d.out.Columns[col.Name]++
			}
		}
		if changed != nil {
			d.out.Changed++
			d.example(DiffChanged, c, changed)
		}
	}
}

func placeHash(topic []byte, partition int32, offset int64) uint64 {
	var b [28]byte
	copy(b[:16], topic)
	binary.LittleEndian.PutUint32(b[16:], uint32(partition))
	binary.LittleEndian.PutUint64(b[20:], uint64(offset))
	return xxhash.Sum64(b[:])
}

// valueHash tells values of a column apart; a null is none of them.
func valueHash(v *feature.Vector, i int) uint32 {
	if !v.Valid[i] {
		return 0
	}
	var b [8]byte
	var x uint64
	switch v.Type {
	case feature.Bool:
		if v.Bools[i] {
			x = 1
		}
	case feature.Int32:
		x = uint64(int64(v.Int32s[i]))
	case feature.Int64, feature.Timestamp:
		x = uint64(v.Int64s[i])
	case feature.Float32:
		x = uint64(math.Float32bits(v.Float32[i]))
	case feature.Float64:
		x = math.Float64bits(v.Float64[i])
	default:
		return uint32(xxhash.Sum64(v.Bytes[i])>>32) | 1
	}
	binary.LittleEndian.PutUint64(b[:], x)
	return uint32(xxhash.Sum64(b[:])>>32) | 1
}
