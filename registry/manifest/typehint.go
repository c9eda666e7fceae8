package manifest

import (
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/suggest"
)

// typeHint answers the names that other systems have for our types.
func typeHint(t reflect.Type, s string) string {
	if t != typeType {
		return ""
	}
	if elem, ok := elementOf(s); ok {
		switch _, nested := elementOf(elem); {
		case nested && elem != "":
			return "; an array's elements are single values: lists of lists can be kept one after the other in one array, or as text"
		case meantType(elem) != "":
			return "; did you mean array<" + meantType(elem) + ">?"
		}
		return "; an array says of what: array<float64>, array<string>"
	}
	if n := meantType(s); n != "" {
		return "; did you mean " + n + "?"
	}
	if n := suggest.Nearest(s, feature.TypeNames()); n != "" {
		return "; did you mean " + n + "?"
	}
	return ""
}

// listHint is the hint for a type that is a list of one in YAML: [float64].
func listHint(n *yaml.Node) string {
	if len(n.Content) == 1 && n.Content[0].Kind == yaml.ScalarNode {
		return typeHint(typeType, "[]"+n.Content[0].Value)
	}
	return typeHint(typeType, "list")
}

// meantType is the scalar type that a word stands for; "" when it is none.
func meantType(s string) string {
	switch s = strings.ToLower(strings.TrimSpace(s)); s {
	case "int", "integer", "long", "bigint":
		return "int64"
	case "float", "double", "number", "real":
		return "float64"
	case "text", "varchar", "str", "utf8", "enum", "category":
		return "string"
	case "boolean":
		return "bool"
	case "datetime", "date", "time", "unix_timestamp":
		return "timestamp"
	case "binary", "blob", "bytea":
		return "bytes"
	}
	for t := feature.Bool; t <= feature.Timestamp; t++ {
		if t.String() == s {
			return s
		}
	}
	var scalars []string
	for t := feature.Bool; t <= feature.Timestamp; t++ {
		scalars = append(scalars, t.String())
	}
	return suggest.Nearest(s, scalars)
}

// lists are the ways in which others write the type of a list: list<float64>,
// Array(Float64), List[float], []float64, float64[], DOUBLE_LIST, and no more than its name.
var lists = []*regexp.Regexp{
	regexp.MustCompile(`(?i)^\s*(?:array|list|vector|set|sequence|repeated)\s*[<(\[ ]\s*(.*?)\s*[>)\]]?\s*$`),
	regexp.MustCompile(`^\s*\[\s*\d*\s*\]\s*(.*?)\s*$`),
	regexp.MustCompile(`^\s*(.*?)\s*\[\s*\d*\s*\]\s*$`),
	regexp.MustCompile(`^\s*\[\s*(.*?)\s*\]\s*$`),
	regexp.MustCompile(`(?i)^\s*(.+?)[_ ]?(?:array|list|vector)\s*$`),
	regexp.MustCompile(`(?i)^\s*(?:array|list|vector|embedding|sequence|repeated)()\s*$`),
}

// elementOf is what a name that means some list names as its element.
func elementOf(s string) (elem string, ok bool) {
	for _, re := range lists {
		if m := re.FindStringSubmatch(s); m != nil {
			return m[1], true
		}
	}
	return "", false
}
