package offline

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/registry/feature"
)

// spill is what one join has on disk. It belongs to the join's own goroutine;
// only reading is safe from several at once.
type spill struct {
	folder  *spillFolder
	limit   int64 // bytes; 0 is none
	used    int64 // bytes of the files that exist
	written int64 // bytes ever written
	counter prometheus.Counter
	held    prometheus.Gauge
	files   map[*spillFile]bool
}

// spillFile holds any number of streams, whose blocks stand in it in the order in
// which they were full. Where they stand, and their checksums, is kept in memory: a file that
// was cut, overwritten or never reached the disk is noticed.
type spillFile struct {
	of   *spill
	h    spillHandle
	path string
	size int64
}

type spillStream struct {
	file   *spillFile
	buf    []byte
	blocks []spillBlock
}

type spillBlock struct {
	at     int64
	n, sum uint32
}

var spillSums = crc32.MakeTable(crc32.Castagnoli)

func (s *spill) create(what string) (*spillFile, error) {
	h, path, err := s.folder.create(what)
	if err != nil {
		return nil, err
	}
	f := &spillFile{of: s, h: h, path: path}
	if s.files == nil {
		s.files = map[*spillFile]bool{}
	}
	s.files[f] = true
	s.held.Inc()
	return f, nil
}

// close removes all files.
func (s *spill) close() error {
	var errs []error
	for f := range s.files {
		errs = append(errs, f.remove())
	}
	return errors.Join(errs...)
}

func (f *spillFile) remove() error {
	if !f.of.files[f] {
		return nil
	}
	delete(f.of.files, f)
	f.of.held.Dec()
	f.of.used -= f.size
	err := f.h.Close()
	return errors.Join(err, os.Remove(f.path))
}

// stream begins a stream, whose blocks have so many bytes.
func (f *spillFile) stream(block int) *spillStream {
	return &spillStream{file: f, buf: make([]byte, 0, block)}
}

func (s *spillStream) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if len(s.buf) == 0 && len(p) >= cap(s.buf) {
			if err := s.append(p[:cap(s.buf)]); err != nil {
				return 0, err
			}
			p = p[cap(s.buf):]
			continue
		}
		k := min(len(p), cap(s.buf)-len(s.buf))
		s.buf, p = append(s.buf, p[:k]...), p[k:]
		if len(s.buf) == cap(s.buf) {
			if err := s.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

func (s *spillStream) flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	err := s.append(s.buf)
	s.buf = s.buf[:0]
	return err
}

// end flushes the stream for good and frees its buffer.
func (s *spillStream) end() error {
	err := s.flush()
	s.buf = nil
	return err
}

func (s *spillStream) append(block []byte) error {
	f := s.file
	of := f.of
	if of.limit > 0 && of.used+int64(len(block)) > of.limit {
		return feature.Errorf(feature.Exhausted, opJoin, "spill folder "+of.folder.dir, "the join needs more than %d bytes there", of.limit).
			WithHint("raise offline.join.max_spill_bytes or offline.join.memory, or join fewer rows at once")
	}
	n, err := f.h.Write(block)
	if err == nil && n < len(block) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return of.folder.fault(err)
	}
	s.blocks = append(s.blocks, spillBlock{f.size, uint32(n), crc32.Checksum(block, spillSums)})
	f.size += int64(n)
	of.used += int64(n)
	of.written += int64(n)
	of.counter.Add(float64(n))
	return nil
}

// reader reads the stream from its begin; end must have been called.
func (s *spillStream) reader() *spillReader { return &spillReader{s: s} }

// spillReader gives a stream's bytes back. An error stays.
type spillReader struct {
	s    *spillStream
	next int
	buf  []byte
	rest []byte
	err  error
}

func (r *spillReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(r.rest) == 0 {
		if r.next == len(r.s.blocks) {
			return 0, io.EOF
		}
		b := r.s.blocks[r.next]
		whole := p // a block that fits goes where it is wanted at once
		direct := len(p) >= int(b.n)
		if direct {
			whole = p[:b.n]
		} else {
			r.buf = sized(r.buf, int(b.n))
			whole = r.buf
		}
		if r.err = r.load(b, whole); r.err != nil {
			return 0, r.err
		}
		r.next++
		if direct {
			return int(b.n), nil
		}
		r.rest = r.buf
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *spillReader) load(b spillBlock, dst []byte) error {
	f := r.s.file
	if n, err := f.h.ReadAt(dst, b.at); n < len(dst) {
		if err == nil || errors.Is(err, io.EOF) {
			err = fmt.Errorf("%s is shorter than it was written: %w", f.path, io.ErrUnexpectedEOF)
		}
		return f.of.folder.fault(err)
	}
	if crc32.Checksum(dst, spillSums) != b.sum {
		return f.of.folder.fault(fmt.Errorf("%s has other bytes at %d than were written", f.path, b.at))
	}
	return nil
}
