package parquetfile

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math/bits"

	"github.com/parquet-go/parquet-go/format"
)

// textMemory is what encoding texts needs.
type textMemory struct {
	seed   maphash.Seed
	dict   [][]byte // the texts of the chunk's dictionary, in the column's memory
	size   int      // of all of them
	hashes []uint64
	table  []int32 // hash table: place in dict + 1, 0 for free
	places []int32 // by the column's own code: place in dict + 1
}

// maxDictBytes is the most that the texts of a dictionary take.
const maxDictBytes = 256 << 10

// textColumn writes a column of texts: keys as they are, for most differ, others
// as places in a dictionary where they are few.
func (w *chunker) textColumn(c *columnEncoder, d *Data, rows int, valid []byte) error {
	if (c.col.Fixed > 0 || !c.col.Key) && c.plan.noDict == 0 {
		if w.textDict(c, d, rows, valid) {
			return w.textCodes(c, valid)
		}
		c.plan.noDict = rowsTrusted
	}
	c.plan.noDict = max(0, c.plan.noDict-rows)
	return w.plainTexts(c, d, rows, valid)
}

// textDict makes the chunk's dictionary and codes; false where its texts are too many.
func (w *chunker) textDict(c *columnEncoder, d *Data, rows int, valid []byte) bool {
	m := &w.texts
	limit := min(maxDict, max(rows/2, 16))
	w.codes, w.pages = sized(w.codes, rows), w.pages[:0]
	m.start(limit)
	if d.Dict != nil {
		m.places = sized(m.places, len(d.Dict))
		clear(m.places)
	}
	step := w.pageRows(4)
	n := 0
	for lo := 0; lo < rows; lo += step {
		hi := min(lo+step, rows)
		from := n
		if d.Dict != nil {
			n = m.byCode(d, lo, hi, valid, w.codes, n)
		} else {
			n = m.byHash(d, lo, hi, valid, w.codes, n)
		}
		if m.givesUp(limit, n) {
			return false
		}
		w.pages = append(w.pages, pageOfCodes{rows: hi - lo, values: n - from})
	}
	return true
}

// start empties the dictionary, which is given up beyond so many texts.
func (m *textMemory) start(limit int) {
	m.dict, m.hashes, m.size = m.dict[:0], m.hashes[:0], 0
	m.table = sized(m.table, 1<<bits.Len(uint(2*limit)))
	clear(m.table)
}

// givesUp tells whether the dictionary of n texts does not pay.
func (m *textMemory) givesUp(limit, n int) bool {
	return m.size > maxDictBytes || len(m.dict) > limit || len(m.dict) > earlyValues && 8*len(m.dict) > 7*n
}

// add puts a text into the dictionary.
func (m *textMemory) add(text []byte) int32 {
	m.dict = append(m.dict, text)
	m.size += len(text)
	return int32(len(m.dict))
}

// byCode translates the column's own codes.
func (m *textMemory) byCode(d *Data, lo, hi int, valid []byte, codes []int32, n int) int {
	for i := lo; i < hi; i++ {
		if valid != nil && valid[i] == 0 {
			continue
		}
		k := d.Codes[i]
		if m.places[k] == 0 {
			m.places[k] = m.add(d.Dict[k])
		}
		codes[n] = m.places[k] - 1
		n++
	}
	return n
}

// byHash numbers texts in the order in which they come.
func (m *textMemory) byHash(d *Data, lo, hi int, valid []byte, codes []int32, n int) int {
	var last []byte
	code := int32(-1)
	start := d.begin(lo)
	for i := lo; i < hi; i++ {
		end := d.Ends[i]
		text := d.Text[start:end]
		start = end
		if valid != nil && valid[i] == 0 {
			continue
		}
		if code < 0 || !bytes.Equal(text, last) {
			place, ok := m.place(text)
			if !ok {
				return n
			}
			last, code = text, place
		}
		codes[n] = code
		n++
	}
	return n
}

// place is the place of a text in the dictionary; false where that is full, and
// about to be given up.
func (m *textMemory) place(text []byte) (int32, bool) {
	mask := len(m.table) - 1
	x := maphash.Bytes(m.seed, text)
	for h := int(x); ; h++ {
		k := m.table[h&mask]
		if k == 0 {
			if 2*len(m.dict) > mask {
				return 0, false
			}
			k = m.add(text)
			m.hashes = append(m.hashes, x)
			m.table[h&mask] = k
		} else if m.hashes[k-1] != x || !bytes.Equal(m.dict[k-1], text) {
			continue
		}
		return k - 1, true
	}
}

// textCodes writes a chunk of texts as its dictionary and the places in it.
func (w *chunker) textCodes(c *columnEncoder, valid []byte) error {
	m := &w.texts
	w.held = w.held[:0]
	for _, t := range m.dict {
		if c.col.Fixed == 0 {
			w.held = binary.LittleEndian.AppendUint32(w.held, uint32(len(t)))
		}
		w.held = append(w.held, t...)
	}
	if err := w.dictionary(c, len(m.dict), w.held); err != nil {
		return err
	}
	k := 0
	return w.pagesOfCodes(c, valid, func(p *pageOfCodes) (least, most []byte) {
		codes := w.codes[k : k+p.values]
		k += p.values
		if !c.col.Key {
			return nil, nil
		}
		last := int32(-1)
		for _, code := range codes {
			if code == last {
				continue
			}
			last = code
			if t := m.dict[code]; least == nil {
				least, most = t, t
			} else if bytes.Compare(t, least) < 0 {
				least = t
			} else if bytes.Compare(t, most) > 0 {
				most = t
			}
		}
		return least, most
	})
}

// plainTexts writes texts one after the other, each with its length.
func (w *chunker) plainTexts(c *columnEncoder, d *Data, rows int, valid []byte) error {
	c.data = format.Plain
	first := 0
	for first < rows {
		w.body = w.body[:0]
		values, i := 0, first
		var least, most []byte
		for ; i < rows && (len(w.body) < w.pageBytes || i == first); i++ {
			if valid != nil && valid[i] == 0 {
				if i-first == 1<<16 {
					break // many nulls: pages stay small all the same
				}
				continue
			}
			t := d.at(i)
			if c.col.Fixed == 0 {
				w.body = binary.LittleEndian.AppendUint32(w.body, uint32(len(t)))
			}
			w.body = append(w.body, t...)
			values++
			if c.col.Key {
				if values == 1 {
					least, most = t, t
				} else if bytes.Compare(t, most) > 0 {
					most = t
				} else if bytes.Compare(t, least) < 0 {
					least = t
				}
			}
		}
		if c.col.Key && least == nil && values > 0 {
			least, most = []byte{}, []byte{}
		}
		if err := w.page(c, i-first, values, slice(valid, first, i), w.body, least, most); err != nil {
			return err
		}
		first = i
	}
	return nil
}
