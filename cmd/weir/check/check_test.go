package check_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/cmd/weir/check"
	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry/manifest"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// TestOutputs compares what is printed with testdata. With WEIR_GOLDEN=write it is written there.
func TestOutputs(t *testing.T) {
	t.Chdir("testdata")
	both := []string{"check", "--suite", "people.json", "--schema", "people.schema.json", "people.csv"}
	for _, c := range []struct {
		file string
		code int
		args []string
	}{
		{"people.txt", 1, both},
		{"people.junit.xml", 1, append(both, "-o", "junit", "--assert-format")},
		{"people.boolean_only.json", 1, append(both, "-o", "json", "--result-format", "boolean_only")},
		{"people.basic.json", 1, append(both, "-o", "json", "--result-format", "basic")},
		{"people.summary.json", 1, append(both, "-o", "json", "--examples", "1", "--param", "oldest=139.5")},
		{"people.complete.json", 1, append(both, "-o", "json", "--result-format", "COMPLETE")},
		{"people.profile.yaml", 0, []string{"profile", "people.csv"}},
	} {
		t.Run(c.file, func(t *testing.T) {
			code, out, errs := weir(c.args...)
			require.Equal(t, c.code, code, errs)
			require.Empty(t, errs)
			out = regexp.MustCompile(` time="[0-9.]+"`).ReplaceAllString(out, ` time="0"`)
			if os.Getenv("WEIR_GOLDEN") == "write" {
				write(t, c.file, out)
			}
			want, err := os.ReadFile(c.file)
			require.NoError(t, err)
			require.Equal(t, string(want), out)
		})
	}
}

