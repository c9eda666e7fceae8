package api

import (
	"errors"
	"io"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/internal/arrowstream"
	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry/feature"
)

// arrowRows are the batches that a client sends in a call, as offline reads rows.
type arrowRows struct {
	*tabular.Stream
	op, what string
	ended    error // by the call, and not by what it brought
}

// newArrowRows reads up to the schema; recv gives the stream's bytes, a message at a time.
func newArrowRows(op, what string, recv func() ([]byte, error)) (_ *arrowRows, err error) {
	r := &arrowRows{op: op, what: what}
	r.Stream, err = tabular.NewStream(&arrowstream.Bytes{Recv: func() ([]byte, error) {
		b, err := recv()
		if err != nil && !errors.Is(err, io.EOF) {
			r.ended = err
		}
		return b, err
	}})
	if err == io.EOF {
		err = errors.New("it ends before its schema")
	}
	return r, r.fault(err)
}

// Read gives the next batch, which belongs to the caller.
func (r *arrowRows) Read() (arrow.RecordBatch, error) {
	rec, err := r.Stream.Read()
	return rec, r.fault(err)
}

func (r *arrowRows) fault(err error) error {
	switch {
	case err == nil || err == io.EOF: // a stream that is cut off wraps it
		return err
	case r.ended != nil:
		return r.ended
	}
	return feature.Errorf(feature.Invalid, r.op, r.what, "not an Arrow IPC stream: %w", err)
}
