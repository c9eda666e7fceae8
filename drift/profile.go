package drift

import (
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/internal/wire"
	"github.com/weir-ml/weir/registry/feature"
)

// Profile is the sketches of several features over the same rows: a window's, a
// delta's, or a reference's. For one goroutine at a time.
type Profile struct {
	Rows     int64
	Features []Named // by name, ascending
}

// Named is a feature's sketch. In windows, deltas and references the name is what the
// feature's values are kept under (feature.Field.Stored), so that they outlive a rename.
type Named struct {
	Name string
	*Sketch
}

// Sketch returns a feature's sketch, nil when there is none.
func (p *Profile) Sketch(name string) *Sketch {
	if i, ok := p.find(name); ok {
		return p.Features[i].Sketch
	}
	return nil
}

func (p *Profile) find(name string) (int, bool) {
	return slices.BinarySearchFunc(p.Features, name, func(n Named, name string) int { return strings.Compare(n.Name, name) })
}

// at returns a feature's sketch, a new one of the shape when there is none.
func (p *Profile) at(name string, s Shape) *Sketch {
	i, ok := p.find(name)
	if !ok {
		p.Features = slices.Insert(p.Features, i, Named{name, NewSketch(s)})
	}
	return p.Features[i].Sketch
}

// Merge adds o, which stays as it is. Where a feature has changed its shape (its type was
// changed), what o has replaces what was there: the old values say nothing about the new ones.
func (p *Profile) Merge(o *Profile) {
	p.Rows += o.Rows
	for _, f := range o.Features {
		s := p.at(f.Name, f.Shape)
		if s.Shape != f.Shape {
			*s = Sketch{Shape: f.Shape}
		}
		// Shapes are equal now, the only thing Merge refuses.
		_ = s.Merge(f.Sketch)
	}
}

// renamed gives the profile with other names for its features; one that has the
// name that another gets is left out.
func (p *Profile) renamed(names map[string]string) *Profile {
	out := &Profile{Rows: p.Rows}
	for _, f := range p.Features {
		if to, ok := names[f.Name]; ok {
			at, _ := out.find(to)
			out.Features = slices.Insert(out.Features, at, Named{to, f.Sketch})
		}
	}
	for _, f := range p.Features {
		if _, ok := names[f.Name]; ok {
			continue
		}
		if at, taken := out.find(f.Name); !taken {
			out.Features = slices.Insert(out.Features, at, f)
		}
	}
	return out
}

// Count is Rows, as tally.Tally wants it.
func (p *Profile) Count() int64 { return p.Rows }

// Size is about how many bytes of memory the profile takes.
func (p *Profile) Size() int64 {
	n := int64(64)
	for _, f := range p.Features {
		n += f.Sketch.Size() + int64(len(f.Name)) + 32
	}
	return n
}

// profileFormat is the first byte of an encoded profile.
const profileFormat = 1

// MarshalBinary encodes the profile: a format byte, rows, then name and sketch of each feature.
func (p *Profile) MarshalBinary() ([]byte, error) {
	b := wire.Uint([]byte{profileFormat}, uint64(p.Rows))
	b = wire.Uint(b, uint64(len(p.Features)))
	var s []byte
	for _, f := range p.Features {
		s = f.Sketch.AppendBinary(s[:0])
		b = wire.Text(wire.Text(b, f.Name), s)
	}
	return b, nil
}

// UnmarshalBinary makes p the profile that was encoded. It keeps nothing of b.
func (p *Profile) UnmarshalBinary(b []byte) error {
	r := wire.Read(b)
	if r.Byte() != profileFormat {
		r.Fail()
	}
	*p = Profile{Rows: r.Count()}
	for range r.Length(2) {
		name := r.Text()
		if n := len(p.Features); n > 0 && p.Features[n-1].Name >= name {
			r.Fail()
			break
		}
		s := new(Sketch)
		if err := s.UnmarshalBinary(r.Bytes()); err != nil {
			return err
		}
		p.Features = append(p.Features, Named{name, s})
	}
	if err := r.Done(); err != nil {
		return feature.Errorf(feature.Internal, "drift.decode", "profile", "%w", err)
	}
	return nil
}

// DecodeProfile makes a profile of what MarshalBinary gave.
func DecodeProfile(b []byte) (*Profile, error) {
	p := new(Profile)
	if err := p.UnmarshalBinary(b); err != nil {
		return nil, err
	}
	return p, nil
}

// Profiler makes the profile of a table of rows: a snapshot while it is
// written, a time range while it is scanned.
type Profiler struct {
	only map[string]bool
	p    Profile
	f    folder
}

// NewProfiler profiles the named columns, every column when none is named.
func NewProfiler(columns ...string) *Profiler {
	r := &Profiler{}
	if len(columns) > 0 {
		r.only = make(map[string]bool, len(columns))
		for _, c := range columns {
			r.only[c] = true
		}
	}
	return r
}

// Write folds a batch of rows; it keeps nothing of it.
func (r *Profiler) Write(rec arrow.RecordBatch) error {
	n := int(rec.NumRows())
	r.p.Rows += int64(n)
	for i, field := range rec.Schema().Fields() {
		if r.only != nil && !r.only[field.Name] {
			continue
		}
		r.f.update(r.p.at(field.Name, shapeOfArrow(field.Type)), rec.Column(i), 0, n)
	}
	return nil
}

// Batch folds the rows of a batch that are not tombstones.
func (r *Profiler) Batch(b *feature.Batch) error {
	if b.Tombstone == nil {
		return r.Write(b.Rows)
	}
	n := b.Len()
	for i := 0; i < n; {
		if b.Deleted(i) {
			i++
			continue
		}
		j := i + 1
		for j < n && !b.Deleted(j) {
			j++
		}
		part := b.Rows.NewSlice(int64(i), int64(j))
		err := r.Write(part)
		part.Release()
		if err != nil {
			return err
		}
		i = j
	}
	return nil
}

// Profile is what was written so far, shared with the Profiler.
func (r *Profiler) Profile() *Profile { return &r.p }

// Finish returns the encoded profile.
func (r *Profiler) Finish() ([]byte, error) { return r.p.MarshalBinary() }
