package offline

import (
	"cmp"
	"context"
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// tie is a row with the key and the time of a spine row's candidate, in another
// file: which of them comes later is decided by known time, partition and offset.
// Those are read for ties only, since in most tables there are next to none.
type tie struct {
	spine uint32
	x     int64 // void once the spine row has a candidate with a later time
	at    standing
}

// tieLimit is how many ties are kept until they are decided.
func (m *match) tieLimit() int { return max(1<<16, m.spine.len()/4) }

// tied is a row that takes part in a tie.
type tied struct {
	spine     uint32
	at        standing
	ref       unitRef
	known     int64
	partition int32
	offset    int64
}

func (t *tied) order(o *tied) int {
	return cmp.Or(cmp.Compare(t.known, o.known), cmp.Compare(t.partition, o.partition), cmp.Compare(t.offset, o.offset),
		// The same row twice: any, but always the same one.
		cmp.Compare(o.ref.file, t.ref.file), cmp.Compare(o.ref.group, t.ref.group), cmp.Compare(o.at.row, t.at.row))
}

// settle decides the ties. The caller has the match to itself.
func (j *joiner) settle(ctx context.Context, m *match) error {
	var rows []tied
	for _, t := range m.ties {
		if m.x[t.spine] == t.x {
			rows = append(rows, tied{spine: t.spine, at: t.at, ref: m.units[t.at.unit]},
				tied{spine: t.spine, at: m.at[t.spine], ref: m.units[m.at[t.spine].unit]})
		}
	}
	m.ties = m.ties[:0]
	if len(rows) == 0 {
		return nil
	}
	slices.SortFunc(rows, func(a, b tied) int {
		return cmp.Or(cmp.Compare(a.ref.file, b.ref.file), cmp.Compare(a.ref.group, b.ref.group), cmp.Compare(a.at.row, b.at.row))
	})
	for lo, hi := 0, 0; lo < len(rows); lo = hi {
		for hi = lo; hi < len(rows) && rows[hi].ref.file == rows[lo].ref.file; hi++ {
		}
		if err := m.v.readTied(ctx, rows[lo:hi]); err != nil {
			return err
		}
	}
	best := map[uint32]*tied{}
	for i := range rows {
		if b := best[rows[i].spine]; b == nil || rows[i].order(b) > 0 {
			best[rows[i].spine] = &rows[i]
		}
	}
	for p, b := range best {
		m.at[p] = b.at
	}
	return nil
}

// readTied reads what decides of rows of one file, which are in order.
func (v *viewJoin) readTied(ctx context.Context, rows []tied) (err error) {
	path := v.state.Files[rows[0].ref.file].Path
	defer guard(path, "", &err)
	d, err := openData(ctx, v.table, path)
	if err != nil {
		return err
	}
	defer d.close()
	var wanted []int32
	var to []uint32
	for lo, hi := 0, 0; lo < len(rows); lo = hi {
		wanted, to = wanted[:0], to[:0]
		for hi = lo; hi < len(rows) && rows[hi].ref.group == rows[lo].ref.group; hi++ {
			wanted, to = append(wanted, rows[hi].at.row), append(to, uint32(hi-lo))
		}
		var cols [3]feature.Vector
		for i, c := range []Column{v.systemColumn(ColKnown, feature.Timestamp), v.systemColumn(ColPartition, feature.Int32), v.systemColumn(ColOffset, feature.Int64)} {
			cols[i].Reset(c.Type, hi-lo)
			if err := d.fetchColumn(ctx, rows[lo].ref.group, c, winners{rows: wanted, to: to}, &cols[i]); err != nil {
				return err
			}
		}
		for k := lo; k < hi; k++ {
			rows[k].known, rows[k].partition, rows[k].offset = cols[0].Int64s[k-lo], cols[1].Int32s[k-lo], cols[2].Int64s[k-lo]
		}
	}
	return nil
}
