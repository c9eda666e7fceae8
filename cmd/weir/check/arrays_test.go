package check_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestListsOfFiles: of a list a suite asks whether it is null and of what type it is, as in
// the stream; a schema asks for its items.
func TestListsOfFiles(t *testing.T) {
	dir := t.TempDir()
	in := func(name, text string) string { return write(t, filepath.Join(dir, name), text) }
	files := []string{in("rows.jsonl", `{"id":"a","vec":[0.5,1.5],"n":[1]}`+"\n"+`{"id":"b","vec":[],"n":null}`+"\n"),
		in("rows.csv", "id,vec,n\na,\"[0.5,1.5]\",[1]\nb,[],\n")}
	suite := in("suite.json", `{"name":"s","expectations":[
		{"type":"expect_column_values_to_not_be_null","kwargs":{"column":"vec"}},
		{"type":"expect_column_values_to_be_of_type","kwargs":{"column":"vec","type_":"array<float64>"}},
		{"type":"expect_column_values_to_be_in_type_list","kwargs":{"column":"n","type_list":["list"]}},
		{"type":"expect_column_values_to_not_be_null","kwargs":{"column":"n","mostly":0.5}}]}`)
	nulls := in("nulls.json", `{"name":"s","expectations":[{"type":"expect_column_values_to_not_be_null","kwargs":{"column":"n"}}]}`)
	set := in("set.json", `{"name":"s","expectations":[{"type":"expect_column_values_to_be_in_set","kwargs":{"column":"n","value_set":[1]}}]}`)
	schema := in("schema.json", `{"properties":{"vec":{"type":"array","items":{"type":"number"},"maxItems":1}}}`)
	for _, file := range files {
		code, out, errs := weir("check", "--suite", suite, file)
		require.Zero(t, code, "%s%s", out, errs)
		code, out, _ = weir("check", "--suite", nulls, file)
		require.Equal(t, 1, code)
		require.Contains(t, out, "1 of 2")
		_, out, errs = weir("check", "--suite", set, file)
		require.Contains(t, out+errs, "this is no rule for arrays")
		code, out, _ = weir("check", "--schema", schema, file)
		require.Equal(t, 1, code)
		require.Contains(t, out, "maxItems")
	}
}

// TestListsWithNulls: a column of lists of which an element is null is text, as it is in a
// CSV: a suite and a profile of the file's other columns do not fail over it.
func TestListsWithNulls(t *testing.T) {
	dir := t.TempDir()
	suite := write(t, filepath.Join(dir, "suite.json"), `{"name":"s","expectations":[
		{"type":"expect_column_values_to_not_be_null","kwargs":{"column":"id"}},
		{"type":"expect_column_values_to_be_of_type","kwargs":{"column":"vec","type_":"string"}}]}`)
	for name, text := range map[string]string{"rows.jsonl": `{"id":"a","vec":[0.5,1.5]}` + "\n" + `{"id":"b","vec":[null]}` + "\n", "rows.csv": "id,vec\na,\"[0.5,1.5]\"\nb,[null]\n"} {
		file := write(t, filepath.Join(dir, name), text)
		code, out, errs := weir("check", "--suite", suite, file)
		require.Zero(t, code, "%s: %s%s", name, out, errs)
		code, out, errs = weir("profile", file)
		require.Zero(t, code, "%s: %s%s", name, out, errs)
	}
}
