package offline

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// rowRef points at a row of a cut: which batch, which row of it.
type rowRef struct{ batch, row uint32 }

// sortItem carries what decides nearly all comparisons inline: eight bytes of
// the key, behind what all keys begin with, and the effective time.
type sortItem struct {
	prefix uint64
	eff    int64
	id     uint32 // index into refs and keys of the rows being sorted
}

// dayRows are the rows of one file, not yet sorted.
type dayRows struct {
	day int32
	ids []uint32
}

// rowSet is the rows of one cut, ready to be sorted and written day by day.
type rowSet struct {
	batches []*feature.Batch
	refs    []rowRef
	days    []dayRows
}

// newRowSet numbers the rows and parts them by day of effective time, earliest first.
func newRowSet(batches []*feature.Batch) *rowSet {
	n := 0
	for _, b := range batches {
		n += b.Len()
	}
	s := &rowSet{batches: batches, refs: make([]rowRef, 0, n)}
	days := make([]int32, 0, n)
	at := map[int32]int{}
	var counts []int
	last, lastAt := int32(0), -1
	for bi, b := range batches {
		for i := range b.Offsets {
			d := DayOf(min(b.EventTime[i], b.KnownTime[i]))
			if lastAt < 0 || d != last {
				k, ok := at[d]
				if !ok {
					k = len(counts)
					at[d] = k
					counts = append(counts, 0)
					s.days = append(s.days, dayRows{day: d})
				}
				last, lastAt = d, k
			}
			counts[lastAt]++
			days = append(days, int32(lastAt))
			s.refs = append(s.refs, rowRef{uint32(bi), uint32(i)})
		}
	}
	for k := range s.days {
		s.days[k].ids = make([]uint32, 0, counts[k])
	}
	for id, k := range days {
		s.days[k].ids = append(s.days[k].ids, uint32(id))
	}
	slices.SortFunc(s.days, func(a, b dayRows) int { return cmp.Compare(a.day, b.day) })
	return s
}

// sorted returns the rows of one day in the table's order.
func (s *rowSet) sorted(d dayRows) []rowRef {
	n := len(d.ids)
	items := make([]sortItem, n)
	ends := make([]uint32, n)
	keys := make([]byte, 0, 16*n)
	for i, id := range d.ids {
		r := s.refs[id]
		b := s.batches[r.batch]
		items[i] = sortItem{id: uint32(i), eff: min(b.EventTime[r.row], b.KnownTime[r.row])}
		keys = feature.AppendKey(keys, b.KeyColumns(), int(r.row))
		ends[i] = uint32(len(keys))
	}
	key := func(i uint32) []byte {
		if i == 0 {
			return keys[:ends[0]]
		}
		return keys[ends[i-1]:ends[i]]
	}
	common := commonPrefix(n, key)
	exact := true // no key is the beginning of another, so zero padding cannot make two equal
	for i := range items {
		k := key(uint32(i))[common:]
		exact = exact && len(k) <= 8
		items[i].prefix = first8(k)
	}
	slices.SortFunc(items, func(a, b sortItem) int {
		if a.prefix != b.prefix {
			return cmp.Compare(a.prefix, b.prefix)
		}
		if !exact {
			if c := bytes.Compare(key(a.id)[common:], key(b.id)[common:]); c != 0 {
				return c
			}
		}
		if a.eff != b.eff {
			return cmp.Compare(a.eff, b.eff)
		}
		return s.stamp(d.ids[a.id]).Compare(s.stamp(d.ids[b.id]))
	})
	out := make([]rowRef, n)
	for i, it := range items {
		out[i] = s.refs[d.ids[it.id]]
	}
	return out
}

func (s *rowSet) stamp(id uint32) feature.Stamp {
	r := s.refs[id]
	return s.batches[r.batch].Stamp(int(r.row))
}

func first8(k []byte) uint64 {
	if len(k) >= 8 {
		return binary.BigEndian.Uint64(k)
	}
	var p [8]byte
	copy(p[:], k)
	return binary.BigEndian.Uint64(p[:])
}

func commonPrefix(n int, key func(uint32) []byte) int {
	if n == 0 {
		return 0
	}
	first := key(0)
	l := len(first)
	for i := 1; i < n && l > 0; i++ {
		k := key(uint32(i))
		l = min(l, len(k))
		if bytes.Equal(k[:l], first[:l]) {
			continue
		}
		for j := range l {
			if k[j] != first[j] {
				l = j
				break
			}
		}
	}
	return l
}
