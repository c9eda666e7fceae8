package tabular

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
)

// arrowFile is an Arrow file, whose messages are found by way of its footer. arrow-go reads it; what it is about to read is looked
// at before.
type arrowFile struct {
	r       io.ReaderAt
	size    int64
	layout  arrowLayout
	batches []arrowBlock
	*ipc.FileReader
}

// arrowBlock is where a message is.
type arrowBlock struct{ offset, meta, body int64 }

var errArrowFooter = errors.New("the file's footer is damaged, or the file is not whole")

// openArrowFile reads a file's footer, its schema and its dictionaries.
func openArrowFile(src *source) (f *arrowFile, err error) {
	defer func() {
		if p := recover(); p != nil {
			f, err = nil, fmt.Errorf("%w: %v", errArrowFooter, p)
		}
	}()
	f = &arrowFile{r: src.f, size: src.size} // arrow-go's reads are counted
	if err := f.footer(); err != nil {
		return nil, err
	}
	f.FileReader, err = ipc.NewFileReader(countingReaderAt{src})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// footer looks at the footer, and at the dictionaries, which arrow-go reads when it opens the file.
func (f *arrowFile) footer() error {
	const tail = 10 // the footer's length, and the mark
	if f.size < 8+tail {
		return errArrowFooter
	}
	b, err := f.part(f.size-tail, tail)
	if err != nil {
		return err
	}
	n := int64(binary.LittleEndian.Uint32(b))
	if n < 8 || n > f.size-8-tail {
		return errArrowFooter
	}
	if b, err = f.part(f.size-tail-n, n); err != nil {
		return err
	}
	s := flatSchema{b: b, left: 16 * len(b)}
	root := s.follow(0)
	schema := s.field(root, footerSchema)
	if schema == 0 {
		return errArrowFooter
	}
	if !f.layout.read(&s, s.follow(schema)) {
		return errArrowFooter
	}
	dictionaries, ok := s.blocks(root, footerDictionaries)
	if !ok {
		return errArrowFooter
	}
	if f.batches, ok = s.blocks(root, footerRecordBlocks); !ok {
		return errArrowFooter
	}
	for _, block := range dictionaries {
		if err := f.sound(block); err != nil {
			return err
		}
	}
	return nil
}

func (s *flatSchema) blocks(root, field int) ([]arrowBlock, bool) {
	const size = 24
	first, n, ok := s.vector(root, field, size)
	out := make([]arrowBlock, n)
	for i := range out {
		at := first + size*i
		offset, meta := s.pair(at)
		_, body := s.pair(at + 8)
		out[i] = arrowBlock{offset, int64(int32(meta)), body}
	}
	return out, ok
}

// part reads from the file.
func (f *arrowFile) part(offset, n int64) ([]byte, error) {
	b := make([]byte, n)
	if _, err := f.r.ReadAt(b, offset); err != nil {
		return nil, broken(err)
	}
	return b, nil
}

// sound looks at a message.
func (f *arrowFile) sound(block arrowBlock) error {
	if block.offset < 0 || block.meta < 8 || block.body < 0 || block.offset > f.size || block.meta > f.size-block.offset || block.body > f.size-block.offset-block.meta {
		return errArrowFooter
	}
	meta, err := f.part(block.offset, block.meta)
	if err != nil {
		return err
	}
	prefix := 4
	if binary.LittleEndian.Uint32(meta) == continued {
		prefix = 8
	}
	body := block.offset + block.meta
	return f.layout.sound(meta[prefix:], block.body, func(offset, n int64) ([]byte, error) { return f.part(body+offset, n) })
}

// batch reads a batch, which is good until the next.
func (f *arrowFile) batch(i int) (arrow.RecordBatch, error) {
	if i >= len(f.batches) {
		return nil, io.EOF
	}
	if err := f.sound(f.batches[i]); err != nil {
		return nil, err
	}
	return f.RecordBatch(i)
}
