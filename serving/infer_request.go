package serving

import (
	"strings"
	"sync"

	"github.com/weir-ml/weir/internal/jsonscan"
	"github.com/weir-ml/weir/registry/feature"
)

// inferRequest is an inference request of the Open Inference Protocol v2 whose model is a service, read in
// pooled memory from JSON (here) or from the message of gRPC (infer_message.go): its input tensors are the join keys,
// its outputs what is wanted of the features. Members that the protocol has not are refused; parameters that are others' are
// passed over, as it asks for.
type inferRequest struct {
	Question
	id, version string // version is of the path; empty where any will do
	hasID       bool
	forward     bool // answer with an inference request for the model, features its inputs
	binary      bool // of what is not asked for by name
	chosen      bool // whether the client says itself if that is binary
	statuses    bool
	times       bool
	validity    bool     // a tensor beside each that says which of its elements are null
	matrix      string   // what the one tensor of all features is called
	number      datatype // of the one tensor, and of numbers by name; 0: FP64, and each its own
	inputs      []inferInput
	outputs     []inferOutput
	wanted      []inferWanted // outputs, once the service is known

	from *inferRequests
	jsonBody
	message inferMessage
	keys    []feature.Vector
	seen    []bool // columns that are wanted
	most    int    // rows that are answered; the elements of more are not read
}

// inferInput is an input tensor that has not been read yet.
type inferInput struct {
	name     string // part of the body, where nothing in it is escaped
	kind     datatype
	rows     int64  // as the shape has them
	data     uint32 // the node of the values; 0 where they are in raw or contents
	size     int    // of raw, -1 where the values are elsewhere
	raw      []byte
	contents []byte // an InferTensorContents
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
		r = &inferRequest{from: p, jsonBody: newJSONBody()}
		r.Entities, r.Suits = r.vectors, r.suits
	}
	return r
}

func (p *inferRequests) put(r *inferRequest) {
	if r.small() && r.message.small() {
		clear(r.inputs) // they hold the body
		clear(r.outputs)
		p.pool.Put(r)
	}
}

// read reads a body, of which head bytes are JSON and the others raw tensors; -1 where all is JSON.
// The request refers to it until the next read.
func (r *inferRequest) read(body []byte, head int) error {
	r.reset()
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
			var id string
			if id, err = r.string(m, "id"); err == nil {
				r.named(id)
			}
		case "parameters":
			err = r.object(m, "parameters", func(name string, m uint32) error { return r.parameter(name, r.param(m)) })
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
	if r.forward && (r.statuses || r.times || r.validity) {
		return badMember("parameters", "an answer that is a request has no place for statuses, event times and validity").
			WithHint("leave out include_statuses, include_event_times and include_validity, or as")
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

// param is a parameter's value.
func (r *inferRequest) param(m uint32) inferParam {
	p := inferParam{kind: r.doc.Nodes[m].Kind.String()}
	switch r.doc.Nodes[m].Kind {
	case jsonscan.String:
		text, _ := r.doc.Text(m, nil)
		p.isText, p.text = true, view(text)
	case jsonscan.True, jsonscan.False:
		p.isBool, p.yes = true, r.doc.Nodes[m].Kind == jsonscan.True
	}
	return p
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
	named, shape := false, uint32(0)
	err := r.object(at, "inputs", func(name string, m uint32) (err error) {
		switch name {
		case "name":
			in.name, err = r.view(m, "inputs.name")
			named = true
		case "shape":
			if shape = m; d.Nodes[m].Kind != jsonscan.Array {
				err = badMember("inputs.shape", "a %s where a list of numbers is expected", d.Nodes[m].Kind)
			}
		case "datatype":
			var text string
			if text, err = r.view(m, "inputs.datatype"); err == nil {
				in.kind, err = inputType(text)
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
	case !named || shape == 0 || in.kind == 0:
		return noTensor()
	case (in.data == 0) == (in.size < 0):
		return badMember("inputs", "%q has data, or binary_data_size bytes behind the JSON: one of them", in.name)
	}
	if in.rows, err = r.shape(shape, in.name); err != nil {
		return err
	}
	r.inputs = append(r.inputs, in)
	return nil
}

// shape is how many rows a shape says.
func (r *inferRequest) shape(at uint32, name string) (int64, error) {
	d := &r.doc
	var dims [2]int64
	n := 0
	for m := at + 1; m < d.Nodes[at].Next; m = d.Nodes[m].Next {
		x, ok := d.Nodes[m].Decimal()
		dim, whole := x.Int64()
		if n == len(dims) || d.Nodes[m].Kind != jsonscan.Number || !ok || !whole {
			return 0, badShape(name, strings.ToValidUTF8(short(d.Raw(at)), "\ufffd"))
		}
		dims[n] = dim
		n++
	}
	if rows, ok := rowsOf(dims[:n]); ok {
		return rows, nil
	}
	return 0, badShape(name, strings.ToValidUTF8(short(d.Raw(at)), "\ufffd"))
}

func (r *inferRequest) output(at uint32) error {
	out := inferOutput{}
	err := r.object(at, "outputs", func(name string, m uint32) (err error) {
		switch name {
		case "name":
			out.name, err = r.view(m, "outputs.name")
		case "parameters":
			err = r.object(m, "outputs.parameters", func(name string, m uint32) error { return out.parameter(name, r.param(m)) })
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
