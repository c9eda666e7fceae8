package expect

import (
	"encoding/binary"
	"io"
	"math"
	"os"

	"github.com/weir-ml/weir/registry/feature"
)

// bag holds the values of a column without their order, to be asked for those at
// certain ranks. A value is a word whose order is the value's. Beyond the
// memory it is a file, read a few times over; the answers are the same.
type bag struct {
	o     *TableOptions
	col   int
	typ   feature.Type
	n     int64
	words []uint64
	file  *wordFile
}

func (g *bag) add(b *batch, _ int64) error {
	c := &b.cols[g.col]
	g.n += int64(c.count)
	if c.count == 0 {
		return nil
	}
	if len(g.words)+c.count > cap(g.words) { // by half, which append would not do
		grown := make([]uint64, len(g.words), max(runRows, cap(g.words)+cap(g.words)/2, len(g.words)+c.count))
		copy(grown, g.words)
		g.words = grown
	}
	switch c.typ {
	case feature.Float64:
		g.words = appendWords(g.words, c, c.f64, orderedFloat)
	case feature.Float32:
		g.words = appendWords(g.words, c, c.f32, func(f float32) uint64 { return orderedFloat(float64(f)) })
	case feature.Int32:
		g.words = appendWords(g.words, c, c.i32, func(i int32) uint64 { return orderedInt(int64(i)) })
	case feature.Bool:
		for i := range c.present.Rows() {
			g.words = append(g.words, orderedInt(int64(c.word(i))))
		}
	default:
		g.words = appendWords(g.words, c, c.i64, orderedInt)
	}
	return nil
}

func appendWords[T plain](dst []uint64, c *column, vals []T, word func(T) uint64) []uint64 {
	for w, rows := range c.present {
		if rows == ^uint64(0) {
			for _, v := range chunk(vals, w) {
				dst = append(dst, word(v))
			}
			continue
		}
		for j, v := range chunk(vals, w) {
			if rows>>(j&63)&1 != 0 {
				dst = append(dst, word(v))
			}
		}
	}
	return dst
}

// orderedFloat and orderedInt are words in the order of the numbers.
func orderedFloat(f float64) uint64 {
	u := math.Float64bits(f + 0)
	return u ^ (uint64(int64(u)>>63) | 1<<63)
}

func orderedInt(i int64) uint64 { return uint64(i) ^ 1<<63 }

// float is the number that a word stands for.
func (g *bag) float(u uint64) float64 {
	if g.typ == feature.Float64 || g.typ == feature.Float32 {
		return math.Float64frombits(u ^ (uint64(int64(^u)>>63) | 1<<63))
	}
	return float64(int64(u ^ 1<<63))
}

// value is the value that a word stands for.
func (g *bag) value(u uint64) any {
	if g.typ == feature.Float64 || g.typ == feature.Float32 {
		return g.float(u)
	}
	return wordValue(g.typ, u^1<<63)
}

func (g *bag) bytes() int64 { return int64(cap(g.words)) * 8 }

func (g *bag) spill() error {
	if g.file == nil {
		f, err := openTemp(g.o)
		if err != nil {
			return err
		}
		g.file = &wordFile{f: f}
	}
	err := g.file.append(g.words)
	g.words = nil
	return err
}

// scan calls fn with all words, in pieces that it may not keep.
func (g *bag) scan(fn func([]uint64)) error {
	if g.file != nil {
		if err := g.file.scan(fn); err != nil {
			return err
		}
	}
	if len(g.words) > 0 {
		fn(g.words)
	}
	return nil
}

func (g *bag) close() error {
	g.words = nil
	if g.file == nil {
		return nil
	}
	f := g.file.f
	g.file = nil
	return closeTemp(f)
}

// ranks returns the words at the given places of the sorted bag, which has to have them.
func (g *bag) ranks(at []int64) ([]uint64, error) {
	return selectWords(at, g.scan)
}

// wordFile is a file of words in the order they were appended.
type wordFile struct {
	f    *os.File
	size int64
	buf  []byte
	out  []uint64
}

const wordPiece = 8192

func (w *wordFile) append(words []uint64) error {
	for len(words) > 0 {
		n := min(wordPiece, len(words))
		w.buf = w.buf[:0]
		for _, u := range words[:n] {
			w.buf = binary.LittleEndian.AppendUint64(w.buf, u)
		}
		if _, err := w.f.WriteAt(w.buf, w.size); err != nil {
			return spillError(err)
		}
		w.size += int64(len(w.buf))
		words = words[n:]
	}
	return nil
}

func (w *wordFile) scan(fn func([]uint64)) error {
	if w.buf = w.buf[:0]; cap(w.buf) < wordPiece*8 {
		w.buf = make([]byte, 0, wordPiece*8)
	}
	for at := int64(0); at < w.size; {
		b := w.buf[:min(wordPiece*8, w.size-at)]
		if _, err := w.f.ReadAt(b, at); err != nil && err != io.EOF {
			return spillError(err)
		}
		at += int64(len(b))
		w.out = w.out[:0]
		for ; len(b) > 0; b = b[8:] {
			w.out = append(w.out, binary.LittleEndian.Uint64(b))
		}
		fn(w.out)
	}
	return nil
}
