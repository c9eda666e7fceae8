package check_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/cmd/weir/command"
	"github.com/weir-ml/weir/registry/feature"
)

// shared is a file of the shared folder beside the module, or the test is skipped.
func shared(t *testing.T, path ...string) string {
	t.Helper()
	dir := os.Getenv("WEIR_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared")
	}
	file, err := filepath.Abs(filepath.Join(append([]string{dir}, path...)...))
	require.NoError(t, err)
	if _, err := os.Stat(file); err != nil {
		t.Skipf("SKIP(shared absent): %s", file)
	}
	return file
}

// weir runs a command as main does.
func weir(args ...string) (code int, out, errs string) {
	var o, e strings.Builder
	code = command.Main(args, strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

// gxCase is one recorded verdict of Great Expectations.
type gxCase struct {
	ID          string
	Expectation string
	Kwargs      json.RawMessage
	Data        map[string][]json.RawMessage
	Types       map[string]string
	Success     bool
	Expect      struct {
		UnexpectedList []json.RawMessage `json:"unexpected_list"`
	}
	columns []string // in the case's order
}

// notJSON is what Python writes and JSON does not have.
var (
	notJSON  = regexp.MustCompile(`-?Infinity\b|\bNaN\b`)
	asPython = regexp.MustCompile(`"(-?Infinity|NaN)"`)
)

// TestGreatExpectationsVerdicts gives each recorded case to weir check, the table as an
// Arrow file and the expectation as a suite that Great Expectations could have saved.
func TestGreatExpectationsVerdicts(t *testing.T) {
	f, err := os.Open(shared(t, "conformance", "gx_cases.jsonl"))
	require.NoError(t, err)
	defer f.Close()
	dir := t.TempDir()
	total, compared := 0, 0
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<22)
	for in.Scan() {
		var c gxCase
		line := notJSON.ReplaceAllFunc(in.Bytes(), func(b []byte) []byte { return []byte(`"` + string(b) + `"`) })
		// As Python saves it, which JSON does not allow.
		kwargs := func() []byte { return asPython.ReplaceAll(c.Kwargs, []byte("$1")) }
		require.NoError(t, json.Unmarshal(line, &c))
		c.columns = columnOrder(t, line)
		total++
		data, suite := filepath.Join(dir, "case.arrow"), filepath.Join(dir, "suite.json")
		mixed := c.write(t, data)
		require.NoError(t, os.WriteFile(suite, fmt.Appendf(nil, `{"name": "case", "expectations": [{"type": %q, "kwargs": %s}], "meta": {}}`, c.Expectation, kwargs()), 0o600))
		code, out, errs := weir("check", "--suite", suite, data, "-o", "json", "--result-format", "COMPLETE")
		var got struct {
			Success bool
			Results []struct {
				Success bool
				Result  struct {
					UnexpectedList []json.RawMessage `json:"unexpected_list"`
				}
				Info struct {
					Raised  bool   `json:"raised_exception"`
					Message string `json:"exception_message"`
				} `json:"exception_info"`
			}
		}
		if code == 2 || json.Unmarshal([]byte(out), &got) != nil {
			t.Errorf("%s: exit code %d: %s%s", c.ID, code, errs, out)
			continue
		}
		if got.Success != c.Success || len(got.Results) != 1 || got.Results[0].Success != c.Success || (code == 0) != c.Success {
			t.Errorf("%s: got success %v (exit code %d, %s), recorded %v\n  %s", c.ID, got.Success, code, got.Results[0].Info.Message, c.Success, c.Kwargs)
			continue
		}
		if c.Expect.UnexpectedList != nil && !mixed {
			compared++
			if len(got.Results[0].Result.UnexpectedList) != len(c.Expect.UnexpectedList) {
				t.Errorf("%s: got unexpected %s, recorded %s", c.ID, got.Results[0].Result.UnexpectedList, c.Expect.UnexpectedList)
			}
		}
	}
	require.NoError(t, in.Err())
	require.GreaterOrEqual(t, total, 265)
	t.Logf("%d cases, of %d the unexpected values too", total, compared)
}

// columnOrder is the order of the columns in a case: some expectations are about it.
func columnOrder(t *testing.T, line []byte) (names []string) {
	t.Helper()
	var c struct{ Data json.RawMessage }
	require.NoError(t, json.Unmarshal(line, &c))
	d := json.NewDecoder(strings.NewReader(string(c.Data)))
	_, err := d.Token()
	require.NoError(t, err)
	for d.More() {
		name, err := d.Token()
		require.NoError(t, err)
		names = append(names, name.(string))
		var v json.RawMessage
		require.NoError(t, d.Decode(&v))
	}
	return names
}

// write makes an Arrow file of the case's table. mixed tells that a column has text
// and other values, which no column of a file can: all of it is text there.
func (c *gxCase) write(t *testing.T, path string) (mixed bool) {
	t.Helper()
	var fields []arrow.Field
	var cols []arrow.Array
	rows := 0
	for _, name := range c.columns {
		typ, m := columnType(c.Types[name], c.Data[name])
		mixed = mixed || m
		b := array.NewBuilder(memory.DefaultAllocator, typ.Arrow())
		for _, raw := range c.Data[name] {
			appendJSON(t, b, raw)
		}
		fields, cols = append(fields, arrow.Field{Name: name, Type: typ.Arrow(), Nullable: true}), append(cols, b.NewArray())
		rows = len(c.Data[name])
	}
	schema := arrow.NewSchema(fields, nil)
	f, err := os.Create(path)
	require.NoError(t, err)
	w, err := ipc.NewFileWriter(f, ipc.WithSchema(schema))
	require.NoError(t, err)
	require.NoError(t, w.Write(array.NewRecordBatch(schema, cols, int64(rows))))
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
	return mixed
}

// columnType is the type that the case names, or else that its values have.
func columnType(named string, vals []json.RawMessage) (typ feature.Type, mixed bool) {
	switch named {
	case "int", "int64", "Int64Dtype":
		return feature.Int64, false
	case "float", "float64":
		return feature.Float64, false
	case "str":
		return feature.String, false
	case "bool":
		return feature.Bool, false
	case "datetime64", "datetime64[ns]":
		return feature.Timestamp, false
	}
	for _, raw := range vals {
		t := feature.Int64
		switch s := string(raw); {
		case s == "null":
			continue
		case s == `"NaN"` || s == `"Infinity"` || s == `"-Infinity"`:
			t = feature.Float64
		case s[0] == '"':
			t = feature.String
		case s == "true" || s == "false":
			t = feature.Bool
		case strings.ContainsAny(s, ".eE"):
			t = feature.Float64
		}
		switch {
		case typ == feature.InvalidType || typ == t:
			typ = t
		case typ.Numeric() && t.Numeric():
			typ = feature.Float64
		default:
			return feature.String, true
		}
	}
	if typ == feature.InvalidType {
		return feature.String, false
	}
	return typ, false
}

func appendJSON(t *testing.T, b array.Builder, raw json.RawMessage) {
	t.Helper()
	var s string
	if json.Unmarshal(raw, &s) != nil {
		s = string(raw)
	}
	var err error
	switch b := b.(type) {
	case *array.StringBuilder:
		if string(raw) == "null" {
			b.AppendNull()
		} else {
			b.Append(s)
		}
		return
	case *array.Float64Builder:
		switch s {
		case "": // null; the builder's own reader appends one, and fails as well
			b.AppendNull()
			return
		case "NaN":
			b.Append(math.NaN())
			return
		case "Infinity", "-Infinity":
			b.Append(math.Inf(map[string]int{"Infinity": 1, "-Infinity": -1}[s]))
			return
		}
		err = b.AppendValueFromString(s)
	case *array.TimestampBuilder:
		for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02", "01/02/06", "1/2/2006"} {
			if at, e := time.Parse(layout, s); e == nil {
				b.Append(arrow.Timestamp(at.UnixMicro()))
				return
			}
		}
		b.AppendNull()
		return
	default:
		if string(raw) != "null" {
			err = b.AppendValueFromString(s)
		}
	}
	if err != nil || string(raw) == "null" {
		b.AppendNull()
	}
}
