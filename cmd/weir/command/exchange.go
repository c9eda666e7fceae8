package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/weir-ml/weir/internal/arrowstream"
	"github.com/weir-ml/weir/internal/tabular"
)

// exchange is a call while rows go up, rows come down and a file is written, each in a
// goroutine of its own. The first of them that fails ends the others, and its error is
// the call's: whoever else stumbles over that end has nothing to say.
type exchange struct {
	ctx  context.Context // of the call
	fail context.CancelCauseFunc
	wg   sync.WaitGroup
}

// newExchange begins a call; its fail must be called in the end, with nil if nothing was wrong.
func newExchange(ctx context.Context) *exchange {
	x := &exchange{}
	x.ctx, x.fail = context.WithCancelCause(ctx)
	return x
}

func (x *exchange) beside(f func() error) {
	x.wg.Go(func() {
		if err := f(); err != nil {
			x.fail(err)
		}
	})
}

// wait is the end of all that goes on beside; it returns the first error, the caller's
// (which fail was told) among them.
func (x *exchange) wait() error {
	x.wg.Wait()
	return context.Cause(x.ctx)
}

// up sends a file's rows as an Arrow IPC stream and closes the sending side.
func (x *exchange) up(stream interface{ CloseSend() error }, rows *tabular.Reader, send func([]byte) error) {
	x.beside(func() error {
		w := arrowstream.NewWriter(rows.Schema(), send)
		for {
			rec, err := rows.Read()
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			err = w.Write(rec)
			rec.Release()
			if errors.Is(err, io.EOF) {
				return nil // the server has ended the call; Recv tells why
			}
			if err != nil {
				return err
			}
		}
		if err := w.Close(); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		return stream.CloseSend()
	})
}

// rowMessages is a call that sends rows, as the bytes of an Arrow IPC stream, before its result.
type rowMessages[M any, R any] struct {
	messages[M]
	data   func(M) []byte
	result func(M) *R
	told   func(M) // the messages before the result; may be nil
}

// down gives the rows of a call to take, and returns the result once that has come.
// It has come, too, where take fails after it. The outcome is wait's.
func down[M any, R any](x *exchange, s rowMessages[M, R], take func(io.Reader) error) *R {
	pr, pw := io.Pipe()
	x.beside(func() error {
		err := take(pr)
		if err != nil {
			x.fail(err)
		}
		_ = pr.CloseWithError(err)
		return nil
	})
	r, err := last(s.messages, s.result, func(m M) {
		if s.told != nil {
			s.told(m)
		}
		if b := s.data(m); len(b) > 0 {
			_, _ = pw.Write(b) // where take is through with it, that has said why
		}
	})
	if err != nil {
		x.fail(err)
	}
	_ = pw.CloseWithError(err) // io.EOF when nil
	return r
}

// notRows is the error of bytes that are no Arrow IPC stream.
func notRows(err error) error { return fmt.Errorf("the server's rows cannot be read: %w", err) }
