package expect

import (
	"encoding/binary"
	"io"
	"math"
	"math/bits"
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
	words [][]uint64 // in chunks, the last of which is not full
	file  *wordFile
}

const bagChunk = 1 << 15

func (g *bag) add(b *batch, _ int64) error {
	c := &b.cols[g.col]
	g.n += int64(c.count)
	if c.count == 0 {
		return nil
	}
	for w := 0; w < len(c.present); {
		n := len(g.words)
		if n == 0 || cap(g.words[n-1])-len(g.words[n-1]) < 64 {
			g.words = append(g.words, make([]uint64, 0, bagChunk))
			n++
		}
		dst := g.words[n-1]
		to := min(len(c.present), w+(cap(dst)-len(dst))/64) // as many words of rows as fit for sure
		switch c.typ {
		case feature.Float64:
			for ; w < to; w++ {
				if c.present[w] != ^uint64(0) {
					dst = appendWords(dst, c, w, c.f64, orderedFloat)
					continue
				}
				for _, f := range c.f64[w*64 : w*64+64] {
					dst = append(dst, orderedFloat(f))
				}
			}
		case feature.Float32:
			for ; w < to; w++ {
				dst = appendWords(dst, c, w, c.f32, func(f float32) uint64 { return orderedFloat(float64(f)) })
			}
		case feature.Int32:
			for ; w < to; w++ {
				dst = appendWords(dst, c, w, c.i32, func(i int32) uint64 { return orderedInt(int64(i)) })
			}
		case feature.Bool:
			for ; w < to; w++ {
				for rows := c.present[w]; rows != 0; rows &= rows - 1 {
					dst = append(dst, orderedInt(int64(c.word(w*64+bits.TrailingZeros64(rows)))))
				}
			}
		default:
			for ; w < to; w++ {
				dst = appendWords(dst, c, w, c.i64, orderedInt)
			}
		}
		g.words[n-1] = dst
	}
	return nil
}

// appendWords appends the values of the rows of word w that are present.
func appendWords[T plain](dst []uint64, c *column, w int, vals []T, word func(T) uint64) []uint64 {
	rows := c.present[w]
	if rows == ^uint64(0) {
		for _, v := range chunk(vals, w) {
			dst = append(dst, word(v))
		}
		return dst
	}
	for ; rows != 0; rows &= rows - 1 {
		dst = append(dst, word(vals[w*64+bits.TrailingZeros64(rows)]))
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

func (g *bag) bytes() int64 { return int64(len(g.words)) * bagChunk * 8 }

func (g *bag) spill() error {
	if g.file == nil {
		f, err := openTemp(g.o)
		if err != nil {
			return err
		}
		g.file = &wordFile{f: f}
	}
	for _, c := range g.words {
		if err := g.file.append(c); err != nil {
			return err
		}
	}
	g.words = nil
	return nil
}

// scan calls fn with all words, in pieces that it may not keep.
func (g *bag) scan(fn func([]uint64)) error {
	if g.file != nil {
		if err := g.file.scan(fn); err != nil {
			return err
		}
	}
	for _, c := range g.words {
		fn(c)
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
