package serving

import (
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// What an inference request says is the same over HTTP and gRPC: here is what both make of it.

// reset forgets the request before.
func (r *inferRequest) reset() {
	r.Question = Question{Entities: r.Entities, Suits: r.Suits}
	r.id, r.hasID, r.version = "", false, ""
	r.forward, r.binary, r.chosen, r.statuses, r.times, r.validity, r.matrix, r.number = false, false, false, false, false, false, matrixName, 0
	r.inputs, r.outputs = r.inputs[:0], r.outputs[:0]
}

// named takes the request's id, which outlives the request in the log.
func (r *inferRequest) named(id string) {
	r.id, r.hasID = id, true
	if len(id) <= mostRequestID {
		r.RequestID = id
	}
}

// inferParam is the value of a parameter.
type inferParam struct {
	kind   string // what it is, for messages
	isText bool
	isBool bool
	text   string // part of the request
	yes    bool
}

func (p inferParam) string(name string) (string, error) {
	if !p.isText {
		return "", badMember(name, "a %s where a string is expected", p.kind)
	}
	return strings.Clone(p.text), nil
}

func (p inferParam) bool(name string) (bool, error) {
	if !p.isBool {
		return false, badMember(name, "a %s where true or false is expected", p.kind)
	}
	return p.yes, nil
}

func (p inferParam) real() (datatype, error) {
	if !p.isText {
		return 0, badMember("datatype", "a %s where a string is expected", p.kind)
	}
	if k := datatypeOf(p.text); k == fp32 || k == fp64 {
		return k, nil
	}
	return 0, badMember("datatype", "features are given as FP64 or FP32, not as %q", short([]byte(p.text)))
}

// parameter takes one of the request; those that Weir does not know are for others.
func (r *inferRequest) parameter(name string, p inferParam) (err error) {
	switch name {
	case "as":
		var as string
		if as, err = p.string(name); err == nil && as != "request" && as != "response" {
			err = badMember("as", "%q is neither request nor response", short([]byte(as)))
		}
		r.forward = as == "request"
	case "tensor":
		r.matrix, err = p.string(name)
	case "datatype":
		r.number, err = p.real()
	case "binary_data_output":
		r.binary, err = p.bool(name)
		r.chosen = true
	case "include_statuses":
		r.statuses, err = p.bool(name)
	case "include_event_times":
		r.times, err = p.bool(name)
	case "include_validity":
		r.validity, err = p.bool(name)
	}
	return err
}

// parameter takes one of a tensor that is asked for.
func (o *inferOutput) parameter(name string, p inferParam) (err error) {
	switch name {
	case "binary_data":
		o.binary, err = p.bool(name)
		o.own = true
	case "datatype":
		o.number, err = p.real()
	}
	return err
}

// inputType is the datatype of an input.
func inputType(name string) (datatype, error) {
	if k := datatypeOf(name); k > 0 {
		return k, nil
	}
	return 0, badMember("inputs.datatype", "%q is none of the protocol", short([]byte(name))).WithHint("there are %s", strings.Join(datatypeNames[1:], ", "))
}

func noTensor() error { return badMember("inputs", "a tensor has a name, a shape and a datatype") }

// rowsOf is how many rows a join key of a shape has.
func rowsOf(dims []int64) (int64, bool) {
	if len(dims) < 1 || len(dims) > 2 || dims[0] < 0 || len(dims) == 2 && dims[1] != 1 {
		return 0, false
	}
	return dims[0], true
}

func badShape(name, shape string) error {
	return feature.Errorf(feature.Invalid, "lookup", "input "+name, "shape %s; a join key has [n] or [n,1]", shape)
}
