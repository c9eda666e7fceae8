package sketch

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
)

// KLL is a quantile sketch of finite numbers (Karnin, Lang and Liberty, "Optimal
// Quantile Approximation in Streams", 2016), in memory and in bytes the one of
// Apache DataSketches. An item of level h stands for 2^h values. Where there are
// more items than fit, a level is compacted: of its items in order, every second
// one goes up, beginning with the first or the second by chance, so that no rank
// is off on average.
//
// The levels that have room for only kllM items see nearly all the values.
// They are passed in whole blocks (see condense), which costs a few nanoseconds a
// value instead of tens, and compacts as many at a time as they would.
type KLL struct {
	n      int64
	minK   int         // the smallest k of the sketches in it
	levels [][]float64 // ascending, but for the first one
	items  int         // in all levels
	caps   []int       // how many items each level has room for, as long as there are so many levels
	room   int         // of all levels
	up     []float64   // memory of compress
}

// NewKLL returns an empty sketch.
func NewKLL() *KLL {
	q := &KLL{minK: K}
	q.grow(1)
	return q
}

// grow makes it at least so many levels.
func (q *KLL) grow(levels int) {
	if len(q.levels) >= levels {
		return
	}
	for len(q.levels) < levels {
		q.levels = append(q.levels, nil)
	}
	q.caps, q.room = q.caps[:0], 0
	for h := range levels {
		q.caps = append(q.caps, max(kllM, levelCapacity(levels-h-1)))
		q.room += q.caps[h]
	}
	q.tidy()
}

// tidy gives back the room of what levels held at their fullest: three times the items in
// all. It is done when there is one level more, and where a sketch will rest.
func (q *KLL) tidy() {
	q.up = nil
	for h, at := range q.levels {
		if cap(at) > len(at)+kllM {
			q.levels[h] = append(make([]float64, 0, len(at)), at...)
		}
	}
}

// AddBlock takes in a block of values.
func (q *KLL) AddBlock(block *[BlockValues]float64) {
	at := min(blockRounds, max(0, len(q.levels)-smallDepth))
	if at == 0 {
		q.put(0, block[:])
	} else {
		var kept [BlockValues / 2]float64
		q.put(at, condense(block, at, &kept))
	}
	q.n += BlockValues
	q.compress()
}

// AddFew takes in values that are no block, in any number.
func (q *KLL) AddFew(v []float64) {
	q.put(0, v)
	q.n += int64(len(v))
	q.compress()
}

// put adds items to a level, which may then hold too many; v is sorted where the level is.
func (q *KLL) put(level int, v []float64) {
	q.grow(level + 1)
	at := q.levels[level]
	n := len(at)
	if most := n + len(v); most > cap(at) { // append would double it, and there are many sketches
		at = append(make([]float64, 0, most+most/8), at...)
	}
	at = append(at, v...)
	if level > 0 {
		// Merged from the end, where the room is.
		for i, j, k := n-1, len(v)-1, len(at)-1; j >= 0; k-- {
			if i >= 0 && at[i] > v[j] {
				at[k] = at[i]
				i--
			} else {
				at[k] = v[j]
				j--
			}
		}
	}
	q.levels[level] = at
	q.items += len(v)
}

// compress compacts levels until all items fit.
func (q *KLL) compress() {
	for q.items > q.room {
		h := 0
		for len(q.levels[h]) < q.caps[h] {
			h++
		}
		at := q.levels[h]
		if h == 0 {
			sortNumbers(at)
		}
		odd := len(at) & 1 // one stays behind
		q.up = q.up[:0]
		for i := odd + int(rand.Uint64()&1); i < len(at); i += 2 {
			q.up = append(q.up, at[i])
		}
		q.levels[h] = at[:odd]
		q.items -= len(at) - odd
		q.put(h+1, q.up)
	}
}

// Merge adds what o has seen; o stays as it is.
func (q *KLL) Merge(o *KLL) {
	for h, at := range o.levels {
		q.put(h, at)
	}
	q.n += o.n
	q.minK = min(q.minK, o.minK)
	q.compress()
}

