package compat_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/compat"
)

// TestJSON: what a schema takes that another one does not, and where.
func TestJSON(t *testing.T) {
	const d4, d7 = `"$schema":"http://json-schema.org/draft-04/schema#",`, `"$schema":"http://json-schema.org/draft-07/schema#",`
	for _, c := range []struct {
		name, was, now string
		why            []string // parts of the sentences; none: all that passes was passes now
	}{
		{"the same", `{"unevaluatedProperties":false,"allOf":[{"properties":{"a":{}}}]}`, `{"allOf":[{"properties":{"a":{}}}],"unevaluatedProperties":false}`, nil},
		{"remarks", `{"type":"object","title":"a"}`, `{"type":"object","description":"b","format":"x","x-own":[1]}`, nil},
		{"wider type", `{"properties":{"a":{"type":"integer"}}}`, `{"properties":{"a":{"type":["number","null"]}}}`, nil},
		{"narrower type", `{"properties":{"a":{"type":["number","null"]}}}`, `{"properties":{"a":{"type":"integer"}}}`, []string{"a: it has to be integer, and may be null or number"}},
		{"required", `{"properties":{"a":{"type":"integer"}}}`, `{"properties":{"a":{"type":"integer"}},"required":["a"]}`, []string{"a: it has to be there, and may be missing"}},
		{"not required any more", `{"required":["a","b"]}`, `{"required":["a"]}`, nil},
		{"a member added to an open model", `{"type":"object"}`, `{"type":"object","properties":{"a":{"type":"string"}}}`, []string{"a: it has to be string, and may be"}},
		{"a member added to a closed model", `{"type":"object","additionalProperties":false}`, `{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}`, nil},
		{"a member taken from an open model", `{"properties":{"a":{"type":"string"}}}`, `{}`, nil},
		{"a member taken from a closed model", `{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}`, `{"type":"object","additionalProperties":false}`, []string{"a: it has to be missing, and may be there"}},
		{"closed", `{"type":"object","properties":{"a":{}}}`, `{"type":"object","properties":{"a":{}},"additionalProperties":false}`, []string{"a member of any other name may be there"}},
		{"opened", `{"properties":{"a":{}},"additionalProperties":false}`, `{"properties":{"a":{}}}`, nil},
		{"covered by a partly open model", `{"additionalProperties":{"type":"integer"}}`, `{"properties":{"a":{"type":"number"}},"additionalProperties":{"type":"integer"}}`, nil},
		{"not covered by it", `{"additionalProperties":{"type":"integer"}}`, `{"properties":{"a":{"type":"string"}},"additionalProperties":{"type":"integer"}}`, []string{"a: it has to be string, and may be integer"}},
		{"the others", `{"additionalProperties":{"type":"number"}}`, `{"additionalProperties":{"type":"integer"}}`, []string{"*: it has to be integer, and may be number"}},
		{"by pattern", `{"patternProperties":{"^x":{"type":"integer"}},"additionalProperties":false}`, `{"patternProperties":{"^x":{"type":"number"}},"additionalProperties":false}`, nil},
		{"by another pattern", `{"patternProperties":{"^x":{"type":"integer"}},"additionalProperties":{"type":"string"}}`, `{"additionalProperties":{"type":["integer","string"]}}`, nil},
		{"a name by pattern", `{"properties":{"xa":{"type":"string"}},"additionalProperties":false}`, `{"patternProperties":{"^x":{"type":"integer"}}}`, []string{"xa: it has to be integer"}},
		{"enum grows", `{"enum":["a","b"]}`, `{"enum":["b","c","a"]}`, nil},
		{"enum shrinks", `{"properties":{"a":{"enum":["a","b",1]}}}`, `{"properties":{"a":{"enum":["a"]}}}`, []string{`a: "b" is not allowed`, `a: 1 is not allowed`}},
		{"enum to type", `{"enum":["a","b"]}`, `{"type":"string","maxLength":1}`, nil},
		{"type to enum", `{"type":"string"}`, `{"enum":["a"]}`, []string{`it has to be "a", and may be something else`}},
		{"booleans", `{"type":"boolean"}`, `{"enum":[true,false,null]}`, nil},
		{"const", `{"const":1.0}`, `{"const":1}`, nil},
		{"limits", `{"type":"integer","minimum":1,"maximum":9}`, `{"type":"integer","exclusiveMinimum":0,"maximum":10}`, nil},
		{"tighter", `{"properties":{"a":{"type":"number","minimum":0}}}`, `{"properties":{"a":{"type":"number","minimum":0,"exclusiveMaximum":5}}}`, []string{"a: it has to be below 5, and may be any number"}},
		{"open limit", `{"type":"number","minimum":0}`, `{"type":"number","exclusiveMinimum":0}`, []string{"it has to be above 0, and may be as low as 0"}},
		{"multiples", `{"type":"number","multipleOf":0.1}`, `{"type":"number","multipleOf":0.05}`, nil},
		{"not multiples", `{"type":"number","multipleOf":0.05}`, `{"type":"number","multipleOf":0.1}`, []string{"a multiple of 0.1"}},
		{"integers", `{"type":"integer"}`, `{"multipleOf":0.5}`, nil},
		{"length", `{"type":"string","minLength":2,"maxLength":3}`, `{"type":"string","minLength":3}`, []string{"at least 3 characters, and may have 2"}},
		{"the same pattern", `{"type":"string","pattern":"^a"}`, `{"pattern":"^a"}`, nil},
		{"another pattern", `{"type":"string","pattern":"^a"}`, `{"pattern":"^[ab]"}`, []string{`it cannot be shown that all of them pass: the pattern "^[ab]" cannot be compared with "^a"`}},
		{"a pattern", `{"type":"string"}`, `{"pattern":"^a"}`, []string{`it has to match "^a", and need not`}},
		{"texts of a pattern", `{"enum":["ab","ac"]}`, `{"pattern":"^a"}`, nil},
		{"items", `{"type":"array","items":{"type":"integer"}}`, `{"type":"array","items":{"type":"string"}}`, []string{"[]: it has to be string, and may be integer"}},
		{"items in order", `{"type":"array","prefixItems":[{"type":"integer"}],"items":false}`, `{"type":"array","items":{"type":"number"},"maxItems":1}`, nil},
		{"items of draft 7", d7 + `"type":"array","items":[{"type":"string"}],"additionalItems":false`, d7 + `"items":[{"type":"string"},{"type":"integer"}],"additionalItems":false`, nil},
		{"across drafts", d4 + `"type":"array","items":[{"type":"integer","minimum":0,"exclusiveMinimum":true}]`, `"prefixItems":[{"type":"integer","exclusiveMinimum":0}]`, nil},
		{"integers of draft 4", `"type":"integer"`, d4 + `"type":"integer"`, []string{"integer written like 1.0"}},
		{"unique", `{"type":"array","uniqueItems":true}`, `{"type":"array"}`, nil},
		{"unique now", `{"type":"array"}`, `{"type":"array","uniqueItems":true}`, []string{"its items have to differ"}},
		{"contains", `{"type":"array","minItems":1,"items":{"type":"integer"}}`, `{"contains":{"type":"number"}}`, nil},
		{"references", `{"$ref":"#/$defs/a","$defs":{"a":{"type":"object","properties":{"next":{"$ref":"#/$defs/a"},"v":{"type":"integer"}}}}}`,
			`{"$ref":"#n","$defs":{"b":{"$anchor":"n","properties":{"next":{"$ref":"#n"},"v":{"type":"number"}}}}}`, nil},
		{"references that differ", `{"$ref":"#/$defs/a","$defs":{"a":{"type":"object","properties":{"next":{"$ref":"#/$defs/a"},"v":{"type":"number"}}}}}`,
			`{"$ref":"#/$defs/a","$defs":{"a":{"type":"object","properties":{"next":{"$ref":"#/$defs/a"},"v":{"type":"integer"}}}}}`, []string{"v: it has to be integer", "next.v: it has to be integer"}},
		{"a reference elsewhere", `{"type":"object"}`, `{"$ref":"https://example.com/a.json"}`, []string{"it cannot be shown that all of them pass: $ref is not compared"}},
		{"allOf", `{"allOf":[{"minimum":3},{"type":"integer"}]}`, `{"allOf":[{"type":"number"},{"minimum":1}]}`, nil},
		{"anyOf", `{"anyOf":[{"type":"string"},{"type":"null"}]}`, `{"anyOf":[{"type":"null"},{"type":"integer"},{"type":"string"}]}`, nil},
		{"types as anyOf", `{"type":["string","null"]}`, `{"anyOf":[{"type":"null"},{"type":"string"}]}`, nil},
		{"anyOf loses one", `{"anyOf":[{"type":"string"},{"type":"null"}]}`, `{"anyOf":[{"type":"string"},{"type":"integer"}]}`, []string{"null is not allowed"}},
		{"oneOf by a name", `{"oneOf":[{"properties":{"k":{"const":"a"}},"required":["k"]},{"properties":{"k":{"const":"b"},"v":{"type":"integer"}},"required":["k"]}],"type":"object"}`,
			`{"oneOf":[{"properties":{"k":{"const":"a"}},"required":["k"]},{"properties":{"k":{"const":"b"},"v":{"type":"number"}},"required":["k"]}],"type":"object"}`, nil},
		{"oneOf that overlaps", `{"type":"integer"}`, `{"oneOf":[{"type":"integer"},{"type":"number"}]}`, []string{"it cannot be shown that all of them pass: none of the 2 alternatives of oneOf"}},
		{"not", `{"type":"string"}`, `{"not":{"type":"integer"}}`, nil},
		{"not, perhaps", `{"type":"object"}`, `{"not":{"required":["a"]}}`, []string{"it cannot be shown that all of them pass: not forbids"}},
		{"if", `{"type":"object","properties":{"a":{"type":"integer"}}}`, `{"if":{"required":["a"]},"then":{"properties":{"a":{"type":"number"}}}}`, nil},
		{"dependents", `{"type":"object","required":["b"]}`, `{"dependentRequired":{"a":["b"]}}`, nil},
		{"dependents that may lack", `{"type":"object"}`, `{"dependentRequired":{"a":["b"]}}`, []string{"b: it has to be there"}},
		{"names", `{"type":"object","properties":{"ab":{}},"additionalProperties":false}`, `{"propertyNames":{"pattern":"^a"}}`, nil},
		{"nothing", `false`, `{"type":"string"}`, nil},
		{"nothing any more", `{"type":"string"}`, `false`, []string{"nothing is allowed here"}},
		{"what nothing can be", `{"type":"integer","minimum":5,"maximum":3}`, `{"type":"string"}`, nil},
		{"an unknown dialect", `{"$schema":"https://example.com/own","type":"string"}`, `{}`, []string{"is of no draft that can be compared"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			braced := func(s string) []byte {
				if strings.HasPrefix(s, `"`) {
					s = "{" + s + "}"
				}
				return []byte(s)
			}
			why := compat.JSON(braced(c.was), braced(c.now))
			require.Len(t, why, len(c.why), "%v", why)
			for i := range c.why {
				require.Contains(t, strings.Join(why, "\n"), c.why[i])
			}
			require.Empty(t, compat.JSON(braced(c.now), braced(c.now)), "each is within itself")
		})
	}
}

