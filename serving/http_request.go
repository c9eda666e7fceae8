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

	jsonBody
	names []string
	nodes []uint32 // the list of each name
	keys  []feature.Vector
}

// httpRequests keeps the memory of requests.
type httpRequests struct{ pool sync.Pool }

func (p *httpRequests) get() *httpRequest {
	r, _ := p.pool.Get().(*httpRequest)
	if r == nil {
		r = &httpRequest{jsonBody: newJSONBody()}
		r.Entities = r.vectors
	}
	return r
}

func (p *httpRequests) put(r *httpRequest) {
	if r.small() {
		p.pool.Put(r)
	}
}

// read reads a body. The request refers to it until the next read.
func (r *httpRequest) read(body []byte) error {
	r.Question = Question{Entities: r.Entities}
	r.statuses, r.times, r.entities = false, false, 0
	d := &r.doc
	if err := r.scan(body); err != nil {
		return err
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
