package avroschema

import (
	"encoding/json"
	"slices"
	"strings"
)

// Kind is what a value is on the wire.
type Kind uint8

const (
	Null Kind = iota
	Boolean
	Int
	Long
	Float
	Double
	Bytes
	String
	Record
	Enum
	Array
	Map
	Union
	Fixed
)

var kindNames = [...]string{"null", "boolean", "int", "long", "float", "double", "bytes", "string", "record", "enum", "array", "map", "union", "fixed"}

func (k Kind) String() string { return kindNames[k] }

// Named reports whether schemas of the kind have a name.
func (k Kind) Named() bool { return k == Record || k == Enum || k == Fixed }

// Logical is what a value means beyond its kind.
type Logical string

const (
	Decimal              Logical = "decimal"
	UUID                 Logical = "uuid"
	Date                 Logical = "date"
	TimeMillis           Logical = "time-millis"
	TimeMicros           Logical = "time-micros"
	TimestampMillis      Logical = "timestamp-millis"
	TimestampMicros      Logical = "timestamp-micros"
	TimestampNanos       Logical = "timestamp-nanos"
	LocalTimestampMillis Logical = "local-timestamp-millis"
	LocalTimestampMicros Logical = "local-timestamp-micros"
	LocalTimestampNanos  Logical = "local-timestamp-nanos"
	Duration             Logical = "duration"
)

// Schema is one type. A named type that is used twice, or by itself, is one Schema.
type Schema struct {
	Kind    Kind
	Name    string   // full name of a record, enum or fixed
	Aliases []string // full names

	Fields     []Field   // record
	Items      *Schema   // of an array, and the values of a map
	Branches   []*Schema // union
	Symbols    []string  // enum
	Default    string    // enum's default symbol
	HasDefault bool      // enum
	Size       int       // fixed

	Logical   Logical // "" for none
	Precision int     // decimal
	Scale     int     // decimal
}

// Field is one field of a record.
type Field struct {
	Name    string
	Aliases []string
	Type    *Schema
	Default json.RawMessage // nil for none; the default null is `null`
}

// Short is the name without its namespace.
func (s *Schema) Short() string { return s.Name[strings.LastIndexByte(s.Name, '.')+1:] }

// Known reports whether a reader of this named type reads what was written as w: by
// the same name, without regard of the namespace, or by one of its aliases.
func (s *Schema) Known(w *Schema) bool {
	return s.Short() == w.Short() || slices.Contains(s.Aliases, w.Name)
}

// Writer finds for each field of the reader r the field of the writer w that it
// reads, -1 where there is none. A name goes before an alias, and no field is read twice.
func Writer(r, w *Schema) []int {
	out := make([]int, len(r.Fields))
	byName := make(map[string]int, len(w.Fields))
	for i := range w.Fields {
		byName[w.Fields[i].Name] = i
	}
	taken := make([]bool, len(w.Fields))
	for i := range r.Fields {
		out[i] = -1
		if j, ok := byName[r.Fields[i].Name]; ok {
			out[i], taken[j] = j, true
		}
	}
	for i := range r.Fields {
		for _, a := range r.Fields[i].Aliases {
			if j, ok := byName[a]; out[i] < 0 && ok && !taken[j] {
				out[i], taken[j] = j, true
			}
		}
	}
	return out
}

// String names the type for people.
func (s *Schema) String() string {
	switch {
	case s.Kind == Union:
		names := make([]string, len(s.Branches))
		for i, b := range s.Branches {
			names[i] = b.String()
		}
		return "[" + strings.Join(names, ", ") + "]"
	case s.Kind.Named():
		return s.Kind.String() + " " + s.Name
	case s.Logical != "":
		return s.Kind.String() + " (" + string(s.Logical) + ")"
	case s.Kind == Array && !s.Items.Kind.Named():
		return "array of " + s.Items.Kind.String()
	}
	return s.Kind.String()
}

// Promotes reports whether a reader of kind r takes what was written as w, beyond w itself.
func Promotes(w, r Kind) bool {
	switch w {
	case Int:
		return r == Long || r == Float || r == Double
	case Long:
		return r == Float || r == Double
	case Float:
		return r == Double
	case String:
		return r == Bytes
	case Bytes:
		return r == String
	}
	return false
}

// Pick finds the branch of the reader's union that reads w: the same type before
// one that it can be promoted to; nil where there is none.
func Pick(w, r *Schema) *Schema {
	for _, exact := range []bool{true, false} {
		for _, b := range r.Branches {
			switch {
			case w.Kind == b.Kind && (!w.Kind.Named() || exact && b.Name == w.Name || !exact && b.Known(w)):
				return b
			case !exact && Promotes(w.Kind, b.Kind):
				return b
			}
		}
	}
	return nil
}
