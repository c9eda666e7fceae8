package jointest

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// String is the world as a Go literal, to be made a test of its own. What has its
// zero value is left out.
func (w *World) String() string { return "&" + literal(*w) }

func literal(x any) string {
	var b strings.Builder
	write(&b, reflect.ValueOf(x), 0)
	return b.String()
}

// write appends a value as Go; nested lists of structs go one to a line.
func write(b *strings.Builder, v reflect.Value, depth int) {
	if !v.IsValid() {
		b.WriteString("nil")
		return
	}
	if v.Kind() == reflect.Interface {
		writeAny(b, v.Interface())
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		b.WriteString(v.Type().String() + "{")
		first := true
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				continue
			}
			if !first {
				b.WriteString(", ")
			}
			first = false
			b.WriteString(v.Type().Field(i).Name + ": ")
			write(b, v.Field(i), depth)
		}
		b.WriteString("}")
	case reflect.Slice:
		if v.IsNil() {
			b.WriteString("nil")
			return
		}
		b.WriteString(strings.ReplaceAll(v.Type().String(), "interface {}", "any") + "{")
		lines := v.Type().Elem().Kind() == reflect.Struct && v.Len() > 0
		for i := range v.Len() {
			if lines {
				b.WriteString("\n" + strings.Repeat("\t", depth+1))
			} else if i > 0 {
				b.WriteString(", ")
			}
			write(b, v.Index(i), depth+1)
			if lines {
				b.WriteString(",")
			}
		}
		if lines {
			b.WriteString("\n" + strings.Repeat("\t", depth))
		}
		b.WriteString("}")
	case reflect.Map:
		b.WriteString("map[string]any{")
		first := true
		for _, k := range sortedNames(v) {
			if !first {
				b.WriteString(", ")
			}
			first = false
			fmt.Fprintf(b, "%q: ", k)
			write(b, v.MapIndex(reflect.ValueOf(k)), depth)
		}
		b.WriteString("}")
	case reflect.String:
		fmt.Fprintf(b, "%q", v.String())
	default:
		if t, ok := v.Interface().(feature.Type); ok {
			name := t.String()
			if t.IsArray() {
				name = t.Elem().String()
			}
			name = "feature." + strings.ToUpper(name[:1]) + name[1:]
			if t.IsArray() {
				name = "feature.Array(" + name + ")"
			}
			b.WriteString(name)
			return
		}
		fmt.Fprintf(b, "%v", v.Interface())
	}
}

func writeAny(b *strings.Builder, x any) {
	switch x := x.(type) {
	case nil:
		b.WriteString("nil")
	case string:
		fmt.Fprintf(b, "%q", x)
	case []byte:
		fmt.Fprintf(b, "[]byte(%q)", x)
	case []any:
		b.WriteString("[]any{")
		for i, e := range x {
			if i > 0 {
				b.WriteString(", ")
			}
			writeAny(b, e)
		}
		b.WriteString("}")
	case bool:
		fmt.Fprintf(b, "%v", x)
	case float64:
		b.WriteString(floatLiteral("float64", x))
	case float32:
		b.WriteString(floatLiteral("float32", float64(x)))
	case int32, int64:
		fmt.Fprintf(b, "%T(%d)", x, x)
	default:
		fmt.Fprintf(b, "%#v", x)
	}
}

func floatLiteral(typ string, x float64) string {
	switch {
	case math.IsNaN(x):
		return typ + "(math.NaN())"
	case math.IsInf(x, 0):
		return fmt.Sprintf("%s(math.Inf(%d))", typ, int(math.Copysign(1, x)))
	case x == 0 && math.Signbit(x):
		return typ + "(math.Copysign(0, -1))"
	}
	return fmt.Sprintf("%s(%v)", typ, x)
}

func sortedNames(v reflect.Value) []string {
	names := make([]string, 0, v.Len())
	for _, k := range v.MapKeys() {
		names = append(names, k.String())
	}
	slices.Sort(names)
	return names
}
