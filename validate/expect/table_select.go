package expect

import "slices"

// selectFew is how many words are sorted to find the last of a rank.
const selectFew = 4096

const maxRanks = 1 << 15

// selectTarget narrows down the word of one rank: its first bits, and its rank
// among the words that begin with them.
type selectTarget struct {
	prefix uint64 // in the upper bits
	rank   int64
	count  int64 // words with that prefix
}

// selectWords finds the words at the given ranks (from 0) of what scan has, in a few
// passes: each counts the next 16 bits of the words that are still of interest. At
// most maxRanks at once.
func selectWords(ranks []int64, scan func(func([]uint64)) error) ([]uint64, error) {
	ts := make([]selectTarget, len(ranks))
	for i, r := range ranks {
		ts[i].rank = r
	}
	for known := uint(0); known < 64; known += 16 {
		if known > 0 {
			total := int64(0)
			for i, t := range ts {
				if i == 0 || t.prefix != ts[i-1].prefix {
					total += t.count
				}
			}
			if total <= selectFew {
				return sortTargets(ts, known, scan)
			}
		}
		if err := countTargets(ts, known, scan); err != nil {
			return nil, err
		}
	}
	out := make([]uint64, len(ts))
	for i, t := range ts {
		out[i] = t.prefix
	}
	return out, nil
}

// interest tells by the first 16 bits of a word which targets it may belong to.
type interest struct {
	first    [1 << 16]uint16 // 0 for none, else index in prefixes plus one of the first that fits
	prefixes []uint64
	known    uint
}

func newInterest(ts []selectTarget, known uint) *interest {
	in := &interest{known: known}
	for _, t := range ts {
		if !slices.Contains(in.prefixes, t.prefix) {
			in.prefixes = append(in.prefixes, t.prefix)
		}
	}
	slices.Sort(in.prefixes)
	for i := len(in.prefixes) - 1; i >= 0; i-- {
		in.first[in.prefixes[i]>>48] = uint16(i + 1)
	}
	return in
}

// of is the index in prefixes that word begins with, -1 for none.
func (in *interest) of(word uint64) int {
	i := in.first[word>>48]
	if i == 0 {
		return -1
	}
	p := word >> (64 - in.known) << (64 - in.known)
	for k := int(i) - 1; k < len(in.prefixes) && in.prefixes[k]>>48 == word>>48; k++ {
		if in.prefixes[k] == p {
			return k
		}
	}
	return -1
}

// countTargets learns the next 16 bits of every target.
func countTargets(ts []selectTarget, known uint, scan func(func([]uint64)) error) error {
	down := 48 - known
	var counts [][]int64
	if known == 0 {
		counts = [][]int64{make([]int64, 1<<16)}
		if err := scan(func(words []uint64) {
			c := counts[0][: 1<<16 : 1<<16]
			for _, u := range words {
				c[u>>48]++
			}
		}); err != nil {
			return err
		}
		for i := range ts {
			ts[i].narrow(counts[0], down)
		}
		return nil
	}
	in := newInterest(ts, known)
	for range in.prefixes {
		counts = append(counts, make([]int64, 1<<16))
	}
	if err := scan(func(words []uint64) {
		for _, u := range words {
			if in.first[u>>48] == 0 {
				continue
			}
			if k := in.of(u); k >= 0 {
				counts[k][uint16(u>>down)]++
			}
		}
	}); err != nil {
		return err
	}
	for i := range ts {
		k, _ := slices.BinarySearch(in.prefixes, ts[i].prefix)
		ts[i].narrow(counts[k], down)
	}
	return nil
}

// narrow takes the bits into the prefix that the target's rank falls on.
func (t *selectTarget) narrow(counts []int64, down uint) {
	for v, n := range counts {
		if t.rank < n {
			t.prefix |= uint64(v) << down
			t.count = n
			return
		}
		t.rank -= n
	}
}

// sortTargets collects the few words that are left and sorts them.
func sortTargets(ts []selectTarget, known uint, scan func(func([]uint64)) error) ([]uint64, error) {
	in := newInterest(ts, known)
	left := make([][]uint64, len(in.prefixes))
	if err := scan(func(words []uint64) {
		for _, u := range words {
			if in.first[u>>48] == 0 {
				continue
			}
			if k := in.of(u); k >= 0 {
				left[k] = append(left[k], u)
			}
		}
	}); err != nil {
		return nil, err
	}
	for _, l := range left {
		slices.Sort(l)
	}
	out := make([]uint64, len(ts))
	for i, t := range ts {
		k, _ := slices.BinarySearch(in.prefixes, t.prefix)
		out[i] = left[k][t.rank]
	}
	return out, nil
}
