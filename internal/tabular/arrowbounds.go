package tabular

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/klauspost/compress/zstd"
)

// Arrow's messages tell lengths everywhere: of fields, of rows, of buffers, of what a compressed buffer will be. arrow-go takes
// most of them as they are and makes room, so that a few damaged bytes ask for gigabytes. They are looked at first: every length
// has to fit into what there is.

var errArrowMessage = errors.New("a message tells lengths that cannot be; it is damaged")

// Places of fields in the tables of Arrow's Message.fbs and File.fbs.
const (
	messageVersion, messageKind, messageKV = 0, 1, 4
	kindSchema, kindDictionary, kindBatch  = 1, 2, 3
	dictionaryID, dictionaryData           = 0, 1
	batchRows, batchNodes, batchBuffers    = 0, 1, 2
	batchCompression, batchVariadic        = 3, 4
	compressionCodec                       = 0
	codecZstd                              = 1
	footerSchema                           = 1
	footerDictionaries, footerRecordBlocks = 2, 3
)

const (
	// freeRows are rows that need no bit each: a column of nothing but nulls, or of runs, has none for them.
	freeRows = 1 << 20
	// credible is what a compressed buffer may say that it will be without having shown it.
	credible = 16 << 20
	// usualWindow is how far back a zstd stream may refer whatever its content is: RFC 8878 asks writers not to want more.
	usualWindow = 8 << 20
	// mostExpansion is more than LZ4 can make of a byte.
	mostExpansion = 256
)

// sound refuses a message (a flatbuffer) whose lengths do not fit. body is how long its body is; at gives a part of that, nil while it has not been read.
func (l *arrowLayout) sound(meta []byte, body int64, at func(offset, n int64) ([]byte, error)) (err error) {
	defer func() {
		if recover() != nil { // an offset that points outside
			err = errArrowMessage
		}
	}()
	s := flatSchema{b: meta, left: 16 * len(meta)}
	root := s.follow(0)
	header := s.field(root, messageHeader)
	if header == 0 || s.int64(root, messageBody) != body || !s.keyValues(root, messageKV) {
		return errArrowMessage
	}
	t := s.follow(header)
	switch s.byte(root, messageKind) {
	case kindSchema:
		if !l.read(&s, t) {
			return errArrowMessage
		}
		return nil
	case kindDictionary:
		data := s.field(t, dictionaryData)
		parts, ok := l.dictionaries[s.int64(t, dictionaryID)]
		if data == 0 || !ok {
			return errArrowMessage
		}
		return s.batch(s.follow(data), parts, body, at)
	case kindBatch:
		parts := l.columns
		if s.byte(root, messageVersion) < version5 {
			parts.buffers += parts.unions
		}
		return s.batch(t, parts, body, at)
	}
	return nil // arrow-go says so
}

func (s *flatSchema) int64(table, field int) int64 {
	if at := s.field(table, field); at > 0 {
		return int64(binary.LittleEndian.Uint64(s.b[at:]))
	}
	return 0
}

func (s *flatSchema) byte(table, field int) byte {
	if at := s.field(table, field); at > 0 {
		return s.b[at]
	}
	return 0
}

// batch looks at a RecordBatch that has (at least) these parts: arrow-go reads as many, whatever the lists' lengths are.
func (s *flatSchema) batch(t int, parts arrowParts, body int64, at func(offset, n int64) ([]byte, error)) error {
	first, buffers, ok := s.vector(t, batchBuffers, 16)
	if !ok {
		return errArrowMessage
	}
	packed := s.field(t, batchCompression)
	var stored, all int64 // in the body, and decompressed
	for i := range buffers {
		offset, n := s.pair(first + 16*i)
		if offset < 0 || n < 0 || n > body || offset > body-n {
			return errArrowMessage
		}
		// Several may be the same part of the body, but not so many that little becomes much.
		if stored += n; stored > 4*body {
			return errArrowMessage
		}
		switch {
		case n == 0:
		case packed == 0:
			all += n
		case at != nil:
			size, err := expanded(s.byte(s.follow(packed), compressionCodec), offset, n, at)
			if err != nil {
				return err
			}
			if all += size; all < 0 {
				return errArrowMessage
			}
		}
	}
	variadic, n, ok := s.vector(t, batchVariadic, 8)
	if !ok || n < parts.views {
		return errArrowMessage
	}
	need := parts.buffers
	for i := range parts.views {
		x := binary.LittleEndian.Uint64(s.b[variadic+8*i:])
		if x > uint64(buffers) {
			return errArrowMessage
		}
		need += int(x)
	}
	first, nodes, ok := s.vector(t, batchNodes, 16)
	if !ok || nodes < parts.nodes || buffers < need {
		return errArrowMessage
	}
	if packed > 0 && at == nil {
		return nil // nobody knows yet
	}
	most := 8*min(all, 1<<56) + freeRows
	if rows := s.int64(t, batchRows); rows < 0 || rows > most {
		return errArrowMessage
	}
	for i := range nodes {
		rows, nulls := s.pair(first + 16*i)
		if rows < 0 || rows > most || nulls < -1 || nulls > rows {
			return errArrowMessage
		}
	}
	return nil
}

