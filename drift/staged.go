package drift

import (
	"math"

	"github.com/weir-ml/weir/registry/feature"
)

// stagedFormat is the first byte of encoded staged work.
const stagedFormat = 1

// MarshalBinary encodes what stores keep of a commit until it lands.
func (s *Staged) MarshalBinary() ([]byte, error) {
	b := putText(putText([]byte{stagedFormat}, s.Commit), s.View)
	b = putUint(b, uint64(len(s.Marks)))
	for i := range s.Marks {
		m := &s.Marks[i]
		b = append(b, m.TopicID[:]...)
		b = putInt(putText(putInt(b, int64(m.Partition)), m.FromCommit), m.FromNext)
		b = putInt(putUint(putInt(b, m.Next), uint64(m.Partitions)), m.MaxEvent)
		b = putBool(putBool(putBool(putBool(b, m.Any), m.Drained), m.Final), m.Carried)
	}
	b = putUint(b, uint64(len(s.Deltas)))
	for i := range s.Deltas {
		d := &s.Deltas[i]
		p, err := d.Profile.MarshalBinary()
		if err != nil {
			return nil, err
		}
		b = putText(putText(putText(b, d.Project), d.Monitor), d.Size)
		b = putText(putText(putInt(putInt(b, d.Start), d.End), d.Import), p)
	}
	return b, nil
}

// UnmarshalBinary makes s what was encoded.
func (s *Staged) UnmarshalBinary(b []byte) error {
	r := reader{b: b}
	if r.byte() != stagedFormat {
		r.fail()
	}
	*s = Staged{Commit: r.text(), View: r.text()}
	for range r.length(16 + 10) {
		var m Mark
		if len(r.b) < 16 {
			r.fail()
			break
		}
		r.b = r.b[copy(m.TopicID[:], r.b):]
		p := r.int()
		if p < math.MinInt32 || p > math.MaxInt32 {
			r.fail()
		}
		m.Partition = int32(p)
		m.FromCommit, m.FromNext, m.Next = r.text(), r.int(), r.int()
		n := r.count()
		if n > math.MaxInt32 {
			r.fail()
		}
		m.Partitions, m.MaxEvent = int(n), r.int()
		m.Any, m.Drained, m.Final, m.Carried = r.bool(), r.bool(), r.bool(), r.bool()
		s.Marks = append(s.Marks, m)
	}
	for range r.length(8) {
		d := Delta{Series: Series{r.text(), r.text(), r.text()}, Start: r.int(), End: r.int(), Import: r.text(), Profile: &Profile{}}
		if err := d.Profile.UnmarshalBinary(r.bytes()); err != nil {
			return err
		}
		s.Deltas = append(s.Deltas, d)
	}
	if err := r.done(); err != nil {
		return feature.Errorf(feature.Internal, "drift.decode", "staged commit", "%w", err)
	}
	return nil
}
