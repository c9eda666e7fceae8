package expect

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"io"
	"os"

	"github.com/weir-ml/weir/registry/feature"
)

// partitions is how many parts the values are in once they are in a file. A part is
// what is in memory at once when they are read back.
const partitions = 256

// groupFile holds groups that did not fit in memory. Each time they are written, those
// of one partition are in one piece.
type groupFile struct {
	f      *os.File
	size   int64
	pieces [partitions][]piece
	bytes  [partitions]int64
}

type piece struct{ at, size int64 }

func openTemp(o *TableOptions) (*os.File, error) {
	f, err := os.CreateTemp(o.Temp, "weir-check-*")
	if err != nil {
		return nil, spillError(err)
	}
	return f, nil
}

func closeTemp(f *os.File) error {
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func spillError(err error) error {
	return feature.Errorf(feature.Exhausted, "expect.spill", "a temporary file", "%w", err).
		WithHint("give the check more memory, or a temporary folder with more room")
}

// spill writes the table to the file and empties it.
func (g *groups) spill() error {
	if g.n == 0 {
		return nil
	}
	if g.file == nil {
		f, err := openTemp(g.o)
		if err != nil {
			return err
		}
		g.file = &groupFile{f: f}
	}
	// Entries in the order of their partitions, by counting.
	var starts [partitions + 1]int
	for e := range g.n {
		starts[g.partition(g.at(e))+1]++
	}
	for p := range partitions {
		starts[p+1] += starts[p]
	}
	order := make([]int32, g.n)
	next := starts
	for e := range g.n {
		p := g.partition(g.at(e))
		order[next[p]] = int32(e)
		next[p]++
	}
	w := bufio.NewWriterSize(io.NewOffsetWriter(g.file.f, g.file.size), 1<<18)
	var buf []byte
	for p := range partitions {
		from := g.file.size
		for _, e := range order[starts[p]:starts[p+1]] {
			buf = g.appendEntry(buf[:0], g.at(int(e)))
			if _, err := w.Write(buf); err != nil {
				return spillError(err)
			}
			g.file.size += int64(len(buf))
		}
		if n := g.file.size - from; n > 0 {
			g.file.pieces[p] = append(g.file.pieces[p], piece{from, n})
			g.file.bytes[p] += n
		}
	}
	if err := w.Flush(); err != nil {
		return spillError(err)
	}
	g.reset()
	return nil
}

func (g *groups) partition(e *group) int {
	if g.fixed {
		return int(g.hashWord(e.key) % partitions)
	}
	return int(maphash.Bytes(g.seed, g.text(e)) % partitions)
}

func (g *groups) appendEntry(dst []byte, e *group) []byte {
	if g.fixed {
		dst = binary.LittleEndian.AppendUint64(dst, e.key)
	} else {
		k := g.text(e)
		dst = append(binary.AppendUvarint(dst, uint64(len(k))), k...)
	}
	dst = binary.AppendUvarint(dst, uint64(e.count))
	return binary.AppendUvarint(dst, uint64(e.first))
}

// each calls fn for every value once, in tables of any part of them: fn may ask t for
// the entry's value until it returns. The first time with collect set, g.repeats is
// made whole.
func (g *groups) each(collect bool, fn func(t *groups, e *group) error) error {
	if g.file == nil {
		for e := range g.n {
			if err := fn(g, g.at(e)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := g.spill(); err != nil {
		return err
	}
	collect = collect && !g.collected
	g.collected = g.collected || collect
	t := &groups{o: g.o, cols: g.cols, types: g.types, fixed: g.fixed, keep: collect, seed: g.seed, salt: g.salt, repeats: g.repeats}
	t.reset()
	for p := range partitions {
		if g.file.bytes[p] == 0 {
			continue
		}
		// A part that is larger than the memory, some four times its bytes in the
		// file, is read as often as it takes, each time for a share of its values.
		times := 1 + uint64(4*g.file.bytes[p]/g.o.Memory)
		for share := range times {
			t.clear()
			if err := g.read(t, p, share, times); err != nil {
				return err
			}
			for e := range t.n {
				if err := fn(t, t.at(e)); err != nil {
					return err
				}
			}
		}
	}
	if collect {
		g.repeats = t.repeats
	}
	return nil
}

// read fills a table with the values of a partition whose hash says share of times. Where t
// keeps repeats, they get the rows that turn out to repeat a value of an earlier piece.
func (g *groups) read(t *groups, p int, share, times uint64) error {
	for _, pc := range g.file.pieces[p] {
		in := bufio.NewReaderSize(io.NewSectionReader(g.file.f, pc.at, pc.size), 1<<16)
		for {
			var word [8]byte
			var hash uint64
			var err error
			if g.fixed {
				_, err = io.ReadFull(in, word[:])
				hash = g.hashWord(binary.LittleEndian.Uint64(word[:]))
			} else {
				var n uint64
				if n, err = binary.ReadUvarint(in); err == nil {
					g.key = append(g.key[:0], make([]byte, n)...)
					_, err = io.ReadFull(in, g.key)
					hash = maphash.Bytes(g.seed, g.key)
				}
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				return spillError(err)
			}
			count, err := binary.ReadUvarint(in)
			if err != nil {
				return spillError(err)
			}
			first, err := binary.ReadUvarint(in)
			if err != nil {
				return spillError(err)
			}
			switch {
			case hash/partitions%times != share:
			case g.fixed:
				t.addWord(binary.LittleEndian.Uint64(word[:]), hash, int64(count), int64(first))
			default:
				t.addText(textOf(g.key), hash, int64(count), int64(first))
			}
		}
	}
	return nil
}

func (g *groups) close() error {
	g.slots, g.entries, g.texts = nil, nil, nil
	if g.file == nil {
		return nil
	}
	f := g.file.f
	g.file = nil
	return closeTemp(f)
}