// TestJUnitParses reads the report as CI does: its counts are those of its cases.
func TestJUnitParses(t *testing.T) {
	t.Chdir("testdata")
	_, out, _ := weir("check", "--suite", "people.json", "--schema", "people.schema.json", "people.csv", "-o", "junit")
	var r struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Skipped  int `xml:"skipped,attr"`
		Suites   []struct {
			Cases []struct {
				Name    string    `xml:"name,attr"`
				Failure *struct{} `xml:"failure"`
				Error   *struct{} `xml:"error"`
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	require.NoError(t, xml.Unmarshal([]byte(out), &r))
	var tests, failures, faults, skipped int
	names := map[string]bool{}
	for _, s := range r.Suites {
		for _, c := range s.Cases {
			tests++
			require.False(t, names[c.Name], c.Name)
			names[c.Name] = true
			switch {
			case c.Failure != nil:
				failures++
			case c.Error != nil:
				faults++
			case c.Skipped != nil:
				skipped++
			}
		}
	}
	require.Equal(t, []int{tests, failures, faults, skipped}, []int{r.Tests, r.Failures, r.Errors, r.Skipped})
	require.Equal(t, []int{15, 5, 1, 2}, []int{tests, failures, faults, skipped})
}

// TestBlankCharges finds the customers without charges, as text and as missing numbers.
func TestBlankCharges(t *testing.T) {
	data := shared(t, "data", "telco_churn.csv")
	dir := t.TempDir()
	asText := write(t, filepath.Join(dir, "text.json"), `{"name": "churn", "expectations": [
		{"type": "expect_column_values_to_match_regex", "kwargs": {"column": "TotalCharges", "regex": "^[0-9]+(\\.[0-9]+)?$"}}]}`)
	asNull := write(t, filepath.Join(dir, "null.json"), `{"name": "churn", "expectations": [
		{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "TotalCharges"}},
		{"type": "expect_column_values_to_be_of_type", "kwargs": {"column": "TotalCharges", "type_": "float64"}},
		{"type": "expect_column_values_to_be_between", "kwargs": {"column": "TotalCharges", "min_value": 18, "max_value": 9000}}]}`)
	for _, args := range [][]string{{"--suite", asText}, {"--suite", asNull, "--null", " "}, {"--suite", asNull, "--null", " ", "--types", "TotalCharges=float64"}} {
		code, out, errs := weir(append([]string{"check", data, "-o", "json"}, args...)...)
		require.Equal(t, 1, code, errs)
		var v check.Validation
		require.NoError(t, json.Unmarshal([]byte(out), &v))
		require.Equal(t, 1, v.Statistics.Unsuccessful, out)
		require.False(t, v.Results[0].Success)
		require.EqualValues(t, 11, v.Results[0].Result["unexpected_count"])
		require.EqualValues(t, []any{488., 753., 936., 1082., 1340., 3331., 3826., 4380., 5218., 6670., 6754.}, v.Results[0].Result["partial_unexpected_index_list"])
	}
	code, _, errs := weir("check", data, "--suite", asNull, "--types", "TotalCharges=float64")
	require.Equal(t, 2, code)
	require.Contains(t, errs, `line 490, column "TotalCharges": " " is not a float64`)
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	data := write(t, filepath.Join(dir, "data.csv"), "a,b\n1,x\n20,y\n")
	suite := func(severity string) string {
		return write(t, filepath.Join(dir, severity+".json"), fmt.Sprintf(`{"name": "s", "expectations": [
			{"type": "expect_column_values_to_be_between", "kwargs": {"column": "a", "max_value": 10}, "severity": %q}]}`, severity))
	}
	good := write(t, filepath.Join(dir, "good.yaml"), `
apiVersion: weir/v1
kind: ExpectationSuite
metadata: {name: good}
spec:
  expectations: [{type: expect_column_values_to_be_between, kwargs: {column: a, max_value: 20}}]
---
apiVersion: weir/v1
kind: ExpectationSuite
metadata: {name: strict}
spec:
  expectations: [{type: expect_column_values_to_be_between, kwargs: {column: a, max_value: 19}}]
`)
	schema := write(t, filepath.Join(dir, "schema.json"), `{"properties": {"a": {"type": "integer"}}}`)
	for _, c := range []struct {
		args []string
		code int
		says string // on standard error, or output
	}{
		{[]string{"--suite", suite("critical"), data}, 1, "1 of 2 rows"},
		{[]string{"--suite", suite("warning"), data}, 0, "what failed weighs less than critical"},
		{[]string{"--suite", suite("warning"), data, "--fail-on", "warning"}, 1, "1 of 2 rows"},
		{[]string{"--suite", suite("info"), data, "--fail-on", "warning"}, 0, "weighs less than warning"},
		{[]string{"--suite", suite("info"), data, "--fail-on", "info"}, 1, "1 of 2 rows"},
		{[]string{"--suite", good, data}, 2, "there are 2 suites in this file (choose one of good, strict)"},
		{[]string{"--suite", good, "--suite-name", "good", data}, 0, "1 of 1 expectation hold"},
		{[]string{"--suite", good, "--suite-name", "strict", data}, 1, "1 of 2 rows"},
		{[]string{"--suite", good, "--suite-name", "god", data}, 2, `did you mean "good"?`},
		{[]string{"--schema", schema, data}, 0, "all 2 rows pass"},
		{[]string{"--schema", schema, data, "--types", "a=string"}, 1, "expected"},
		{[]string{data}, 2, "give --suite, --schema or both"},
		{[]string{"--suite", good}, 2, "give the file to check"},
		{[]string{"--suite", suite("critical"), filepath.Join(dir, "none.csv")}, 2, "none.csv"},
		{[]string{"--suite", filepath.Join(dir, "none.json"), data}, 2, "none.json"},
		{[]string{"--schema", filepath.Join(dir, "none.json"), data}, 2, "none.json"},
		{[]string{"--suite", data, data}, 2, "data.csv"},
		{[]string{"--suite", suite("critical"), data, "--types", "c=int64"}, 2, `there is no column "c"`},
		{[]string{"--suite", suite("critical"), data, "--types", "a=int"}, 2, `unknown type "int"`},
		{[]string{"--suite", suite("critical"), data, "--types", "a"}, 2, "COLUMN=TYPE"},
		{[]string{"--suite", suite("critical"), data, "--param", "x=1"}, 2, "the suite has no parameters"},
		{[]string{"--suite", suite("critical"), data, "--param", "x"}, 2, "NAME=VALUE"},
		{[]string{"--suite", suite("critical"), data, "--result-format", "full"}, 2, "use boolean_only, basic"},
		{[]string{"--suite", suite("critical"), data, "--fail-on", "never"}, 2, "use critical, warning or info"},
		{[]string{"--suite", suite("critical"), data, "--examples", "0"}, 2, "at least 1"},
		{[]string{"--suite", suite("critical"), data, "--schema-refs"}, 2, "go with --schema"},
		{[]string{"--schema", schema, data, "--suite-name", "x"}, 2, "go with --suite"},
		{[]string{"--suite", suite("critical"), data, "--format", "xml"}, 2, "use csv, jsonl, parquet or arrow"},
		{[]string{"--suite", suite("critical"), data, "-o", "xml"}, 2, "-o xml"},
	} {
		code, out, errs := weir(append([]string{"check"}, c.args...)...)
		require.Equal(t, c.code, code, "%v\n%s%s", c.args, out, errs)
		require.Contains(t, out+errs, c.says, c.args)
	}
	code, _, errs := weir("status", "-o", "junit")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "use table or json")
}

// TestFaultsOfSuites shows all of them, each at its line.
func TestFaultsOfSuites(t *testing.T) {
	dir := t.TempDir()
	data := write(t, filepath.Join(dir, "data.csv"), "a,b\n1,x\n")
	suite := write(t, filepath.Join(dir, "suite.json"), `{"name": "s", "expectations": [
  {"type": "expect_column_values_to_be_betwen", "kwargs": {"column": "a", "max_value": 10}},
  {"type": "expect_column_values_to_match_regex",
   "kwargs": {"column": "b", "regex": "("}},
  {"type": "expect_column_values_to_be_between", "kwargs": {"column": "a", "max_value": {"$PARAMETER": "most"}}}
]}`)
	code, out, errs := weir("check", "--suite", suite, data)
	require.Equal(t, 2, code)
	require.Empty(t, out)
	require.Contains(t, errs, suite+":2:")
	require.Contains(t, errs, "did you mean expect_column_values_to_be_between?")
	require.Contains(t, errs, suite+":4:")
	require.Contains(t, errs, suite+":5:")
	require.Contains(t, errs, "most")
	require.Contains(t, errs, "3 faults, nothing was checked")

	code, _, errs = weir("check", "--suite", write(t, suite, "{\"name\": \"s\",\n \"expectations\": [}\n"), data)
	require.Equal(t, 2, code)
	require.Contains(t, errs, suite+":2:")
	code, _, errs = weir("check", "--schema", write(t, suite, "{\n \"type\": \"object\",\n}\n"), data)
	require.Equal(t, 2, code)
	require.Contains(t, errs, "line 3")
}

// TestSchemaReferences: a schema refers to its own folder only when asked to, and never out of it.
func TestSchemaReferences(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "schemas", "parts"), 0o700))
	write(t, filepath.Join(dir, "outside.json"), `{"type": "integer"}`)
	write(t, filepath.Join(dir, "schemas", "parts", "positive.json"), `{"type": "integer", "minimum": 1}`)
	write(t, filepath.Join(dir, "schemas", "named.json"), `{"$id": "https://example.com/even", "multipleOf": 2}`)
	data := write(t, filepath.Join(dir, "data.jsonl"), `{"n": 2}`+"\n"+`{"n": 0}`+"\n"+`{"n": 3}`+"\n")
	inside := write(t, filepath.Join(dir, "schemas", "main.json"), `{"properties": {"n": {"allOf": [{"$ref": "parts/positive.json"}, {"$ref": "https://example.com/even"}]}}}`)
	out := write(t, filepath.Join(dir, "schemas", "out.json"), `{"properties": {"n": {"$ref": "../outside.json"}}}`)

	code, _, errs := weir("check", "--schema", inside, data)
	require.Equal(t, 2, code)
	require.Contains(t, errs, "--schema-refs")
	code, text, errs := weir("check", "--schema", inside, "--schema-refs", data)
	require.Equal(t, 1, code, errs)
	require.Contains(t, text, "2 of 3 rows fail")
	code, _, errs = weir("check", "--schema", out, "--schema-refs", data)
	require.Equal(t, 2, code)
	require.Contains(t, errs, "references are not loaded")
}

