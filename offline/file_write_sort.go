package offline

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
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
	columns []batchColumn // keys and features
	keys    int           // how many of them are keys
	starts  []int         // by batch: how many rows are in those before it
	refs    []rowRef
	days    []dayRows
}

// newRowSet numbers the rows and parts them by day of effective time, earliest first.
func newRowSet(batches []*feature.Batch) *rowSet {
	n := 0
	s := &rowSet{batches: batches, keys: len(batches[0].View.Keys), starts: make([]int, len(batches))}
	for i, b := range batches {
		s.starts[i] = n
		n += b.Len()
	}
	for ci := range int(batches[0].Rows.NumCols()) {
		s.columns = append(s.columns, columnOf(batches, ci))
	}
	s.refs = make([]rowRef, 0, n)
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
	ids := make([]uint32, n)
	for k := range s.days {
		s.days[k].ids, ids = ids[:0:counts[k]], ids[counts[k]:]
	}
	for id, k := range days {
		s.days[k].ids = append(s.days[k].ids, uint32(id))
	}
	slices.SortFunc(s.days, func(a, b dayRows) int { return cmp.Compare(a.day, b.day) })
	return s
}

// sorter puts the rows of a day into the table's order. It is kept for its memory.
type sorter struct {
	items, parted []sortItem
	counts        []uint32
	keys          []byte
	ends          []uint32
	out           []rowRef

	set    *rowSet
	ids    []uint32
	common int  // bytes that all keys begin with
	exact  bool // no key is the beginning of another, so zero padding cannot make two equal
}

// sorted returns the rows of one day in the table's order, until the next call.
func (s *sorter) sorted(set *rowSet, d dayRows) []rowRef {
	n := len(d.ids)
	s.set, s.ids = set, d.ids
	s.items = sized(s.items, n)
	if wide := set.columns[0].wide; set.keys == 1 && wide != nil {
		s.common, s.exact = 0, true
		for i, id := range d.ids {
			r := set.refs[id]
			b := set.batches[r.batch]
			s.items[i] = sortItem{id: uint32(i), eff: min(b.EventTime[r.row], b.KnownTime[r.row]), prefix: wide[r.batch][r.row] ^ 1<<63}
		}
	} else {
		s.readKeys()
	}
	s.order()
	s.out = sized(s.out, n)
	for i, it := range s.items {
		s.out[i] = set.refs[d.ids[it.id]]
	}
	return s.out
}

// readKeys makes the keys' bytes and the items' prefixes of them.
func (s *sorter) readKeys() {
	s.keys, s.ends = s.keys[:0], sized(s.ends, len(s.ids))
	for i, id := range s.ids {
		r := s.set.refs[id]
		b := s.set.batches[r.batch]
		s.items[i] = sortItem{id: uint32(i), eff: min(b.EventTime[r.row], b.KnownTime[r.row])}
		s.keys = feature.AppendKey(s.keys, b.KeyColumns(), int(r.row))
		s.ends[i] = uint32(len(s.keys))
	}
	s.common = commonPrefix(len(s.ids), s.key)
	s.exact = true
	for i := range s.items {
		k := s.key(uint32(i))[s.common:]
		s.exact = s.exact && len(k) <= 8
		s.items[i].prefix = first8(k)
	}
}

func (s *sorter) key(i uint32) []byte {
	if i == 0 {
		return s.keys[:s.ends[0]]
	}
	return s.keys[s.ends[i-1]:s.ends[i]]
}

// compare is the table's order.
func (s *sorter) compare(a, b sortItem) int {
	if a.prefix != b.prefix {
		return cmp.Compare(a.prefix, b.prefix)
	}
	if !s.exact {
		if c := bytes.Compare(s.key(a.id)[s.common:], s.key(b.id)[s.common:]); c != 0 {
			return c
		}
	}
	if a.eff != b.eff {
		return cmp.Compare(a.eff, b.eff)
	}
	return s.stamp(a).Compare(s.stamp(b))
}

func (s *sorter) stamp(it sortItem) feature.Stamp {
	r := s.set.refs[s.ids[it.id]]
	return s.set.batches[r.batch].Stamp(int(r.row))
}

// partFrom is the number of rows from which on they are parted before they are sorted.
const partFrom = 64

// order sorts the items.
func (s *sorter) order() {
	s.parted = sized(s.parted, len(s.items))
	s.part(s.items, s.parted, 16)
}

// part puts items into buckets by the highest bits in which their prefixes
// differ, and then sorts those: comparing is what sorting costs, and of a bucket's
// few items each is compared with few.
func (s *sorter) part(items, parted []sortItem, most int) {
	if len(items) < 2 {
		return
	}
	lo, hi := items[0].prefix, items[0].prefix
	if len(items) >= partFrom {
		for i := range items {
			lo, hi = min(lo, items[i].prefix), max(hi, items[i].prefix)
		}
	}
	if lo == hi {
		slices.SortFunc(items, s.compare)
		return
	}
	log := min(most, bits.Len(uint(len(items)))-2)
	shift := max(0, bits.Len64(hi-lo)-log)
	from := len(s.counts)
	s.counts = slices.Grow(s.counts, 1<<log+1)[:from+1<<log+1]
	counts := s.counts[from:]
	clear(counts)
	for i := range items {
		counts[(items[i].prefix-lo)>>shift+1]++
	}
	for i := range counts[1:] {
		counts[i+1] += counts[i]
	}
	for i := range items {
		b := (items[i].prefix - lo) >> shift
		parted[counts[b]] = items[i]
		counts[b]++
	}
	copy(items, parted)
	first := uint32(0)
	for b := range 1 << log {
		if end := s.counts[from+b]; end > first { // where the bucket ends, by now
			s.part(items[first:end], parted[first:end], 10)
			first = end
		}
	}
	s.counts = s.counts[:from]
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
