package offline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// groupText is the most that a row group's rows may take, all columns together.
const groupText = 256 << 20

// merge writes the rows of the inputs, of one day, in order, into as many files
// as their sizes ask for, each as long as the others.
func (m *merger) merge(ctx context.Context, inputs []*mergeInput, day int32, name string, created int64) (files []File, err error) {
	var rows, size, width int64
	for _, in := range inputs {
		n := int64(in.n - in.at)
		if in.reader != nil {
			n = in.reader.rows()
			width = max(width, in.reader.width())
		} else {
			var held int64
			for ci := range in.held {
				held += in.held[ci].size()
			}
			width = max(width, held/max(1, int64(in.n)))
		}
		rows += n
		if in.file.Rows > 0 {
			size += in.file.Bytes * n / in.file.Rows
		}
	}
	if err := m.begin(ctx, inputs); err != nil {
		return nil, err
	}
	// Inputs that were kept a little too large make no file of a few rows.
	count := max(1, (rows+m.cfg.Compact.FileRows-1)/m.cfg.Compact.FileRows, (size*4/5+m.cfg.Compact.FileBytes-1)/m.cfg.Compact.FileBytes)
	m.group = int(min(int64(m.cfg.RowGroupRows), max(1024, groupText/max(1, width))))
	for i := range count {
		n := rows / (count - i)
		rows -= n
		if n == 0 {
			continue
		}
		f, err := m.file(ctx, n, fmt.Sprintf("%s/%s-%d.parquet", dayName(day), name, i))
		if err != nil {
			return nil, err
		}
		if d, known := f.day(); !known || d != day {
			return nil, &unsortedError{} // some file's bounds are wrong; what sorts also parts by day
		}
		f.CreatedAt = created
		files = append(files, f)
	}
	return files, nil
}

// file writes the next rows into one file.
func (m *merger) file(ctx context.Context, rows int64, name string) (f File, err error) {
	fw, err := m.table.Create(ctx, name)
	if err != nil {
		return File{}, err
	}
	defer fw.Abort()
	defer func() {
		if p := recover(); p != nil {
			// The encoder panics on faults of the schema; its buffers are not to be trusted after one.
			m.enc = newFileEncoder(m.shape.view, m.shape.cols, m.cfg)
			err = feature.Errorf(feature.Internal, opCompact, name, "writing parquet: %v", p)
		}
	}()
	m.enc.start(fw)
	for rows > 0 {
		if ctx.Err() != nil {
			return File{}, context.Cause(ctx)
		}
		n := int(min(rows, int64(m.group)))
		if err := m.writeGroup(ctx, n); err != nil {
			return File{}, err
		}
		rows -= int64(n)
		m.progress(int64(n))
	}
	if f, err = m.enc.finish(); err != nil {
		return File{}, fileError(name, err)
	}
	for ci := range f.Stats {
		m.nulls[ci] -= f.Stats[ci].NullRows
	}
	m.out.rows += f.Rows
	f.Path, err = fw.Commit()
	return f, err
}

// writeGroup writes the next n rows as a row group.
func (m *merger) writeGroup(ctx context.Context, n int) error {
	m.src, m.pos, m.ends = sized(m.src, n), sized(m.pos, n), sized(m.ends, len(m.inputs)+1)
	if err := m.next(ctx, m.src); err != nil {
		return err
	}
	// Rows by input: counted, then put behind each other.
	clear(m.ends)
	for _, i := range m.src {
		m.ends[i+1]++
	}
	for i := range len(m.inputs) {
		m.ends[i+1] += m.ends[i]
	}
	starts := slices.Clone(m.ends)
	for row, i := range m.src {
		m.pos[starts[i]] = uint32(row)
		starts[i]++
	}
	err := m.enc.group(n, func(ci int) (*columnData, error) { return m.gather(ctx, ci, n) })
	for i, in := range m.inputs {
		in.first += int64(m.ends[i+1] - m.ends[i])
	}
	var fe *feature.Error
	if err != nil && !errors.As(err, &fe) && ctx.Err() == nil {
		return fileError("of a merge", err)
	}
	return err
}

// gather fetches one column of the row group at hand.
func (m *merger) gather(ctx context.Context, ci, n int) (*columnData, error) {
	c, dict := m.shape.cols[ci], m.dicts[ci]
	g := &m.column
	g.begin(c.Type, n, dict)
	for i, in := range m.inputs {
		pos := m.pos[m.ends[i]:m.ends[i+1]]
		if len(pos) == 0 {
			continue
		}
		if in.held != nil {
			g.put(c.Type, pos, &in.held[ci], int(in.first), dict)
			continue
		}
		from := &m.scratch
		if isText(c.Type) {
			from = &columnData{} // the texts are copied when all inputs have been asked
		}
		if err := in.reader.read(ctx, c, dict, in.first, in.first+int64(len(pos)), from); err != nil {
			return nil, err
		}
		m.nulls[ci] += int64(bytes.Count(from.valid, []byte{0}))
		g.put(c.Type, pos, from, 0, dict)
	}
	switch ci {
	case m.shape.eff:
		m.out.eff += mixedSum(g.int64s[:n])
	case m.shape.known:
		m.out.known += mixedSum(g.int64s[:n])
	case m.shape.offs:
		m.out.offs += mixedSum(g.int64s[:n])
	case m.shape.partition:
		m.out.partition += mixedSum(g.int32s[:n])
	}
	return g.done(c.Type, dict)
}

// check refuses a rewrite that has other rows than the files it is to replace.
func (m *merger) check(rows int64) error {
	if m.in != m.out || m.in.rows != rows || slices.ContainsFunc(m.nulls, func(n int64) bool { return n != 0 }) {
		return feature.Errorf(feature.Internal, opCompact, "view "+m.shape.view.ID(), "what was written (%d rows) is not what was read (%d of %d rows)", m.out.rows, m.in.rows, rows)
	}
	return nil
}
