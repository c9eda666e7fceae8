package arrowstream

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
)

const (
	// message is the most bytes that are sent at once.
	message = 1 << 20
	// direct is from how many bytes on what is written is sent as it is. Less is
	// gathered first: a batch of short columns would be dozens of messages.
	direct = 256 << 10
)

// NewWriter returns a writer of batches; send gets the stream's bytes, at most 1 MiB
// at a time. They may be those of the batch itself and are used again, so send changes
// nothing and is through with them when it returns: a call of gRPC has encoded its message by then.
func NewWriter(schema *arrow.Schema, send func([]byte) error) *ipc.Writer {
	return ipc.NewWriterWithPayloadWriter(&parts{send: send}, ipc.WithSchema(schema))
}

// parts cuts and joins what a stream is written in.
type parts struct {
	send func([]byte) error
	held []byte
}

// Start implements ipc.PayloadWriter.
func (p *parts) Start() error { return nil }

// WritePayload implements ipc.PayloadWriter: the schema, or a batch.
func (p *parts) WritePayload(payload ipc.Payload) error {
	if _, err := payload.WritePayload(p); err != nil {
		return err
	}
	return p.flush()
}

// Close ends the stream with the mark that the format has for it.
func (p *parts) Close() error { return p.send([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}) }

func (p *parts) Write(b []byte) (int, error) {
	if len(b) < direct {
		if len(p.held)+len(b) > message {
			if err := p.flush(); err != nil {
				return 0, err
			}
		}
		if p.held == nil {
			p.held = make([]byte, 0, message)
		}
		p.held = append(p.held, b...)
		return len(b), nil
	}
	if err := p.flush(); err != nil {
		return 0, err
	}
	for rest := b; len(rest) > 0; {
		n := min(len(rest), message)
		if err := p.send(rest[:n:n]); err != nil {
			return len(b) - len(rest), err
		}
		rest = rest[n:]
	}
	return len(b), nil
}

func (p *parts) flush() error {
	if len(p.held) == 0 {
		return nil
	}
	err := p.send(p.held)
	p.held = p.held[:0]
	return err
}

// Bytes reads the bytes of a stream out of messages; its Read ends with Recv's error.
type Bytes struct {
	Recv func() ([]byte, error)
	left []byte
}

// Read implements io.Reader.
func (s *Bytes) Read(p []byte) (int, error) {
	for len(s.left) == 0 {
		b, err := s.Recv()
		if err != nil {
			return 0, err
		}
		s.left = b
	}
	n := copy(p, s.left)
	s.left = s.left[n:]
	return n, nil
}
