package profile

import (
	"fmt"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// Suite is the proposal as a definition. Without whole it has only what a single
// row can break, which is what a stream can hold back by.
func (p *Proposal) Suite(name string, whole bool) (*feature.Suite, error) {
	s := &feature.Suite{Meta: feature.Meta{Name: name}}
	for i := range p.Rules {
		if p.Rules[i].Whole && !whole {
			continue
		}
		e, err := p.Rules[i].Expectation()
		if err != nil {
			return nil, err
		}
		s.Expectations = append(s.Expectations, e)
	}
	return s, nil
}

// Manifest is the suite as people edit it: YAML, with the evidence beside each rule.
func (p *Proposal) Manifest(name, source string, whole bool) ([]byte, error) {
	var b strings.Builder
	title, err := encode("Proposed from " + source)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&b, "# Proposed by a look at %s of %s. It holds for all of them: edit it, for what they\n", plural(p.Rows, "row"), comment(source))
	b.WriteString("# happen to be is not what all data has to be.\n")
	fmt.Fprintf(&b, "apiVersion: weir/v1\nkind: ExpectationSuite\nmetadata:\n  name: %s\n  description: %s\nspec:\n  expectations:\n", name, title)
	column, begun := "", false
	abouts := map[string]ColumnProposal{}
	for _, c := range p.Columns {
		abouts[c.Name] = c
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.Whole && !whole {
			continue
		}
		switch {
		case r.Column != column && r.Column != "":
			c := abouts[r.Column]
			fmt.Fprintf(&b, "\n    # %s: %s\n", comment(c.Name), comment(c.About))
			for _, n := range c.Notes {
				fmt.Fprintf(&b, "    # NOTE: %s\n", comment(n))
			}
		case r.Column != column:
			b.WriteString("\n    # between columns\n")
		case !begun:
			b.WriteString("    # the table\n")
		}
		column, begun = r.Column, true
		fmt.Fprintf(&b, "    - type: %s", r.Type)
		if r.Evidence != "" {
			fmt.Fprintf(&b, " # %s", comment(r.Evidence))
		}
		b.WriteString("\n      kwargs: {")
		for k, kw := range r.Kwargs {
			v, err := encode(kw.Value)
			if err != nil {
				return nil, err
			}
			if k > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%s: %s", kw.Name, spaced(v))
		}
		b.WriteString("}\n")
		if r.Severity != "" {
			fmt.Fprintf(&b, "      severity: %s\n", r.Severity)
		}
	}
	return []byte(b.String()), nil
}

// comment keeps a text on its line.
func comment(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff {
			return ' '
		}
		return r
	}, s)
}

// spaced puts a space after the colons and commas of JSON that are no part of a
// text: without one YAML takes "a":1 for a text.
func spaced(b []byte) []byte {
	var out []byte
	text := false
	for i := 0; i < len(b); i++ {
		c := b[i]
		out = append(out, c)
		switch {
		case text && c == '\\':
			i++
			out = append(out, b[i])
		case c == '"':
			text = !text
		case !text && (c == ',' || c == ':'):
			out = append(out, ' ')
		}
	}
	return out
}
