package compat

import (
	"encoding/json"
	"fmt"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/weir-ml/weir/internal/protoschema"
)

// protoMessage finds the message of the events in a schema.
func protoMessage(s Schema) (protoreflect.MessageDescriptor, error) {
	var text string
	if err := json.Unmarshal(s.Text, &text); err != nil {
		return nil, err
	}
	file, err := protoschema.Parse(text, nil)
	if err != nil {
		return nil, err
	}
	return protoschema.Message(file, s.Message)
}

// Protobuf says why events that were written as w cannot be read as r: a number that
// means something else, or a field that events have under another name, which paths go by.
func Protobuf(w, r protoreflect.MessageDescriptor) []string {
	x := proto{seen: map[[2]protoreflect.FullName]bool{}}
	x.message(w, r, "")
	return x.faults
}

type proto struct {
	seen   map[[2]protoreflect.FullName]bool
	faults []string
}

func (x *proto) fault(at, format string, args ...any) {
	s := at + ": " + fmt.Sprintf(format, args...)
	if len(x.faults) < most && !slices.Contains(x.faults, s) {
		x.faults = append(x.faults, s)
	}
}

func (x *proto) message(w, r protoreflect.MessageDescriptor, at string) {
	k := [2]protoreflect.FullName{w.FullName(), r.FullName()}
	if x.seen[k] {
		return
	}
	x.seen[k] = true
	for i := range r.Fields().Len() {
		now := r.Fields().Get(i)
		name := under(at, string(now.Name()))
		was := w.Fields().ByNumber(now.Number())
		if same := w.Fields().ByName(now.Name()); same != nil && same.Number() != now.Number() {
			x.fault(name, "it was number %d and would be number %d", same.Number(), now.Number())
			continue
		}
		if was == nil {
			if now.Cardinality() == protoreflect.Required {
				x.fault(name, "it is required, and was not written")
			}
			continue
		}
		switch {
		case was.Name() != now.Name():
			x.fault(name, "number %d was called %s", now.Number(), was.Name())
		case was.IsMap() != now.IsMap() || was.IsList() != now.IsList():
			x.fault(name, "it was %s and would be %s", shape(was), shape(now))
		case was.IsMap():
			x.field(was.MapKey(), now.MapKey(), name+"{}")
			x.field(was.MapValue(), now.MapValue(), name+"{}")
		default:
			if now.Cardinality() == protoreflect.Required && was.Cardinality() != protoreflect.Required {
				x.fault(name, "it is required, and was not always written")
			}
			x.field(was, now, name)
		}
	}
}

func shape(f protoreflect.FieldDescriptor) string {
	switch {
	case f.IsMap():
		return "a map"
	case f.IsList():
		return "repeated"
	}
	return "single"
}

func (x *proto) field(was, now protoreflect.FieldDescriptor, at string) {
	switch {
	case was.Message() != nil && now.Message() != nil && was.Kind() == now.Kind():
		x.message(was.Message(), now.Message(), at)
	case was.Enum() != nil && now.Enum() != nil:
		for i := range was.Enum().Values().Len() {
			v := was.Enum().Values().Get(i)
			if n := now.Enum().Values().ByNumber(v.Number()); n == nil || n.Name() != v.Name() && now.Enum().Values().ByName(v.Name()) == nil {
				x.fault(at, "%s has no value %s = %d any more", now.Enum().FullName(), v.Name(), v.Number())
			}
		}
	case !widens(was.Kind(), now.Kind()):
		x.fault(at, "it was %s and would be %s", was.Kind(), now.Kind())
	}
}

// widens reports whether whatever was written as one kind is the same value as the other.
func widens(was, now protoreflect.Kind) bool {
	switch was {
	case now:
		return true
	case protoreflect.Int32Kind:
		return now == protoreflect.Int64Kind
	case protoreflect.Uint32Kind:
		return now == protoreflect.Uint64Kind || now == protoreflect.Int64Kind
	case protoreflect.Sint32Kind:
		return now == protoreflect.Sint64Kind
	case protoreflect.BoolKind:
		return now == protoreflect.Int32Kind || now == protoreflect.Int64Kind || now == protoreflect.Uint32Kind || now == protoreflect.Uint64Kind
	}
	return false
}
