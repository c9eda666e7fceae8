package feast

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weir-ml/weir/registry/feature"
)

// wireAnswer writes a GetOnlineFeaturesResponse from the columns of a block.
type wireAnswer struct {
	answer
	free  func()
	head  int   // size of the metadata
	sizes []int // of the results
	times []int // size of the times of each view
}

// Tags of the fields, with their wire types.
const (
	tag1 = 1<<3 | byte(protowire.BytesType)
	tag2 = 2<<3 | byte(protowire.BytesType)
	tag3 = 3<<3 | byte(protowire.BytesType)
)

// valueTags are those of feast.types.Value by type; what has a length stands behind tag and length.
var valueTags = [...]byte{
	feature.Bytes:     1<<3 | byte(protowire.BytesType),
	feature.String:    2<<3 | byte(protowire.BytesType),
	feature.Int32:     3<<3 | byte(protowire.VarintType),
	feature.Int64:     4<<3 | byte(protowire.VarintType),
	feature.Float64:   5<<3 | byte(protowire.Fixed64Type),
	feature.Float32:   6<<3 | byte(protowire.Fixed32Type),
	feature.Bool:      7<<3 | byte(protowire.VarintType),
	feature.Timestamp: 8<<3 | byte(protowire.VarintType),
}

// sized is a field with a length: tag, length, content.
func sized(n int) int { return 1 + protowire.SizeVarint(uint64(n)) + n }

func appendLen(b []byte, tag byte, n int) []byte {
	return protowire.AppendVarint(append(b, tag), uint64(n))
}

// Size measures the message, and remembers what AppendTo needs of it.
func (a *wireAnswer) Size() int {
	total := sized(a.metadata())
	a.sizes = a.sizes[:0]
	for _, e := range a.echo {
		n := sizeOfValues(&a.keys[e.key]) + a.sizeOfStatuses() + 2*a.Rows
		a.sizes = append(a.sizes, n)
		total += sized(n)
	}
	a.times = a.times[:0]
	for v := range a.Views {
		n := 0
		for _, t := range a.Views[v].EventTime {
			n += sized(sizeOfTime(t))
		}
		a.times = append(a.times, n)
	}
	for _, i := range a.order {
		c := &a.Columns[i]
		n := sizeOfValues(&c.Vector) + a.sizeOfStatuses() + a.times[c.View]
		a.sizes = append(a.sizes, n)
		total += sized(n)
	}
	return total
}

func (a *wireAnswer) sizeOfStatuses() int {
	if a.Rows == 0 {
		return 0
	}
	return sized(a.Rows)
}

func (a *wireAnswer) namesSize() int {
	n := 0
	for _, e := range a.echo {
		n += sized(len(e.name))
	}
	for _, name := range a.names {
		n += sized(len(name))
	}
	return n
}

func versionSize(v *feature.View) int {
	n := sized(len(v.Meta.Name))
	if v.Version != 0 {
		n += 1 + protowire.SizeVarint(uint64(v.Version))
	}
	return n
}

func (a *wireAnswer) metadata() int {
	a.head = sized(a.namesSize())
	if a.versions {
		for i := range a.Views {
			a.head += sized(versionSize(a.Views[i].View))
		}
	}
	return a.head
}

// AppendTo writes the message. Size has been called.
func (a *wireAnswer) AppendTo(b []byte) []byte {
	b = appendLen(b, tag1, a.head)
	b = appendLen(b, tag1, a.namesSize())
	for _, e := range a.echo {
		b = append(appendLen(b, tag1, len(e.name)), e.name...)
	}
	for _, name := range a.names {
		b = append(appendLen(b, tag1, len(name)), name...)
	}
	if a.versions {
		for i := range a.Views {
			v := a.Views[i].View
			b = appendLen(b, tag2, versionSize(v))
			b = append(appendLen(b, tag1, len(v.Meta.Name)), v.Meta.Name...)
			if v.Version != 0 {
				b = protowire.AppendVarint(append(b, 2<<3), uint64(v.Version))
			}
		}
	}
	for i, e := range a.echo {
		v := &a.keys[e.key]
		b = appendValues(appendLen(b, tag2, a.sizes[i]), v)
		b = a.appendStatuses(b, v.Valid, nil)
		for range a.Rows {
			b = append(b, tag3, 0)
		}
	}
	view, written := -1, 0 // where the times of a view stand already
	for i, at := range a.order {
		c := &a.Columns[at]
		v := &a.Views[c.View]
		b = appendValues(appendLen(b, tag2, a.sizes[len(a.echo)+i]), &c.Vector)
		b = a.appendStatuses(b, c.Valid, v.Status)
		if n := a.times[c.View]; c.View == view {
			b = append(b, b[written:written+n]...)
		} else {
			view, written = c.View, len(b)
			for _, t := range v.EventTime {
				b = appendTime(b, t)
			}
		}
	}
	return b
}