// TestJSONPolicies: the same policies as of Avro.
func TestJSONPolicies(t *testing.T) {
	of := func(text string) compat.Schema { return compat.Schema{Format: "json", Text: []byte(text)} }
	wide, narrow := of(`{"type":["integer","string"]}`), of(`{"type":"integer"}`)
	for _, c := range []struct {
		policy string
		now    compat.Schema
		before []compat.Schema
		why    []string
	}{
		{"backward", wide, []compat.Schema{narrow}, nil},
		{"backward", narrow, []compat.Schema{wide}, []string{"events that are passed by the schema before may be held back: it has to be integer, and may be string"}},
		{"forward", narrow, []compat.Schema{wide}, nil},
		{"forward", wide, []compat.Schema{narrow}, []string{"events that the new schema passes may be held back by the schema before"}},
		{"full", wide, []compat.Schema{narrow}, []string{"by the schema before"}},
		{"backward", narrow, []compat.Schema{narrow, wide}, nil},
		{"backward_transitive", narrow, []compat.Schema{narrow, wide}, []string{"by the schema of 2 changes ago"}},
		{"full_transitive", narrow, []compat.Schema{narrow, narrow}, nil},
		{"none", narrow, []compat.Schema{wide}, nil},
	} {
		why, err := compat.Check(c.policy, c.now, c.before)
		require.NoError(t, err)
		require.Len(t, why, len(c.why), "%s: %v", c.policy, why)
		for i := range why {
			require.Contains(t, why[i], c.why[i])
		}
	}
}

