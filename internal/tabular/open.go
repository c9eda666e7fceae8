package tabular

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/zstd"

	"github.com/weir-ml/weir/registry/feature"
)

// source is an input file: opened, decompressed, counted.
type source struct {
	path string
	f    *os.File
	size int64
	r    io.Reader // decompressed, from the start
	done func()
	read int64 // compressed bytes taken so far
}

func openSource(path string) (*source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	s := &source{path: path, f: f, done: func() {}}
	st, err := f.Stat()
	if err == nil && st.IsDir() {
		err = errors.New("is a directory")
	}
	if err != nil {
		f.Close()
		return nil, fileError(path, err)
	}
	s.size = st.Size()
	if err := s.rewind(); err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

// rewind starts the text from its beginning again.
func (s *source) rewind() error {
	if s.r != nil {
		if _, err := s.f.Seek(0, io.SeekStart); err != nil {
			return fileError(s.path, err).WithHint("a pipe cannot be read twice: declare the types of all columns or use a file")
		}
		s.done()
	}
	s.read, s.r, s.done = 0, countingReader{s}, func() {}
	switch _, ext := compression(s.path); ext {
	case ".gz":
		z, err := gzip.NewReader(s.r)
		if err != nil {
			return fileError(s.path, err)
		}
		s.r, s.done = z, func() { z.Close() }
	case ".zst":
		z, err := zstd.NewReader(s.r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return fileError(s.path, err)
		}
		s.r, s.done = z, z.Close
	}
	s.r = &bomReader{r: s.r}
	return nil
}

func (s *source) close() error {
	s.done()
	return s.f.Close()
}

type countingReader struct{ s *source }

func (c countingReader) Read(b []byte) (int, error) {
	n, err := c.s.f.Read(b)
	c.s.read += int64(n)
	return n, err
}

// bomReader drops the byte order mark some programs put before UTF-8.
type bomReader struct {
	r    io.Reader
	seen bool
}

func (b *bomReader) Read(p []byte) (int, error) {
	if b.seen || len(p) < 3 {
		b.seen = true
		return b.r.Read(p)
	}
	b.seen = true
	n, err := io.ReadFull(b.r, p[:3])
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	if n == 3 && p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf {
		n = 0
		if err == nil {
			return b.r.Read(p)
		}
	}
	return n, err
}

func fileError(path string, err error) *feature.Error {
	kind := feature.Internal
	switch {
	case errors.Is(err, fs.ErrNotExist):
		kind = feature.NotFound
	case errors.Is(err, fs.ErrPermission):
		kind = feature.Unauthorized
	default:
		kind = feature.Invalid
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err // the path is in What already
	}
	return &feature.Error{Kind: kind, Op: "tabular.read", What: path, Err: err}
}

// alive turns a done context into an error at the places where reading may stop.
func alive(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
