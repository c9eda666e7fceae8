package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode"
)

// Diff is one field that changed, as in a manifest. List elements are called by
// their name where they have one: "spec.features[tenure].type".
type Diff struct {
	Field string `json:"field"`
	Old   string `json:"old,omitempty"` // compact JSON, bare for strings; empty when the field is new
	New   string `json:"new,omitempty"` // the same; empty when the field is gone
}

func (d Diff) String() string {
	switch {
	case d.Old == "":
		return fmt.Sprintf("+ %s: %s", d.Field, d.New)
	case d.New == "":
		return fmt.Sprintf("- %s: %s", d.Field, d.Old)
	}
	return fmt.Sprintf("~ %s: %s -> %s", d.Field, d.Old, d.New)
}

// diff compares the stored forms of two versions; nil when they are equal. Key order and white space in
// embedded JSON do not count.
func diff(a, b []byte) ([]Diff, error) {
	x, err := tree(a)
	if err != nil {
		return nil, err
	}
	y, err := tree(b)
	if err != nil {
		return nil, err
	}
	if reflect.DeepEqual(x, y) {
		return nil, nil
	}
	var out []Diff
	compare(&out, "", manifestForm(x), manifestForm(y))
	if len(out) == 0 { // only where elements of a list cannot be told apart
		out = []Diff{{Field: "spec", Old: show(x), New: show(y)}}
	}
	return out, nil
}

// absent stands for a value that is not there, which null is.
type absent struct{}

func tree(body []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber() // 0.1 and 2^60 stay what they are
	var m map[string]any
	err := d.Decode(&m)
	return m, err
}

// manifestForm puts everything but the metadata under "spec", where people wrote it.
func manifestForm(m map[string]any) map[string]any {
	spec := map[string]any{}
	out := map[string]any{"spec": spec}
	for k, v := range m {
		if k == "metadata" {
			out[k] = v
		} else {
			spec[k] = v
		}
	}
	return out
}

func compare(out *[]Diff, at string, a, b any) {
	switch x := a.(type) {
	case map[string]any:
		if y, ok := b.(map[string]any); ok {
			compareMaps(out, at, x, y)
			return
		}
	case []any:
		if y, ok := b.([]any); ok {
			compareLists(out, at, x, y)
			return
		}
	}
	if s, t := show(a), show(b); s != t {
		*out = append(*out, Diff{Field: at, Old: s, New: t})
	}
}

func compareMaps(out *[]Diff, at string, a, b map[string]any) {
	keys := map[string]bool{}
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	for _, k := range sortedKeys(keys) {
		field := k
		if at != "" {
			field = at + "." + k
		}
		compare(out, field, member(a, k), member(b, k))
	}
}

func member(m map[string]any, k string) any {
	if v, ok := m[k]; ok {
		return v
	}
	return absent{}
}

// compareLists matches the elements by name, so that a feature put in the middle
// is one line and not a change of all that follow.
func compareLists(out *[]Diff, at string, a, b []any) {
	ka, kb := elementKeys(a), elementKeys(b)
	inB := make(map[string]int, len(b))
	for i, k := range kb {
		inB[k] = i
	}
	var commonA, commonB []string
	matched := map[string]bool{}
	for i, k := range ka {
		j, ok := inB[k]
		if !ok {
			*out = append(*out, Diff{Field: at + "[" + k + "]", Old: show(a[i])})
			continue
		}
		matched[k] = true
		commonA = append(commonA, k)
		compare(out, at+"["+k+"]", a[i], b[j])
	}
	for j, k := range kb {
		if !matched[k] {
			*out = append(*out, Diff{Field: at + "[" + k + "]", New: show(b[j])})
			continue
		}
		commonB = append(commonB, k)
	}
	for i := range commonA {
		if commonA[i] != commonB[i] {
			*out = append(*out, Diff{Field: at, Old: "order " + show(list(commonA)), New: "order " + show(list(commonB))})
			return
		}
	}
}

func list(s []string) []any {
	out := make([]any, len(s))
	for i := range s {
		out[i] = s[i]
	}
	return out
}

// elementKeys gives every element a name that is unique in its list: its name
// or id, an expectation's type and column, the value of a string, else its index.
func elementKeys(l []any) []string {
	out := make([]string, len(l))
	seen := map[string]int{}
	for i, v := range l {
		k := strconv.Itoa(i)
		switch v := v.(type) {
		case string:
			k = v
		case map[string]any:
			if s, ok := v["name"].(string); ok {
				k = s
			} else if s, ok := v["id"].(string); ok && s != "" {
				k = s
			} else if s, ok := v["type"].(string); ok {
				k = s
				if kw, ok := v["kwargs"].(map[string]any); ok {
					if col, ok := kw["column"].(string); ok {
						k += " " + col
					}
				}
			}
		}
		seen[k]++
		if n := seen[k]; n > 1 {
			k += "#" + strconv.Itoa(n)
		}
		out[i] = k
	}
	return out
}

// show prints a value on one line; "" only for an absent one.
func show(v any) string {
	if _, ok := v.(absent); ok {
		return ""
	}
	if s, ok := v.(string); ok && s != "" && !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	b, err := marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}
