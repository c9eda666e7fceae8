package avro

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/weir-ml/weir/internal/avroschema"
)

// defaults writes the JSON of a default in the binary encoding.
type defaults struct{ room int }

func (e *defaults) encode(dst []byte, s *avroschema.Schema, v any, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, errors.New("it nests too deep: does a type contain itself by default?")
	}
	if e.room--; e.room < 0 || len(dst) > maxDefault {
		return nil, errors.New("it is too large")
	}
	wrong := func() ([]byte, error) {
		b, _ := json.Marshal(v)
		if len(b) > 60 {
			b = append(b[:60:60], "..."...)
		}
		return nil, fmt.Errorf("%s is no %s", b, s)
	}
	text, isText := v.(string)
	switch s.Kind {
	case avroschema.Null:
		if v != nil {
			return wrong()
		}
		return dst, nil
	case avroschema.Boolean:
		b, ok := v.(bool)
		if !ok {
			return wrong()
		}
		if b {
			return append(dst, 1), nil
		}
		return append(dst, 0), nil
	case avroschema.Int, avroschema.Long:
		n, ok := v.(json.Number)
		i, err := strconv.ParseInt(string(n), 10, 64)
		if !ok || err != nil || s.Kind == avroschema.Int && (i < math.MinInt32 || i > math.MaxInt32) {
			return wrong()
		}
		return binary.AppendVarint(dst, i), nil
	case avroschema.Float, avroschema.Double:
		n, ok := v.(json.Number)
		bits := 64
		if s.Kind == avroschema.Float {
			bits = 32
		}
		f, err := strconv.ParseFloat(string(n), bits)
		if !ok || err != nil {
			return wrong()
		}
		if bits == 32 {
			return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(f))), nil
		}
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f)), nil
	case avroschema.String:
		if !isText {
			return wrong()
		}
		return append(binary.AppendVarint(dst, int64(len(text))), text...), nil
	case avroschema.Bytes, avroschema.Fixed:
		var raw []byte
		for _, c := range text { // the code points 0 to 255 stand for bytes
			if c > 255 {
				return wrong()
			}
			raw = append(raw, byte(c))
		}
		if !isText || s.Kind == avroschema.Fixed && len(raw) != s.Size {
			return wrong()
		}
		if s.Kind == avroschema.Bytes {
			dst = binary.AppendVarint(dst, int64(len(raw)))
		}
		return append(dst, raw...), nil
	case avroschema.Enum:
		i := slices.Index(s.Symbols, text)
		if !isText || i < 0 {
			return wrong()
		}
		return binary.AppendVarint(dst, int64(i)), nil
	case avroschema.Array:
		list, ok := v.([]any)
		if !ok {
			return wrong()
		}
		var err error
		for _, x := range list {
			dst = append(dst, 2)
			if dst, err = e.encode(dst, s.Items, x, depth+1); err != nil {
				return nil, err
			}
		}
		return append(dst, 0), nil
	case avroschema.Map:
		m, ok := v.(map[string]any)
		if !ok {
			return wrong()
		}
		var err error
		for _, k := range slices.Sorted(maps.Keys(m)) {
			dst = append(binary.AppendVarint(append(dst, 2), int64(len(k))), k...)
			if dst, err = e.encode(dst, s.Items, m[k], depth+1); err != nil {
				return nil, err
			}
		}
		return append(dst, 0), nil
	case avroschema.Union:
		// Older versions of the specification take the first branch, newer ones any.
		var first error
		for i, b := range s.Branches {
			out, err := e.encode(binary.AppendVarint(dst, int64(i)), b, v, depth+1)
			if err == nil {
				return out, nil
			}
			if first == nil {
				first = err
			}
		}
		return nil, first
	default:
		m, ok := v.(map[string]any)
		if !ok {
			return wrong()
		}
		var err error
		for i := range s.Fields {
			f := &s.Fields[i]
			x, ok := m[f.Name]
			if !ok {
				if f.Default == nil {
					return nil, fmt.Errorf("the field %s of %s has neither a value nor a default", f.Name, s)
				}
				if x, err = value(f.Default); err != nil {
					return nil, err
				}
			}
			if dst, err = e.encode(dst, f.Type, x, depth+1); err != nil {
				return nil, err
			}
		}
		return dst, nil
	}
}

// value is a default with the digits of its numbers.
func value(raw json.RawMessage) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}
