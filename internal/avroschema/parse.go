package avroschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// What a schema may hold. Real ones have hundreds of types; these keep a
// hostile one from taking memory.
const (
	MaxText  = 4 << 20 // bytes of a schema
	maxDepth = 64      // types within types
	maxTypes = 100_000
	maxFixed = 1 << 20 // bytes of a fixed
)

// Parse reads a schema. The references are schemas whose named types it uses
// without defining them, in an order in which each knows what it uses.
func Parse(text []byte, references ...[]byte) (*Schema, error) {
	p := &parser{names: map[string]*Schema{}}
	for i, ref := range references {
		if _, err := p.parse(ref); err != nil {
			return nil, fmt.Errorf("reference %d: %w", i+1, err)
		}
	}
	return p.parse(text)
}

type parser struct {
	names map[string]*Schema
	types int
}

func (p *parser) parse(text []byte) (*Schema, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("the schema has %d bytes, %d at most", len(text), MaxText)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not JSON: something follows the schema")
	}
	return p.schema(v, "", "", 0)
}

// fault is an error with the path to where it is, outermost first.
func fault(at, format string, args ...any) error {
	if at == "" {
		return fmt.Errorf(format, args...)
	}
	return fmt.Errorf(at+": "+format, args...)
}

func (p *parser) schema(v any, space, at string, depth int) (*Schema, error) {
	if p.types++; p.types > maxTypes {
		return nil, fmt.Errorf("the schema has more than %d types", maxTypes)
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("the schema nests more than %d types", maxDepth)
	}
	switch v := v.(type) {
	case string:
		return p.reference(v, space, at)
	case []any:
		return p.union(v, space, at, depth)
	case map[string]any:
		return p.object(v, space, at, depth)
	}
	return nil, fault(at, "a type is a name, an object or a list, not %s", brief(v))
}

func (p *parser) reference(name, space, at string) (*Schema, error) {
	if k, ok := primitive(name); ok {
		return &Schema{Kind: k}, nil
	}
	if !strings.Contains(name, ".") && space != "" {
		if s := p.names[space+"."+name]; s != nil {
			return s, nil
		}
	}
	if s := p.names[name]; s != nil {
		return s, nil
	}
	return nil, fault(at, "there is no type %q: use a primitive type, or one that is defined before it is used", brief(name))
}

func primitive(name string) (Kind, bool) {
	i := slices.Index(kindNames[:String+1], name)
	return Kind(max(i, 0)), i >= 0
}

func (p *parser) union(list []any, space, at string, depth int) (*Schema, error) {
	if len(list) == 0 {
		return nil, fault(at, "a union needs a type")
	}
	s := &Schema{Kind: Union}
	seen := map[string]bool{}
	for i, e := range list {
		b, err := p.schema(e, space, fmt.Sprintf("%s[%d]", at, i), depth+1)
		if err != nil {
			return nil, err
		}
		if b.Kind == Union {
			return nil, fault(at, "a union may not stand in a union")
		}
		key := b.Kind.String()
		if b.Kind.Named() {
			key = b.Name
		}
		if seen[key] {
			return nil, fault(at, "a union has %s twice", key)
		}
		seen[key] = true
		s.Branches = append(s.Branches, b)
	}
	return s, nil
}

func (p *parser) object(m map[string]any, space, at string, depth int) (*Schema, error) {
	t, ok := m["type"]
	if !ok {
		return nil, fault(at, "there is no \"type\"")
	}
	name, ok := t.(string)
	if !ok { // {"type": {...}}, which some generators write
		return p.schema(t, space, at, depth+1)
	}
	var s *Schema
	var err error
	switch name {
	case "record", "error":
		s, err = p.record(m, space, at, depth)
	case "enum":
		s, err = p.enum(m, space, at)
	case "fixed":
		s, err = p.fixed(m, space, at)
	case "array", "map":
		s = &Schema{Kind: Array}
		of := "items"
		if name == "map" {
			s.Kind, of = Map, "values"
		}
		items, ok := m[of]
		if !ok {
			return nil, fault(at, "%s needs %q", name, of)
		}
		s.Items, err = p.schema(items, space, at+"."+of, depth+1)
	default:
		if s, err = p.reference(name, space, at); err == nil && s.Kind.Named() {
			return s, nil // what stands beside a reference says nothing
		}
	}
	if err == nil {
		logical(s, m)
	}
	return s, err
}