// Estimates tells whether values have been left out.
func (q *KLL) Estimates() bool { return len(q.levels) > 1 }

// RankError is how far a rank may be off with 99 % confidence, as Apache
// DataSketches has measured it for this k.
func (q *KLL) RankError() float64 { return 2.296 / math.Pow(float64(q.minK), 0.9723) }

// N is how many values it has seen.
func (q *KLL) N() int64 { return q.n }

// Size is about how many bytes of memory it takes.
func (q *KLL) Size() int64 {
	n := cap(q.up)*8 + cap(q.caps)*8 + cap(q.levels)*24 + 112
	for _, at := range q.levels {
		n += cap(at) * 8
	}
	return int64(n)
}

// Distribution reads the ranks of all items.
func (q *KLL) Distribution() Distribution {
	type weighted struct {
		v float64
		w float64
	}
	all := make([]weighted, 0, q.items)
	for h, at := range q.levels {
		for _, v := range at {
			all = append(all, weighted{v, float64(uint64(1) << h)})
		}
	}
	slices.SortFunc(all, func(a, b weighted) int {
		switch {
		case a.v < b.v:
			return -1
		case a.v > b.v:
			return 1
		}
		return 0
	})
	d := Distribution{At: make([]float64, len(all)), Cum: make([]float64, len(all)), N: float64(q.n)}
	sum := 0.0
	for i, x := range all {
		sum += x.w
		d.At[i], d.Cum[i] = x.v, sum
	}
	return d
}

// Bytes of the DataSketches format.
const (
	kllFamily                    = 15
	kllEmpty, kllSorted, kllLone = 1, 2, 4 // flags
	kllHead, kllData             = 8, 20   // where a lone value, or the levels begin
)

// Bytes is the sketch in the DataSketches format; lo and hi are the least and the
// greatest value that it has seen.
func (q *KLL) Bytes(lo, hi float64) []byte {
	head := func(ints, version, flags byte) []byte {
		b := []byte{ints, version, kllFamily, flags, 0, 0, kllM, 0}
		binary.LittleEndian.PutUint16(b[4:], K)
		return b
	}
	switch q.n {
	case 0:
		return head(2, 1, kllEmpty|kllSorted)
	case 1:
		return appendFloat(head(2, 2, kllLone|kllSorted), q.levels[0][0])
	}
	slices.Sort(q.levels[0])
	q.tidy() // what is stored is seldom added to
	b := binary.LittleEndian.AppendUint64(head(5, 1, kllSorted), uint64(q.n))
	b = append(binary.LittleEndian.AppendUint16(b, uint16(q.minK)), byte(len(q.levels)), 0)
	at := q.room - q.items
	for _, l := range q.levels {
		b = binary.LittleEndian.AppendUint32(b, uint32(at))
		at += len(l)
	}
	b = appendFloat(appendFloat(b, lo), hi)
	for _, l := range q.levels {
		for _, v := range l {
			b = appendFloat(b, v)
		}
	}
	return b
}

// ReadKLL reads the bytes of a sketch that CheckKLL has found good.
func ReadKLL(b []byte) *KLL {
	q := NewKLL()
	float := func(i int) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b[i:])) }
	if b[3]&kllLone != 0 {
		q.n, q.items, q.levels[0] = 1, 1, []float64{float(kllHead)}
		return q
	}
	q.n, q.minK = int64(binary.LittleEndian.Uint64(b[8:])), int(binary.LittleEndian.Uint16(b[16:]))
	q.grow(int(b[18]))
	next := kllData + 4*len(q.levels) + 16
	for h := range q.levels {
		from, to := int(binary.LittleEndian.Uint32(b[kllData+4*h:])), q.room
		if h+1 < len(q.levels) {
			to = int(binary.LittleEndian.Uint32(b[kllData+4*h+4:]))
		}
		for range to - from {
			q.levels[h] = append(q.levels[h], float(next))
			next += 8
		}
		q.items += to - from
	}
	return q
}
