package parquetfile

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// A data page says of itself whether it is compressed; a column's codec is the
// same throughout the file all the same, for parquet-go takes the first row
// group's for all.

// Compression must take away that part of a page to be worth its time, here and
// in every reader.
const worthPacking = 12 // a twelfth, 8 percent

// rowsTrusted is for how many rows what was found out about a column holds.
const rowsTrusted = 1 << 17

// packer is whether pages of the chunk are compressed: the first one tells.
type packer struct{ decided, on bool }

// page writes a data page: rows of which values are not null, encoded in body.
// least and most are bounds in plain encoding, nil where there are none.
func (w *chunker) page(c *columnEncoder, rows, values int, valid, body []byte, least, most []byte) error {
	w.levels = w.levels[:0]
	entries, repeats := rows, 0 // how many levels there are, and the bytes of those that say where a row begins
	if c.array() {
		var err error
		if entries, repeats, err = w.listLevels(c, rows); err != nil {
			return err
		}
	} else {
		c.nullRows += int64(rows - values)
		if !c.col.Required {
			w.levels, w.bits = appendLevels(w.levels, w.bits, rows, valid)
		}
	}
	packed := false
	out := body
	if w.codec != nil && len(body) > 0 && c.tries() {
		var err error
		if w.zipped, err = w.codec.Encode(w.zipped, body); err != nil {
			return err
		}
		gains := len(body)-len(w.zipped) > len(body)/worthPacking
		if !c.pack.decided {
			c.pack = packer{decided: true, on: gains}
			if !gains {
				c.plan.loose = rowsTrusted
			}
		}
		if gains {
			packed, out = true, w.zipped
		}
	}
	h := format.PageHeader{
		Type:                 format.DataPageV2,
		UncompressedPageSize: int32(len(w.levels) + len(body)),
		CompressedPageSize:   int32(len(w.levels) + len(out)),
		CRC:                  int32(crc32.Update(crc32.ChecksumIEEE(w.levels), crc32.IEEETable, out)),
	}
	h.DataPageHeaderV2.Valid = true
	h.DataPageHeaderV2.V = format.DataPageHeaderV2{
		NumValues: int32(entries), NumNulls: int32(entries - values), NumRows: int32(rows), Encoding: c.data,
		RepetitionLevelsByteLength: int32(repeats), DefinitionLevelsByteLength: int32(len(w.levels) - repeats), IsCompressed: thrift.New(packed),
	}
	h.DataPageHeaderV2.V.Statistics.NullCount = int64(entries - values)
	m := &c.chunk.MetaData
	if c.dataPages == 0 {
		m.DataPageOffset = w.offset
	}
	at := w.offset
	if err := w.put(c, &h, w.levels, out); err != nil {
		return err
	}
	c.locations = append(c.locations, format.PageLocation{Offset: at, CompressedPageSize: int32(w.offset - at), FirstRowIndex: c.rows})
	c.rows += int64(rows)
	c.dataPages++
	c.plan.loose = max(0, c.plan.loose-rows)
	m.NumValues += int64(entries)
	m.Statistics.NullCount += int64(entries - values)
	c.nullCounts = append(c.nullCounts, int64(entries-values))
	c.pageBounds(values, least, most)
	return nil
}

// tries tells whether the next page is compressed, to see or for good.
func (c *columnEncoder) tries() bool {
	if c.pack.decided {
		return c.pack.on
	}
	return c.plan.loose == 0
}

// dictionary writes the dictionary page of a chunk, n values in plain encoding.
// Such a page cannot say of itself that it is not compressed.
func (w *chunker) dictionary(c *columnEncoder, n int, body []byte) error {
	c.hasDict = true
	out := body
	if w.codec != nil {
		var err error
		if w.zipped, err = w.codec.Encode(w.zipped, body); err != nil {
			return err
		}
		out = w.zipped
	}
	h := format.PageHeader{Type: format.DictionaryPage, UncompressedPageSize: int32(len(body)), CompressedPageSize: int32(len(out)),
		CRC: int32(crc32.ChecksumIEEE(out))}
	h.DictionaryPageHeader.Valid = true
	h.DictionaryPageHeader.V = format.DictionaryPageHeader{NumValues: int32(n), Encoding: format.Plain}
	c.chunk.MetaData.DictionaryPageOffset = w.offset
	return w.put(c, &h, nil, out)
}

func (w *chunker) put(c *columnEncoder, h *format.PageHeader, levels, body []byte) error {
	head, err := w.head.encode(h)
	if err != nil {
		return err
	}
	m := &c.chunk.MetaData
	m.TotalUncompressedSize += int64(len(head)) + int64(h.UncompressedPageSize)
	m.TotalCompressedSize += int64(len(head)) + int64(h.CompressedPageSize)
	if err := w.write(head); err != nil {
		return err
	}
	if len(levels) > 0 {
		if err := w.write(levels); err != nil {
			return err
		}
	}
	return w.write(body)
}

// appendLevels appends which of the rows have a value, as runs and bits mixed.
func appendLevels(dst, bits []byte, rows int, valid []byte) (levels, memory []byte) {
	run := func(dst []byte, n int, v byte) []byte { return append(binary.AppendUvarint(dst, uint64(n)<<1), v) }
	if valid == nil {
		return run(dst, rows, 1), bits
	}
	bits = packBits(bits[:0], valid)
	whole := rows / 8 // bytes of bits without padding
	const short = 8   // bytes from which on a run is shorter and faster
	for lo := 0; lo < len(bits); {
		// The bits up to the next long run, then the run.
		from, to := len(bits), len(bits)
		for i := lo; i < whole; {
			j := i + 1
			if bits[i] == 0 || bits[i] == 0xff {
				for j < whole && bits[j] == bits[i] {
					j++
				}
				if j-i >= short {
					from, to = i, j
					break
				}
			}
			i = j
		}
		if from > lo {
			dst = binary.AppendUvarint(dst, uint64(from-lo)<<1|1)
			dst = append(dst, bits[lo:from]...)
		}
		if to > from {
			dst = run(dst, 8*(to-from), bits[from]&1)
		}
		lo = to
	}
	return dst, bits
}

// packBits appends bytes of 0 and 1 as bits.
func packBits(dst, src []byte) []byte {
	for ; len(src) >= 8; src = src[8:] {
		dst = append(dst, byte(binary.LittleEndian.Uint64(src)*0x0102040810204080>>56))
	}
	if len(src) > 0 {
		var b byte
		for i, v := range src {
			b |= v << i
		}
		dst = append(dst, b)
	}
	return dst
}

// dense copies the values of src that are there to dst.
func dense[T any](dst, src []T, valid []byte) []T {
	dst = sized(dst, len(src)+1)
	k := 0
	for i, v := range src {
		dst[k] = v
		k += int(valid[i])
	}
	return dst[:k]
}