// define gives a named type its names and makes it known.
func (p *parser) define(s *Schema, m map[string]any, space, at string) (inner string, err error) {
	name, _ := m["name"].(string)
	if ns, ok := m["namespace"].(string); ok && !strings.Contains(name, ".") {
		space = ns
	}
	full := func(n string) (string, error) {
		if !strings.Contains(n, ".") && space != "" {
			n = space + "." + n
		}
		for part := range strings.SplitSeq(n, ".") {
			if !validName(part) {
				return "", fault(at, "%q is no name: letters, digits and '_', not a digit first", brief(n))
			}
		}
		return n, nil
	}
	if s.Name, err = full(name); err != nil {
		return "", err
	}
	if _, taken := primitive(s.Name); taken {
		return "", fault(at, "%q is the name of a primitive type", s.Name)
	}
	if p.names[s.Name] != nil {
		return "", fault(at, "%q is defined twice", s.Name)
	}
	aliases, err := texts(m, "aliases", at)
	if err != nil {
		return "", err
	}
	inner = ""
	if i := strings.LastIndexByte(s.Name, '.'); i >= 0 {
		inner = s.Name[:i]
	}
	space = inner
	for _, a := range aliases {
		if a, err = full(a); err != nil {
			return "", err
		}
		s.Aliases = append(s.Aliases, a)
	}
	p.names[s.Name] = s
	return inner, nil
}

func (p *parser) record(m map[string]any, space, at string, depth int) (*Schema, error) {
	s := &Schema{Kind: Record}
	inner, err := p.define(s, m, space, at)
	if err != nil {
		return nil, err
	}
	list, ok := m["fields"].([]any)
	if !ok {
		return nil, fault(at, "record %s needs a list of fields", s.Name)
	}
	seen := map[string]bool{}
	for i, e := range list {
		fm, ok := e.(map[string]any)
		if !ok {
			return nil, fault(at, "field %d of %s is no object", i+1, s.Name)
		}
		f := Field{}
		if f.Name, _ = fm["name"].(string); !validName(f.Name) {
			return nil, fault(at, "field %d of %s: %q is no name: letters, digits and '_', not a digit first", i+1, s.Name, brief(f.Name))
		}
		if seen[f.Name] {
			return nil, fault(at, "%s has the field %s twice", s.Name, f.Name)
		}
		seen[f.Name] = true
		inside := f.Name
		if at != "" {
			inside = at + "." + f.Name
		}
		if f.Aliases, err = texts(fm, "aliases", inside); err != nil {
			return nil, err
		}
		t, ok := fm["type"]
		if !ok {
			return nil, fault(inside, "there is no \"type\"")
		}
		if f.Type, err = p.schema(t, inner, inside, depth+1); err != nil {
			return nil, err
		}
		if d, ok := fm["default"]; ok {
			if f.Default, err = json.Marshal(d); err != nil {
				return nil, fault(inside, "default: %v", err)
			}
		}
		s.Fields = append(s.Fields, f)
	}
	return s, nil
}

func (p *parser) enum(m map[string]any, space, at string) (*Schema, error) {
	s := &Schema{Kind: Enum}
	if _, err := p.define(s, m, space, at); err != nil {
		return nil, err
	}
	var err error
	if s.Symbols, err = texts(m, "symbols", at); err != nil {
		return nil, err
	}
	if len(s.Symbols) == 0 {
		return nil, fault(at, "enum %s needs symbols", s.Name)
	}
	seen := map[string]bool{}
	for _, sym := range s.Symbols {
		if !validName(sym) {
			return nil, fault(at, "enum %s: %q is no symbol: letters, digits and '_', not a digit first", s.Name, brief(sym))
		}
		if seen[sym] {
			return nil, fault(at, "enum %s has %s twice", s.Name, sym)
		}
		seen[sym] = true
	}
	if d, ok := m["default"]; ok {
		s.Default, _ = d.(string)
		s.HasDefault = true
		if !seen[s.Default] {
			return nil, fault(at, "the default of enum %s is none of its symbols", s.Name)
		}
	}
	return s, nil
}

func (p *parser) fixed(m map[string]any, space, at string) (*Schema, error) {
	s := &Schema{Kind: Fixed}
	if _, err := p.define(s, m, space, at); err != nil {
		return nil, err
	}
	var ok bool
	if s.Size, ok = whole(m, "size"); !ok || s.Size < 0 || s.Size > maxFixed {
		return nil, fault(at, "fixed %s needs a size between 0 and %d", s.Name, maxFixed)
	}
	return s, nil
}

func texts(m map[string]any, key, at string) ([]string, error) {
	v, ok := m[key]
	if !ok {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, fault(at, "%s must be a list of texts", key)
	}
	out := make([]string, len(list))
	for i, e := range list {
		if out[i], ok = e.(string); !ok {
			return nil, fault(at, "%s must be a list of texts", key)
		}
	}
	return out, nil
}

// whole reads a number without fraction.
func whole(m map[string]any, key string) (int, bool) {
	n, ok := m[key].(json.Number)
	if !ok {
		return 0, false
	}
	i, err := n.Int64()
	return int(i), err == nil && i >= math.MinInt32 && i <= math.MaxInt32
}

func validName(s string) bool {
	for i, c := range []byte(s) {
		if !(c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return s != ""
}

// brief is a value as an error shows it.
func brief(v any) string {
	s, ok := v.(string)
	if !ok {
		b, _ := json.Marshal(v)
		s = string(b)
	}
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "..."
	}
	return s
}
