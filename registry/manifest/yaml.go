package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// chunk is a part of a file that holds one YAML document, parsed on its own so
// that broken syntax in one document does not hide what is wrong in the next.
type chunk struct {
	before int // lines in front of it
	data   []byte
}

var (
	docStart  = regexp.MustCompile(`(?m)^---(?:[ \t\r].*)?$`)
	directive = regexp.MustCompile(`(?m)^%`)
	// foreignArray is a type that YAML takes for a list and something after it.
	foreignArray = regexp.MustCompile(`\btype:\s*(?:\[\s*\d*\s*\]\s*\w|\w+\[)`)
	atLine       = regexp.MustCompile(`^yaml: (?:line \d+: )?`)
)

func split(data []byte) []chunk {
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	starts := docStart.FindAllIndex(data, -1)
	if directive.Match(data) || len(starts) == 0 { // a directive belongs to the document after it
		return []chunk{{0, data}}
	}
	var out []chunk
	from, line := 0, 0
	for i := range len(starts) + 1 {
		to := len(data)
		if i < len(starts) {
			to = starts[i][0]
		}
		if part := data[from:to]; len(part) > 0 {
			out = append(out, chunk{line, part})
			line += bytes.Count(part, []byte("\n"))
		}
		from = to
	}
	return out
}

// nodes parses all documents of a file. Documents without content are left out.
func nodes(name string, data []byte) ([]*yaml.Node, []Fault) {
	var out []*yaml.Node
	var faults []Fault
	for _, c := range split(data) {
		d := yaml.NewDecoder(bytes.NewReader(c.data))
		for {
			n, err := next(d)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				faults = append(faults, syntaxFault(name, c, err))
				break
			}
			shift(n, c.before, 0)
			if len(n.Content) == 1 && n.Content[0].ShortTag() != "!!null" {
				out = append(out, n.Content[0])
			}
		}
	}
	return out, faults
}

// next parses one document. The parser is other people's code and reads what
// anybody wrote: should it panic, the file is at fault, not the process.
func next(d *yaml.Decoder) (n *yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("yaml: it cannot be read: %v", p)
		}
	}()
	n = new(yaml.Node)
	err = d.Decode(n)
	return n, err
}

// shift moves line numbers from the chunk's to the file's.
func shift(n *yaml.Node, by, depth int) {
	if by == 0 || depth > 20_000 {
		return
	}
	n.Line += by
	for _, c := range n.Content {
		shift(c, by, depth+1)
	}
}

// syntaxFault finds the line at fault. The parser names the one where the
// surrounding block began, which may be a page above; the line looked for is the
// one that brings the error: without it, and what follows, there is another or none.
func syntaxFault(name string, c chunk, err error) Fault {
	lines := bytes.SplitAfter(c.data, []byte("\n"))
	line := 1 + sort.Search(len(lines)-1, func(i int) bool {
		d := yaml.NewDecoder(bytes.NewReader(bytes.Join(lines[:i+1], nil)))
		for {
			if _, e := next(d); e != nil {
				return e.Error() == err.Error()
			}
		}
	})
	msg := atLine.ReplaceAllString(err.Error(), "")
	hint := "check the indentation and the quotes around here"
	switch {
	case foreignArray.Match(lines[min(line, len(lines))-1]):
		hint = "the type of an array is written array<float64>"
	case strings.Contains(msg, "cannot start any token"):
		hint = "indent with spaces, not tabs, and quote text that starts with a special character"
	case strings.Contains(msg, "mapping values are not allowed"):
		hint = "quote text that has a colon followed by a space, and check the indentation"
	case strings.Contains(msg, "unknown anchor"):
		hint = "anchors (&name) must stand in the same document, before their use"
	case strings.Contains(msg, "control characters"), strings.Contains(msg, "UTF-8"):
		hint = "the file must be UTF-8 text"
	}
	return Fault{Position{name, line + c.before, 1}, "", "this is not YAML: " + msg + ": " + hint}
}