func (a *wireAnswer) appendStatuses(b []byte, valid []bool, of []feature.Status) []byte {
	if a.Rows == 0 {
		return b
	}
	b = appendLen(b, tag2, a.Rows)
	if of == nil {
		for _, ok := range valid {
			b = append(b, keyStatus(ok))
		}
		return b
	}
	for i, s := range of {
		b = append(b, status(s, valid[i]))
	}
	return b
}

// Free gives the memory of block and request back.
func (a *wireAnswer) Free() {
	a.Release()
	a.answer = answer{}
	a.free()
}

// sizeOfValues is what a column's values take; one that is not valid is an empty Value.
func sizeOfValues(v *feature.Vector) int {
	if v.Type.IsArray() {
		return sizeOfLists(v)
	}
	n := 0
	switch v.Type {
	case feature.Float64, feature.Float32, feature.Bool:
		each := 2 + 2
		switch v.Type {
		case feature.Float64:
			each = 2 + 9
		case feature.Float32:
			each = 2 + 5
		}
		for _, ok := range v.Valid {
			if ok {
				n += each
			} else {
				n += 2
			}
		}
		return n
	case feature.String, feature.Bytes:
		for i, ok := range v.Valid {
			if ok {
				n += sized(sized(len(v.Bytes[i])))
			} else {
				n += 2
			}
		}
		return n
	}
	for i, ok := range v.Valid {
		if ok {
			n += 3 + protowire.SizeVarint(whole(v, i))
		} else {
			n += 2
		}
	}
	return n
}

// whole is a whole number as it is written.
func whole(v *feature.Vector, i int) uint64 {
	switch v.Type {
	case feature.Int32:
		return uint64(int64(v.Int32s[i]))
	case feature.Timestamp:
		s, _ := seconds(v.Int64s[i])
		return uint64(s)
	}
	return uint64(v.Int64s[i])
}

func appendValues(b []byte, v *feature.Vector) []byte {
	if v.Type.IsArray() {
		return appendLists(b, v)
	}
	tag := valueTags[v.Type]
	for i, ok := range v.Valid {
		if !ok {
			b = append(b, tag1, 0)
			continue
		}
		switch v.Type {
		case feature.Float64:
			b = binary.LittleEndian.AppendUint64(append(b, tag1, 9, tag), math.Float64bits(v.Float64[i]))
		case feature.Float32:
			b = binary.LittleEndian.AppendUint32(append(b, tag1, 5, tag), math.Float32bits(v.Float32[i]))
		case feature.Bool:
			b = append(b, tag1, 2, tag, 0)
			if v.Bools[i] {
				b[len(b)-1] = 1
			}
		case feature.String, feature.Bytes:
			n := len(v.Bytes[i])
			b = appendLen(appendLen(b, tag1, sized(n)), tag, n)
			b = append(b, v.Bytes[i]...)
		default:
			x := whole(v, i)
			b = protowire.AppendVarint(append(b, tag1, byte(1+protowire.SizeVarint(x)), tag), x)
		}
	}
	return b
}

func sizeOfTime(t int64) int {
	s, nanos := seconds(t)
	n := 0
	if s != 0 {
		n = 1 + protowire.SizeVarint(uint64(s))
	}
	if nanos != 0 {
		n += 1 + protowire.SizeVarint(uint64(nanos))
	}
	return n
}

func appendTime(b []byte, t int64) []byte {
	b = append(b, tag3, byte(sizeOfTime(t))) // never 128 or more
	s, nanos := seconds(t)
	if s != 0 {
		b = protowire.AppendVarint(append(b, 1<<3), uint64(s))
	}
	if nanos != 0 {
		b = protowire.AppendVarint(append(b, 2<<3), uint64(nanos))
	}
	return b
}
