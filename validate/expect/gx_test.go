package expect

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
	"github.com/weir-ml/weir/validate/expect/pytime"
)

// shared is a file of the shared folder beside the module, or the test is skipped.
func shared(t *testing.T, path ...string) string {
	t.Helper()
	dir := os.Getenv("WEIR_SHARED")
	if dir == "" {
		at, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
				break
			}
			at = filepath.Dir(at)
		}
		dir = filepath.Join(at, "..", "shared")
	}
	file := filepath.Join(append([]string{dir}, path...)...)
	if _, err := os.Stat(file); err != nil {
		t.Skipf("SKIP(shared absent): %s", file)
	}
	return file
}

// gxCase is one recorded verdict of Great Expectations.
type gxCase struct {
	ID          string
	Expectation string
	Kwargs      map[string]json.RawMessage
	Data        map[string][]json.RawMessage
	Types       map[string]string
	Success     bool
	mixed       bool // a column asked about has text and other values, which no Arrow column can
	Expect      struct {
		UnexpectedList      []json.RawMessage            `json:"unexpected_list"`
		UnexpectedIndexList []map[string]json.RawMessage `json:"unexpected_index_list"`
		ObservedValue       *json.RawMessage             `json:"observed_value"`
	}
	Tolerance *float64
}

// bareInf is what Python writes that is not JSON; only cases of windows have it.
var bareInf = regexp.MustCompile(`-?Infinity\b|\bNaN\b`)

// TestGreatExpectationsOnAStream runs the recorded cases that need one row at a time.
func TestGreatExpectationsOnAStream(t *testing.T) {
	f, err := os.Open(shared(t, "conformance", "gx_cases.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	total, ran, passed, mixed := 0, 0, 0, 0
	other := map[string]int{}
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<22)
	for in.Scan() {
		var c gxCase
		line := bareInf.ReplaceAll(in.Bytes(), []byte("null"))
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		total++
		if _, ok := rules[c.Expectation]; !ok {
			if _, ok := refused[c.Expectation]; !ok {
				t.Errorf("%s: neither a rule nor refused by name", c.Expectation)
			}
			other[c.Expectation]++
			continue
		}
		ran++
		if err := c.run(); err != nil {
			t.Errorf("%s: %v", c.ID, err)
			continue
		}
		passed++
		if c.mixed {
			mixed++
			t.Logf("%s: verdict only, a column mixes text and numbers and is all text here", c.ID)
		}
	}
	if in.Err() != nil {
		t.Fatal(in.Err())
	}
	t.Logf("%d cases: %d ran, %d with the recorded verdict (of %d of them the rows cannot be compared); %d are not per record",
		total, ran, passed, mixed, total-ran)
	for _, n := range slices.Sorted(maps.Keys(other)) {
		t.Logf("not per record: %2d %s (%s)", other[n], n, refused[n].kind)
	}
	if ran < 118 {
		t.Errorf("only %d cases ran", ran)
	}
}

func (c *gxCase) run() error {
	rec := c.record()
	defer rec.Release()
	s, faults := Compile(&feature.Suite{Expectations: []feature.Expectation{{Type: c.Expectation, Kwargs: c.Kwargs}}}, rec.Schema())
	if len(faults) > 0 {
		return feature.JoinFaults(faults)
	}
	var v validate.Verdict
	if err := s.CheckRecord(rec, &v); err != nil {
		return err
	}
	n := v.Counts()[0]
	if got := n.Passed(v.Rules()[0].Mostly); got != c.Success {
		return fmt.Errorf("got success %v with %d of %d failed, want %v", got, n.Failed, n.Evaluated, c.Success)
	}
	if c.mixed {
		return nil
	}
	if want := c.Expect.UnexpectedList; want != nil && len(want) != int(n.Failed) {
		return fmt.Errorf("got %d unexpected values, want %s", n.Failed, want)
	}
	if c.Expect.UnexpectedIndexList == nil {
		return nil
	}
	var want []int
	for _, row := range c.Expect.UnexpectedIndexList {
		var i int
		if err := json.Unmarshal(row["pk_index"], &i); err != nil {
			return err
		}
		want = append(want, i)
	}
	if got := slices.Collect(v.Failures(0).Rows()); !slices.Equal(got, want) {
		return fmt.Errorf("got unexpected rows %v, want %v", got, want)
	}
	return nil
}

// record makes Arrow columns of the case's values, each of the type that the
// case names or its values suggest.
func (c *gxCase) record() arrow.RecordBatch {
	var fields []arrow.Field
	var cols []arrow.Array
	rows := 0
	for _, name := range slices.Sorted(maps.Keys(c.Data)) {
		typ, mixed := columnType(c.Types[name], c.Data[name])
		c.mixed = c.mixed || mixed && c.asks(name)
		bld := array.NewBuilder(memory.DefaultAllocator, typ.Arrow())
		for _, raw := range c.Data[name] {
			appendJSON(bld, raw)
		}
		fields = append(fields, arrow.Field{Name: name, Type: typ.Arrow(), Nullable: true})
		cols = append(cols, bld.NewArray())
		rows = len(c.Data[name])
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), cols, int64(rows))
}

// asks reports whether the expectation is about a column.
func (c *gxCase) asks(column string) bool {
	for _, k := range []string{"column", "column_A", "column_B", "column_list"} {
		if strings.Contains(string(c.Kwargs[k]), strconv.Quote(column)) {
			return true
		}
	}
	return false
}

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

func appendJSON(bld array.Builder, raw json.RawMessage) {
	if string(raw) == "null" {
		bld.AppendNull()
		return
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		s = string(raw)
	}
	var err error
	switch b := bld.(type) {
	case *array.StringBuilder:
		b.Append(s)
	case *array.TimestampBuilder:
		var micros int64
		if micros, err = pytime.ParseISO(s); err == nil {
			b.Append(arrow.Timestamp(micros))
		}
	default:
		err = b.AppendValueFromString(s)
	}
	if err != nil {
		bld.AppendNull()
	}
}
