package manifest

import (
	"bytes"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// Marshal writes definitions as a manifest, one document each, that Parse reads
// back as the same definitions.
func Marshal(defs ...feature.Definition) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	for _, d := range defs {
		n, err := node(d)
		if err != nil {
			return nil, err
		}
		if err := e.Encode(n); err != nil {
			return nil, feature.Errorf(feature.Internal, "manifest.marshal", registry.RefOf(d).String(), "%w", err)
		}
	}
	if err := e.Close(); err != nil {
		return nil, feature.Errorf(feature.Internal, "manifest.marshal", "", "%w", err)
	}
	return b.Bytes(), nil
}

// node turns the stored form, whose fields are in the order of the structs,
// into a document.
func node(d feature.Definition) (*yaml.Node, error) {
	body, err := registry.Encode(d)
	if err != nil {
		return nil, feature.Errorf(feature.Internal, "manifest.marshal", "", "%w", err)
	}
	root, faults := jsonNode("", body)
	if len(faults) > 0 {
		return nil, feature.Errorf(feature.Internal, "manifest.marshal", registry.RefOf(d).String(), "%w", faults[0])
	}
	restyle(root, 0)
	text := func(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }
	spec := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{
		text("apiVersion"), text(APIVersion), text("kind"), text(string(d.Kind()))}}
	for i := 0; i+1 < len(root.Content); i += 2 {
		k, v := root.Content[i], root.Content[i+1]
		switch {
		case k.Value == "metadata":
			out.Content = append(out.Content, k, nameFirst(v))
		case len(v.Content) == 0 && v.Kind == yaml.MappingNode: // an optional struct that says nothing
		default:
			spec.Content = append(spec.Content, k, v)
		}
	}
	out.Content = append(out.Content, text("spec"), spec)
	return out, nil
}

// nameFirst puts the name in front: it is what people look for.
func nameFirst(meta *yaml.Node) *yaml.Node {
	for i := 0; i+1 < len(meta.Content); i += 2 {
		if meta.Content[i].Value == "name" {
			k, v := meta.Content[i], meta.Content[i+1]
			copy(meta.Content[2:i+2], meta.Content[:i])
			meta.Content[0], meta.Content[1] = k, v
			break
		}
	}
	return meta
}

// restyle takes JSON's looks off: no quotes where none are needed, blocks
// instead of braces. Short maps of plain values, such as a feature, stay on one line.
func restyle(n *yaml.Node, depth int) {
	n.Line, n.Column = 0, 0
	switch n.Kind {
	case yaml.ScalarNode:
		switch {
		case n.Tag == "!!int", n.Tag == "!!float":
			n.Tag = "" // or one too large for the encoder would be written with its tag
		case n.Tag == "!!str" && plain(n.Value):
			n.Style = 0
		}
	case yaml.SequenceNode:
		if len(n.Content) == 0 || short(n, 72) {
			n.Style = yaml.FlowStyle
		}
	case yaml.MappingNode:
		if len(n.Content) == 0 || depth > 1 && short(n, 96) {
			n.Style = yaml.FlowStyle
		}
	}
	for _, c := range n.Content {
		restyle(c, depth+1)
	}
}

// plain keeps quotes on text whose unquoted form depends on the fine print of
// YAML, or on its version: to many readers yes is true, and 1e400 is a number.
func plain(s string) bool {
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off":
		return false
	}
	return !jsonNumber.MatchString(s) && s != "" && strings.TrimSpace(s) == s &&
		!strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r > 0x7e && !unicode.IsPrint(r) })
}

// short reports whether a list or map of plain values fits on a line.
func short(n *yaml.Node, most int) bool {
	size := 0
	for _, c := range n.Content {
		if c.Kind != yaml.ScalarNode {
			return false
		}
		size += len(c.Value) + 2
	}
	return size <= most
}
