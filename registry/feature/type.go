package feature

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
)

// Type is the type of a feature or join key. All features are nullable; join keys never are.
// The values are stored (catalog, cells), so they never change. Numbers from 64 on are
// arrays of the type minus 64; see Array.
type Type uint8

const (
	InvalidType Type = 0
	Bool        Type = 1
	Int32       Type = 2
	Int64       Type = 3
	Float32     Type = 4
	Float64     Type = 5
	String      Type = 6 // valid UTF-8
	Bytes       Type = 7 // in JSON: base64, standard alphabet with padding
	Timestamp   Type = 8 // microseconds UTC
)

var typeNames = [...]string{"invalid", "bool", "int32", "int64", "float32", "float64", "string", "bytes", "timestamp"}

// typeList is what a manifest may say, for people.
const typeList = "bool, int32, int64, float32, float64, string, bytes, timestamp, or array<...> of one of these"

// TypeNames lists what a manifest may say, in the order of the constants.
func TypeNames() []string {
	names := append([]string(nil), typeNames[1:]...)
	for _, n := range typeNames[1:] {
		names = append(names, "array<"+n+">")
	}
	return names
}

func (t Type) String() string {
	if t.IsArray() {
		return "array<" + t.Elem().String() + ">"
	}
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// ParseType reads a manifest's type name.
func ParseType(s string) (Type, error) {
	for i, n := range typeNames {
		if i > 0 && n == s {
			return Type(i), nil
		}
		if i > 0 && len(s) == len(n)+len("array<>") && s[:6] == "array<" && s[6:len(s)-1] == n && s[len(s)-1] == '>' {
			return Array(Type(i)), nil
		}
	}
	return InvalidType, fmt.Errorf("unknown type %q: use one of %s", s, typeList)
}

// MarshalText and UnmarshalText make a Type its name in JSON and YAML.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

func (t *Type) UnmarshalText(b []byte) error {
	v, err := ParseType(string(b))
	if err != nil {
		return err
	}
	*t = v
	return nil
}

// Numeric reports whether values of the type have an order and a distance that statistics can use.
func (t Type) Numeric() bool { return t >= Int32 && t <= Float64 }

// KeyType reports whether the type may be a join key. Floats may not: equal
// numbers with different bits (0 and -0, NaN) would be different keys.
func (t Type) KeyType() bool {
	return t == Bool || t == Int32 || t == Int64 || t >= String && t <= Timestamp
}

var timestampType = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}

// Arrow returns the Arrow type that columns of this type have in a Batch: of an
// array binary, each value in its packed form (see Array).
func (t Type) Arrow() arrow.DataType {
	if t.IsArray() {
		return arrow.BinaryTypes.Binary
	}
	switch t {
	case Bool:
		return arrow.FixedWidthTypes.Boolean
	case Int32:
		return arrow.PrimitiveTypes.Int32
	case Int64:
		return arrow.PrimitiveTypes.Int64
	case Float32:
		return arrow.PrimitiveTypes.Float32
	case Float64:
		return arrow.PrimitiveTypes.Float64
	case String:
		return arrow.BinaryTypes.String
	case Bytes:
		return arrow.BinaryTypes.Binary
	case Timestamp:
		return timestampType
	}
	panic("feature: no arrow type for " + t.String())
}

// Widens reports whether every value of type t is one of type to as well, and a
// table's column may become that without its files being written again: int32
// to int64 and float32 to float64, as Iceberg has it. A type widens to itself.
func (t Type) Widens(to Type) bool {
	return t == to || t == Int32 && to == Int64 || t == Float32 && to == Float64
}

// Field is a named, typed column.
type Field struct {
	Name string `json:"name"`
	Type Type   `json:"type"`
	Path string `json:"path,omitempty"` // dotted path in the event; Name when empty
	// RenamedFrom is the name the feature had until now; its values stay. Once
	// applied it says nothing any more, and may stay or go.
	RenamedFrom string `json:"renamed_from,omitempty"`
	// Column is what the feature's values are kept under, for ever: the first name
	// that it had, or one that the catalog made up where that was taken. Name when
	// empty. The catalog sets it; a manifest may only repeat it.
	Column      string            `json:"column,omitempty"`
	Description string            `json:"description,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
}

// Stored is what the field's values are kept under in tables, cells and sketches,
// whatever the field is called in this version of its view.
func (f Field) Stored() string {
	if f.Column != "" {
		return f.Column
	}
	return f.Name
}

// EventPath is the field's path in the event.
func (f Field) EventPath() string {
	if f.Path != "" {
		return f.Path
	}
	return f.Name
}
