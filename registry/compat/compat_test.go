package compat_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/compat"
)

func avro(fields string) compat.Schema {
	return compat.Schema{Format: "avro", Text: []byte(`{"type":"record","name":"r","fields":[` + fields + `]}`)}
}

// TestPolicies: what each policy allows, by the specification's own cases.
func TestPolicies(t *testing.T) {
	a := `{"name":"a","type":"int"}`
	withDefault := a + `,{"name":"b","type":"int","default":0}`
	without := a + `,{"name":"b","type":"int"}`
	for _, c := range []struct {
		name, policy string
		before       []compat.Schema // newest first
		now          compat.Schema
		why          []string // parts of the sentences; none: compatible
	}{
		{"field with default", "full", []compat.Schema{avro(a)}, avro(withDefault), nil},
		{"field without default", "backward", []compat.Schema{avro(a)}, avro(without), []string{"the field b, which was not written"}},
		{"field without default, forward", "forward", []compat.Schema{avro(a)}, avro(without), nil},
		{"field gone", "backward", []compat.Schema{avro(without)}, avro(a), nil},
		{"field gone, forward", "forward", []compat.Schema{avro(without)}, avro(a), []string{"written by the new schema cannot be read by the schema before"}},
		{"both ways", "full", []compat.Schema{avro(without)}, avro(`{"name":"a","type":"int"},{"name":"c","type":"int"}`), []string{"field c", "field b"}},
		{"wider", "backward", []compat.Schema{avro(a)}, avro(`{"name":"a","type":"long"}`), nil},
		{"wider, forward", "forward", []compat.Schema{avro(a)}, avro(`{"name":"a","type":"long"}`), []string{"a: what was written as long cannot be read as int"}},
		{"null taken away", "", []compat.Schema{avro(`{"name":"a","type":["null","int"]}`)}, avro(a), []string{"a: what was written as null"}},
		{"null added", "", []compat.Schema{avro(a)}, avro(`{"name":"a","type":["null","int"]}`), nil},
		{"none", "none", []compat.Schema{avro(a)}, avro(`{"name":"a","type":"string"}`), nil},
		{"only the last", "backward", []compat.Schema{avro(withDefault), avro(``)}, avro(without), nil},
		{"all of them", "backward_transitive", []compat.Schema{avro(without), avro(a)}, avro(without), []string{"by the schema of 2 changes ago"}},
		{"inside", "backward", []compat.Schema{avro(`{"name":"x","type":{"type":"array","items":{"type":"record","name":"q","fields":[]}}}`)},
			avro(`{"name":"x","type":{"type":"array","items":{"type":"record","name":"q","fields":[{"name":"z","type":"int"}]}}}`), []string{"x[]: record q has the field z"}},
		{"enum", "backward", []compat.Schema{avro(`{"name":"e","type":{"type":"enum","name":"e","symbols":["A","B"]}}`)}, avro(`{"name":"e","type":{"type":"enum","name":"e","symbols":["A"]}}`), []string{"no symbol B"}},
		{"another format", "full", []compat.Schema{{Format: "json", Text: []byte(`{}`)}}, avro(a), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			why, err := compat.Check(c.policy, c.now, c.before)
			require.NoError(t, err)
			require.Len(t, why, len(c.why), "%v", why)
			for i := range why {
				require.Contains(t, why[i], c.why[i])
			}
		})
	}
	_, err := compat.Check("", avro("x"), []compat.Schema{avro("")})
	require.Error(t, err)
}
