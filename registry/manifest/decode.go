package manifest

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/suggest"
)

// decoder fills Go values from nodes by their json tags. Unlike the YAML
// package's own it never stops at a fault, knows each value's path, and is
// strict about types: text is not a number and a number is not text.
type decoder struct {
	doc    *Doc
	file   string
	faults *[]Fault
	// budget is how many more nodes may be visited: aliases of aliases can stand
	// for more values than any machine has memory for.
	budget int
	// foreign is set for files of others' making: a null there is an absent field.
	foreign bool
	// ignored are fields that may be there and mean nothing to us.
	ignored []string
}

const maxNodes = 1_000_000

func (d *decoder) fault(n *yaml.Node, path, format string, args ...any) {
	d.doc.bad[path] = true
	*d.faults = append(*d.faults, Fault{Position{d.file, n.Line, n.Column}, path, fmt.Sprintf(format, args...)})
}

// enter follows aliases and accounts for a visited node; nil when there is
// nothing sensible to read.
func (d *decoder) enter(n *yaml.Node, path string, depth int) *yaml.Node {
	for i := 0; n.Kind == yaml.AliasNode && n.Alias != nil; i++ {
		if i > maxDepth {
			return nil
		}
		n = n.Alias
	}
	d.budget--
	switch {
	case d.budget == 0 || depth > maxDepth:
		d.budget = min(d.budget, 0)
		d.fault(n, path, "this stands for more values than a definition can have: does an alias contain itself?")
		return nil
	case d.budget < 0:
		return nil
	case strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!"):
		d.fault(n, path, "the tag %s means nothing here: remove it", n.Tag)
		return nil
	}
	return n
}

var (
	rawType  = reflect.TypeFor[json.RawMessage]()
	timeType = reflect.TypeFor[time.Time]()
	typeType = reflect.TypeFor[feature.Type]()
)

func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n = d.enter(n, path, depth); n == nil {
		return
	}
	if v.Type() == rawType {
		if b, ok := d.json(n, path, depth); ok {
			v.SetBytes(b)
		}
		return
	}
	if n.ShortTag() == "!!null" {
		if !d.foreign {
			d.fault(n, path, "it has no value: give it one, or remove it")
		}
		return
	}
	if v.Kind() == reflect.Pointer {
		p := reflect.New(v.Type().Elem())
		d.value(n, p.Elem(), path, depth+1)
		v.Set(p)
		return
	}
	if v.Type() == timeType {
		if n = d.scalar(n, path, "a time like 2013-01-31T00:00:00Z"); n != nil {
			d.time(n, v, path)
		}
		return
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if v.Type() == typeType && n.Kind == yaml.SequenceNode {
			d.fault(n, path, "it must be the name of a type (got a list)%s", listHint(n))
			return
		}
		if n = d.scalar(n, path, "text"); n != nil {
			if err := u.UnmarshalText([]byte(n.Value)); err != nil {
				d.fault(n, path, "%v%s", err, typeHint(v.Type(), n.Value))
			}
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, path, depth, nil)
	case reflect.Slice:
		d.slice(n, v, path, depth)
	case reflect.Map:
		d.mapping(n, v, path, depth)
	case reflect.String:
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
			d.wrong(n, path, "text")
			return
		}
		v.SetString(n.Value)
	case reflect.Bool:
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
			d.wrong(n, path, "true or false")
			return
		}
		v.SetBool(strings.EqualFold(n.Value, "true"))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(n.Value, 10, v.Type().Bits())
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil {
			d.wrong(n, path, "a whole number")
			return
		}
		v.SetInt(i)
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(n.Value, v.Type().Bits())
		if t := n.ShortTag(); n.Kind != yaml.ScalarNode || t != "!!int" && t != "!!float" || err != nil || f-f != 0 {
			d.wrong(n, path, "a number")
			return
		}
		v.SetFloat(f)
	default:
		panic("manifest: no manifest field has the type " + v.Type().String())
	}
}

// wrong reports a value of the wrong type.
func (d *decoder) wrong(n *yaml.Node, path, want string) {
	got, hint := n.Value, ""
	switch n.Kind {
	case yaml.MappingNode:
		got = "a map"
	case yaml.SequenceNode:
		got = "a list"
	default:
		switch tag := n.ShortTag(); {
		case want == "text" && tag != "!!str":
			hint = fmt.Sprintf(": write %q, with the quotes", n.Value)
		case want == "true or false":
			got = fmt.Sprintf("%q", feature.Shorten([]byte(n.Value)))
		case tag == "!!str":
			got = fmt.Sprintf("the text %q", feature.Shorten([]byte(n.Value)))
		}
	}
	d.fault(n, path, "it must be %s (got %s)%s", want, feature.Shorten([]byte(got)), hint)
}

func (d *decoder) scalar(n *yaml.Node, path, want string) *yaml.Node {
	if n.Kind != yaml.ScalarNode {
		d.wrong(n, path, want)
		return nil
	}
	return n
}

// timeLayouts are RFC 3339 and what YAML itself calls a timestamp; without an offset it is UTC.
var timeLayouts = []string{time.RFC3339Nano, "2006-01-02t15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02"}

