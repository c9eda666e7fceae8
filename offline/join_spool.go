package offline

import (
	"context"
	"errors"
	"io"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
)

// spooled is a spine that was read to its end: in memory, or where it and what is
// joined to it take more than a join may, on disk.
type spooled struct {
	chunk  spineChunk
	disk   *spilledBatches // nil: all is in chunk
	rows   int64
	bytes  int64
	memory int64 // that joining it at once takes
}

// spool reads the whole spine. Nothing is given out before that: a client that
// sends all of it and reads the answer then cannot come to wait for us while we wait for it.
func (j *joiner) spool(ctx context.Context, spine Spine, onDisk bool) (_ *spooled, err error) {
	s := &spooled{}
	defer func() {
		if err != nil {
			s.chunk.release()
		}
	}()
	if onDisk {
		if err := s.spill(j); err != nil {
			return nil, err
		}
	}
	perRow := j.rowBytes()
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		rec, err := spine.Rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, err
		}
		err = s.take(j, rec, perRow)
		rec.Release()
		if err != nil {
			return nil, err
		}
		j.progress.read(s.rows, spine.Count)
	}
	if s.disk != nil {
		return s, s.disk.end()
	}
	return s, nil
}

func (s *spooled) take(j *joiner, rec arrow.RecordBatch, perRow int64) error {
	if !sameTypes(rec.Schema(), j.shape.schema) {
		return feature.Errorf(feature.Invalid, opJoin, "spine", "a batch has other columns than the first").
			WithHint("send all batches with one schema")
	}
	s.rows += rec.NumRows()
	s.bytes += recordBytes(rec)
	s.memory = s.bytes + s.rows*perRow
	if s.disk == nil && (s.memory > j.memory || s.rows > maxChunkRows) {
		if err := s.spill(j); err != nil {
			return err
		}
	}
	return outPieces(rec, func(p arrow.RecordBatch) error {
		if s.disk != nil {
			return s.disk.write(p)
		}
		s.chunk.add(p)
		return nil
	})
}

// spill moves what has been read to disk, where all that follows goes.
func (s *spooled) spill(j *joiner) error {
	f, err := j.spill.create("spine")
	if err != nil {
		return err
	}
	s.disk = newSpilledBatches(f, j.shape.schema, streamBlock(j.memory, 1))
	for _, rec := range s.chunk.recs {
		if err := s.disk.write(rec); err != nil {
			return err
		}
	}
	s.chunk.release()
	s.chunk.rows = 0
	return nil
}

// streamBlock is the size of a block where that many streams are written at once.
func streamBlock(memory int64, streams int) int {
	return int(max(4<<10, min(256<<10, memory/int64(8*streams))))
}
