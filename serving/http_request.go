package serving

import (
	"slices"
	"strings"
	"sync"

	"github.com/weir-ml/weir/internal/jsonscan"
	"github.com/weir-ml/weir/registry/feature"
)

// httpRequest is a lookup in JSON, read in pooled memory. What no lookup has is refused,
// so that a misspelt member is not silently ignored.
type httpRequest struct {
	Question
	statuses, times bool
	entities        uint32 // node of the object; 0 where there is none

	scanner *jsonscan.Scanner
	doc     jsonscan.Doc
	text    []byte // texts that had to be unescaped, one behind the other
	names   []string
	nodes   []uint32 // the list of each name
	keys    []feature.Vector
}

// httpRequests keeps the memory of requests.
type httpRequests struct{ pool sync.Pool }

func (p *httpRequests) get() *httpRequest {
	r, _ := p.pool.Get().(*httpRequest)
	if r == nil {
		r = &httpRequest{scanner: jsonscan.NewScanner(nil, jsonscan.Limits{Depth: 8})}
		r.Entities = r.vectors
	}
	return r
}

func (p *httpRequests) put(r *httpRequest) {
	if cap(r.doc.Nodes) < 1<<16 && cap(r.text) < largestKept {
		p.pool.Put(r)
	}
}

func badMember(name, format string, args ...any) error {
	return feature.Errorf(feature.Invalid, "lookup", "member "+name, format, args...)
}

// read reads a body. The request refers to it until the next read.
func (r *httpRequest) read(body []byte) error {
	r.Question = Question{Entities: r.Entities}
	r.statuses, r.times, r.entities, r.text = false, false, 0, r.text[:0]
	d := &r.doc
	if err := r.scanner.Scan(d, body); err != nil {
		return feature.Errorf(feature.Invalid, "lookup", "body", "it is no JSON: %w", err)
	}
	if d.Nodes[0].Kind != jsonscan.Object {
		return feature.Errorf(feature.Invalid, "lookup", "body", "a %s where an object is expected", d.Nodes[0].Kind)
	}
	for m := uint32(1); m < d.Nodes[0].Next; m = d.Nodes[m].Next {
		name, _ := d.KeyText(m, nil)
		var err error
		switch string(name) {
		case "project":
			r.Project, err = r.string(m, "project")
		case "service":
			r.Service, err = r.string(m, "service")
		case "request_id":
			r.RequestID, err = r.string(m, "request_id")
		case "features":
			err = r.list(m)
		case "entities":
			if r.entities = m; d.Nodes[m].Kind != jsonscan.Object {
				err = badMember("entities", "a %s where an object of lists is expected", d.Nodes[m].Kind)
			}
		case "include_statuses":
			r.statuses, err = r.bool(m, "include_statuses")
		case "include_event_times":
			r.times, err = r.bool(m, "include_event_times")
		default:
			err = badMember(string(name), "no lookup has it")
			err.(*feature.Error).Hint = "there are project, service, features, entities, include_statuses, include_event_times and request_id"
		}
		if err != nil {
			return err
		}
	}
	if r.Service != "" && len(r.Features) > 0 {
		return badMember("features", "a service is named too; only one of them can be asked for")
	}
	return nil
}

func (r *httpRequest) string(m uint32, name string) (string, error) {
	if k := r.doc.Nodes[m].Kind; k != jsonscan.String {
		return "", badMember(name, "a %s where a string is expected", k)
	}
	text, _ := r.doc.Text(m, nil)
	return string(text), nil
}

func (r *httpRequest) bool(m uint32, name string) (bool, error) {
	k := r.doc.Nodes[m].Kind
	if k != jsonscan.True && k != jsonscan.False {
		return false, badMember(name, "a %s where true or false is expected", k)
	}
	return k == jsonscan.True, nil
}

func (r *httpRequest) list(m uint32) error {
	if k := r.doc.Nodes[m].Kind; k != jsonscan.Array {
		return badMember("features", "a %s where a list of strings is expected", k)
	}
	for i := m + 1; i < r.doc.Nodes[m].Next; i = r.doc.Nodes[i].Next {
		s, err := r.string(i, "features")
		if err != nil {
			return err
		}
		r.Features = append(r.Features, s)
	}
	return nil
}

// vectors is Question.Entities. A null is a key that nothing is found for.
func (r *httpRequest) vectors(keys []feature.Field) ([]feature.Vector, int, error) {
	d := &r.doc
	r.names, r.nodes = r.names[:0], r.nodes[:0]
	if r.entities != 0 {
		for m := r.entities + 1; m < d.Nodes[r.entities].Next; m = d.Nodes[m].Next {
			name, _ := d.KeyText(m, nil)
			r.names, r.nodes = append(r.names, view(name)), append(r.nodes, m)
		}
	}
	if err := sameKeys(keys, len(r.names), func(i int) string { return r.names[i] }); err != nil {
		return nil, 0, err
	}
	r.keys = slices.Grow(r.keys[:0], len(keys))[:len(keys)]
	rows := 0
	for i, k := range keys {
		m := r.nodes[slices.Index(r.names, k.Name)]
		if d.Nodes[m].Kind != jsonscan.Array {
			return nil, 0, feature.Errorf(feature.Invalid, "lookup", "entity "+k.Name, "a %s where a list is expected", d.Nodes[m].Kind)
		}
		n := int(d.Nodes[m].Len)
		if i == 0 {
			rows = n
		}
		if n != rows {
			return nil, 0, unequal(keys, i, n, rows)
		}
		r.keys[i].Reset(k.Type, n)
		row := 0
		for at := m + 1; at < d.Nodes[m].Next; at = d.Nodes[at].Next {
			if !r.key(&r.keys[i], row, at) {
				return nil, 0, notOf(k, row, strings.ToValidUTF8(short(d.Raw(at)), "\ufffd"))
			}
			row++
		}
	}
	return r.keys, rows, nil
}

// short is the beginning of what a client sent, for a message.
func short(b []byte) string {
	if len(b) > 100 {
		return string(b[:100]) + "..."
	}
	return string(b)
}

// key reads one value; false where it is none of the vector's type.
func (r *httpRequest) key(v *feature.Vector, row int, at uint32) bool {
	d := &r.doc
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
			from := len(r.text)
			r.text = d.AppendText(r.text, at)
			text = r.text[from:len(r.text):len(r.text)]
		}
		if v.Type == feature.String {
			v.Bytes[row] = text
			return true
		}
		return ParseKey(v, v.Type, row, view(text)) == nil
	}
	return false
}
