package offline

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// keySet is the smallest keys above some bound, as many as there is room for, and
// what is known of each. Its bytes lie in one piece and a key takes some thirty more,
// for there are millions.
type keySet struct {
	above []byte // all keys are greater; nil for no bound
	upTo  []byte // those that are greater were given up for lack of room; nil while none was
	most  int    // keys
	bytes int    // of keys

	arena  []byte
	ends   []uint32
	hashes []uint64
	states []keyState
	slots  []int32 // open addressing; a key's number + 1
}

// keyState is what has been seen of a key.
type keyState uint8

const (
	keyLives   keyState = 1 << iota // some view says so
	rowSeen                         // of the view being read: a row
	tombSeen                        // of the view being read: a tombstone
	ofThisView = rowSeen | tombSeen
)

func (s *keySet) len() int { return len(s.ends) }

func (s *keySet) key(i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = s.ends[i-1]
	}
	return s.arena[from:s.ends[i]]
}

// wants tells whether a key is within the bounds.
func (s *keySet) wants(key []byte) bool {
	return bytes.Compare(key, s.above) > 0 && (s.upTo == nil || bytes.Compare(key, s.upTo) <= 0)
}

// find returns the number of a key and whether it is there; if not, the slot where it would be.
func (s *keySet) find(key []byte, h uint64) (at int, there bool) {
	mask := uint64(len(s.slots) - 1)
	for at := h & mask; ; at = (at + 1) & mask {
		n := s.slots[at]
		if n == 0 {
			return int(at), false
		}
		if s.hashes[n-1] == h && bytes.Equal(s.key(int(n-1)), key) {
			return int(n - 1), true
		}
	}
}

// get returns the number of a key, -1 where it is not there.
func (s *keySet) get(key []byte) int {
	if len(s.slots) == 0 {
		return -1
	}
	if i, ok := s.find(key, xxhash.Sum64(key)); ok {
		return i
	}
	return -1
}

// add notes what was seen of a key.
func (s *keySet) add(key []byte, seen keyState) {
	if !s.wants(key) {
		return
	}
	if 4*(len(s.ends)+1) > 3*len(s.slots) {
		s.rehash(max(1<<10, 2*len(s.slots)))
	}
	h := xxhash.Sum64(key)
	at, there := s.find(key, h)
	if there {
		s.states[at] |= seen
		return
	}
	if s.len() > 1 && (s.len() >= s.most || len(s.arena)+len(key) > s.bytes) {
		s.narrow()
		if !s.wants(key) {
			return
		}
		at, _ = s.find(key, h)
	}
	s.arena = append(s.arena, key...)
	s.ends = append(s.ends, uint32(len(s.arena)))
	s.hashes = append(s.hashes, h)
	s.states = append(s.states, seen)
	s.slots[at] = int32(s.len())
}

func (s *keySet) rehash(slots int) {
	s.slots = make([]int32, slots)
	mask := uint64(slots - 1)
	for i, h := range s.hashes {
		at := h & mask
		for s.slots[at] != 0 {
			at = (at + 1) & mask
		}
		s.slots[at] = int32(i + 1)
	}
}

// narrow gives up the greater half of the keys.
func (s *keySet) narrow() {
	order := s.sorted()
	order = order[:max(1, len(order)/2)]
	s.upTo = bytes.Clone(s.key(int(order[len(order)-1])))
	slices.Sort(order)
	kept := keySet{arena: make([]byte, 0, len(s.arena))}
	for _, i := range order {
		kept.arena = append(kept.arena, s.key(int(i))...)
		kept.ends = append(kept.ends, uint32(len(kept.arena)))
		kept.hashes = append(kept.hashes, s.hashes[i])
		kept.states = append(kept.states, s.states[i])
	}
	s.arena, s.ends, s.hashes, s.states = kept.arena, kept.ends, kept.hashes, kept.states
	s.rehash(len(s.slots))
}

// sorted are the numbers of the keys in the order of their bytes.
func (s *keySet) sorted() []int32 {
	type begun struct {
		first uint64 // bytes, which decide nearly always
		i     int32
	}
	all := make([]begun, s.len())
	for i := range all {
		var first [8]byte
		copy(first[:], s.key(i))
		all[i] = begun{binary.BigEndian.Uint64(first[:]), int32(i)}
	}
	slices.SortFunc(all, func(a, b begun) int {
		if a.first != b.first {
			return cmp.Compare(a.first, b.first)
		}
		return bytes.Compare(s.key(int(a.i)), s.key(int(b.i)))
	})
	order := make([]int32, len(all))
	for i, b := range all {
		order[i] = b.i
	}
	return order
}
