package feastredis

import (
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weir-ml/weir/registry/feature"
)

// kind says which of its fields a feast.types.Value has: the field's number. 0 is null.
type kind protowire.Number

const (
	kindNull   kind = 0
	kindBytes  kind = 1
	kindString kind = 2
	kindInt32  kind = 3
	kindInt64  kind = 4
	kindDouble kind = 5
	kindFloat  kind = 6
	kindBool   kind = 7
	kindTime   kind = 8
	kindNone   kind = 19 // null_val
)

// kindNames are Feast's names of those kinds that Feast has.
var kindNames = map[kind]string{
	0: "null", 1: "bytes", 2: "string", 3: "int32", 4: "int64", 5: "double", 6: "float", 7: "bool", 8: "unix_timestamp",
	11: "bytes_list", 12: "string_list", 13: "int32_list", 14: "int64_list", 15: "double_list", 16: "float_list", 17: "bool_list", 18: "unix_timestamp_list",
	20: "map", 21: "map_list", 22: "bytes_set", 23: "string_set", 24: "int32_set", 25: "int64_set", 26: "double_set", 27: "float_set", 28: "bool_set", 29: "unix_timestamp_set",
	32: "json", 33: "json_list", 34: "struct", 35: "struct_list", 36: "uuid", 37: "time_uuid", 38: "uuid_list", 39: "time_uuid_list", 40: "uuid_set", 41: "time_uuid_set",
	42: "list", 43: "set", 44: "decimal", 45: "decimal_list", 46: "decimal_set", 47: "scalar_map", 48: "zoned_timestamp",
}

func (k kind) String() string {
	if n, ok := kindNames[k]; ok {
		return n
	}
	return fmt.Sprintf("kind %d", k)
}

// value is one of Feast's values: number and times in n, floats in f, texts and bytes in s.
type value struct {
	kind kind
	n    int64
	f    float64
	s    string
	list []value // of a list
}

// wire is how each kind that is read is written.
var wire = map[kind]protowire.Type{
	kindBytes: protowire.BytesType, kindString: protowire.BytesType, kindInt32: protowire.VarintType, kindInt64: protowire.VarintType,
	kindDouble: protowire.Fixed64Type, kindFloat: protowire.Fixed32Type, kindBool: protowire.VarintType, kindTime: protowire.VarintType, kindNone: protowire.VarintType,
}

// readValue reads a feast.types.Value. Of several fields the last counts, as the format has it.
func readValue(b string) (v value, err error) {
	for raw := []byte(b); len(raw) > 0; {
		num, typ, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return v, protowire.ParseError(n)
		}
		body := raw[n:]
		size := protowire.ConsumeFieldValue(num, typ, body)
		if size < 0 {
			return v, protowire.ParseError(size)
		}
		k := kind(num)
		if want, scalar := wire[k]; scalar && typ != want {
			return v, fmt.Errorf("its %s is written in another way", k)
		}
		switch {
		case k.isList():
			if typ != protowire.BytesType {
				return v, fmt.Errorf("its %s is written in another way", k)
			}
			if v.kind != k { // else one that came in parts
				v = value{kind: k}
			}
			list, _ := protowire.ConsumeBytes(body)
			if err := v.readList(list); err != nil {
				return v, err
			}
		case k == kindNone:
			v = value{}
		default:
			v = scalar(k, body)
		}
		raw = body[size:]
	}
	if v.kind == kindString && !utf8.ValidString(v.s) {
		return v, fmt.Errorf("the string is not UTF-8")
	}
	return v, nil
}

// scalar reads the body of a field of a kind, which is written as that kind is.
func scalar(k kind, body []byte) value {
	v := value{kind: k}
	switch k {
	case kindBytes, kindString:
		s, _ := protowire.ConsumeBytes(body)
		v.s = string(s)
	case kindInt32:
		x, _ := protowire.ConsumeVarint(body)
		v.n = int64(int32(x))
	case kindInt64, kindTime:
		x, _ := protowire.ConsumeVarint(body)
		v.n = int64(x)
	case kindBool:
		x, _ := protowire.ConsumeVarint(body)
		if protowire.DecodeBool(x) {
			v.n = 1
		}
	case kindDouble:
		x, _ := protowire.ConsumeFixed64(body)
		v.f = math.Float64frombits(x)
	case kindFloat:
		x, _ := protowire.ConsumeFixed32(body)
		v.f = float64(math.Float32frombits(x))
	}
	return v
}

// readTime reads a google.protobuf.Timestamp into microseconds; what is finer is cut off.
func readTime(b string) (micros int64, err error) {
	var seconds, nanos int64
	for raw := []byte(b); len(raw) > 0; {
		num, typ, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return 0, protowire.ParseError(n)
		}
		body := raw[n:]
		size := protowire.ConsumeFieldValue(num, typ, body)
		if size < 0 {
			return 0, protowire.ParseError(size)
		}
		if num == 1 || num == 2 {
			if typ != protowire.VarintType {
				return 0, fmt.Errorf("a number is written in another way")
			}
			x, _ := protowire.ConsumeVarint(body)
			if num == 1 {
				seconds = int64(x)
			} else {
				nanos = int64(int32(x))
			}
		}
		raw = body[size:]
	}
	const second = 1_000_000
	if seconds < feature.MinTime/second || seconds > feature.MaxTime/second || nanos < 0 || nanos >= 1e9 {
		return 0, fmt.Errorf("out of range")
	}
	return seconds*second + nanos/1000, nil
}
