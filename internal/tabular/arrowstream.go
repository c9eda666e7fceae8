package tabular

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/internal/arrowstream"
)

// Stream is an Arrow IPC stream from somebody else: every length in it has to fit into what there is before room is made for it,
// and its values have to be where their columns say.
type Stream struct{ r *ipc.Reader }

// NewStream reads up to the schema. Its error, and those of Read, are about the bytes.
func NewStream(r io.Reader) (s *Stream, err error) {
	defer damaged(&err)
	in, err := ipc.NewReaderFromMessageReader(newMessages(r))
	if err != nil {
		return nil, err
	}
	return &Stream{in}, nil
}

// Schema is the stream's.
func (s *Stream) Schema() *arrow.Schema { return s.r.Schema() }

// Read gives the next batch, which belongs to the caller; io.EOF when there is none.
func (s *Stream) Read() (rec arrow.RecordBatch, err error) {
	defer damaged(&err)
	if rec, err = s.next(); err != nil {
		return nil, err
	}
	if column, err := arrowstream.Sound(rec); err != nil {
		if column != "" {
			err = fmt.Errorf("column %q: %w", column, err)
		}
		return nil, err
	}
	rec.Retain()
	return rec, nil
}

// next is the next batch, which is good until the one after it.
func (s *Stream) next() (arrow.RecordBatch, error) {
	if s.r.Next() {
		return s.r.RecordBatch(), nil
	}
	if err := s.r.Err(); err != nil {
		return nil, err
	}
	return nil, io.EOF
}

// Release lets go of what was read last.
func (s *Stream) Release() { s.r.Release() }

// damaged makes an error of a panic of what reads damaged bytes.
func damaged(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("it is damaged: %v", p)
	}
}

// messages reads the messages of an Arrow stream, as arrow-go's own reader does, but makes room for what they say that they
// are only as it comes: a stream has no length that could be asked.
type messages struct {
	r      io.Reader
	refs   atomic.Int64
	msg    *ipc.Message
	layout arrowLayout // of the schema, which comes first
}

func newMessages(r io.Reader) *messages {
	m := &messages{r: r}
	m.refs.Add(1)
	return m
}

// Retain implements ipc.MessageReader.
func (m *messages) Retain() { m.refs.Add(1) }

// Release implements ipc.MessageReader.
func (m *messages) Release() {
	if m.refs.Add(-1) == 0 && m.msg != nil {
		m.msg.Release()
		m.msg = nil
	}
}

// Message implements ipc.MessageReader: it is good until the next.
func (m *messages) Message() (*ipc.Message, error) {
	var head [4]byte
	if _, err := io.ReadFull(m.r, head[:]); err != nil {
		return nil, fmt.Errorf("reading a message: %w", err) // io.EOF where the end has no mark
	}
	length := binary.LittleEndian.Uint32(head[:])
	if length == continued { // since Arrow 0.15
		if _, err := io.ReadFull(m.r, head[:]); err != nil {
			return nil, broken(err)
		}
		length = binary.LittleEndian.Uint32(head[:])
	}
	if length == 0 {
		return nil, io.EOF
	}
	if length < 8 || length > 1<<31-1 {
		return nil, errArrowMessage
	}
	meta := memory.NewResizableBuffer(memory.DefaultAllocator)
	defer meta.Release()
	if err := fill(meta, m.r, int64(length)); err != nil {
		return nil, err
	}
	size, err := bodySize(meta.Bytes())
	if err != nil {
		return nil, err
	}
	if err := m.layout.sound(meta.Bytes(), size, nil); err != nil {
		return nil, err
	}
	body := memory.NewResizableBuffer(memory.DefaultAllocator)
	defer body.Release()
	if err := fill(body, m.r, size); err != nil {
		return nil, err
	}
	err = m.layout.sound(meta.Bytes(), size, func(offset, n int64) ([]byte, error) { return body.Bytes()[offset : offset+n], nil })
	if err != nil {
		return nil, err
	}
	if m.msg != nil {
		m.msg.Release()
	}
	m.msg = ipc.NewMessage(meta, body)
	return m.msg, nil
}

// bodySize is how long a message says that its body is.
func bodySize(meta []byte) (n int64, err error) {
	defer func() {
		if recover() != nil {
			err = errArrowMessage
		}
	}()
	s := flatSchema{b: meta}
	if n = s.int64(s.follow(0), messageBody); n < 0 {
		return 0, errArrowMessage
	}
	return n, nil
}

// firstRoom is what is made room for at once; twice as much each time it has come.
const firstRoom = 4 << 20

func fill(b *memory.Buffer, r io.Reader, n int64) error {
	for have := int64(0); have < n; {
		next := min(n, max(firstRoom, 2*have))
		b.Resize(int(next))
		if _, err := io.ReadFull(r, b.Bytes()[have:next]); err != nil {
			return broken(err)
		}
		have = next
	}
	return nil
}

// broken is the error of a stream that ends within a message.
func broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("reading a message: %w", err)
}
