package objects

import (
	"context"
	"io"
	"io/fs"
	"os"

	"github.com/weir-ml/weir/registry/feature"
)

const (
	blockBytes = 1 << 20
	// mostAhead is how many blocks one request may ask for when a file is read in order.
	mostAhead = 4
	// tailBlock is the index of the block that came with opening.
	tailBlock = -1
)

// File is an object open for reads here and there, which may be made in parallel.
// Blocks of a mebibyte are asked for, more at once where reads go on in order, and kept
// for a while; each is asked for once, however many want it. All reads are of the object as it was when
// it was opened: Conflict where it has been replaced.
type File struct {
	ctx   context.Context
	b     *bucket
	cache *cache
	o     Object
	local *os.File // instead of all else, in a folder

	tailAt int64
	// The cache's mu guards these.
	blocks map[int64]*block
	ends   map[int64]int64 // block after the last one of a request -> how many it asked for
	closed bool
}

func newFile(ctx context.Context, b *bucket, c *cache, o Object, tail []byte) *File {
	f := &File{ctx: ctx, b: b, cache: c, o: o, tailAt: o.Size - int64(len(tail)), blocks: map[int64]*block{}, ends: map[int64]int64{}}
	ready := make(chan struct{})
	close(ready)
	t := &block{file: f, index: tailBlock, ready: ready, data: tail}
	c.mu.Lock()
	defer c.mu.Unlock()
	f.blocks[tailBlock] = t
	c.add(t)
	return f
}

// Object describes the object as it was when it was opened.
func (f *File) Object() Object { return f.o }

// Size is the object's size in bytes.
func (f *File) Size() int64 { return f.o.Size }

// Close lets go of what is kept of the file.
func (f *File) Close() error {
	if f.local != nil {
		return f.local.Close()
	}
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	f.closed = true
	for _, b := range f.blocks {
		f.cache.drop(b)
	}
	return nil
}

// ReadAt reads like every io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (n int, err error) {
	if f.local != nil {
		return f.local.ReadAt(p, off)
	}
	if off < 0 {
		return 0, feature.Errorf(feature.Internal, "objects.read", f.b.name(f.o.Key), "negative offset")
	}
	if off >= f.o.Size {
		return 0, io.EOF
	}
	end := min(off+int64(len(p)), f.o.Size)
	for at := off; at < end; {
		b, from, err := f.block(at, end)
		if err != nil {
			return n, err
		}
		m := copy(p[n:], b.data[at-from:])
		n, at = n+m, at+int64(m)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// block returns the block that holds the byte at, read if need be, and where it
// begins. A request that has to be made goes on to end.
func (f *File) block(at, end int64) (b *block, from int64, err error) {
	c := f.cache
	c.mu.Lock()
	if f.closed {
		c.mu.Unlock()
		return nil, 0, feature.Errorf(feature.Internal, "objects.read", f.b.name(f.o.Key), "%w", fs.ErrClosed)
	}
	if t := f.blocks[tailBlock]; t != nil && at >= f.tailAt {
		c.touch(t)
		c.mu.Unlock()
		return t, f.tailAt, nil
	}
	i := at / blockBytes
	b = f.blocks[i]
	if b != nil {
		c.touch(b)
		c.mu.Unlock()
		select {
		case <-b.ready:
			return b, i * blockBytes, b.err
		case <-f.ctx.Done():
			return nil, 0, context.Cause(f.ctx)
		}
	}
	want := f.missing(i, end)
	c.mu.Unlock()
	f.fetch(want)
	return want[0], i * blockBytes, want[0].err
}

// missing makes the blocks of one request, which begins with block i. The caller holds mu.
func (f *File) missing(i, end int64) []*block {
	n := (end-1)/blockBytes - i + 1
	if was, ok := f.ends[i]; ok { // it goes on where an earlier request ended
		delete(f.ends, i)
		n = max(n, min(2*was, mostAhead))
	}
	n = min(n, (f.o.Size-1)/blockBytes-i+1)
	var want []*block
	for k := i; k < i+n && f.blocks[k] == nil; k++ {
		b := &block{file: f, index: k, ready: make(chan struct{})}
		f.blocks[k] = b
		want = append(want, b)
	}
	if len(f.ends) > 64 {
		clear(f.ends) // only a guess
	}
	f.ends[i+int64(len(want))] = min(int64(len(want)), mostAhead)
	return want
}

// fetch reads blocks that follow each other, with one request.
func (f *File) fetch(want []*block) {
	first, last := want[0].index, want[len(want)-1].index
	s := &stream{ctx: f.ctx, b: f.b, o: f.o, at: first * blockBytes, end: min((last+1)*blockBytes, f.o.Size)}
	defer s.Close()
	for len(want) > 0 {
		b := want[0]
		data := make([]byte, min(blockBytes, s.end-s.at))
		_, err := io.ReadFull(s, data)
		f.cache.mu.Lock()
		if err != nil { // the next read asks again
			for _, b := range want {
				b.err = err
				f.cache.drop(b)
				close(b.ready)
			}
			f.cache.mu.Unlock()
			return
		}
		b.data = data
		if !f.closed {
			f.cache.add(b)
		}
		close(b.ready)
		f.cache.mu.Unlock()
		want = want[1:]
	}
}
