package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/weir-ml/weir/registry/feature"
)

// json writes a node as JSON, numbers with every digit they were written with,
// and notes where each value stands. False when there was a fault.
func (d *decoder) json(n *yaml.Node, path string, depth int) (json.RawMessage, bool) {
	before := len(*d.faults)
	var b bytes.Buffer
	d.writeJSON(&b, n, path, depth)
	return b.Bytes(), len(*d.faults) == before && d.budget > 0
}

func (d *decoder) writeJSON(b *bytes.Buffer, n *yaml.Node, path string, depth int) {
	if n = d.enter(n, path, depth); n == nil {
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		b.WriteByte('{')
		for i, e := range d.entries(n, path, depth) {
			if i > 0 {
				b.WriteByte(',')
			}
			at := path + "." + e.name
			d.markEntry(at, e)
			writeString(b, e.name)
			b.WriteByte(':')
			d.writeJSON(b, e.value, at, depth+1)
		}
		b.WriteByte('}')
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, c := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			at := fmt.Sprintf("%s[%d]", path, i)
			d.doc.mark(at, d.file, c)
			d.writeJSON(b, c, at, depth+1)
		}
		b.WriteByte(']')
	case yaml.ScalarNode:
		d.writeScalar(b, n, path)
	default:
		d.fault(n, path, "there is nothing here that can be read")
	}
}

func (d *decoder) writeScalar(b *bytes.Buffer, n *yaml.Node, path string) {
	tag := n.ShortTag()
	if n.Style == 0 && tag == "!!str" && jsonNumber.MatchString(n.Value) {
		tag = "!!float" // too large for the parser's own numbers, but a number
	}
	switch tag {
	case "!!null":
		b.WriteString("null")
	case "!!bool":
		if strings.EqualFold(n.Value, "true") {
			b.WriteString("true")
		} else {
			b.WriteString("false")
		}
	case "!!int", "!!float":
		s, ok := number(n.Value)
		if !ok {
			d.fault(n, path, "%s is not a number that JSON can hold: write it in decimal, or in quotes if it is text", feature.Shorten([]byte(n.Value)))
			return
		}
		b.WriteString(s)
	default: // text, and what YAML takes for a time: as it was written
		writeString(b, n.Value)
	}
}

func writeString(b *bytes.Buffer, s string) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	b.Truncate(b.Len() - 1)
}

var (
	jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)
	yamlNumber = regexp.MustCompile(`^([-+]?)(0|[1-9][0-9]*)?(?:\.([0-9]*))?([eE][-+]?[0-9]+)?$`)
	basedInt   = regexp.MustCompile(`^([-+]?)(0x[0-9a-fA-F]+|0o[0-7]+|0b[01]+)$`)
)

// number rewrites YAML's ways to write a number as JSON's. Numbers that begin
// with 0 are refused: some read 010 as eight and some as ten.
func number(s string) (string, bool) {
	if jsonNumber.MatchString(s) {
		return s, true
	}
	s = strings.ReplaceAll(s, "_", "")
	if m := basedInt.FindStringSubmatch(s); m != nil {
		i, ok := new(big.Int).SetString(m[2], 0)
		if !ok {
			return "", false
		}
		if m[1] == "-" {
			i.Neg(i)
		}
		return i.String(), true
	}
	m := yamlNumber.FindStringSubmatch(s)
	if m == nil || m[2] == "" && m[3] == "" {
		return "", false
	}
	out := strings.TrimPrefix(m[1], "+")
	if m[2] == "" {
		m[2] = "0"
	}
	out += m[2]
	if m[3] != "" {
		out += "." + m[3]
	}
	return out + m[4], true
}
