package jsonschema

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shared finds the folder of shared test data, which stands beside the module.
func shared(t testing.TB, path string) string {
	root := os.Getenv("WEIR_SHARED")
	if root == "" {
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				break
			}
			if dir == filepath.Dir(dir) {
				t.Fatal("no go.mod above the test")
			}
			dir = filepath.Dir(dir)
		}
		root = filepath.Join(dir, "..", "shared")
	}
	p := filepath.Join(root, path)
	if _, err := os.Stat(p); err != nil {
		t.Skipf("SKIP(shared absent): %s", p)
	}
	return p
}

var suiteDrafts = []struct {
	dir   string
	draft int
}{{"draft4", 4}, {"draft6", 6}, {"draft7", 7}, {"draft2019-09", 2019}, {"draft2020-12", 2020}}

type suiteCase struct {
	Description string
	Schema      json.RawMessage
	Tests       []struct {
		Description string
		Data        json.RawMessage
		Valid       bool
	}
}

// TestOfficialSuite runs every required test of the five drafts, with the
// compiled form and with the full engine, and holds the share of schemas that
// the compiled form takes whole.
func TestOfficialSuite(t *testing.T) {
	dir := shared(t, "conformance/json-schema-test-suite")
	remotes := map[string][]byte{}
	err := filepath.WalkDir(filepath.Join(dir, "remotes"), func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(filepath.Join(dir, "remotes"), p)
		b, err := os.ReadFile(p)
		remotes["http://localhost:1234/"+filepath.ToSlash(rel)] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// What may be left to the full engine: everything else must be taken whole.
	// (the metaschemas of the two newest drafts are written with dynamic references)
	leave := []string{"unevaluated", "dynamic", "recursiveRef", "$recursive", "vocabulary",
		`"$ref":"https://json-schema.org/draft/20`}
	t.Logf("%-14s %8s %8s %8s %18s %22s", "draft", "tests", "passed", "schemas", "compiled whole", "of the floor's schemas")
	for _, d := range suiteDrafts {
		files, err := filepath.Glob(filepath.Join(dir, "tests", d.dir, "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatal("no tests for ", d.dir, err)
		}
		tests, passed, schemas, compiled, floor := 0, 0, 0, 0, 0
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var cases []suiteCase
			if err := json.Unmarshal(raw, &cases); err != nil {
				t.Fatal(file, err)
			}
			for _, c := range cases {
				name := fmt.Sprintf("%s/%s/%s", d.dir, filepath.Base(file), c.Description)
				fast, err := Compile(c.Schema, Options{Resources: remotes, Draft: d.draft})
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				slow, err := Compile(c.Schema, Options{Resources: remotes, Draft: d.draft, FullEngine: true})
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				schemas++
				if plainSchema(t, c.Schema) {
					if floor++; !fast.Compiled() {
						t.Errorf("made of the usual keywords and yet left to the full engine: %s", name)
					}
				}
				if fast.Compiled() {
					compiled++
				} else if flat := strings.ReplaceAll(string(c.Schema), `": "`, `":"`); !mentions(flat+file, leave) {
					t.Errorf("left to the full engine, though the compiled form should take it: %s", name)
				}
				for _, x := range c.Tests {
					tests++
					reasons := fast.Validate(x.Data)
					if len(reasons) == 0 != x.Valid {
						t.Errorf("%s: %s: want valid=%v, got %v", name, x.Description, x.Valid, reasons)
						continue
					}
					if ok := len(slow.Validate(x.Data)) == 0; ok != x.Valid {
						t.Errorf("%s: %s: full engine: want valid=%v", name, x.Description, x.Valid)
						continue
					}
					if valid := fast.NewChecker().Valid(x.Data); valid != x.Valid {
						t.Errorf("%s: %s: Valid and Check differ", name, x.Description)
						continue
					}
					for _, r := range reasons {
						if !strings.HasPrefix(r.Rule, "schema.") || r.Expected == "" {
							t.Errorf("%s: %s: reason %+v", name, x.Description, r)
						}
					}
					passed++
				}
			}
		}
		t.Logf("%-14s %8d %8d %8d %9d = %5.1f%% %12d, all of them", d.dir, tests, passed, schemas, compiled, 100*float64(compiled)/float64(schemas), floor)
		if floor < schemas/3 {
			t.Errorf("%s: only %d of %d schemas are held to the floor", d.dir, floor, schemas)
		}
	}
}

func mentions(s string, words []string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// plainKeywords are what the compiled form has to take whole, and what asks nothing.
var plainKeywords = map[string]string{
	"type": "", "enum": "", "const": "", "minimum": "", "maximum": "", "exclusiveMinimum": "", "exclusiveMaximum": "", "multipleOf": "", "minLength": "", "maxLength": "", "pattern": "",
	"required": "", "minItems": "", "maxItems": "", "uniqueItems": "", "format": "", "minProperties": "", "maxProperties": "",
	"$schema": "", "$comment": "", "title": "", "description": "", "default": "", "examples": "",
	"properties": "named", "definitions": "named", "$defs": "named", "additionalProperties": "one", "items": "some", "additionalItems": "one", "prefixItems": "some",
	"allOf": "some", "anyOf": "some", "oneOf": "some", "not": "one", "$ref": "local",
}

// plainSchema reports whether a schema is made only of these, with references into its own definitions.
func plainSchema(t *testing.T, raw []byte) bool {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	var plain func(v any) bool
	some := func(l []any) bool {
		return !slices.ContainsFunc(l, func(v any) bool { return !plain(v) })
	}
	plain = func(v any) bool {
		m, ok := v.(map[string]any)
		if !ok {
			_, ok := v.(bool)
			return ok
		}
		for k, x := range m {
			of, ok := plainKeywords[k]
			switch l, isList := x.([]any); {
			case !ok:
				return false
			case of == "one" && !plain(x), of == "some" && !isList && !plain(x), of == "some" && isList && !some(l):
				return false
			case of == "named":
				all, _ := x.(map[string]any)
				if !some(slices.Collect(maps.Values(all))) {
					return false
				}
			case of == "local":
				ref, _ := x.(string)
				if ref != "#" && !strings.HasPrefix(ref, "#/definitions/") && !strings.HasPrefix(ref, "#/$defs/") && !strings.HasPrefix(ref, "#/properties/") {
					return false
				}
			}
		}
		return true
	}
	return plain(v)
}
