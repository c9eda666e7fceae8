package flight

import (
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
)

// inbox reads the messages of a client. It remembers why they ended, which the
// Arrow reader above it would wrap into something else.
type inbox struct {
	from   arrowflight.DataStreamReader
	peeked *arrowflight.FlightData
	err    error
}

// Recv implements arrowflight.DataStreamReader.
func (b *inbox) Recv() (*arrowflight.FlightData, error) {
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
	r, err := arrowflight.NewRecordReader(b)
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
	if err := sound(rec); err != nil {
		return nil, err
	}
	rec.Retain()
	return rec, nil
}

// sound checks what Arrow's reader takes on trust: positions within the data.
func sound(rec arrow.RecordBatch) error {
	for i, c := range rec.Columns() {
		if err := soundArray(c); err != nil {
			return invalid("spine column "+rec.ColumnName(i), "broken Arrow data: %w", err)
		}
	}
	return nil
}

func soundArray(a arrow.Array) (err error) {
	defer func() {
		if p := recover(); p != nil { // what is checked may be too broken for the check
			err = fmt.Errorf("%v", p)
		}
	}()
	if v, ok := a.(interface{ ValidateFull() error }); ok {
		if err := v.ValidateFull(); err != nil {
			return err
		}
	}
	switch a := a.(type) {
	case *array.Dictionary:
		n := a.Dictionary().Len()
		for i := range a.Len() {
			if a.IsValid(i) && (a.GetValueIndex(i) < 0 || a.GetValueIndex(i) >= n) {
				return errors.New("a value is not in the dictionary")
			}
		}
		return soundArray(a.Dictionary())
	case array.ExtensionArray:
		return soundArray(a.Storage())
	case *array.Struct:
		for i := range a.NumField() {
			if err := soundArray(a.Field(i)); err != nil {
				return err
			}
		}
	case array.ListLike:
		return soundArray(a.ListValues())
	}
	return nil
}