func (d *decoder) time(n *yaml.Node, v reflect.Value, path string) {
	for _, l := range timeLayouts {
		if t, err := time.Parse(l, n.Value); err == nil {
			t = t.UTC()
			if y := t.Year(); y >= 1 && y <= 9999 {
				v.Set(reflect.ValueOf(t))
				return
			}
		}
	}
	d.fault(n, path, "%q is not a time: write it like 2013-01-31T00:00:00Z", feature.Shorten([]byte(n.Value)))
}

func (d *decoder) slice(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, path, "a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, min(len(n.Content), 64)))
	for i, c := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		d.doc.mark(at, d.file, c)
		e := reflect.New(v.Type().Elem()).Elem()
		d.value(c, e, at, depth+1)
		v.Set(reflect.Append(v, e)) // also a faulty one: the others keep their index
	}
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "a map")
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, e := range d.entries(n, path, depth) {
		at := path + "." + e.name
		d.markEntry(at, e)
		x := reflect.New(v.Type().Elem()).Elem()
		d.value(e.value, x, at, depth+1)
		v.SetMapIndex(reflect.ValueOf(e.name).Convert(v.Type().Key()), x)
	}
}

// extra reads a field that the struct does not have.
type extra func(value *yaml.Node, path string)

// structure fills a struct. Its field "metadata" stands elsewhere in a manifest.
func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string, depth int, extras map[string]extra) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "a map")
		return
	}
	fields, known := map[string]int{}, []string{}
	for i := range v.NumField() {
		if name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); name != "" && name != "-" && name != "metadata" {
			fields[name] = i
			known = append(known, name)
		}
	}
	for name := range extras {
		known = append(known, name)
	}
	slices.Sort(known)
	present := map[string]bool{}
	entries := d.entries(n, path, depth)
	for _, e := range entries {
		present[e.name] = true
	}
	for _, e := range entries {
		at := path + "." + e.name
		if other := standsFor[e.name]; extras[e.name] != nil && present[other] {
			d.fault(e.key, at, "give %s or %s, not both", other, e.name)
			d.doc.bad[join(path, other)] = true
			continue
		}
		d.markEntry(at, e)
		if i, ok := fields[e.name]; ok {
			if e.value.ShortTag() == "!!null" && v.Field(i).Type() == rawType {
				if !d.foreign { // elsewhere null is JSON like any other
					d.fault(e.value, at, "it has no value: give it one, or remove it")
				}
				continue
			}
			d.value(e.value, v.Field(i), at, depth+1)
		} else if x := extras[e.name]; x != nil {
			x(e.value, at)
		} else if !slices.Contains(d.ignored, e.name) {
			d.unknown(e, at, path, known, present)
		}
	}
}

func (d *decoder) unknown(e entry, at, path string, known []string, present map[string]bool) {
	meant := suggest.Nearest(e.name, known)
	switch {
	case e.name == "expectation_type" && slices.Contains(known, "kwargs"):
		meant = "type"
		d.fault(e.key, at, `Great Expectations 1.x calls this "type": save the suite with a current version, or rename it`)
	case meant != "":
		d.fault(e.key, at, "there is no such field: did you mean %q?", meant)
	default:
		d.fault(e.key, at, "there is no such field: use %s", strings.Join(known, ", "))
	}
	if meant != "" && !present[meant] {
		d.doc.bad[path+"."+meant] = true // that it is missing need not be said as well
	}
}

// entry is one key of a map with its value.
type entry struct {
	name       string
	key, value *yaml.Node
}

// markEntry notes where a field stands: at its value if that is on the key's
// line and simple, else at its key.
func (d *decoder) markEntry(path string, e entry) {
	at := e.key
	if e.value.Kind == yaml.ScalarNode && e.value.Line == e.key.Line {
		at = e.value
	}
	d.doc.mark(path, d.file, at)
}

// entries lists a map's keys in order, merges (<<) included: what the map says
// itself goes before what it merges.
func (d *decoder) entries(n *yaml.Node, path string, depth int) []entry {
	var own, merged []entry
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.ScalarNode && k.ShortTag() == "!!merge" {
			merged = append(merged, d.merge(v, path, depth+1)...)
			continue
		}
		if k.Kind == yaml.AliasNode && k.Alias != nil {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			d.fault(k, path, "a key must be text")
			continue
		}
		if was := first[k.Value]; was != nil {
			d.fault(k, join(path, k.Value), "this key is there twice (first on line %d): remove one", was.Line)
			continue
		}
		first[k.Value] = k
		own = append(own, entry{k.Value, k, v})
	}
	for _, e := range merged {
		if first[e.name] == nil {
			first[e.name] = e.key
			own = append(own, e)
		}
	}
	return own
}

func (d *decoder) merge(n *yaml.Node, path string, depth int) []entry {
	if n = d.enter(n, path, depth); n == nil {
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		return d.entries(n, path, depth)
	case yaml.SequenceNode:
		var out []entry
		for _, c := range n.Content {
			out = append(out, d.merge(c, path, depth+1)...)
		}
		return out
	}
	d.fault(n, path, "<< must merge a map (got %s)", feature.Shorten([]byte(n.Value)))
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
