package serving

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// said is an answer whose bytes are given; guess is what it thinks they are.
type said struct {
	bytes []byte
	guess int
	freed int
}

func (s *said) Size() int                  { return s.guess }
func (s *said) AppendTo(dst []byte) []byte { return append(dst, s.bytes...) }
func (s *said) Free()                      { s.freed++ }

type heard struct{ bytes []byte }

func (h *heard) Decode(b []byte) error {
	h.bytes = bytes.Clone(b)
	return nil
}

func TestCodec(t *testing.T) {
	c := newCodec()
	require.Equal(t, "proto", c.Name())
	for _, n := range []int{0, 1, 1023, 1024, 1025, 2048, 2049, 1 << 20, 5 << 20} {
		for _, guess := range []int{0, n, n + 7} {
			s := &said{bytes: bytes.Repeat([]byte{7}, n), guess: guess}
			out, err := c.Marshal(s)
			require.NoError(t, err)
			require.Equal(t, 1, s.freed)
			require.True(t, bytes.Equal(s.bytes, out.Materialize()), "%d bytes, guess %d", n, guess)
			var h heard
			require.NoError(t, c.Unmarshal(out, &h))
			require.True(t, bytes.Equal(s.bytes, h.bytes))
			out.Free()
		}
	}
	req := churn(ints("id", 1, 2))
	out, err := c.Marshal(req)
	require.NoError(t, err)
	var back weirv1.LookupRequest
	require.NoError(t, c.Unmarshal(out, &back))
	require.True(t, proto.Equal(req, &back))
	_, err = c.Marshal(7)
	require.Error(t, err)

	// What came in pieces is heard as one.
	var h heard
	require.NoError(t, c.Unmarshal(mem.BufferSlice{mem.SliceBuffer("ab"), mem.SliceBuffer("c")}, &h))
	require.Equal(t, "abc", string(h.bytes))
}

// A buffer from the pool has room for what it is asked for, whatever came back before.
func TestBuffers(t *testing.T) {
	var p buffers
	for _, n := range []int{0, 1, 2047, 2048, 2049, 4096, 5000, 1 << 22} {
		for range 3 {
			b := p.Get(n)
			require.Len(t, *b, n)
			*b = append(*b, 1, 2, 3)
			p.Put(b)
		}
	}
	small := make([]byte, 3)
	p.Put(&small)
	require.Len(t, *p.Get(2000), 2000)
}
