package serving

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/weir-ml/weir/internal/jsonscan"
	"github.com/weir-ml/weir/registry/feature"
)

// inferRequest is an inference request of the Open Inference Protocol v2 whose model is a service, read in
// pooled memory: its input tensors are the join keys, its outputs what is wanted of the features. Members that the
// protocol has not are refused; parameters that are others' are passed over, as it asks for.
type inferRequest struct {
	Question
	id, version string // version is of the path; empty where any will do
	hasID       bool
	forward     bool // answer with an inference request for the model, features its inputs
	binary      bool // of what is not asked for by name
	statuses    bool
	times       bool
	matrix      string   // what the one tensor of all features is called
	number      datatype // of the one tensor, and of numbers by name; 0: FP64, and each its own
	inputs      []inferInput
	outputs     []inferOutput
	wanted      []inferWanted // outputs, once the service is known

	jsonBody
	keys []feature.Vector
	seen []bool // columns that are wanted
}

// inferInput is an input tensor that has not been read yet.
type inferInput struct {
	name  string // part of the body, where nothing in it is escaped
	kind  datatype
	shape uint32 // nodes
	data  uint32 // 0 where the values are in raw
	size  int    // of raw, -1 where the values are in data
	raw   []byte
}

// inferOutput is a tensor that the client asks for.
type inferOutput struct {
	name   string
	number datatype // in the place of its own; 0: its own
	binary bool
	own    bool // whether it says itself if it is binary
}

// inferWanted is an output of a known service.
type inferWanted struct {
	column int // of the service; -1 for the one tensor of all of them
	kind   datatype
	binary bool
}

// matrixName is the one tensor's name, unless the client has another.
const matrixName = "features"

// allFeatures is what every feature as a tensor of its own is asked for by.
const allFeatures = "*"

// inferRequests keeps the memory of requests.
type inferRequests struct{ pool sync.Pool }

func (p *inferRequests) get() *inferRequest {
	r, _ := p.pool.Get().(*inferRequest)
	if r == nil {
		r = &inferRequest{jsonBody: newJSONBody()}
		r.Entities, r.Suits = r.vectors, r.suits
	}
	return r
}

func (p *inferRequests) put(r *inferRequest) {
	if r.small() {
		clear(r.inputs) // they hold the body
		clear(r.outputs)
		p.pool.Put(r)
	}
}

// read reads a body, of which head bytes are JSON and the others raw tensors; -1 where all is JSON.
// The request refers to it until the next read.
func (r *inferRequest) read(body []byte, head int) error {
	r.Question = Question{Entities: r.Entities, Suits: r.Suits}
	r.id, r.hasID, r.version = "", false, ""
	r.forward, r.binary, r.statuses, r.times, r.matrix, r.number = false, false, false, false, matrixName, 0
	r.inputs, r.outputs = r.inputs[:0], r.outputs[:0]
	raw := body[len(body):]
	if head >= 0 {
		body, raw = body[:head], body[head:]
	}
	d := &r.doc
	if err := r.scan(body); err != nil {
		return err
	}
	for m := uint32(1); m < d.Nodes[0].Next; m = d.Nodes[m].Next {
		name, _ := d.KeyText(m, nil)
		var err error
		switch string(name) {
		case "id":
			r.id, err = r.string(m, "id")
			if r.hasID = true; len(r.id) <= mostRequestID {
				r.RequestID = r.id
			}
		case "parameters":
			err = r.parameters(m)
		case "inputs":
			err = r.each(m, "inputs", r.input)
		case "outputs":
			err = r.each(m, "outputs", r.output)
		default:
			err = badMember(string(name), "no inference request has it")
			err.(*feature.Error).Hint = "there are id, parameters, inputs and outputs"
		}
		if err != nil {
			return err
		}
	}
	if r.forward && (r.statuses || r.times) {
		return badMember("parameters", "an answer that is a request has no place for statuses and event times").WithHint("leave out include_statuses and include_event_times, or as")
	}
	for i := range r.inputs {
		in := &r.inputs[i]
		if in.size < 0 {
			continue
		}
		if in.size > len(raw) {
			return badMember("inputs", "%q has a binary_data_size of %d, and %d bytes are left of the body", in.name, in.size, len(raw)).
				WithHint("the header %s says where the JSON ends and the tensors begin", binaryHeader)
		}
		in.raw, raw = raw[:in.size:in.size], raw[in.size:]
	}
	if len(raw) > 0 {
		return badMember("inputs", "%d bytes behind the JSON are of no tensor", len(raw))
	}
	return nil
}

