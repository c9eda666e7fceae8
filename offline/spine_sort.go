package offline

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry/feature"
)

// keyList holds keys as AppendKey's bytes, in a form that mostly compares as one
// integer: the first eight bytes, padded with zeros. Since no key is the beginning of
// another, two keys with equal prefixes are equal or both longer than eight bytes:
//
//	int64 5        80 00 00 00 00 00 00 05     prefix says all, no bytes kept
//	"customer_17"  63 75 73 74 6f 6d 65 72 | 5f 31 37 00 01
type keyList struct {
	prefix []uint64
	long   bool     // some key has more than eight bytes: ends and data are kept
	ends   []uint32 // where key i ends in data
	data   []byte
}

// add appends a key's bytes.
func (k *keyList) add(key []byte) {
	k.prefix = append(k.prefix, keyPrefix(key))
	if k.long {
		k.data = append(k.data, key...)
		k.ends = append(k.ends, uint32(len(k.data)))
	}
}

// addFrom appends key i of another list of the same kind.
func (k *keyList) addFrom(o *keyList, i int) {
	k.prefix = append(k.prefix, o.prefix[i])
	if k.long {
		k.data = append(k.data, o.at(i)...)
		k.ends = append(k.ends, uint32(len(k.data)))
	}
}

func (k *keyList) reset(long bool) {
	k.prefix, k.ends, k.data, k.long = k.prefix[:0], k.ends[:0], k.data[:0], long
}

func (k *keyList) at(i int) []byte {
	if i == 0 {
		return k.data[:k.ends[0]]
	}
	return k.data[k.ends[i-1]:k.ends[i]]
}

func keyPrefix(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var b [8]byte
	copy(b[:], key)
	return binary.BigEndian.Uint64(b[:])
}

// compareKeys compares key i of a with key j of b.
func compareKeys(a *keyList, i int, b *keyList, j int) int {
	x, y := a.prefix[i], b.prefix[j]
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	case !a.long:
		return 0
	}
	return bytes.Compare(a.at(i), b.at(j))
}

// same reports whether keys i and j are equal.
func (k *keyList) same(i, j int) bool {
	return k.prefix[i] == k.prefix[j] && (!k.long || bytes.Equal(k.at(i), k.at(j)))
}

// longKeys tells whether keys of these types may have more than eight bytes.
func longKeys(fields []feature.Field) bool {
	n := 0
	for _, f := range fields {
		switch f.Type {
		case feature.Bool:
			n++
		case feature.Int32:
			n += 4
		case feature.Int64, feature.Timestamp:
			n += 8
		default:
			return true
		}
	}
	return n > 8
}

// sortedSpine is a chunk's rows in the order of (key, row time): the order in
// which they meet the rows of the files. Rows without key or time are not in it.
type sortedSpine struct {
	keys keyList
	time []int64
	row  []uint32 // row of the chunk
}

func (s *sortedSpine) len() int { return len(s.row) }

// sortSpine sorts a chunk by one key set. All of its columns are converted to
// the keys' types first, so that equal keys have equal bytes.
func (sh *spineShape) sortSpine(c *spineChunk, set []int) (*sortedSpine, error) {
	fields := make([]feature.Field, len(set))
	for i, k := range set {
		fields[i] = sh.keys[k].field
	}
	unsorted := keyList{long: longKeys(fields), prefix: make([]uint64, 0, c.rows)}
	type entry struct {
		prefix uint64
		time   int64
		at     uint32 // index into unsorted
		row    uint32
	}
	entries := make([]entry, 0, c.rows)
	var key []byte
	base := 0
	for _, rec := range c.recs {
		cols, times, err := sh.keyColumns(rec, set, c.first+int64(base))
		if err != nil {
			return nil, err
		}
		for i := range int(rec.NumRows()) {
			if times.IsNull(i) || anyNull(cols, i) {
				continue
			}
			key = feature.AppendKey(key[:0], cols, i)
			if unsorted.long && len(unsorted.data)+len(key) > 1<<32-1 {
				releaseKeys(cols, times)
				return nil, feature.Errorf(feature.Exhausted, opJoin, "spine", "the keys of %d rows take more than 4 GiB", c.rows).WithHint("give the join less memory, so that it takes fewer rows at once")
			}
			entries = append(entries, entry{keyPrefix(key), int64(times.Value(i)), uint32(len(entries)), uint32(base + i)})
			unsorted.add(key)
		}
		base += int(rec.NumRows())
		releaseKeys(cols, times)
	}
	slices.SortFunc(entries, func(a, b entry) int {
		if a.prefix != b.prefix {
			return cmp.Compare(a.prefix, b.prefix)
		}
		if unsorted.long {
			if d := bytes.Compare(unsorted.at(int(a.at)), unsorted.at(int(b.at))); d != 0 {
				return d
			}
		}
		if a.time != b.time {
			return cmp.Compare(a.time, b.time)
		}
		return cmp.Compare(a.row, b.row)
	})
	s := &sortedSpine{time: make([]int64, len(entries)), row: make([]uint32, len(entries))}
	s.keys.long = unsorted.long
	s.keys.prefix = unsorted.prefix[:0]
	if unsorted.long {
		s.keys.data = make([]byte, 0, len(unsorted.data))
		s.keys.ends = make([]uint32, 0, len(entries))
	}
	for i, e := range entries {
		s.time[i], s.row[i] = e.time, e.row
		s.keys.prefix = append(s.keys.prefix, e.prefix)
		if s.keys.long {
			s.keys.data = append(s.keys.data, unsorted.at(int(e.at))...)
			s.keys.ends = append(s.keys.ends, uint32(len(s.keys.data)))
		}
	}
	return s, nil
}

// keyColumns are the key set's columns and the row times of a batch.
func (sh *spineShape) keyColumns(rec arrow.RecordBatch, set []int, first int64) ([]arrow.Array, *array.Timestamp, error) {
	cols := make([]arrow.Array, 0, len(set))
	for _, k := range set {
		key := sh.keys[k]
		c, err := tabular.Convert(rec.Column(key.column), key.field.Type)
		if err != nil {
			releaseKeys(cols, nil)
			return nil, nil, sh.badValue(key.field.Name, first, err)
		}
		cols = append(cols, c)
	}
	times, err := sh.times(rec, first)
	if err != nil {
		releaseKeys(cols, nil)
		return nil, nil, err
	}
	return cols, times, nil
}

func releaseKeys(cols []arrow.Array, times *array.Timestamp) {
	for _, c := range cols {
		c.Release()
	}
	if times != nil {
		times.Release()
	}
}

func anyNull(cols []arrow.Array, i int) bool {
	for _, c := range cols {
		if c.IsNull(i) {
			return true
		}
	}
	return false
}
