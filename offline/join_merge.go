package offline

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
)

// merge gives out the spine's rows with the features that the partitions have.
func (j *joiner) merge(ctx context.Context, s *spooled, sets []*partitioned, sink func(arrow.RecordBatch) error) error {
	m := &merging{j: j}
	for _, p := range sets {
		m.sets = append(m.sets, newMergeSet(p))
	}
	defer m.close()
	err := s.each(ctx, func(rec arrow.RecordBatch, first int64) error {
		for _, set := range m.sets {
			if err := set.readHomes(int(rec.NumRows())); err != nil {
				return err
			}
		}
		for at := 0; at < int(rec.NumRows()); {
			n, err := m.take(at, int(rec.NumRows()))
			if err != nil {
				return err
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			cols, err := m.columns()
			if err != nil {
				return err
			}
			part := rec.NewSlice(int64(at), int64(at+n))
			err = j.give(part, cols, sink)
			part.Release()
			if err != nil {
				return err
			}
			at += n
			j.progress.moved(share(first+int64(at), s.rows))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, set := range m.sets {
		if err := set.drained(); err != nil {
			return err
		}
	}
	return nil
}

type merging struct {
	j    *joiner
	sets []*mergeSet
}

// mergeSet is the features of one key set on their way back into the spine's order.
type mergeSet struct {
	p     *partitioned
	homes *spillReader
	buf   []byte // homes of the batch's rows
	parts []mergePart
	from  []arrow.RecordBatch // that the rows at hand come from
	width []int64             // bytes of a row, by batch of from
	at    []place
}

// mergePart is where a partition's features have been taken to.
type mergePart struct {
	r    *spilledReader
	rec  arrow.RecordBatch
	next int64
	src  int32 // index of rec in from; -1 when it is not there
}

func newMergeSet(p *partitioned) *mergeSet {
	s := &mergeSet{p: p, homes: p.homes.reader()}
	for _, o := range p.out {
		s.parts = append(s.parts, mergePart{r: o.reader(), src: -1})
	}
	return s
}

func (s *mergeSet) readHomes(rows int) error {
	s.buf = sized(s.buf, 2*rows)
	if _, err := io.ReadFull(s.homes, s.buf); err != nil {
		return s.p.homes.file.of.folder.fault(err)
	}
	return nil
}

// take finds where the features of the next rows stand: of all up to rows, or
// of fewer where they are wide.
func (m *merging) take(from, rows int) (int, error) {
	size := int64(0)
	for i := from; i < rows; i++ {
		for _, s := range m.sets {
			w, err := s.take(int(binary.LittleEndian.Uint16(s.buf[2*i:])))
			if err != nil {
				return 0, err
			}
			size += w
		}
		if size > maxOutBytes {
			return i + 1 - from, nil
		}
	}
	return rows - from, nil
}

func (s *mergeSet) take(home int) (width int64, err error) {
	if home == noHome {
		s.at = append(s.at, place{0, -1})
		return 0, nil
	}
	p := &s.parts[home]
	if p.rec == nil || p.next == p.rec.NumRows() {
		if p.rec != nil && p.src < 0 {
			p.rec.Release()
		}
		if p.rec, err = p.r.Read(); err != nil {
			p.rec = nil
			if err == io.EOF {
				err = s.p.homes.file.of.folder.fault(fmt.Errorf("partition %d has fewer rows than belong there", home))
			}
			return 0, err
		}
		p.next, p.src = 0, -1
	}
	if p.src < 0 {
		p.src = int32(len(s.from))
		s.from = append(s.from, p.rec)
		s.width = append(s.width, recordBytes(p.rec)/p.rec.NumRows())
	}
	s.at = append(s.at, place{p.src, int32(p.next)})
	p.next++
	return s.width[p.src], nil
}

// columns makes the service's columns of the rows that were taken.
func (m *merging) columns() ([]arrow.Array, error) {
	cols := make([]arrow.Array, len(m.j.service.Columns))
	for i, s := range m.sets {
		c := 0
		for vi, v := range m.j.views {
			if m.j.shape.setOf[vi] != i {
				continue
			}
			for k, ci := range v.outputs {
				from := make([]arrow.Array, len(s.from))
				for b, rec := range s.from {
					from[b] = rec.Column(c)
				}
				var err error
				if cols[ci], err = gather(v.columns[k].Type, from, s.at); err != nil {
					return nil, err
				}
				c++
			}
		}
		s.let()
	}
	return cols, nil
}

// let forgets the rows at hand, and the batches that are used up.
func (s *mergeSet) let() {
	current := make(map[arrow.RecordBatch]bool, len(s.parts))
	for i := range s.parts {
		if s.parts[i].rec != nil {
			current[s.parts[i].rec] = true
		}
		s.parts[i].src = -1
	}
	for _, rec := range s.from {
		if !current[rec] {
			rec.Release()
		}
	}
	s.from, s.width, s.at = s.from[:0], s.width[:0], s.at[:0]
}

func (s *mergeSet) drained() error {
	for i := range s.parts {
		p := &s.parts[i]
		if p.r.read != p.r.of.rows || p.rec != nil && p.next != p.rec.NumRows() {
			return feature.Errorf(feature.Internal, opJoin, "spine", "partition %d has more rows than belong there", i)
		}
	}
	return nil
}

func (m *merging) close() {
	for _, s := range m.sets {
		for i := range s.parts {
			p := &s.parts[i]
			if p.rec != nil && p.src < 0 {
				s.from = append(s.from, p.rec)
			}
			p.rec = nil
			p.r.close()
		}
		s.let()
	}
}
