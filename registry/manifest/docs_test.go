package manifest_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/manifest"
	"github.com/weir-ml/weir/registry/memory"
	"github.com/weir-ml/weir/registry/registrytest"
)

var fence = regexp.MustCompile("(?ms)^```(yaml|json)([^\n]*)\n(.*?)^```$")

// TestReference: every example of docs/definitions.md is a manifest without
// faults, all of them together can be applied, and no field is left out.
func TestReference(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "definitions.md"))
	require.NoError(t, err)
	files := map[string][]byte{}
	var in []manifest.File
	for _, m := range fence.FindAllSubmatch(page, -1) {
		if name := strings.TrimSpace(string(m[2])); name != "" {
			files[name] = m[3]
		}
	}
	for _, m := range fence.FindAllSubmatchIndex(page, -1) {
		if string(page[m[2]:m[3]]) == "yaml" {
			// As many empty lines in front as the page has: a fault shows its line.
			pad := strings.Repeat("\n", strings.Count(string(page[:m[6]]), "\n"))
			in = append(in, manifest.File{Name: "definitions.md", Data: append([]byte(pad), page[m[6]:m[7]]...), Open: func(name string) ([]byte, error) {
				if b, ok := files[name]; ok {
					return b, nil
				}
				return nil, fs.ErrNotExist
			}})
		}
	}
	require.Greater(t, len(in), len(feature.Kinds))
	docs, faults := manifest.Parse(in)
	r := registrytest.Open(t, memory.New(), registry.Checks{})
	plan, err := r.Plan(ctx, registry.Request{Definitions: docs.Definitions()})
	require.NoError(t, err)
	require.Empty(t, docs.Explain(faults, plan.Faults))

	shown := map[feature.Kind]bool{}
	for _, d := range docs {
		shown[d.Definition.Kind()] = true
	}
	for _, k := range feature.Kinds {
		require.True(t, shown[k], "there is an example of a %s", k)
		for _, field := range fields(reflect.TypeOf(registry.Empty(k)).Elem()) {
			require.Regexp(t, "(`|\\.|…)"+field+"`", string(page), "%s: the field %s is described", k, field)
		}
	}
}

// fields are the names of a struct's fields in a manifest, those of structs inside included.
func fields(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		if name != "metadata" {
			out = append(out, name)
		}
		ft := f.Type
		for ft.Kind() == reflect.Pointer || ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.Struct {
			ft = ft.Elem()
		}
		if ft.Kind() == reflect.Struct && ft.PkgPath() == reflect.TypeFor[feature.Meta]().PkgPath() {
			inner := fields(ft)
			if len(inner) > 0 && ft.NumField() > 0 && name != "metadata" && isGroup(ft) {
				out = out[:len(out)-1] // described through its fields
			}
			out = append(out, inner...)
		}
	}
	return out
}

// isGroup reports whether a struct is described only through its fields
// ("spec.window.size"), not by itself.
func isGroup(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[feature.TimeField](), reflect.TypeFor[feature.Reference](), reflect.TypeFor[feature.Window](), reflect.TypeFor[feature.Retrain](),
		reflect.TypeFor[feature.Quality](), reflect.TypeFor[feature.Volume](), reflect.TypeFor[feature.Performance](), reflect.TypeFor[feature.Outcomes]():
		return true
	}
	return false
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(t, os.WriteFile(p, []byte(text), 0o644))
		return p
	}
	source := "apiVersion: weir/v1\nkind: Source\nmetadata: {name: a}\nspec: {topic: t, event_time: {field: at}, schema_file: ../schemas/s.json}\n"
	write("defs/b.yml", source)
	a := write("defs/sub/a.yaml", strings.Replace(source, "name: a", "name: b", 1))
	write("defs/schemas/s.json", `{"type": "object"}`)
	write("schemas/s.json", `{"type": "array"}`)
	write("defs/.hidden.yaml", "nonsense: [")
	write("defs/.git/x.yaml", "nonsense: [")
	write("empty/readme.md", "")

	files, err := manifest.Load(filepath.Join(dir, "defs"))
	require.NoError(t, err)
	require.Len(t, files, 2)
	docs, faults := manifest.Parse(files)
	require.Empty(t, faults)
	require.JSONEq(t, `{"type": "array"}`, string(docs[0].Definition.(*feature.Source).Schema), "relative to the manifest")
	require.JSONEq(t, `{"type": "object"}`, string(docs[1].Definition.(*feature.Source).Schema))

	files, err = manifest.Load(a, a)
	require.NoError(t, err)
	_, faults = manifest.Parse(files)
	require.Len(t, faults, 1)
	require.Contains(t, faults[0].Error(), "is defined twice (first at "+a+":3:18)")

	for _, bad := range []string{"empty", "nowhere"} {
		_, err = manifest.Load(filepath.Join(dir, bad))
		require.Equal(t, feature.Invalid, feature.KindOf(err), err)
	}

	_, faults = manifest.Parse([]manifest.File{{Name: "-", Data: []byte(source)}})
	require.Len(t, faults, 1)
	require.ErrorContains(t, faults[0], "-:4:56: spec.schema_file: a file can be named only in a manifest that is a file itself")
}
