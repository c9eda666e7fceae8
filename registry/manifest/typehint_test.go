package manifest

import "testing"

func TestTypeHints(t *testing.T) {
	for name, want := range map[string]string{
		"int": "; did you mean int64?", "double": "; did you mean float64?", "strin": "; did you mean string?", "Boolean": "; did you mean bool?", "money": "",
		"[]float64": "; did you mean array<float64>?", "[16]float32": "; did you mean array<float32>?", "list<float64>": "; did you mean array<float64>?", "float64[]": "; did you mean array<float64>?",
		"Array(Float64)": "; did you mean array<float64>?", "List[float]": "; did you mean array<float64>?", "ARRAY<DOUBLE>": "; did you mean array<float64>?", "array[int]": "; did you mean array<int64>?",
		"array <text>": "; did you mean array<string>?", "repeated string": "; did you mean array<string>?", "list<sting>": "; did you mean array<string>?", "array<string": "; did you mean array<string>?",
		"DOUBLE_LIST": "; did you mean array<float64>?", "Float32List": "; did you mean array<float32>?", "vector(768)": "; an array says of what: array<float64>, array<string>",
		"array": "; an array says of what: array<float64>, array<string>", "list": "; an array says of what: array<float64>, array<string>", "embedding": "; an array says of what: array<float64>, array<string>",
		"array<>": "; an array says of what: array<float64>, array<string>", "arry<float64>": "; did you mean array<float64>?", "aray<string>": "; did you mean array<string>?",
		"array<array<float64>>": "; an array's elements are single values: lists of lists can be kept one after the other in one array, or as text",
		"[][]int":               "; an array's elements are single values: lists of lists can be kept one after the other in one array, or as text",
	} {
		if got := typeHint(typeType, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
