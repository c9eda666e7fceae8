package expect

import (
	"sync"
	"unsafe"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/jsonschema"
)

// jsonColumn reads the column of a rule about JSON documents.
func (a *args) jsonColumn() (int, bool) {
	col, ok := a.column("column")
	if ok && a.typ(col) != feature.String && a.typ(col) != feature.Bytes {
		a.unfits("column", "column %s is %s, the rule needs text", a.name(col), a.typ(col))
		return 0, false
	}
	return col, ok
}

func jsonRule(a *args) built {
	col, ok := a.jsonColumn()
	if !ok {
		return built{}
	}
	return built{onColumn(col, textLoop(isJSON)), "JSON"}
}

// jsonSchemaRule fails a value that is no JSON as well as one that is not valid.
func jsonSchemaRule(a *args) built {
	col, ok := a.jsonColumn()
	raw, given := a.need("json_schema", "a JSON Schema")
	if !ok || !given {
		return built{}
	}
	schema, err := a.c.jsonSchema(raw)
	if err != nil {
		a.fault("json_schema", "%v", err)
		return built{}
	}
	return built{onColumn(col, textLoop(func(s string) bool {
		return schema.Valid(unsafe.Slice(unsafe.StringData(s), len(s)))
	})), "JSON that is valid against json_schema"}
}

// selfContained compiles a schema that refers to nothing outside of itself.
func selfContained(raw []byte) (JSONSchema, error) {
	s, err := jsonschema.Compile(raw, jsonschema.Options{})
	if err != nil {
		return nil, err
	}
	return &pooled{pool: sync.Pool{New: func() any { return s.NewChecker() }}}, nil
}

// pooled gives each goroutine a checker of its own.
type pooled struct{ pool sync.Pool }

func (p *pooled) Valid(doc []byte) bool {
	c := p.pool.Get().(*jsonschema.Checker)
	defer p.pool.Put(c)
	return c.Valid(doc)
}

// maxNesting is how deep a document may nest, near to where Python gives up.
const maxNesting = 1000

// isJSON reports whether Python's json.loads reads s: RFC 8259, and NaN,
// Infinity and -Infinity.
func isJSON(s string) bool {
	end, ok := jsonValue(s, jsonSpace(s, 0), maxNesting)
	return ok && jsonSpace(s, end) == len(s)
}

func jsonSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r') {
		i++
	}
	return i
}

// jsonValue reads the value at i and returns where it ends.
func jsonValue(s string, i, depth int) (int, bool) {
	if i >= len(s) || depth == 0 {
		return i, false
	}
	switch c := s[i]; {
	case c == '{':
		return jsonItems(s, i, depth, '}', true)
	case c == '[':
		return jsonItems(s, i, depth, ']', false)
	case c == '"':
		return jsonString(s, i)
	case c == '-' || c >= '0' && c <= '9':
		return jsonNumber(s, i)
	}
	for _, w := range [...]string{"true", "false", "null", "NaN", "Infinity"} {
		if len(s)-i >= len(w) && s[i:i+len(w)] == w {
			return i + len(w), true
		}
	}
	return i, false
}

// jsonItems reads an object or array from its bracket to the one that ends it.
func jsonItems(s string, i, depth int, end byte, named bool) (int, bool) {
	i = jsonSpace(s, i+1)
	if i < len(s) && s[i] == end {
		return i + 1, true
	}
	for {
		var ok bool
		if named {
			if i >= len(s) || s[i] != '"' {
				return i, false
			}
			if i, ok = jsonString(s, i); !ok {
				return i, false
			}
			if i = jsonSpace(s, i); i >= len(s) || s[i] != ':' {
				return i, false
			}
			i = jsonSpace(s, i+1)
		}
		if i, ok = jsonValue(s, i, depth-1); !ok {
			return i, false
		}
		if i = jsonSpace(s, i); i >= len(s) {
			return i, false
		}
		switch s[i] {
		case end:
			return i + 1, true
		case ',':
			i = jsonSpace(s, i+1)
		default:
			return i, false
		}
	}
}

func jsonString(s string, i int) (int, bool) {
	for i++; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return i + 1, true
		case c < 0x20:
			return i, false
		case c == '\\':
			if i++; i >= len(s) {
				return i, false
			}
			switch s[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if len(s)-i < 5 {
					return i, false
				}
				for _, h := range []byte(s[i+1 : i+5]) {
					if !(h >= '0' && h <= '9' || h >= 'a' && h <= 'f' || h >= 'A' && h <= 'F') {
						return i, false
					}
				}
				i += 4
			default:
				return i, false
			}
		}
	}
	return i, false
}

// jsonNumber reads as far as the text is a number. An integer of more digits
// than Python converts is refused.
func jsonNumber(s string, i int) (int, bool) {
	from := i
	if s[i] == '-' {
		if i++; len(s)-i >= 8 && s[i:i+8] == "Infinity" {
			return i + 8, true
		}
	}
	digits := func() bool {
		n := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i > n
	}
	if i < len(s) && s[i] == '0' {
		i++
	} else if !digits() {
		return i, false
	}
	whole := i
	if i+1 < len(s) && s[i] == '.' && s[i+1] >= '0' && s[i+1] <= '9' {
		i++
		digits()
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		back := i
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if !digits() {
			i = back
		}
	}
	return i, i > whole || whole-from <= maxDigits
}
