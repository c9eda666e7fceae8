package serving

import (
	"math/bits"
	"sync"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// Encoded is an answer that writes its own bytes on the wire, without a message
// being made of it first. A handler returns one (or sends one on a stream) in the
// place of its message; the bytes must be the ones that message would have.
type Encoded interface {
	// Size is how many bytes AppendTo will write: exactly, or a few too many.
	Size() int
	// AppendTo writes the message behind dst.
	AppendTo(dst []byte) []byte
	// Free gives memory back. The codec calls it once, after AppendTo; who gets an
	// Encoded and does not send it calls it.
	Free()
}

// Decodable is a request that reads its own bytes, which are the caller's again afterwards.
type Decodable interface {
	Decode(data []byte) error
}

// codec is gRPC's codec of protobuf messages, and of what is Encoded or Decodable.
type codec struct {
	encoding.CodecV2 // of everything else
	pool             *buffers
}

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name), &buffers{}} }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	e, ok := v.(Encoded)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	defer e.Free()
	b := c.pool.Get(e.Size())
	*b = e.AppendTo((*b)[:0])
	return mem.BufferSlice{mem.NewBuffer(b, c.pool)}, nil
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	d, ok := v.(Decodable)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	b := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer b.Free()
	return d.Decode(b.ReadOnlyData())
}

// buffers keeps buffers for messages, in classes of powers of two. Unlike gRPC's own
// pool it does not clear them: who gets one writes all of what is sent.
type buffers struct{ class [21]sync.Pool }

// smallest is the least capacity kept: gRPC gives nothing smaller back. The largest is 1<<20 times that.
const smallest = 11

func classOf(size int) int { return max(bits.Len(uint(max(size, 1)-1))-smallest, 0) }

// Get gives a buffer of that length, with anything in it.
func (p *buffers) Get(size int) *[]byte {
	c := classOf(size)
	if c >= len(p.class) {
		b := make([]byte, size)
		return &b
	}
	if b, ok := p.class[c].Get().(*[]byte); ok {
		*b = (*b)[:size]
		return b
	}
	b := make([]byte, size, 1<<(c+smallest))
	return &b
}

// Put takes a buffer back; one that has grown goes where it is still large enough.
func (p *buffers) Put(b *[]byte) {
	c := bits.Len(uint(cap(*b))) - 1 - smallest
	if c >= 0 && c < len(p.class) {
		p.class[c].Put(b)
	}
}
