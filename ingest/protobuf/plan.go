package protobuf

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// special are messages of protobuf itself that have a JSON of their own.
type special uint8

const (
	object special = iota
	timestamp
	wrapper
	structure
	anyValue
	listValue
)

var specials = map[protoreflect.FullName]special{
	"google.protobuf.Timestamp": timestamp,
	"google.protobuf.Struct":    structure, "google.protobuf.Value": anyValue, "google.protobuf.ListValue": listValue,
	"google.protobuf.DoubleValue": wrapper, "google.protobuf.FloatValue": wrapper, "google.protobuf.Int64Value": wrapper,
	"google.protobuf.UInt64Value": wrapper, "google.protobuf.Int32Value": wrapper, "google.protobuf.UInt32Value": wrapper,
	"google.protobuf.BoolValue": wrapper, "google.protobuf.StringValue": wrapper, "google.protobuf.BytesValue": wrapper,
}

// plan is a message as it is read.
type plan struct {
	special  special
	fields   []field
	byNumber map[protowire.Number]int
	oneofs   int
}

type field struct {
	name     string
	key      []byte // `"name":`
	kind     protoreflect.Kind
	list     bool
	key2     *field // of a map: its keys; value is in item
	item     *field // of a map: its values
	message  *plan
	closed   bool                               // enum: numbers without a name are as if not written
	names    map[protoreflect.EnumNumber]string // enum
	zero     []byte                             // JSON of what was not written; nil where it is absent
	required bool
	oneof    int // its number among those of the message, from 1; 0 in none
}

// maxPlans bounds how many messages a file may have.
const maxPlans = 20_000

type compiler struct {
	done map[protoreflect.FullName]*plan
}

func (c *compiler) message(m protoreflect.MessageDescriptor) (*plan, error) {
	if p := c.done[m.FullName()]; p != nil {
		return p, nil
	}
	if m.IsPlaceholder() {
		return nil, fmt.Errorf("the message %s is not there", m.FullName())
	}
	if len(c.done) >= maxPlans {
		return nil, fmt.Errorf("the file has more than %d messages", maxPlans)
	}
	p := &plan{special: specials[m.FullName()], byNumber: map[protowire.Number]int{}}
	c.done[m.FullName()] = p
	for i := range m.Fields().Len() {
		f, err := c.field(m.Fields().Get(i))
		if err != nil {
			return nil, err
		}
		if o := m.Fields().Get(i).ContainingOneof(); o != nil {
			f.oneof = o.Index() + 1
			p.oneofs = max(p.oneofs, f.oneof)
		}
		p.byNumber[m.Fields().Get(i).Number()] = i
		p.fields = append(p.fields, *f)
	}
	return p, nil
}

func (c *compiler) field(d protoreflect.FieldDescriptor) (f *field, err error) {
	f = &field{name: string(d.Name()), key: []byte(`"` + string(d.Name()) + `":`), kind: d.Kind(), list: d.IsList(), required: d.Cardinality() == protoreflect.Required}
	switch {
	case d.IsMap():
		f.zero = []byte("{}")
		if f.key2, err = c.field(d.MapKey()); err != nil {
			return nil, err
		}
		if f.item, err = c.field(d.MapValue()); err != nil {
			return nil, err
		}
		for _, part := range []struct {
			x *field
			d protoreflect.FieldDescriptor
		}{{f.key2, d.MapKey()}, {f.item, d.MapValue()}} {
			part.x.required = false
			if part.x.zero == nil && part.x.message == nil {
				s := state{end: 1 << 20, steps: 1 << 20}
				if fault := s.zero(part.x, part.d.Default()); fault != nil {
					return nil, fmt.Errorf("the default of %s: %w", d.FullName(), fault)
				}
				part.x.zero = s.out
			}
		}
		return f, nil
	case d.IsList():
		f.zero = []byte("[]")
	}
	switch d.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		f.message, err = c.message(d.Message())
		return f, err
	case protoreflect.EnumKind:
		f.closed, f.names = d.Enum().IsClosed(), map[protoreflect.EnumNumber]string{}
		for i := range d.Enum().Values().Len() {
			v := d.Enum().Values().Get(i)
			if f.names[v.Number()] == "" {
				f.names[v.Number()] = string(v.Name())
			}
		}
	}
	if !f.list && (!d.HasPresence() || d.HasDefault()) {
		s := state{end: 1 << 20, steps: 1 << 20}
		if fault := s.zero(f, d.Default()); fault != nil {
			return nil, fmt.Errorf("the default of %s: %w", d.FullName(), fault)
		}
		f.zero = s.out
	}
	return f, nil
}
