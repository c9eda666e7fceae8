package offline

import (
	"context"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// stages hands each batch to several takers that run beside one another and
// beside whoever makes the next batch: of a training set, those that hash it, profile
// it and send it off. Every taker sees all batches in their order, one at a time.
type stages struct {
	ctx    context.Context
	end    context.CancelCauseFunc
	queues []chan arrow.RecordBatch
	wg     sync.WaitGroup
}

// stageDepth is how many batches a taker may be behind; they stay in memory.
const stageDepth = 2

// inStages starts the takers. finish must be called. With ctx they
// get no more batches; what blocks inside a taker must end with ctx by itself.
func inStages(ctx context.Context, takers ...func(arrow.RecordBatch) error) *stages {
	s := &stages{}
	s.ctx, s.end = context.WithCancelCause(ctx)
	for _, take := range takers {
		queue := make(chan arrow.RecordBatch, stageDepth)
		s.queues = append(s.queues, queue)
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			for rec := range queue {
				if s.ctx.Err() == nil {
					if err := take(rec); err != nil {
						s.end(err)
					}
				}
				rec.Release()
			}
		}()
	}
	return s
}

// write hands a batch over, and waits where a taker is too far behind. The error is
// the first that a taker had, maybe with an earlier batch, or that of ctx.
func (s *stages) write(rec arrow.RecordBatch) error {
	for _, c := range rec.Columns() {
		countNulls(c.Data())
	}
	for _, queue := range s.queues {
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		rec.Retain()
		select {
		case queue <- rec:
		case <-s.ctx.Done():
			rec.Release()
			return context.Cause(s.ctx)
		}
	}
	return nil
}

// countNulls counts those of a part of another array: Arrow does so when it is first
// asked, and writes it down, which takers beside one another must not.
func countNulls(d arrow.ArrayData) {
	if d.NullN() < 0 {
		a := array.MakeFromData(d)
		a.NullN()
		a.Release()
	}
	for _, c := range d.Children() {
		countNulls(c)
	}
	if d.DataType().ID() == arrow.DICTIONARY {
		countNulls(d.Dictionary())
	}
}

// finish waits until the takers are through with what was handed over; with an error
// of the caller's they get no more. It returns the first error of all. There is no write after it.
func (s *stages) finish(err error) error {
	if err != nil {
		s.end(err)
	}
	for _, queue := range s.queues {
		close(queue)
	}
	s.wg.Wait()
	if s.ctx.Err() != nil {
		err = context.Cause(s.ctx)
	}
	s.end(nil)
	return err
}
