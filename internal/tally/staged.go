package tally

import (
	"math"

	"github.com/weir-ml/weir/internal/wire"
	"github.com/weir-ml/weir/registry/feature"
)

// stagedFormat is the first byte of encoded staged work; format 1 had no rows in its marks.
const stagedFormat = 2

// encoded is staged work whose profiles are encoded.
type encoded struct {
	Commit, View string
	Marks        []Mark
	Deltas       []Delta[[]byte]
}

// Encode gives what stores keep of a commit until it lands.
func (s *Staged[T]) Encode() ([]byte, error) {
	b := wire.Text(wire.Text([]byte{stagedFormat}, s.Commit), s.View)
	b = wire.Uint(b, uint64(len(s.Marks)))
	for i := range s.Marks {
		m := &s.Marks[i]
		b = append(b, m.TopicID[:]...)
		b = wire.Int(wire.Text(wire.Int(b, int64(m.Partition)), m.FromCommit), m.FromNext)
		b = wire.Int(wire.Uint(wire.Int(b, m.Next), uint64(m.Partitions)), m.MaxEvent)
		b = wire.Bool(wire.Bool(wire.Bool(wire.Bool(b, m.Any), m.Drained), m.Final), m.Carried)
		b = wire.Uint(b, uint64(m.Rows))
	}
	b = wire.Uint(b, uint64(len(s.Deltas)))
	for i := range s.Deltas {
		d := &s.Deltas[i]
		p, err := d.Profile.MarshalBinary()
		if err != nil {
			return nil, err
		}
		b = wire.Text(wire.Text(wire.Text(b, d.Project), d.Owner), d.Size)
		b = wire.Text(wire.Text(wire.Int(wire.Int(b, d.Start), d.End), d.Import), p)
	}
	return b, nil
}

// DecodeStaged gives what was encoded. It keeps nothing of b.
func DecodeStaged[T Tally[T]](b []byte, decode Decode[T]) (*Staged[T], error) {
	x, err := decodeStaged(b)
	if err != nil {
		return nil, feature.Errorf(feature.Internal, "tally.decode", "staged commit", "%w", err)
	}
	s := &Staged[T]{Commit: x.Commit, View: x.View, Marks: x.Marks}
	for _, d := range x.Deltas {
		p, err := decode(d.Profile)
		if err != nil {
			return nil, err
		}
		s.Deltas = append(s.Deltas, Delta[T]{d.Series, d.Start, d.End, d.Import, p})
	}
	return s, nil
}

func decodeStaged(b []byte) (*encoded, error) {
	r := wire.Read(b)
	format := r.Byte()
	if format != 1 && format != stagedFormat {
		r.Fail()
	}
	s := &encoded{Commit: r.Text(), View: r.Text()}
	for range r.Length(16 + 10) {
		var m Mark
		r.Fixed(m.TopicID[:])
		m.Partition, m.FromCommit, m.FromNext, m.Next = r.Int32(), r.Text(), r.Int(), r.Int()
		n := r.Count()
		if n > math.MaxInt32 {
			r.Fail()
		}
		m.Partitions, m.MaxEvent = int(n), r.Int()
		m.Any, m.Drained, m.Final, m.Carried = r.Bool(), r.Bool(), r.Bool(), r.Bool()
		if format > 1 {
			m.Rows = r.Count()
		}
		s.Marks = append(s.Marks, m)
	}
	for range r.Length(8) {
		s.Deltas = append(s.Deltas, Delta[[]byte]{Series{r.Text(), r.Text(), r.Text()}, r.Int(), r.Int(), r.Text(), r.Bytes()})
	}
	return s, r.Done()
}
