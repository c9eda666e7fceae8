package drift

import (
	"os"

	"github.com/cespare/xxhash/v2"

	"github.com/weir-ml/weir/internal/wire"
	"github.com/weir-ml/weir/registry/feature"
)

// joinParts is how many parts of the keys the predictions that do not fit in memory are put into; what is
// held at once is one of them.
const joinParts = 64

// joinBlock is about how many bytes of a part are written at once.
const joinBlock = 32 << 10

// joinFile holds predictions and outcomes by parts of the keys. It has no name: whoever dies leaves nothing behind.
type joinFile struct {
	f                     *os.File
	size                  int64
	predictions, outcomes joinRows
}

// joinRows are the predictions, or the outcomes, of a file.
type joinRows struct {
	of    *joinFile
	parts [joinParts]struct {
		block  []byte // not written yet
		rows   int    // of it
		blocks []fileBlock
	}
}

type fileBlock struct {
	at         int64
	size, rows int
}

func newJoinFile(folder string) (*joinFile, error) {
	if folder != "" {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, joinFileError(err)
		}
	}
	f, err := os.CreateTemp(folder, "weir-predictions-*")
	if err != nil {
		return nil, joinFileError(err)
	}
	_ = os.Remove(f.Name()) // where an open file keeps its name, close removes it
	j := &joinFile{f: f}
	j.predictions.of, j.outcomes.of = j, j
	return j, nil
}

// close frees the space; nil has none.
func (j *joinFile) close() error {
	if j == nil {
		return nil
	}
	if err := j.f.Close(); err != nil {
		return joinFileError(err)
	}
	if err := os.Remove(j.f.Name()); err != nil && !os.IsNotExist(err) {
		return joinFileError(err)
	}
	return nil
}

func joinFileError(err error) error {
	return feature.Errorf(feature.Exhausted, "drift.performance", "predictions that do not fit in memory", "%w", err).
		WithHint("offline.join.spill_dir names the folder for them: make room there, or name one on a larger disk")
}

// add appends a row.
func (r *joinRows) add(hash uint64, key []byte, x *said) error {
	p := &r.parts[hash%joinParts]
	b := p.block
	if b == nil {
		b = make([]byte, 0, joinBlock)
	}
	b = wire.Int(wire.Int(wire.Text(b, key), x.stamp.Event), x.stamp.Known-x.stamp.Event)
	b = wire.Int(wire.Int(b, int64(x.stamp.Partition)), x.stamp.Offset)
	b = wire.Text(wire.Float(append(b, byte(x.is)), x.value.num), x.value.text)
	p.block, p.rows = b, p.rows+1
	if len(b) < joinBlock-512 { // most rows are shorter: the block seldom grows
		return nil
	}
	return r.write(int(hash % joinParts))
}

func (r *joinRows) write(part int) error {
	p := &r.parts[part]
	n, err := r.of.f.WriteAt(p.block, r.of.size)
	if err != nil {
		return joinFileError(err)
	}
	p.blocks = append(p.blocks, fileBlock{r.of.size, n, p.rows})
	r.of.size += int64(n)
	p.block, p.rows = p.block[:0], 0
	return nil
}

// end writes what is left, after the last row.
func (r *joinRows) end() error {
	for i := range r.parts {
		if len(r.parts[i].block) > 0 {
			if err := r.write(i); err != nil {
				return err
			}
		}
		r.parts[i].block = nil
	}
	return nil
}

// read calls fn for the rows of a part; what fn gets is read's.
func (r *joinRows) read(part int, fn func(hash uint64, key []byte, x *said) error) error {
	var buf []byte
	for _, b := range r.parts[part].blocks {
		if cap(buf) < b.size {
			buf = make([]byte, b.size)
		}
		buf = buf[:b.size]
		if _, err := r.of.f.ReadAt(buf, b.at); err != nil {
			return joinFileError(err)
		}
		rd := wire.Read(buf)
		for range b.rows {
			key := rd.Bytes()
			x := said{stamp: feature.Stamp{Event: rd.Int()}}
			x.stamp.Known = x.stamp.Event + rd.Int()
			x.stamp.Partition, x.stamp.Offset = rd.Int32(), rd.Int()
			x.is = presence(rd.Byte())
			x.value.num = rd.Float()
			x.value.text = rd.Text()
			if err := fn(xxhash.Sum64(key), key, &x); err != nil {
				return err
			}
		}
		if err := rd.Done(); err != nil {
			return joinFileError(err)
		}
	}
	return nil
}
