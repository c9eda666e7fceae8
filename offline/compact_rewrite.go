package offline

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// errForeign is why files are left alone that have a column of a type that Weir does not know.
var errForeign = errors.New("another engine's column of a type that Weir cannot write")

// rewrite writes the rows of the files into new ones; nothing is committed.
func (m *merger) rewrite(ctx context.Context, c compaction, name string, created int64) ([]File, error) {
	m.reset()
	var files []File
	var err error
	if c.mend {
		files, err = m.mend(ctx, c, name, created)
	} else {
		files, err = m.mergeFiles(ctx, c, name, created)
	}
	m.inputs = nil
	if err != nil {
		return nil, err
	}
	return files, m.check(c.rows)
}

// mergeFiles merges sorted files: the smallest are held in memory, as many as
// may be; of the others only what is being written.
func (m *merger) mergeFiles(ctx context.Context, c compaction, name string, created int64) ([]File, error) {
	files := slices.Clone(c.files)
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Rows, b.Rows) })
	var inputs []*mergeInput
	var open []*dataFile
	defer func() {
		for _, d := range open {
			d.close()
		}
		m.giveBack(inputs)
	}()
	day, _ := files[0].day()
	used := int64(0)
	for _, f := range files {
		if f.Rows == 0 {
			continue
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		small := used+f.Rows*m.shape.rowBytes() <= m.memory
		r, err := m.open(ctx, f, small)
		if err != nil {
			return nil, err
		}
		var in *mergeInput
		if small = small && used+f.Rows*r.width() <= m.memory; small {
			in, err = m.hold(ctx, r, f, 0, r.rows(), true, m.take(r.rows()))
			r.file.close()
		} else {
			open = append(open, r.file)
			in, err = m.stream(ctx, r, f)
		}
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, in)
		if small {
			used += in.size()
		}
	}
	if len(inputs) == 0 {
		return nil, nil
	}
	return m.merge(ctx, inputs, day, name, created)
}

// mend sorts files in runs: as many rows as memory takes are read, sorted, and
// merged into files of their own. The files of several runs overlap; that they
// are sorted is what matters, and the small ones are merged later as any others.
func (m *merger) mend(ctx context.Context, c compaction, name string, created int64) ([]File, error) {
	var out []File
	var inputs []*mergeInput
	used := int64(0)
	defer func() { m.giveBack(inputs) }()
	flush := func() error {
		byDay := map[int32][]*mergeInput{}
		var days []int32
		for _, in := range inputs {
			for _, part := range in.days() {
				day := DayOf(part.sort.eff[part.at])
				if byDay[day] == nil {
					days = append(days, day)
				}
				byDay[day] = append(byDay[day], part)
			}
		}
		slices.Sort(days)
		for _, d := range days {
			fs, err := m.merge(ctx, byDay[d], d, fmt.Sprintf("%s-%d", name, len(out)), created)
			if err != nil {
				return err
			}
			out = append(out, fs...)
		}
		m.giveBack(inputs)
		inputs, used = nil, 0
		return nil
	}
	for _, f := range c.files {
		r, err := m.open(ctx, f, false)
		if err != nil {
			return nil, err
		}
		err = func() error {
			defer r.file.close()
			width := max(m.shape.rowBytes(), r.width())
			most := max(1024, m.memory/width)
			for lo := int64(0); lo < r.rows(); lo += most {
				hi := min(r.rows(), lo+most)
				if used > 0 && used+(hi-lo)*width > m.memory {
					if err := flush(); err != nil {
						return err
					}
				}
				in, err := m.hold(ctx, r, f, lo, hi, false, m.take(hi-lo))
				if err != nil {
					return err
				}
				inputs = append(inputs, in)
				used += in.size()
			}
			return nil
		}()
		if err != nil {
			return nil, err
		}
	}
	return out, flush()
}

// days cuts rows that were sorted by day first.
func (in *mergeInput) days() []*mergeInput {
	var parts []*mergeInput
	for lo := 0; lo < in.n; {
		day := DayOf(in.sort.eff[lo])
		hi := lo + 1
		for hi < in.n && DayOf(in.sort.eff[hi]) == day {
			hi++
		}
		part := *in
		part.at, part.n = lo, hi
		parts = append(parts, &part)
		lo = hi
	}
	return parts
}

// open opens a file; whole reads it with one call first.
func (m *merger) open(ctx context.Context, f File, whole bool) (*rowReader, error) {
	t := m.table
	if whole && f.Bytes <= wholeBytes {
		t = wholeFiles{t, &m.whole}
	}
	d, err := openData(ctx, t, f.Path)
	if err != nil {
		return nil, err
	}
	r := newRowReader(d)
	lost := slices.IndexFunc(m.shape.cols, func(c Column) bool { return slices.Contains(f.Has, c.ID) && d.column(c) == nil })
	switch {
	case lost >= 0:
		// A footer has no checksum, and what is written as null here is gone with the file.
		err = dataError(f.Path, m.shape.cols[lost].Name, errors.New("the table says that the file has the column, and its footer has none of that id"))
	case r.rows() != f.Rows:
		err = dataError(f.Path, "", errors.New("it has other rows than the table says"))
	case slices.ContainsFunc(m.shape.foreign, func(id int) bool { return d.byID[id] != nil }):
		err = feature.Errorf(feature.Unsupported, opCompact, f.Path, "%w", errForeign)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return r, nil
}

// width is how many bytes a row of the file takes uncompressed.
func (r *rowReader) width() int64 {
	var n int64
	for _, g := range r.file.pf.Metadata().RowGroups {
		n += g.TotalByteSize
	}
	return n / max(1, r.rows())
}

// wholeBytes is how large a file may be that is read with one call: an object
// store answers one call for all columns sooner than one for each.
const wholeBytes = 16 << 20

// wholeFiles is a table whose files are read into memory when they are opened,
// one after the other into the same.
type wholeFiles struct {
	Table
	memory *[]byte
}

func (t wholeFiles) Open(ctx context.Context, path string) (FileReader, error) {
	r, err := t.Table.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	*t.memory = sized(*t.memory, int(r.Size()))
	b := *t.memory
	if n, err := r.ReadAt(b, 0); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, dataError(path, "", err)
	}
	return wholeFile{bytes.NewReader(b)}, nil
}

type wholeFile struct{ *bytes.Reader }

func (wholeFile) Close() error { return nil }

// size is the memory that a held input takes.
func (in *mergeInput) size() int64 {
	n := int64(8*cap(in.sort.keys.prefix) + 4*cap(in.sort.keys.ends) + cap(in.sort.keys.data))
	for ci := range in.held {
		n += in.held[ci].size()
	}
	return n
}

// take returns memory for an input of so many rows, that of an earlier one if it
// was about as large: what is much larger would be held for nothing.
func (m *merger) take(rows int64) []columnData {
	if len(m.free) > 0 {
		h := m.free[0]
		if int64(cap(h[m.shape.eff].int64s)) <= 2*rows+4096 {
			m.free = m.free[1:]
			return h
		}
		m.free = nil
	}
	return make([]columnData, len(m.shape.cols))
}

func (m *merger) giveBack(inputs []*mergeInput) {
	m.free = nil
	for _, in := range inputs {
		if in.held != nil {
			m.free = append(m.free, in.held)
		}
	}
}
