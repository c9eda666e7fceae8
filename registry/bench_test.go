package registry_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/registrytest"
	"github.com/weir-ml/weir/registry/sqlstore"
)

// BenchmarkCatalog: a project of 1,000 definitions in SQLite, 500 of them views
// of 20 features. "change" applies one changed view, "open" is a start.
func BenchmarkCatalog(b *testing.B) {
	url := "sqlite:" + filepath.Join(b.TempDir(), "weir.db")
	open := func(b *testing.B) *registry.Registry {
		s, err := sqlstore.Open(ctx, url)
		if err != nil {
			b.Fatal(err)
		}
		return registrytest.Open(b, s, registry.Checks{})
	}
	view := func(i int) *feature.View {
		v := &feature.View{Meta: feature.Meta{Name: fmt.Sprintf("v%d", i)}, Source: fmt.Sprintf("s%d", i%250), Entities: []string{"e"}}
		for f := range 20 {
			v.Features = append(v.Features, feature.Field{Name: fmt.Sprintf("f%d", f), Type: feature.Float64, Description: "a feature"})
		}
		return v
	}
	defs := []feature.Definition{&feature.Entity{Meta: feature.Meta{Name: "e"}, JoinKeys: []feature.Field{{Name: "id", Type: feature.String}}}}
	for i := range 250 {
		defs = append(defs, &feature.Source{Meta: feature.Meta{Name: fmt.Sprintf("s%d", i)}, Topic: "t", EventTime: feature.TimeField{Field: "at"}})
	}
	for i := range 500 {
		defs = append(defs, view(i))
	}
	for i := range 249 {
		defs = append(defs, &feature.Service{Meta: feature.Meta{Name: fmt.Sprintf("m%d", i)}, Features: []string{fmt.Sprintf("v%d:*", i), fmt.Sprintf("v%d:f1", i+1)}})
	}
	r := open(b)
	if _, err := r.Apply(ctx, registry.Request{Definitions: defs}); err != nil {
		b.Fatal(err)
	}
	n := 0
	b.Run("change", func(b *testing.B) {
		for b.Loop() {
			n++
			v := view(7)
			v.Meta.Description = fmt.Sprint(n)
			if _, err := r.Apply(ctx, registry.Request{Definitions: []feature.Definition{v}}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			open(b)
		}
	})
	b.Run("lookup", func(b *testing.B) {
		for b.Loop() {
			c, _ := r.Current(ctx)
			if _, err := c.View("default", "v7"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
