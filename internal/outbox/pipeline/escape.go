package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// functions are those of templates, beside Go's own.
var functions = template.FuncMap{
	"json":     toJSON,
	"path":     pathSegment,
	"segments": pathSegments,
	"raw":      func(v any) string { return fmt.Sprint(v) },
	"default": func(or string, v string) string {
		if v == "" {
			return or
		}
		return v
	},
}

// parsed makes a template in which every value that is put out is escaped by the
// function of that name, where none of json, path, segments and raw says otherwise.
func parsed(name, text, escape string) (*template.Template, error) {
	t, err := template.New(name).Option("missingkey=error").Funcs(functions).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "template: "))
	}
	if escape != "" {
		for _, x := range t.Templates() {
			if x.Tree != nil {
				escapeIn(x.Tree, x.Tree.Root, escape)
			}
		}
	}
	return t, nil
}

func escapeIn(tree *parse.Tree, n parse.Node, escape string) {
	branch := func(b *parse.BranchNode) {
		escapeIn(tree, b.List, escape)
		if b.ElseList != nil {
			escapeIn(tree, b.ElseList, escape)
		}
	}
	switch n := n.(type) {
	case *parse.ListNode:
		for _, x := range n.Nodes {
			escapeIn(tree, x, escape)
		}
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.ActionNode:
		if len(n.Pipe.Decl) > 0 { // puts nothing out
			return
		}
		last := n.Pipe.Cmds[len(n.Pipe.Cmds)-1]
		if f, ok := last.Args[0].(*parse.IdentifierNode); ok && slices.Contains([]string{"json", "path", "segments", "raw"}, f.Ident) {
			return
		}
		id := parse.NewIdentifier(escape).SetTree(tree).SetPos(n.Pos)
		n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos, Args: []parse.Node{id}})
	}
}

func toJSON(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// pathSegment escapes a value to stand between two slashes.
func pathSegment(v any) (string, error) {
	s := fmt.Sprint(v)
	switch s {
	case "":
		return "", errors.New("a part of the path is empty")
	case ".", "..":
		return "", fmt.Errorf("%q cannot be a part of the path", s)
	}
	return url.PathEscape(s), nil
}

// pathSegments escapes a value that is a path itself, like owner/repository.
func pathSegments(v any) (string, error) {
	var out []string
	for s := range strings.SplitSeq(fmt.Sprint(v), "/") {
		x, err := pathSegment(s)
		if err != nil {
			return "", err
		}
		out = append(out, x)
	}
	return strings.Join(out, "/"), nil
}