// pair reads a struct of two numbers.
func (s *flatSchema) pair(at int) (a, b int64) {
	return int64(binary.LittleEndian.Uint64(s.b[at:])), int64(binary.LittleEndian.Uint64(s.b[at+8:]))
}

// expanded is how long a compressed buffer will be.
func expanded(codec byte, offset, n int64, at func(offset, n int64) ([]byte, error)) (int64, error) {
	head, err := at(offset, min(n, 8+zstd.HeaderMaxSize))
	if err != nil {
		return 0, err
	}
	if len(head) < 8 {
		return 0, errArrowMessage
	}
	size := int64(binary.LittleEndian.Uint64(head))
	n -= 8
	switch {
	case size == -1: // as it is
		return n, nil
	case size < 0:
		return 0, errArrowMessage
	case codec != codecZstd:
		if size > mostExpansion*(n+256) {
			return 0, errArrowMessage
		}
		return size, nil
	}
	var h zstd.Header
	if err := h.Decode(head[8:]); err != nil && size > 0 {
		return 0, fmt.Errorf("%w: %w", errArrowMessage, err)
	}
	window := h.WindowSize
	if h.SingleSegment {
		window = h.FrameContentSize
	}
	if h.Skippable || h.HasFCS && h.FrameContentSize != uint64(size) {
		return 0, errArrowMessage
	}
	if window > uint64(max(size, usualWindow)) {
		return 0, fmt.Errorf("%w: a zstd window of %d bytes for a buffer of %d", errArrowMessage, window, size)
	}
	if size <= credible || size/64 <= n {
		return size, nil
	}
	// It may be true, of a column that is always the same. It is decompressed once for that alone.
	whole, err := at(offset, n+8)
	if err != nil {
		return 0, err
	}
	z, err := zstd.NewReader(bytes.NewReader(whole[8:]), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(usualWindow))
	if err != nil {
		return 0, err
	}
	defer z.Close()
	if _, err := io.CopyN(io.Discard, z, size); err != nil {
		return 0, fmt.Errorf("%w: %w", errArrowMessage, err)
	}
	return size, nil
}

// sound has every batch looked at.
func sound(next func() (arrow.RecordBatch, error)) func() (arrow.RecordBatch, error) {
	return func() (arrow.RecordBatch, error) {
		rec, err := next()
		if err == nil {
			err = soundBatch(rec)
		}
		return rec, err
	}
}

// soundBatch refuses a batch whose values are not where its columns say. It looks at those that go on as they are: who reads
// them later would end the process. The others are converted here, where a panic is an error.
func soundBatch(rec arrow.RecordBatch) error {
	for i, c := range rec.Columns() {
		if ft, exact := TypeOf(c.DataType()); !exact && !ft.IsArray() {
			continue
		}
		err := array.Validate(c)
		if err == nil {
			err = soundOffsets(c)
		}
		if err != nil {
			return fmt.Errorf("column %q is damaged: %w", rec.ColumnName(i), err)
		}
	}
	return nil
}

// soundOffsets looks at each offset of texts and lists.
func soundOffsets(c arrow.Array) error {
	if v, ok := c.(array.Validator); ok {
		if err := v.ValidateFull(); err != nil {
			return err
		}
	}
	if l, ok := c.(array.ListLike); ok {
		return soundOffsets(l.ListValues())
	}
	return nil
}
