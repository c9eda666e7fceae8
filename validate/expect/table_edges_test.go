package expect

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// edgeTable has columns of each kind, and one of text, one of times without a value.
func edgeTable(t *testing.T) arrow.RecordBatch {
	t.Helper()
	fields := []arrow.Field{
		{Name: "i", Type: arrow.PrimitiveTypes.Int64}, {Name: "b", Type: arrow.FixedWidthTypes.Boolean},
		{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "none", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "never", Type: feature.Timestamp.Arrow(), Nullable: true},
	}
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, arrow.NewSchema(fields, nil), strings.NewReader(
		`[{"i":1,"b":true,"s":"a"},{"i":2,"b":false,"s":null},{"i":3,"b":true,"s":"c"}]`))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// TestTableEdges: what Great Expectations 1.24 says of the same, each found where it was said otherwise.
func TestTableEdges(t *testing.T) {
	rec := edgeTable(t)
	for _, c := range []struct {
		expectation, kwargs string
		success             bool
		exception           string
	}{
		// One bin that is open at both ends.
		{"expect_column_kl_divergence_to_be_less_than", `{"column":"i","threshold":0.1,"partition_object":{"bins":[-1e999999,1e999999],"weights":[1]}}`, true, ""},
	} {
		suite := &feature.Suite{Expectations: []feature.Expectation{{Type: c.expectation}}}
		if err := json.Unmarshal([]byte(c.kwargs), &suite.Expectations[0].Kwargs); err != nil {
			t.Fatal(c.kwargs, err)
		}
		report, err := judgeTable(suite, rec, 2, TableOptions{})
		if err != nil {
			t.Errorf("%s %s: %v", c.expectation, c.kwargs, err)
			continue
		}
		if r := report.Results[0]; r.Success != c.success || !strings.Contains(r.Exception, c.exception) || (r.Exception == "") != (c.exception == "") {
			t.Errorf("%s %s: %s", c.expectation, c.kwargs, fmt.Sprint(r.Success, " ", r.Exception))
		}
	}
}
