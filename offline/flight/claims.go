package flight

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/klauspost/compress/zstd"

	"github.com/weir-ml/weir/registry/feature"
)

// claims guards Arrow's reader, which takes at their word what the heads of messages
// say: how large a compressed column will be, how deep a schema goes. A few
// bytes could ask for more memory than there is, and the process would end.
//
// It is also the allocator of the reader above it. A message may take most bytes,
// those of columns it had compressed included; so may all dictionaries together.
type claims struct {
	most  int64 // bytes; 0 for no limit
	taken int64 // by the message that is read now
	// dictionaries are the bytes of each, by id. They stay for as long as the stream; batches do not.
	dictionaries map[int64]int64
	open         int64 // the dictionary that is read now, or ofBatches
	sum          int64
	parts        map[int64]*parts // that a batch has by the schema, and by its id each dictionary
	err          error            // what was refused within Arrow's reader
}

// parts are what the head of a batch has to list, since Arrow's reader looks
// beyond the end of the list where it is too short.
type parts struct{ nodes, buffers, views int }

// ofBatches is the key of the parts of batches: no dictionary has it.
const ofBatches = math.MinInt64

const (
	mostFields = 20_000   // of a schema, those within others included
	mostDepth  = 32       // of fields within others
	mostTexts  = 16 << 20 // bytes of the names and notes of a schema or batch
	mostWindow = 8 << 20  // bytes that zstd looks back: what all its usual levels do
)

// Kinds of messages, of types and of compression, as the format numbers them.
const (
	aSchema, aDictionary, aBatch = 1, 2, 3
	aLZ4                         = 0

	aNull, aBinary, aText, aTimestamp, aStruct, aUnion, aFixedList = 1, 4, 5, 10, 13, 14, 16
	aLargeBinary, aLargeText, aRunEnded, aBinaryView, aTextView    = 19, 20, 22, 23, 24
	aListView, aLargeListView                                      = 25, 26
)

var (
	errPacked = errors.New("a compressed buffer is broken")
	errShort  = errors.New("a batch has fewer values or buffers than its schema")
)

func newClaims(most int) *claims {
	return &claims{most: int64(most), dictionaries: map[int64]int64{}, open: ofBatches, parts: map[int64]*parts{}}
}

// check looks at a message before Arrow's reader does.
func (c *claims) check(head, body []byte) error {
	c.settle()
	if c.most > 0 && c.sum > c.most {
		return c.tooLarge("the dictionaries of its columns take")
	}
	c.taken = 0
	at, ok := refer(head, 0)
	if !ok {
		return errHead
	}
	m, err := tableAt(head, at)
	if err != nil {
		return err
	}
	texts := int64(mostTexts)
	if err := notes(m, 4, &texts); err != nil {
		return err
	}
	kind, err := m.number(1, 1)
	if err != nil {
		return err
	}
	what, there, err := m.table(2)
	if err != nil {
		return err
	}
	if !there {
		return errHead
	}
	switch kind {
	case aSchema:
		if err := notes(what, 2, &texts); err != nil {
			return err
		}
		w := schemaWalk{c.parts, mostFields, texts}
		return w.fields(what, 1, mostDepth, w.of(ofBatches))
	case aDictionary:
		id, err := what.number(0, 8)
		if err != nil {
			return err
		}
		more, err := what.number(2, 1)
		if err != nil {
			return err
		}
		if more == 0 {
			c.sum -= c.dictionaries[id]
			c.dictionaries[id] = 0
		}
		c.dictionaries[id] += int64(len(body))
		c.sum += int64(len(body))
		c.open = id
		rows, there, err := what.table(1)
		if err != nil {
			return err
		}
		if !there {
			return errHead
		}
		return c.batch(id, rows, body)
	case aBatch:
		return c.batch(ofBatches, what, body)
	}
	return fmt.Errorf("message of kind %d", kind)
}

// settle counts what the dictionary before took when it was unpacked.
func (c *claims) settle() {
	if c.open != ofBatches {
		c.dictionaries[c.open] += c.taken
		c.sum += c.taken
		c.open = ofBatches
	}
}

// notes counts the bytes of key-value pairs. They may all be the same ones, and be copied each time.
func notes(t table, field int, texts *int64) error {
	return t.tables(field, func(pair table) error {
		return errors.Join(text(pair, 0, texts), text(pair, 1, texts))
	})
}

func text(t table, field int, texts *int64) error {
	_, n, err := t.vector(field, 1)
	if *texts -= int64(n) + 16; *texts < 0 {
		return fmt.Errorf("its names and notes take more than %d bytes", mostTexts)
	}
	return err
}

// schemaWalk goes through the fields of a schema, and notes what each of its batches has.
type schemaWalk struct {
	parts map[int64]*parts
	left  int // fields
	texts int64
}

func (w *schemaWalk) of(id int64) *parts {
	p := w.parts[id]
	if p == nil {
		p = &parts{}
		w.parts[id] = p
	} else {
		p = &parts{} // columns that share a dictionary; it is counted once
	}
	return p
}

func (w *schemaWalk) fields(t table, field, depth int, into *parts) error {
	if depth == 0 {
		return fmt.Errorf("its columns are nested more than %d deep", mostDepth)
	}
	return t.tables(field, func(f table) error { return w.field(f, depth, into) })
}

