package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxDepth is how deep values may be nested, in YAML and JSON.
const maxDepth = 500

// jsonReader makes the nodes of a JSON file that a YAML parser would make of it,
// with their places. (A YAML parser reads most of JSON, but not all of it.)
type jsonReader struct {
	data  []byte
	dec   *json.Decoder
	lines []int // offset of each line's start
	last  int   // end of the last token
}

// jsonNode parses one JSON value that fills the whole file.
func jsonNode(name string, data []byte) (*yaml.Node, []Fault) {
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	r := &jsonReader{data: data, dec: json.NewDecoder(bytes.NewReader(data)), lines: []int{0}}
	r.dec.UseNumber()
	for i, b := range data {
		if b == '\n' {
			r.lines = append(r.lines, i+1)
		}
	}
	n, err := r.value(0)
	if err == nil {
		if _, e := r.dec.Token(); !errors.Is(e, io.EOF) {
			r.last = int(r.dec.InputOffset())
			err = errors.New("there is more after the end of the value")
		}
	}
	if err == nil {
		return n, nil
	}
	at := r.last
	var se *json.SyntaxError
	if errors.As(err, &se) {
		at = max(0, int(se.Offset)-1)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		at, err = len(data), errors.New("the file ends in the middle of a value")
	}
	p := r.place(at)
	return nil, []Fault{{Position{name, p.Line, p.Column}, "", "this is not JSON: " + err.Error()}}
}

// place turns an offset into a node that has only its line and column.
func (r *jsonReader) place(at int) *yaml.Node {
	i := sort.SearchInts(r.lines, at+1) - 1
	return &yaml.Node{Line: i + 1, Column: at - r.lines[i] + 1}
}

// token reads a token and says where it begins.
func (r *jsonReader) token() (json.Token, *yaml.Node, error) {
	t, err := r.dec.Token()
	if err != nil {
		return nil, nil, err
	}
	start := r.last
	for start < len(r.data) && strings.IndexByte(" \t\r\n,:", r.data[start]) >= 0 {
		start++
	}
	r.last = int(r.dec.InputOffset())
	return t, r.place(start), nil
}

func (r *jsonReader) value(depth int) (*yaml.Node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("more than %d levels are nested in each other", maxDepth)
	}
	t, n, err := r.token()
	if err != nil {
		return nil, err
	}
	n.Kind = yaml.ScalarNode
	switch t := t.(type) {
	case nil:
		n.Tag, n.Value = "!!null", "null"
	case bool:
		n.Tag, n.Value = "!!bool", fmt.Sprint(t)
	case string:
		n.Tag, n.Value, n.Style = "!!str", t, yaml.DoubleQuotedStyle
	case json.Number:
		n.Tag, n.Value = "!!int", t.String()
		if strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!float"
		}
	case json.Delim:
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		if t == '[' {
			n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		}
		for r.dec.More() {
			if n.Kind == yaml.MappingNode {
				k, at, err := r.token()
				if err != nil {
					return nil, err
				}
				at.Kind, at.Tag, at.Value, at.Style = yaml.ScalarNode, "!!str", k.(string), yaml.DoubleQuotedStyle
				n.Content = append(n.Content, at)
			}
			v, err := r.value(depth + 1)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, v)
		}
		if _, _, err := r.token(); err != nil {
			return nil, err
		}
	}
	return n, nil
}
