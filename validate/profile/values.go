package profile

import "cmp"

// maxValues is how many different values of a column are told one by one.
const maxValues = 64

// values tells a column's different values: each of them while they are few,
// and beyond that only whether one came twice.
type values struct {
	list  []valueCount
	many  bool // more than maxValues, or given up
	twice bool // some value came twice
	lost  bool // given up: whether one came twice is not known
	slots []slot
	used  int
}

type valueCount struct {
	value any // int64, float64, string or bool
	count int64
}

// slot of an open hash table. hash 0 is empty; a value of that hash has 1.
type slot struct {
	hash uint64
	code uint8
}

func newValues() *values { return &values{slots: make([]slot, 256)} }

// see counts a value by its hash. code is its index among few values, noCode
// when there are many; fresh tells that it had not been seen; lost that it is not known.
func (v *values) see(hash uint64, value func() any) (code uint8, fresh, lost bool) {
	if v.slots == nil {
		return noCode, false, true
	}
	if hash == 0 {
		hash = 1
	}
	mask := uint64(len(v.slots) - 1)
	i := hash & mask
	for ; v.slots[i].hash != 0; i = (i + 1) & mask {
		if v.slots[i].hash != hash {
			continue
		}
		v.twice = true
		if v.many {
			v.slots, v.list = nil, nil // many values, and not all different: nothing more to learn
			return noCode, false, true
		}
		c := v.slots[i].code
		v.list[c].count++
		return c, false, false
	}
	code = noCode
	if !v.many && len(v.list) == maxValues {
		v.many = true
		if v.twice {
			v.slots, v.list = nil, nil
			return noCode, true, true
		}
	}
	if !v.many {
		code = uint8(len(v.list))
		v.list = append(v.list, valueCount{value(), 1})
	}
	v.slots[i] = slot{hash, code}
	if v.used++; 2*v.used > len(v.slots) {
		v.grow()
	}
	return code, true, false
}

func (v *values) grow() {
	old := v.slots
	v.slots = make([]slot, 2*len(old))
	mask := uint64(len(v.slots) - 1)
	for _, s := range old {
		if s.hash == 0 {
			continue
		}
		i := s.hash & mask
		for v.slots[i].hash != 0 {
			i = (i + 1) & mask
		}
		v.slots[i] = s
	}
}

func (v *values) bytes() int64 { return int64(len(v.slots)) * 16 }

// giveUp frees the memory; whether all values differ is not known then.
func (v *values) giveUp() {
	v.lost = v.lost || !v.twice
	v.many, v.slots, v.list = true, nil, nil
}

// unique reports whether all values were different.
func (v *values) unique() bool { return !v.twice && !v.lost }

// compareValues orders values of one type.
func compareValues(a, b any) int {
	switch a := a.(type) {
	case int64:
		return cmp.Compare(a, b.(int64))
	case float64:
		return cmp.Compare(a, b.(float64))
	case string:
		return cmp.Compare(a, b.(string))
	case bool:
		switch {
		case a == b.(bool):
			return 0
		case a:
			return 1
		}
		return -1
	}
	return 0
}