func TestFailFast(t *testing.T) {
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString("n\n")
	for i := range 100_000 {
		fmt.Fprintln(&b, i%1000)
	}
	data := write(t, filepath.Join(dir, "data.csv"), b.String())
	suite := write(t, filepath.Join(dir, "s.json"), `{"name": "s", "expectations": [{"type": "expect_column_values_to_be_between", "kwargs": {"column": "n", "max_value": 99}}]}`)
	schema := write(t, filepath.Join(dir, "schema.json"), `{"properties": {"n": {"maximum": 99}}}`)
	code, out, _ := weir("check", "--suite", suite, "--schema", schema, data, "--fail-fast")
	require.Equal(t, 1, code)
	require.Regexp(t, `stopped after [0-9]?[0-9],[0-9]{3} rows`, out)
	code, out, _ = weir("check", "--schema", schema, data, "--fail-fast")
	require.Equal(t, 1, code)
	require.Contains(t, out, "stopped after 101 rows")
	require.Contains(t, out, "row 101 (line 102): 100")
}

// TestDamagedFiles: whatever the bytes are, there is an error that names the file and no panic.
func TestDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	suite := write(t, filepath.Join(dir, "s.json"), `{"name": "s", "expectations": [{"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}}]}`)
	good := map[string][]byte{"csv": []byte("a,b\n1,\"x\"\n2,\"y\"\n"), "jsonl": []byte("{\"a\": 1}\n{\"a\": 2}\n")}
	w, err := tabular.Open(context.Background(), write(t, filepath.Join(dir, "good.csv"), string(good["csv"])), tabular.ReadOptions{})
	require.NoError(t, err)
	for _, format := range []tabular.Format{tabular.Parquet, tabular.Arrow} {
		rec, err := w.Read()
		if err != nil {
			require.NoError(t, w.Close())
			w, err = tabular.Open(context.Background(), filepath.Join(dir, "good.csv"), tabular.ReadOptions{})
			require.NoError(t, err)
			rec, err = w.Read()
			require.NoError(t, err)
		}
		path := filepath.Join(dir, "good."+string(format))
		out, err := tabular.Create(path, w.Schema(), tabular.WriteOptions{})
		require.NoError(t, err)
		require.NoError(t, out.Write(rec))
		require.NoError(t, out.Close())
		good[string(format)], err = os.ReadFile(path)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	for format, b := range good {
		code, out, errs := weir("check", "--suite", suite, write(t, filepath.Join(dir, "whole."+format), string(b)))
		require.Equal(t, 0, code, "%s %s%s", format, out, errs)
		for cut := 0; cut < len(b); cut += 1 + len(b)/37 {
			path := write(t, filepath.Join(dir, "cut."+format), string(b[:cut]))
			code, out, errs := weir("check", "--suite", suite, path)
			require.NotContains(t, errs, "goroutine", out)
			if code == 2 {
				require.Contains(t, errs, "cut."+format)
			}
			broken := append([]byte(nil), b...)
			broken[cut] ^= 0x5a
			_, out, errs = weir("check", "--suite", suite, write(t, filepath.Join(dir, "cut."+format), string(broken)))
			require.NotContains(t, errs, "goroutine", out)
		}
	}
	for name, c := range map[string]struct{ text, says string }{
		"open.csv":  {"a,b\n1,x\n2,\"y\n", "line 3"},
		"wide.csv":  {"a,b\n1,x\n2,y,z\n", "line 3"},
		"empty.csv": {"", "the file is empty"},
		"text.csv":  {"a,b\n1,x\n2,\xff\xfe\n", "line 3"},
		"not.jsonl": {"{\"a\": 1}\n{\"a\": \n", "line 2"},
	} {
		code, _, errs := weir("check", "--suite", suite, write(t, filepath.Join(dir, name), c.text))
		require.Equal(t, 2, code, name)
		require.Contains(t, errs, c.says, name)
	}
	// Row by row, what is no JSON is a row that fails.
	schema := write(t, filepath.Join(dir, "schema.json"), `{"type": "object"}`)
	code, out, _ := weir("check", "--schema", schema, write(t, filepath.Join(dir, "not.jsonl"), "{\"a\": 1}\n{\"a\": \n[1]\n"))
	require.Equal(t, 1, code)
	require.Contains(t, out, "2 of 3 rows fail")
	require.Contains(t, out, "row 2 (line 2)")
}

