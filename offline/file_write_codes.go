package offline

import "encoding/binary"

// maxCodes is how many different texts a column may have to be numbered.
const maxCodes = 4096

// textCodes are the texts of a column as numbers, in the order in which the rows
// came. Sorted, a row's text is anywhere in memory, and so is where it begins:
// most of the time of a text column went into waiting for both, and again when
// the dictionary hashed them. Numbered in order of arrival, memory is read from
// one end to the other; what is then fetched in sorted order is two bytes a row,
// and the few texts themselves stay in the cache.
type textCodes struct {
	texts  [][]byte // by code; 0 is null
	codes  []uint16 // by row, batch after batch
	starts []int    // by batch: its first row in codes
}

// newTextCodes numbers a column; nil when it has too many different texts.
func newTextCodes(column *batchColumn, starts []int, rows int) *textCodes {
	c := &textCodes{texts: [][]byte{nil}, codes: make([]uint16, 0, rows), starts: starts}
	known := map[string]uint16{}
	var short [256]struct {
		text uint64
		len  int32
		code uint16
	} // texts of up to eight bytes seen lately, by hash
	for bi := range column.texts {
		t := &column.texts[bi]
		var valid arrowBits
		if column.valid != nil {
			valid = column.valid[bi]
		}
		for i := range len(t.offsets) - 1 {
			if valid.bits != nil && valid.bit(uint32(i)) == 0 {
				c.codes = append(c.codes, 0)
				continue
			}
			text := t.at(i)
			packed, fits := pack(text)
			slot := &short[(packed*0x9e3779b97f4a7c15)>>56]
			if fits && slot.text == packed && int(slot.len) == len(text) && slot.code != 0 {
				c.codes = append(c.codes, slot.code)
				continue
			}
			code, ok := known[string(text)]
			if !ok {
				if len(c.texts) > maxCodes {
					return nil
				}
				code = uint16(len(c.texts))
				known[string(text)] = code
				c.texts = append(c.texts, text)
			}
			if fits {
				slot.text, slot.len, slot.code = packed, int32(len(text)), code
			}
			c.codes = append(c.codes, code)
		}
	}
	return c
}

// pack is a text of up to eight bytes as a number; with its length it is the text.
func pack(text []byte) (uint64, bool) {
	switch n := len(text); {
	case n == 8:
		return binary.LittleEndian.Uint64(text), true
	case n > 8:
		return 0, false
	case n >= 4: // two reads that overlap
		return uint64(binary.LittleEndian.Uint32(text)) | uint64(binary.LittleEndian.Uint32(text[n-4:]))<<32, true
	case n > 0:
		return uint64(text[0]) | uint64(text[n/2])<<8 | uint64(text[n-1])<<16, true
	}
	return 0, true
}

// gather fetches the codes of rows into the source's column.
func (c *textCodes) gather(s *source, rows []rowRef) {
	s.codes, s.valid = sized(s.codes, len(rows)), sized(s.valid, len(rows))
	some := false
	for i, r := range rows {
		k := c.codes[c.starts[r.batch]+int(r.row)]
		s.codes[i] = uint32(k)
		s.valid[i] = 1
		if k == 0 {
			s.valid[i], some = 0, true
		}
	}
	s.data.codes, s.data.dict = s.codes, c.texts
	if some {
		s.data.valid = s.valid
	}
}

// numbered is the column as numbers, nil where that does not pay: join keys have
// many texts, and a file of few of the batches' rows would number all for some.
func (s *source) numbered(ci int, column *batchColumn) *textCodes {
	if s.cols[ci].Required || 2*s.rows < len(s.set.refs) {
		return nil
	}
	c, tried := s.numbers[ci]
	if !tried {
		c = newTextCodes(column, s.set.starts, len(s.set.refs))
		if s.numbers == nil {
			s.numbers = map[int]*textCodes{}
		}
		s.numbers[ci] = c
	}
	return c
}