// TestJSONEnds: schemas that are made to be large to compare are compared in bounded time.
func TestJSONEnds(t *testing.T) {
	many := func(open, item, end string) []byte {
		return []byte(open + strings.TrimSuffix(strings.Repeat(item+",", 24), ",") + end)
	}
	deep := []byte(strings.Repeat(`{"anyOf":[{"items":{"type":"string"}},`, 24) + `{"type":"integer"}` + strings.Repeat(`]}`, 24))
	all := [][]byte{
		many(`{"allOf":[`, `{"anyOf":[{"required":["a"]},{"required":["b"]},{"minProperties":2}]}`, `]}`),
		many(`{"oneOf":[`, `{"anyOf":[{"required":["c"]},{"properties":{"a":{"$ref":"#"}}}]}`, `]}`), deep,
		[]byte(`{"$ref":"#"}`), []byte(`{"allOf":[{"$ref":"#"}]}`), []byte(`{"type":"object","required":["a"],"properties":{"a":{"$ref":"#"}}}`),
		[]byte(`{"minimum":1e1500000}`), []byte(`{"minLength":1e300}`), []byte(`{`), []byte(`{"not":{"$ref":"#"}}`),
	}
	for _, a := range all {
		for _, b := range all {
			compat.JSON(a, b)
		}
	}
}