// parameters are those of the request; the ones that Weir does not know are for others.
func (r *inferRequest) parameters(at uint32) error {
	return r.object(at, "parameters", func(name string, m uint32) (err error) {
		switch name {
		case "as":
			var as string
			if as, err = r.string(m, name); err == nil && as != "request" && as != "response" {
				err = badMember("as", "%q is neither request nor response", short([]byte(as)))
			}
			r.forward = as == "request"
		case "tensor":
			r.matrix, err = r.string(m, name)
		case "datatype":
			r.number, err = r.realType(m)
		case "binary_data_output":
			r.binary, err = r.bool(m, name)
		case "include_statuses":
			r.statuses, err = r.bool(m, name)
		case "include_event_times":
			r.times, err = r.bool(m, name)
		}
		return err
	})
}

func (r *inferRequest) realType(m uint32) (datatype, error) {
	name, err := r.string(m, "datatype")
	if err != nil {
		return 0, err
	}
	if k := datatypeOf(name); k == fp32 || k == fp64 {
		return k, nil
	}
	return 0, badMember("datatype", "features are given as FP64 or FP32, not as %q", short([]byte(name)))
}

// object gives each member of an object.
func (r *inferRequest) object(at uint32, what string, member func(name string, m uint32) error) error {
	d := &r.doc
	if k := d.Nodes[at].Kind; k != jsonscan.Object {
		return badMember(what, "a %s where an object is expected", k)
	}
	for m := at + 1; m < d.Nodes[at].Next; m = d.Nodes[m].Next {
		name, _ := d.KeyText(m, nil)
		if err := member(view(name), m); err != nil {
			return err
		}
	}
	return nil
}

// each gives each object of a list.
func (r *inferRequest) each(at uint32, what string, read func(uint32) error) error {
	d := &r.doc
	if k := d.Nodes[at].Kind; k != jsonscan.Array {
		return badMember(what, "a %s where a list of objects is expected", k)
	}
	for m := at + 1; m < d.Nodes[at].Next; m = d.Nodes[m].Next {
		if err := read(m); err != nil {
			return err
		}
	}
	return nil
}