func (w *schemaWalk) field(f table, depth int, into *parts) error {
	if w.left--; w.left < 0 {
		return fmt.Errorf("it has more than %d columns", mostFields)
	}
	if err := errors.Join(text(f, 0, &w.texts), notes(f, 6, &w.texts)); err != nil {
		return err
	}
	kind, err := f.number(2, 1)
	if err != nil {
		return err
	}
	if encoded, there, err := f.table(4); err != nil {
		return err
	} else if there {
		id, err := encoded.number(0, 8)
		if err != nil {
			return err
		}
		into.nodes++
		into.buffers += 2
		into = w.of(id)
	}
	into.nodes++
	switch kind {
	case aUnion, aRunEnded, aListView, aLargeListView:
		return errors.New("a column is a union, run-end encoded or a list view: send it as a plain column, or leave it out")
	case aNull:
	case aStruct, aFixedList:
		into.buffers++
	case aBinary, aText, aLargeBinary, aLargeText:
		into.buffers += 3
	case aBinaryView, aTextView:
		into.buffers += 2
		into.views++
	default:
		into.buffers += 2
	}
	if of, there, err := f.table(3); err != nil {
		return err
	} else if there && kind == aTimestamp {
		if err := text(of, 1, &w.texts); err != nil {
			return err
		}
	}
	return w.fields(f, 5, depth-1, into)
}

// batch checks what a batch, or a dictionary, says of its values and buffers.
func (c *claims) batch(id int64, rows table, body []byte) error {
	has := c.parts[id]
	if has == nil {
		return errors.New("a dictionary is of no column")
	}
	if _, nodes, err := rows.vector(1, 16); err != nil {
		return err
	} else if nodes < has.nodes {
		return errShort
	}
	at, n, err := rows.vector(2, 16)
	if err != nil {
		return err
	}
	views, groups, err := rows.vector(4, 8)
	if err != nil {
		return err
	}
	if groups < has.views || n < has.buffers {
		return errShort
	}
	for i, left := 0, uint64(n-has.buffers); i < has.views; i++ {
		of := binary.LittleEndian.Uint64(rows.b[views+8*i:])
		if of > left {
			return errShort
		}
		left -= of
	}
	packed, there, err := rows.table(3)
	if err != nil {
		return err
	}
	codec := int64(0)
	if there {
		if codec, err = packed.number(0, 1); err != nil {
			return err
		}
	}
	for i := range n {
		from, size := binary.LittleEndian.Uint64(rows.b[at+16*i:]), binary.LittleEndian.Uint64(rows.b[at+16*i+8:])
		if from > uint64(len(body)) || size > uint64(len(body))-from {
			return errors.New("a buffer lies outside of it")
		}
		if there && size > 0 {
			if err := window(codec, body[from:from+size]); err != nil {
				return err
			}
		}
	}
	return nil
}

// window checks a compressed buffer: the size that it will have, then what zstd says. Of lz4 the blocks are small.
func window(codec int64, b []byte) error {
	if len(b) < 8 {
		return errPacked
	}
	size := int64(binary.LittleEndian.Uint64(b))
	switch {
	case size < -1:
		return errPacked
	case size == -1 || codec == aLZ4: // -1: it is not compressed after all
		return nil
	}
	b = b[8:]
	var h zstd.Header
	if err := h.Decode(b); err != nil || h.Skippable {
		return errPacked
	}
	if h.SingleSegment && h.FrameContentSize > uint64(size) {
		return errPacked
	}
	if !h.SingleSegment && h.WindowSize > mostWindow {
		return fmt.Errorf("a compressed buffer looks back %d bytes; at most %d are allowed: compress less", h.WindowSize, mostWindow)
	}
	// One frame, since another could say something else.
	for at, last := h.HeaderSize, false; ; {
		if last {
			if h.HasCheckSum {
				at += 4
			}
			if at != len(b) {
				return errPacked
			}
			return nil
		}
		if at > len(b)-3 {
			return errPacked
		}
		block := int(b[at]) | int(b[at+1])<<8 | int(b[at+2])<<16
		last = block&1 != 0
		if block>>1&3 == 1 { // one byte, many times
			at += 4
		} else {
			at += 3 + block>>3
		}
	}
}

func (c *claims) tooLarge(what string) error {
	return feature.Errorf(feature.Exhausted, opFlight, "spine", "%s more than %d bytes", what, c.most).
		WithHint("send it in smaller batches and columns of text as they are, or let serving.max_message be larger")
}

// take counts bytes before they are had. Arrow's reader makes an error of the panic; err is the better one.
func (c *claims) take(n int) {
	if n < 0 || c.most > 0 && int64(n) > c.most-c.taken {
		c.err = c.tooLarge("a batch, decompressed, takes")
		panic(c.err)
	}
	c.taken += int64(n)
}

// Allocate implements memory.Allocator.
func (c *claims) Allocate(n int) []byte {
	c.take(n)
	return memory.DefaultAllocator.Allocate(n)
}

// Reallocate implements memory.Allocator.
func (c *claims) Reallocate(n int, b []byte) []byte {
	c.take(max(0, n-len(b)))
	return memory.DefaultAllocator.Reallocate(n, b)
}

// Free implements memory.Allocator.
func (c *claims) Free(b []byte) { memory.DefaultAllocator.Free(b) }
