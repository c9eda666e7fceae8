package migrate

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry/feature"
)

// Row is a row that was found. Values are bool, int32, int64 (of timestamps:
// microseconds UTC), float32, float64, string, []byte, of arrays a []any of these, or nil for null, in the order
// of the view's keys and features and of their types.
type Row struct {
	Time   int64 // of the event, microseconds UTC
	Keys   []any
	Values []any
	Absent []bool // by feature: the other store does not know it, so null says nothing
}

// Lines writes rows as events of a view's source.
type Lines struct {
	view *feature.View
	root *node
	// Coarse is the unit of the source's event time, where the schema wants whole
	// numbers: times are cut to it. 1 where nothing is cut.
	Coarse int64
	cut    int64
}

// node is a member of the event, or its whole.
type node struct {
	name     string // as JSON, with the colon
	path     string
	what     string // who has it, for errors
	required bool   // the schema wants it even where it is null
	value    func(dst []byte, r *Row) []byte
	below    []*node
}

// NewLines makes a writer; the view is resolved. It fails where an event cannot say what a row says.
func NewLines(v *feature.View) (*Lines, error) {
	l := &Lines{view: v, root: &node{}, Coarse: 1}
	stamp, err := l.stamp(v.SourceOf.EventTime)
	if err != nil {
		return nil, err
	}
	if err := l.add(v.SourceOf.EventTime.Field, "the event time", func(dst []byte, r *Row) []byte { return stamp(dst, r.Time) }); err != nil {
		return nil, err
	}
	if c := v.SourceOf.Created; c != nil && c.Field != v.SourceOf.EventTime.Field {
		// When it became known nobody wrote down: as in every import, at the event time.
		stamp, err := l.stamp(*c)
		if err != nil {
			return nil, err
		}
		if err := l.add(c.Field, "the known time", func(dst []byte, r *Row) []byte { return stamp(dst, r.Time) }); err != nil {
			return nil, err
		}
	}
	for i, k := range v.Keys {
		if err := l.add(k.EventPath(), "join key "+k.Name, func(dst []byte, r *Row) []byte { return appendValue(dst, k.Type, r.Keys[i]) }); err != nil {
			return nil, err
		}
	}
	for i, f := range v.Features {
		if err := l.add(f.EventPath(), "feature "+f.Name, func(dst []byte, r *Row) []byte { return appendValue(dst, f.Type, r.Values[i]) }); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// Cut is how many lines have a time that was cut.
func (l *Lines) Cut() int64 { return l.cut }

// add puts a leaf into the tree.
func (l *Lines) add(path, what string, value func([]byte, *Row) []byte) error {
	required := requiredOf(l.view.SourceOf.Schema)
	at, so := l.root, ""
	for seg := range strings.SplitSeq(path, ".") {
		if so != "" {
			so += "."
		}
		so += seg
		if at.value != nil {
			return l.clash(at, what, path)
		}
		var next *node
		for _, b := range at.below {
			if b.path == so {
				next = b
			}
		}
		if next == nil {
			name, err := json.Marshal(seg)
			if err != nil {
				return err
			}
			next = &node{name: string(name) + ":", path: so, what: what, required: required[so]}
			at.below = append(at.below, next)
		}
		at = next
	}
	if at.value != nil || len(at.below) > 0 {
		return l.clash(at, what, path)
	}
	at.value = value
	return nil
}

func (l *Lines) clash(at *node, what, path string) error {
	return feature.Errorf(feature.Unsupported, "migrate", "view "+l.view.Meta.Name, "%s is read from %s of the event, and %s from %s: no event can say both", what, path, at.what, at.path).
		WithHint("migrate into a view of a source of its own, with a path for each, and switch afterwards")
}

// requiredOf lists the members that an event schema requires, by dotted path.
func requiredOf(schema []byte) map[string]bool {
	out := map[string]bool{}
	var walk func(prefix string, raw []byte, depth int)
	walk = func(prefix string, raw []byte, depth int) {
		var s struct {
			Required   []string                   `json:"required"`
			Properties map[string]json.RawMessage `json:"properties"`
		}
		if depth > 32 || json.Unmarshal(raw, &s) != nil {
			return
		}
		for _, name := range s.Required {
			out[prefix+name] = true
		}
		for name, p := range s.Properties {
			walk(prefix+name+".", p, depth+1)
		}
	}
	walk("", schema, 0)
	return out
}

// Append adds the row's line to dst, without the newline.
func (l *Lines) Append(dst []byte, r *Row) []byte {
	if l.Coarse > 1 && r.Time%l.Coarse != 0 {
		l.cut++
	}
	dst, _ = l.root.append(dst, r)
	return dst
}

// append writes a member's value; false where it has none, and nothing was written.
func (n *node) append(dst []byte, r *Row) ([]byte, bool) {
	if n.value != nil {
		from := len(dst)
		dst = n.value(dst, r)
		return dst, string(dst[from:]) != "null"
	}
	dst = append(dst, '{')
	members, some := 0, false
	for _, b := range n.below {
		from := len(dst)
		if members > 0 {
			dst = append(dst, ',')
		}
		var ok bool
		if dst, ok = b.append(append(dst, b.name...), r); !ok && !b.required {
			dst = dst[:from]
			continue
		}
		members, some = members+1, some || ok
	}
	return append(dst, '}'), some
}

func appendValue(dst []byte, t feature.Type, v any) []byte {
	switch x := v.(type) {
	case nil:
		return append(dst, "null"...)
	case int32:
		return strconv.AppendInt(dst, int64(x), 10)
	case int64:
		if t == feature.Timestamp {
			return append(tabular.AppendTime(append(dst, '"'), x), '"')
		}
		return strconv.AppendInt(dst, x, 10)
	case []any:
		dst = append(dst, '[')
		for i, e := range x {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, t.Elem(), e)
		}
		return append(dst, ']')
	}
	b, err := json.Marshal(v) // bytes become base64, floats the shortest text that reads as them
	if err != nil {
		panic(fmt.Sprintf("migrate: a value of type %T: %v", v, err))
	}
	return append(dst, b...)
}

// stamp writes times as a source has them.
func (l *Lines) stamp(f feature.TimeField) (func(dst []byte, micros int64) []byte, error) {
	var unit int64
	switch f.Format {
	case "", "rfc3339":
		return func(dst []byte, t int64) []byte { return append(tabular.AppendTime(append(dst, '"'), t), '"') }, nil
	case "naive":
		return func(dst []byte, t int64) []byte {
			return append(feature.Time(t).AppendFormat(append(dst, '"'), "2006-01-02T15:04:05.999999"), '"')
		}, nil
	case "unix_s":
		unit = 1_000_000
	case "unix_ms":
		unit = 1000
	case "unix_us":
		unit = 1
	case "unix_ns":
		return func(dst []byte, t int64) []byte {
			if t == 0 {
				return append(dst, '0')
			}
			return append(strconv.AppendInt(dst, t, 10), "000"...)
		}, nil
	default:
		return nil, feature.Errorf(feature.Unsupported, "migrate", "view "+l.view.Meta.Name, "unknown time format %q", f.Format)
	}
	whole := tabular.SchemaTypes(l.view.SourceOf.Schema)[f.Field] == feature.Int64
	if whole && unit > l.Coarse {
		l.Coarse = unit
	}
	return func(dst []byte, t int64) []byte {
		n, rest := t/unit, t%unit
		if rest < 0 {
			n, rest = n-1, rest+unit
		}
		if whole || rest == 0 {
			return strconv.AppendInt(dst, n, 10)
		}
		if n < 0 { // -0.5 is written as -1 + 0.5 above
			n, rest = n+1, unit-rest
			if n == 0 {
				dst = append(dst, '-')
			}
		}
		dst = append(strconv.AppendInt(dst, n, 10), '.')
		digits := strconv.FormatInt(unit+rest, 10)[1:] // with the zeros in front
		return append(dst, strings.TrimRight(digits, "0")...)
	}, nil
}
