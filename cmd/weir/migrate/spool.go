package migrate

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// buckets is into how many parts rows are dealt by their key, each of which is sorted
// in memory by itself. It settles the order of rows in files, so it never changes.
const buckets = 256

// held is how much of a bucket gathers before it is written.
const held = 16 << 10

// Spool keeps records on disk and gives them back in an order that depends on
// nothing but the records, each once.
type Spool struct {
	dir  string
	bufs [buckets][]byte
	rows int64
}

// NewSpool makes a spool in a folder of its own below dir.
func NewSpool(dir string) (*Spool, error) {
	d, err := os.MkdirTemp(dir, "spool-*")
	if err != nil {
		return nil, full(dir, err)
	}
	return &Spool{dir: d}, nil
}

// Close removes what was kept.
func (s *Spool) Close() error { return os.RemoveAll(s.dir) }

// Rows is how many records were added.
func (s *Spool) Rows() int64 { return s.rows }

// Add keeps a record of a key.
func (s *Spool) Add(key, record []byte) error {
	h := fnv.New32a()
	_, _ = h.Write(key)
	i := h.Sum32() % buckets
	b := binary.AppendUvarint(s.bufs[i], uint64(len(record)))
	s.bufs[i] = append(b, record...)
	s.rows++
	if len(s.bufs[i]) >= held {
		return s.flush(int(i))
	}
	return nil
}

func (s *Spool) path(i int) string { return filepath.Join(s.dir, fmt.Sprintf("%03d", i)) }

func (s *Spool) flush(i int) error {
	if len(s.bufs[i]) == 0 {
		return nil
	}
	f, err := os.OpenFile(s.path(i), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return full(s.dir, err)
	}
	_, err = f.Write(s.bufs[i])
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	s.bufs[i] = s.bufs[i][:0]
	return full(s.dir, err)
}

// All gives the records in their order. A record is valid until the next one. Nothing is added any more.
func (s *Spool) All() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for i := range buckets {
			all, err := s.bucket(i)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, r := range all {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

func (s *Spool) bucket(i int) ([][]byte, error) {
	if err := s.flush(i); err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(s.path(i))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, full(s.dir, err)
	}
	var all [][]byte
	for len(raw) > 0 {
		n, size := binary.Uvarint(raw)
		if size <= 0 || n > uint64(len(raw)-size) {
			return nil, full(s.dir, fmt.Errorf("the spool is damaged"))
		}
		all = append(all, raw[size:size+int(n)])
		raw = raw[size+int(n):]
	}
	slices.SortFunc(all, bytes.Compare)
	return slices.CompactFunc(all, bytes.Equal), nil
}

// full is the error of a folder that cannot be written or read; nil stays nil.
func full(dir string, err error) error {
	if err == nil {
		return nil
	}
	return feature.Errorf(feature.Exhausted, "migrate.spool", dir, "%w", err).WithHint("name a folder with room with --spool")
}
