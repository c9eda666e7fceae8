package expect

import (
	"math"
	"math/bits"
)

// series keeps the numbers of a column in the order of their rows, for what can be
// judged only when the whole is known. Beyond the memory it is a file.
type series struct {
	counter
	o     *TableOptions
	words []uint64 // the numbers' bits; a missing one is NaN
	file  *wordFile
}

var missing = math.Float64bits(math.NaN())

func (s *series) add(b *batch, row int64) error {
	if err := s.counter.add(b, row); err != nil {
		return err
	}
	c := &b.cols[s.col]
	from := len(s.words)
	for range b.rows {
		s.words = append(s.words, missing)
	}
	out := s.words[from:]
	for w, rows := range c.present {
		for ; rows != 0; rows &= rows - 1 {
			i := w*64 + bits.TrailingZeros64(rows)
			f, _ := c.number(i)
			out[i] = math.Float64bits(f)
		}
	}
	return nil
}

func (s *series) bytes() int64 { return int64(cap(s.words)) * 8 }

func (s *series) spill() error {
	if s.file == nil {
		f, err := openTemp(s.o)
		if err != nil {
			return err
		}
		s.file = &wordFile{f: f}
	}
	err := s.file.append(s.words)
	s.words = nil
	return err
}

// each calls fn with the row and the value of all that are not missing.
func (s *series) each(fn func(row int64, v float64)) error {
	row := int64(0)
	look := func(words []uint64) {
		for _, u := range words {
			if v := math.Float64frombits(u); v == v {
				fn(row, v)
			}
			row++
		}
	}
	if s.file != nil {
		if err := s.file.scan(look); err != nil {
			return err
		}
	}
	look(s.words)
	return nil
}

func (s *series) close() error {
	s.words = nil
	if s.file == nil {
		return nil
	}
	f := s.file.f
	s.file = nil
	return closeTemp(f)
}
