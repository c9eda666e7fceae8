package flight

import (
	"errors"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/weir-ml/weir/internal/arrowstream"
	"github.com/weir-ml/weir/registry/feature"
)

// inbox reads the messages of a client. It remembers why they ended, which the
// Arrow reader above it would wrap into something else.
type inbox struct {
	from   arrowflight.DataStreamReader
	most   int // bytes that a message may take, decompressed
	peeked *arrowflight.FlightData
	err    error
	claims *claims // from open on
}

// Recv implements arrowflight.DataStreamReader.
func (b *inbox) Recv() (*arrowflight.FlightData, error) {
	d, err := b.next()
	if err == nil && b.claims != nil && len(d.DataHeader) > 0 {
		if err := b.claims.check(d.DataHeader, d.DataBody); err != nil {
			if feature.KindOf(err) != feature.Exhausted {
				err = invalid("spine", "the stream is no Arrow that could be read: %w", err)
			}
			b.err = err
			return nil, err
		}
	}
	return d, err
}

func (b *inbox) next() (*arrowflight.FlightData, error) {
	if d := b.peeked; d != nil {
		b.peeked = nil
		return d, nil
	}
	if b.err != nil {
		return nil, b.err
	}
	d, err := b.from.Recv()
	b.err = err
	return d, err
}

// peek is the first message, which Recv gives again.
func (b *inbox) peek() (*arrowflight.FlightData, error) {
	d, err := b.Recv()
	if errors.Is(err, io.EOF) {
		return nil, invalid("stream", "it ended without a descriptor").WithHint(exampleCommand)
	}
	b.peeked = d
	return d, err
}

// drain reads to the end. A client that still writes takes an answer before it for a broken connection.
func (b *inbox) drain() error {
	for {
		if _, err := b.Recv(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// open reads up to the schema of the spine.
func (b *inbox) open() (*spine, error) {
	b.claims = newClaims(b.most)
	r, err := arrowflight.NewRecordReader(b, ipc.WithAllocator(b.claims))
	if err != nil {
		if errors.Is(b.err, io.EOF) {
			return nil, invalid("spine", "the stream ended before its schema").WithHint("send the spine as Arrow record batches, then end the stream")
		}
		return nil, b.fault(err)
	}
	return &spine{Reader: r, in: b}, nil
}

// fault is what ended the stream, or else what is wrong with what it brought.
func (b *inbox) fault(err error) error {
	if b.claims != nil && b.claims.err != nil {
		return b.claims.err
	}
	if b.err != nil && !errors.Is(b.err, io.EOF) {
		return b.err
	}
	return invalid("spine", "the stream is no Arrow: %w", err)
}

// spine is a client's spine as offline reads rows.
type spine struct {
	*arrowflight.Reader
	in *inbox
}

// Read gives the next batch, which belongs to the caller.
func (s *spine) Read() (arrow.RecordBatch, error) {
	if !s.Next() {
		if err := s.Err(); err != nil && !errors.Is(err, io.EOF) {
			return nil, s.in.fault(err)
		}
		if s.in.err != nil && !errors.Is(s.in.err, io.EOF) {
			return nil, s.in.err
		}
		return nil, io.EOF
	}
	rec := s.RecordBatch()
	if column, err := arrowstream.Sound(rec); err != nil {
		what := "spine"
		if column != "" {
			what += " column " + column
		}
		return nil, invalid(what, "%w", err)
	}
	rec.Retain()
	return rec, nil
}
