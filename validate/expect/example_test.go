package expect_test

import (
	"encoding/json"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
	"github.com/weir-ml/weir/validate/expect"
)

func ExampleCompile() {
	suite := &feature.Suite{Meta: feature.Meta{Name: "weather"}}
	_ = json.Unmarshal([]byte(`[
		{"type": "expect_column_values_to_be_between", "kwargs": {"column": "wind_speed", "min_value": 0, "max_value": 200}},
		{"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "origin", "value_set": ["JFK", "LGA", "EWR"]}}
	]`), &suite.Expectations)
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "origin", Type: arrow.BinaryTypes.String},
		{Name: "wind_speed", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	}, nil)
	compiled, faults := expect.Compile(suite, schema)
	if len(faults) > 0 {
		fmt.Println(feature.JoinFaults(faults))
		return
	}
	bld := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	bld.Field(0).(*array.StringBuilder).AppendValues([]string{"JFK", "SFO", "LGA"}, nil)
	bld.Field(1).(*array.Float64Builder).AppendValues([]float64{12.5, 1048, 0}, []bool{true, true, false})

	var v validate.Verdict
	if err := compiled.CheckRecord(bld.NewRecordBatch(), &v); err != nil {
		fmt.Println(err)
		return
	}
	for _, row := range v.Rejected() {
		for _, r := range row.Reasons {
			fmt.Printf("row %d: %s is %s, must be %s\n", row.Index, r.Path, r.Value, r.Expected)
		}
	}
	// Output:
	// row 1: wind_speed is 1048, must be between 0 and 200
	// row 1: origin is SFO, must be one of "JFK", "LGA", "EWR"
}