// TestMemoryIsBounded: a file is read in pieces, and what expectations keep of it has its limit.
func TestMemoryIsBounded(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := t.TempDir()
	data := filepath.Join(dir, "long.csv")
	f, err := os.Create(data)
	require.NoError(t, err)
	const rows = 200_000
	line := []byte("id,text\n")
	for i := range rows {
		if len(line) > 1<<16 {
			_, err = f.Write(line)
			require.NoError(t, err)
			line = line[:0]
		}
		line = fmt.Appendf(line, "k%09d,%060d\n", i*7919%rows, i)
	}
	_, err = f.Write(line)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	suite := write(t, filepath.Join(dir, "s.json"), `{"name": "s", "expectations": [
		{"type": "expect_column_values_to_be_unique", "kwargs": {"column": "id"}},
		{"type": "expect_column_values_to_match_regex", "kwargs": {"column": "text", "regex": "^[0-9]+$"}}]}`)
	schema := write(t, filepath.Join(dir, "schema.json"), `{"properties": {"id": {"type": "string"}}}`)
	s, faults, err := manifest.LoadSuite(suite, "")
	require.NoError(t, err)
	require.Empty(t, faults)
	sc, err := check.LoadSchema(schema, check.SchemaOptions{})
	require.NoError(t, err)
	var most uint64
	calls := 0
	o := check.Options{Path: data, Suite: s, Schema: sc, Memory: 1 << 20, Progress: func(int64, int64) {
		if calls++; calls%8 == 0 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
	}}
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	out, err := check.Run(context.Background(), o)
	require.NoError(t, err)
	require.True(t, out.Success())
	require.EqualValues(t, rows, out.Rows)
	require.NotZero(t, most)
	grew := int64(most) - int64(before.HeapAlloc)
	t.Logf("%d MiB of file, heap grew by %.1f MiB", 72*rows>>20, float64(grew)/(1<<20))
	require.Less(t, grew, int64(10<<20)) // the file is longer
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestInterrupted: nothing is left behind, and the error is that of the interruption.
func TestInterrupted(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := t.TempDir()
	data := write(t, filepath.Join(dir, "d.csv"), "n\n"+strings.Repeat("1\n", 100_000))
	s, faults, err := manifest.LoadSuite(write(t, filepath.Join(dir, "s.json"), `{"name": "s", "expectations": [{"type": "expect_column_values_to_be_unique", "kwargs": {"column": "n"}}]}`), "")
	require.NoError(t, err)
	require.Empty(t, faults)
	ctx, cancel := context.WithCancel(context.Background())
	_, err = check.Run(ctx, check.Options{Path: data, Suite: s, Progress: func(done, total int64) { cancel() }})
	require.True(t, errors.Is(err, context.Canceled), err)
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	require.NoError(t, err)
	require.Empty(t, left)
}