func (r *inferRequest) input(at uint32) error {
	in := inferInput{size: -1}
	d := &r.doc
	named := false
	err := r.object(at, "inputs", func(name string, m uint32) (err error) {
		switch name {
		case "name":
			in.name, err = r.view(m, "inputs.name")
			named = true
		case "shape":
			if in.shape = m; d.Nodes[m].Kind != jsonscan.Array {
				err = badMember("inputs.shape", "a %s where a list of numbers is expected", d.Nodes[m].Kind)
			}
		case "datatype":
			var text string
			if text, err = r.view(m, "inputs.datatype"); err == nil {
				if in.kind = datatypeOf(text); in.kind == 0 {
					err = badMember("inputs.datatype", "%q is none of the protocol", short([]byte(text))).WithHint("there are %s", strings.Join(datatypeNames[1:], ", "))
				}
			}
		case "data":
			if in.data = m; d.Nodes[m].Kind != jsonscan.Array {
				err = badMember("inputs.data", "a %s where a list is expected", d.Nodes[m].Kind)
			}
		case "parameters":
			err = r.object(m, "inputs.parameters", func(name string, m uint32) error {
				if name != "binary_data_size" {
					return nil
				}
				x, ok := d.Nodes[m].Decimal()
				size, whole := x.Int64()
				if d.Nodes[m].Kind != jsonscan.Number || !ok || !whole || size < 0 || size > 1<<40 {
					return badMember("inputs.parameters", "binary_data_size is no number of bytes")
				}
				in.size = int(size)
				return nil
			})
		default:
			err = badMember("inputs", "no tensor has a member %q", short([]byte(name))).WithHint("there are name, shape, datatype, parameters and data")
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case !named || in.shape == 0 || in.kind == 0:
		return badMember("inputs", "a tensor has a name, a shape and a datatype")
	case (in.data == 0) == (in.size < 0):
		return badMember("inputs", "%q has data, or binary_data_size bytes behind the JSON: one of them", in.name)
	}
	r.inputs = append(r.inputs, in)
	return nil
}

func (r *inferRequest) output(at uint32) error {
	out := inferOutput{}
	err := r.object(at, "outputs", func(name string, m uint32) (err error) {
		switch name {
		case "name":
			out.name, err = r.view(m, "outputs.name")
		case "parameters":
			err = r.object(m, "outputs.parameters", func(name string, m uint32) (err error) {
				switch name {
				case "binary_data":
					out.binary, err = r.bool(m, name)
					out.own = true
				case "datatype":
					out.number, err = r.realType(m)
				}
				return err
			})
		default:
			err = badMember("outputs", "no requested tensor has a member %q", short([]byte(name))).WithHint("there are name and parameters")
		}
		return err
	})
	if err != nil {
		return err
	}
	r.outputs = append(r.outputs, out)
	return nil
}

// view is a text of the body, good as long as that.
func (r *inferRequest) view(m uint32, name string) (string, error) {
	if k := r.doc.Nodes[m].Kind; k != jsonscan.String {
		return "", badMember(name, "a %s where a string is expected", k)
	}
	text, _ := r.doc.Text(m, nil)
	return view(text), nil
}

// suits is Question.Suits: it finds the columns of the outputs.
func (r *inferRequest) suits(s *feature.Service) error {
	if err := versionIs(s, r.version); err != nil {
		return err
	}
	r.wanted = r.wanted[:0]
	if len(r.outputs) == 0 {
		return r.want(s, -1, inferOutput{name: r.matrix, number: r.number, binary: r.binary})
	}
	r.seen = sized(r.seen, len(s.Columns)+1)
	clear(r.seen)
	next := 0 // most clients ask in the service's order
	for _, o := range r.outputs {
		if o.number == 0 {
			o.number = r.number
		}
		if !o.own {
			o.binary = r.binary
		}
		if o.name == allFeatures {
			for i := range s.Columns {
				if err := r.want(s, i, inferOutput{name: s.Columns[i].Name, number: o.number, binary: o.binary}); err != nil {
					return err
				}
			}
			continue
		}
		at := -2
		for n := range s.Columns {
			if i := (next + n) % len(s.Columns); s.Columns[i].Name == o.name {
				at = i
				break
			}
		}
		if at == -2 && o.name == r.matrix {
			at = -1
		}
		if at == -2 {
			return feature.Errorf(feature.Invalid, "lookup", "output "+short([]byte(o.name)), "service %s has no such feature, and the tensor of all is called %s", s.Meta.Name, r.matrix).
				WithHint("ask for features by name, for %q, which is all of them, or for %s", allFeatures, r.matrix)
		}
		next = at + 1
		if err := r.want(s, at, o); err != nil {
			return err
		}
	}
	return nil
}

// want adds an output.
func (r *inferRequest) want(s *feature.Service, column int, o inferOutput) error {
	if len(r.outputs) > 0 {
		if r.seen[column+1] {
			return feature.Errorf(feature.Invalid, "lookup", "output "+o.name, "it is asked for twice")
		}
		r.seen[column+1] = true
	}
	w := inferWanted{column: column, kind: o.number, binary: o.binary}
	if column < 0 {
		if w.kind == 0 {
			w.kind = fp64
		}
		if i := slices.IndexFunc(s.Columns, func(c feature.ServiceColumn) bool { return !numeric(typeOf(s, c)) }); i >= 0 {
			return feature.Errorf(feature.Invalid, "lookup", "feature "+s.Columns[i].Name, "it is a %s, which one tensor of numbers cannot hold", typeOf(s, s.Columns[i])).
				WithHint(`ask for tensors by name, or for all with "outputs": [{"name": %q}]`, allFeatures)
		}
	} else if t := typeOf(s, s.Columns[column]); w.kind == 0 || !numeric(t) {
		w.kind = datatypeFor(t)
	}
	r.wanted = append(r.wanted, w)
	return nil
}

// versionIs refuses a version of a service that is not the one in force; empty is any.
func versionIs(s *feature.Service, version string) error {
	if version == "" || version == strconv.Itoa(s.Version) {
		return nil
	}
	return feature.Errorf(feature.NotFound, "lookup", "service "+s.Meta.Name, "version %s is not in force", short([]byte(version))).WithHint("version %d is; leave versions out of the path for whichever is", s.Version)
}

func typeOf(s *feature.Service, c feature.ServiceColumn) feature.Type {
	return s.Views[c.View].Features[c.Feature].Type
}
