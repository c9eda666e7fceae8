package protoschema

import (
	"strings"
	"testing"
)

// TestDepth: what takes the compiler gigabytes is refused before it begins.
func TestDepth(t *testing.T) {
	deep := func(begin, end string) string { return strings.Repeat(begin, 20_000) + strings.Repeat(end, 20_000) }
	const options = `syntax = "proto3"; import "google/protobuf/descriptor.proto"; message M { M m = 1; } extend google.protobuf.FileOptions { M x = 50000; } option (x) = `
	for _, text := range []string{
		`syntax = "proto3"; ` + deep("message A{", "}"),
		options + "{" + deep("m:{", "}") + "};",
		options + "{" + deep("m<", ">") + "};",
	} {
		if _, err := Parse(text, nil); err == nil || !strings.Contains(err.Error(), "nests more than 100") {
			t.Errorf("%.60s...: %v", text, err)
		}
		if _, err := Parse(`syntax = "proto3"; import "a.proto";`, map[string]string{"a.proto": text}); err == nil || !strings.Contains(err.Error(), "nests more than 100") {
			t.Errorf("imported %.60s...: %v", text, err)
		}
	}
	right := `syntax = "proto3"; // ` + strings.Repeat("{", 200) + `
/* ` + strings.Repeat("(", 200) + ` */
message A { reserved "a\"` + strings.Repeat("{", 200) + `"; map<string, A> m = 1; string s = 2 [json_name = '` + strings.Repeat("[", 200) + `']; }
` + options[strings.Index(options, "message M"):] + `{` + strings.Repeat("m:{", 20) + strings.Repeat("}", 20) + `};`
	right = strings.Replace(right, "message A", `import "google/protobuf/descriptor.proto"; message A`, 1)
	right = strings.Replace(right, `reserved "a\"`+strings.Repeat("{", 200)+`"; `, "", 1) // no name of a field
	if _, err := Parse(right, nil); err != nil {
		t.Error(err)
	}
}
