package offline

import "bytes"

// Keys of a row group and keys of the spine, both in order, are paired in two
// ways: where there are about as many of both, in steps of one without a branch that
// depends on the data, since the processor could not guess it; where one side
// has far fewer, by searching the other for each of them.

// skewed is how many times as long one side must be to be searched.
const skewed = 16

// pair appends to hits the rows of rows[lo:hi] whose key the spine has, and to
// keyOf which of the spine's keys [from, to) that is. Keys of the spine are distinct.
func pair(rows []uint64, lo, hi int, keys []uint64, from, to int, hits []int32, keyOf []uint32) ([]int32, []uint32) {
	switch nr, nk := hi-lo, to-from; {
	case nr <= 0 || nk <= 0:
		return hits, keyOf
	case nk < nr/skewed:
		return pairKeys(rows, lo, hi, keys, from, to, hits, keyOf)
	case nr < nk/skewed:
		return pairRows(rows, lo, hi, keys, from, to, hits, keyOf)
	}
	n := len(hits)
	hits, keyOf = grown(hits, hi-lo+1), grown(keyOf, hi-lo+1)
	i, k := lo, from
	for i < hi && k < to {
		r, s := rows[i], keys[k]
		hits[n], keyOf[n] = int32(i), uint32(k)
		same, step := 0, 0
		if r == s {
			same = 1
		}
		if r <= s {
			step = 1
		}
		n += same
		i += step
		k += 1 - step
	}
	return hits[:n], keyOf[:n]
}

// grown is s with n more places.
func grown[T any](s []T, n int) []T {
	if cap(s)-len(s) >= n {
		return s[:len(s)+n]
	}
	out := make([]T, len(s)+n, max(len(s)+n, 2*cap(s)))
	copy(out, s)
	return out
}

// pairKeys searches the rows for each key.
func pairKeys(rows []uint64, lo, hi int, keys []uint64, from, to int, hits []int32, keyOf []uint32) ([]int32, []uint32) {
	for k := from; k < to && lo < hi; k++ {
		for lo = gallop(rows, lo, hi, keys[k]); lo < hi && rows[lo] == keys[k]; lo++ {
			hits, keyOf = append(hits, int32(lo)), append(keyOf, uint32(k))
		}
	}
	return hits, keyOf
}

// pairRows searches the keys for each row.
func pairRows(rows []uint64, lo, hi int, keys []uint64, from, to int, hits []int32, keyOf []uint32) ([]int32, []uint32) {
	for i := lo; i < hi && from < to; i++ {
		if from = gallop(keys, from, to, rows[i]); from < to && keys[from] == rows[i] {
			hits, keyOf = append(hits, int32(i)), append(keyOf, uint32(from))
		}
	}
	return hits, keyOf
}

// gallop is the first index in [lo, hi) whose value is not below x, hi if none. It
// looks close by first, in strides that double.
func gallop(s []uint64, lo, hi int, x uint64) int {
	step := 1
	for lo+step < hi && s[lo+step] < x {
		lo += step
		step *= 2
	}
	hi = min(hi, lo+step+1)
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); s[mid] < x {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// pairLong pairs keys that may be longer than eight bytes: by the eight bytes
// behind what all of the spine's keys have in common; those that agree in these
// as well are paired among themselves in the same way.
type pairLong struct {
	rows, keys *keyList
	hits       []int32
	keyOf      []uint32
	free       [][]uint64 // memory for prefixes
}

// pair pairs rows [lo, hi) with keys [from, to), of which skip bytes are known to be the same.
func (p *pairLong) pair(lo, hi, from, to, skip int) {
	if lo >= hi || from >= to {
		return
	}
	first, last := p.keys.at(from), p.keys.at(to-1)
	if to-from == 1 {
		// One key: a search.
		for lo = p.seek(lo, hi, first); lo < hi && bytes.Equal(p.rows.at(lo), first); lo++ {
			p.hits, p.keyOf = append(p.hits, int32(lo)), append(p.keyOf, uint32(from))
		}
		return
	}
	for skip < len(first) && skip < len(last) && first[skip] == last[skip] {
		skip++
	}
	// Rows that do not begin as all keys do are before or after all of them.
	lo = p.seek(lo, hi, first[:skip])
	if end := p.after(lo, hi, first[:skip]); end < hi {
		hi = end
	}
	if lo >= hi {
		return
	}
	rows, keys := p.memory(hi-lo), p.memory(to-from)
	for i := range rows {
		rows[i] = keyPrefix(p.rows.at(lo + i)[skip:])
	}
	exact := true
	for k := range keys {
		rest := p.keys.at(from + k)[skip:]
		keys[k] = keyPrefix(rest)
		exact = exact && len(rest) <= 8
	}
	if exact {
		// Equal prefixes are equal keys.
		n := len(p.hits)
		p.hits, p.keyOf = pair(rows, 0, len(rows), keys, 0, len(keys), p.hits, p.keyOf)
		for i := n; i < len(p.hits); i++ {
			p.hits[i] += int32(lo)
			p.keyOf[i] += uint32(from)
		}
	} else {
		for i, k := 0, 0; i < len(rows) && k < len(keys); {
			switch r, s := rows[i], keys[k]; {
			case r < s:
				i = gallop(rows, i, len(rows), s)
			case r > s:
				k = gallop(keys, k, len(keys), r)
			default:
				e, f := i+1, k+1
				for e < len(rows) && rows[e] == r {
					e++
				}
				for f < len(keys) && keys[f] == r {
					f++
				}
				p.pair(lo+i, lo+e, from+k, from+f, skip)
				i, k = e, f
			}
		}
	}
	p.free = append(p.free, rows, keys)
}

func (p *pairLong) memory(n int) []uint64 {
	var s []uint64
	if l := len(p.free); l > 0 {
		s, p.free = p.free[l-1], p.free[:l-1]
	}
	return sized(s, n)
}

// seek is the first row in [lo, hi) that is not below key.
func (p *pairLong) seek(lo, hi int, key []byte) int {
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); bytes.Compare(p.rows.at(mid), key) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// after is the first row in [lo, hi) that is above key and does not begin with it.
func (p *pairLong) after(lo, hi int, key []byte) int {
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); bytes.HasPrefix(p.rows.at(mid), key) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}
