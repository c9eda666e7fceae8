package drift

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
)

// quantiles is a KLL sketch of finite numbers (Karnin, Lang and Liberty, "Optimal
// Quantile Approximation in Streams", 2016), in memory and in bytes the one of
// Apache DataSketches. An item of level h stands for 2^h values. Where there are
// more items than fit, a level is compacted: of its items in order, every second
// one goes up, beginning with the first or the second by chance, so that no rank
// is off on average.
//
// The levels that have room for only sketchM items see nearly all the values.
// They are passed in whole blocks (see condense), which costs a few nanoseconds a
// value instead of tens, and compacts as many at a time as they would.
type quantiles struct {
	n      int64
	minK   int         // the smallest k of the sketches in it
	levels [][]float64 // ascending, but for the first one
	items  int         // in all levels
	caps   []int       // how many items each level has room for, as long as there are so many levels
	room   int         // of all levels
	up     []float64   // memory of compress
}

func newQuantiles() *quantiles {
	q := &quantiles{minK: sketchK}
	q.grow(1)
	return q
}

// grow makes it at least so many levels.
func (q *quantiles) grow(levels int) {
	if len(q.levels) >= levels {
		return
	}
	for len(q.levels) < levels {
		q.levels = append(q.levels, nil)
	}
	q.caps, q.room = q.caps[:0], 0
	for h := range levels {
		q.caps = append(q.caps, max(sketchM, levelCapacity(levels-h-1)))
		q.room += q.caps[h]
	}
}

// add takes in a block of values.
func (q *quantiles) add(block *[blockValues]float64) {
	at := min(blockRounds, max(0, len(q.levels)-smallDepth))
	if at == 0 {
		q.put(0, block[:])
	} else {
		var kept [blockValues / 2]float64
		q.put(at, condense(block, at, &kept))
	}
	q.n += blockValues
	q.compress()
}

// addFew takes in values that are no block.
func (q *quantiles) addFew(v []float64) {
	q.put(0, v)
	q.n += int64(len(v))
	q.compress()
}

// put adds items to a level, which may then hold too many; v is sorted where the level is.
func (q *quantiles) put(level int, v []float64) {
	q.grow(level + 1)
	at := q.levels[level]
	n := len(at)
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
func (q *quantiles) compress() {
	for q.items > q.room {
		h := 0
		for len(q.levels[h]) < q.caps[h] {
			h++
		}
		at := q.levels[h]
		if h == 0 {
			slices.Sort(at)
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

// merge adds what o has seen; o stays as it is.
func (q *quantiles) merge(o *quantiles) {
	for h, at := range o.levels {
		q.put(h, at)
	}
	q.n += o.n
	q.minK = min(q.minK, o.minK)
	q.compress()
}

// estimates tells whether values have been left out.
func (q *quantiles) estimates() bool { return len(q.levels) > 1 }

// rankError is how far a rank may be off with 99 % confidence, as Apache
// DataSketches has measured it for this k.
func (q *quantiles) rankError() float64 { return 2.296 / math.Pow(float64(q.minK), 0.9723) }

func (q *quantiles) distribution() distribution {
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
	d := distribution{at: make([]float64, len(all)), cum: make([]float64, len(all)), n: float64(q.n)}
	sum := 0.0
	for i, x := range all {
		sum += x.w
		d.at[i], d.cum[i] = x.v, sum
	}
	return d
}

// Bytes of the DataSketches format.
const (
	kllFamily                    = 15
	kllEmpty, kllSorted, kllLone = 1, 2, 4 // flags
	kllHead, kllData             = 8, 20   // where a lone value, or the levels begin
)

// bytes is the sketch in the DataSketches format; lo and hi are the least and the
// greatest value that it has seen.
func (q *quantiles) bytes(lo, hi float64) []byte {
	head := func(ints, version, flags byte) []byte {
		b := []byte{ints, version, kllFamily, flags, 0, 0, sketchM, 0}
		binary.LittleEndian.PutUint16(b[4:], sketchK)
		return b
	}
	switch q.n {
	case 0:
		return head(2, 1, kllEmpty|kllSorted)
	case 1:
		return putFloat(head(2, 2, kllLone|kllSorted), q.levels[0][0])
	}
	slices.Sort(q.levels[0])
	b := binary.LittleEndian.AppendUint64(head(5, 1, kllSorted), uint64(q.n))
	b = append(binary.LittleEndian.AppendUint16(b, uint16(q.minK)), byte(len(q.levels)), 0)
	at := q.room - q.items
	for _, l := range q.levels {
		b = binary.LittleEndian.AppendUint32(b, uint32(at))
		at += len(l)
	}
	b = putFloat(putFloat(b, lo), hi)
	for _, l := range q.levels {
		for _, v := range l {
			b = putFloat(b, v)
		}
	}
	return b
}

// readQuantiles reads the bytes of a sketch that checkKLL has found good.
func readQuantiles(b []byte) *quantiles {
	q := newQuantiles()
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
