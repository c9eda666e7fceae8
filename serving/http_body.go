package serving

import (
	"github.com/weir-ml/weir/internal/jsonscan"
	"github.com/weir-ml/weir/registry/feature"
)

// jsonBody is the body of a request in JSON, read in memory that is used again.
type jsonBody struct {
	scanner *jsonscan.Scanner
	doc     jsonscan.Doc
	text    []byte // texts that had to be unescaped, one behind the other
}

func newJSONBody() jsonBody {
	return jsonBody{scanner: jsonscan.NewScanner(nil, jsonscan.Limits{Depth: 8})}
}

// small reports whether the memory is worth keeping for the next request.
func (b *jsonBody) small() bool { return cap(b.doc.Nodes) < 1<<16 && cap(b.text) < largestKept }

// scan reads an object. What is read refers to body until the next scan.
func (b *jsonBody) scan(body []byte) error {
	b.text = b.text[:0]
	if err := b.scanner.Scan(&b.doc, body); err != nil {
		return feature.Errorf(feature.Invalid, "lookup", "body", "it is no JSON: %w", err)
	}
	if k := b.doc.Nodes[0].Kind; k != jsonscan.Object {
		return feature.Errorf(feature.Invalid, "lookup", "body", "a %s where an object is expected", k)
	}
	return nil
}

func badMember(name, format string, args ...any) *feature.Error {
	return feature.Errorf(feature.Invalid, "lookup", "member "+name, format, args...)
}

func (b *jsonBody) string(m uint32, name string) (string, error) {
	if k := b.doc.Nodes[m].Kind; k != jsonscan.String {
		return "", badMember(name, "a %s where a string is expected", k)
	}
	text, _ := b.doc.Text(m, nil)
	return string(text), nil
}

func (b *jsonBody) bool(m uint32, name string) (bool, error) {
	k := b.doc.Nodes[m].Kind
	if k != jsonscan.True && k != jsonscan.False {
		return false, badMember(name, "a %s where true or false is expected", k)
	}
	return k == jsonscan.True, nil
}

// short is the beginning of what a client sent, for a message.
func short(b []byte) string {
	if len(b) > 100 {
		return string(b[:100]) + "..."
	}
	return string(b)
}

// key reads one value; false where it is none of the vector's type.
func (b *jsonBody) key(v *feature.Vector, row int, at uint32) bool {
	d := &b.doc
	n := &d.Nodes[at]
	v.Valid[row] = n.Kind != jsonscan.Null
	switch n.Kind {
	case jsonscan.Null:
		return true
	case jsonscan.True, jsonscan.False:
		if v.Type != feature.Bool {
			return false
		}
		v.Bools[row] = n.Kind == jsonscan.True
		return true
	case jsonscan.Number:
		x, ok := n.Decimal()
		if !ok {
			return false
		}
		whole, ok := x.Int64()
		return ok && putWhole(v, row, whole)
	case jsonscan.String:
		text := d.Raw(at)
		if n.Flags&jsonscan.Escaped != 0 {
			from := len(b.text)
			b.text = d.AppendText(b.text, at)
			text = b.text[from:len(b.text):len(b.text)]
		}
		if v.Type == feature.String {
			v.Bytes[row] = text
			return true
		}
		return ParseKey(v, v.Type, row, view(text)) == nil
	}
	return false
}
