package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/manifest"
	"github.com/weir-ml/weir/registry/memory"
	"github.com/weir-ml/weir/registry/registrytest"
)

var rewrite = flag.Bool("rewrite", false, "write what the tests got into testdata")

var ctx = context.Background()

// checks stand in for the compilers: a schema must be an object without the
// word bad, an expectation's column must be one of the view's.
var checks = registry.Checks{
	Schema: func(raw []byte) []feature.Fault {
		if !bytes.HasPrefix(raw, []byte("{")) {
			return []feature.Fault{{Msg: "a schema is an object"}}
		}
		if i := bytes.Index(raw, []byte(`"bad"`)); i >= 0 {
			return []feature.Fault{{Field: "type", Msg: `there is no type "bad"`}}
		}
		return nil
	},
	Suite: func(s *feature.Suite, v *feature.View) []feature.Fault {
		var out []feature.Fault
		for i, e := range s.Expectations {
			var col string
			_ = json.Unmarshal(e.Kwargs["column"], &col)
			if !slices.ContainsFunc(v.Columns(), func(f feature.Field) bool { return f.Name == col }) {
				out = append(out, feature.Fault{Field: fmt.Sprintf("spec.expectations[%d].kwargs.column", i), Msg: fmt.Sprintf("there is no column %q", col)})
			}
		}
		return out
	},
}

// TestPlans runs testdata/plans/*.txt against one registry each. Sections:
//
//	apply, apply-breaking, plan   manifests; the answer is the plan
//	delete                        a line for each definition: kind name [project]
//	list                          kind or "*", then tags, a line each
//	describe, get                 kind name
//
// and after each its answer, in the section "=".
func TestPlans(t *testing.T) {
	scripts, err := filepath.Glob("testdata/plans/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, scripts)
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txt"), func(t *testing.T) {
			r := registrytest.Open(t, memory.New(), checks)
			registry.SetClock(r, 1_700_000_000_000_000)
			ar, err := txtar.ParseFile(script)
			require.NoError(t, err)
			var out []txtar.File
			for i, f := range ar.Files {
				if f.Name == "=" {
					continue
				}
				got := run(t, r, f)
				if i+1 < len(ar.Files) && ar.Files[i+1].Name == "=" && !*rewrite {
					require.Equal(t, string(ar.Files[i+1].Data), got, "section %d %s: run with -rewrite to accept", i, f.Name)
				}
				out = append(out, f, txtar.File{Name: "=", Data: []byte(got)})
			}
			if *rewrite {
				ar.Files = out
				require.NoError(t, os.WriteFile(script, txtar.Format(ar), 0o644))
			}
		})
	}
}

func run(t *testing.T, r *registry.Registry, f txtar.File) string {
	var b strings.Builder
	switch f.Name {
	case "apply", "apply-breaking", "plan":
		docs, parsed := manifest.Parse([]manifest.File{{Name: "in.yaml", Data: f.Data}})
		req := registry.Request{Definitions: docs.Definitions(), AllowBreaking: f.Name == "apply-breaking"}
		do := r.Plan
		if f.Name != "plan" && len(parsed) == 0 {
			do = r.Apply
		}
		p, err := do(ctx, req)
		require.NotNil(t, p, "%v", err)
		for _, x := range docs.Explain(parsed, p.Faults) {
			fmt.Fprintf(&b, "! %s\n", x.Error())
		}
		show(&b, p, err)
	case "delete":
		var refs []feature.Ref
		for _, l := range lines(f) {
			refs = append(refs, ref(t, l))
		}
		p, err := r.Delete(ctx, refs...)
		for _, x := range p.Faults {
			fmt.Fprintf(&b, "! %s\n", x.Error())
		}
		show(&b, p, err)
	case "list":
		for _, l := range lines(f) {
			s := registry.Selector{Tags: l[1:]}
			if l[0] != "*" {
				s.Kind = ref(t, []string{l[0], ""}).Kind
			}
			ds, err := r.List(ctx, s)
			require.NoError(t, err)
			for _, d := range ds {
				fmt.Fprintf(&b, "%s\n", registry.RefOf(d))
			}
			b.WriteString(".\n")
		}
	case "get":
		for _, l := range lines(f) {
			d, err := r.Get(ctx, ref(t, l))
			if err != nil {
				fmt.Fprintf(&b, "%s: %v\n", feature.KindOf(err), err)
				continue
			}
			y, err := manifest.Marshal(d)
			require.NoError(t, err)
			b.Write(y)
		}
	case "describe":
		for _, l := range lines(f) {
			d, err := r.Describe(ctx, ref(t, l))
			if err != nil {
				fmt.Fprintf(&b, "%s: %v\n", feature.KindOf(err), err)
				continue
			}
			fmt.Fprintf(&b, "%s@%d\n", registry.RefOf(d.Definition), d.Version)
			for _, v := range d.Versions {
				fmt.Fprintf(&b, "  version %d: revision %d to %d, at %s\n", v.Version, v.From, v.To, feature.Time(v.At).Format("2006-01-02 15:04:05"))
				for _, x := range v.Diffs {
					fmt.Fprintf(&b, "    %s\n", x)
				}
			}
			fmt.Fprintf(&b, "  uses %v\n  used by %v\n", d.Uses, d.UsedBy)
		}
	default:
		t.Fatalf("there is no section %q", f.Name)
	}
	return b.String()
}

func show(b *strings.Builder, p *registry.Plan, err error) {
	for _, c := range p.Changes {
		fmt.Fprintf(b, "%s %s@%d\n", c.Action, c.Ref(), c.Version)
		for _, d := range c.Diffs {
			fmt.Fprintf(b, "    %s\n", d)
		}
		for _, x := range c.Breaking {
			fmt.Fprintf(b, "    breaking: %s\n", x)
		}
		for _, x := range c.Notes {
			fmt.Fprintf(b, "    note: %s\n", x)
		}
	}
	switch {
	case err != nil:
		head, _, _ := strings.Cut(err.Error(), "\n")
		fmt.Fprintf(b, "error, %s: %s\n", feature.KindOf(err), head)
	case p.Revision > 0:
		fmt.Fprintf(b, "revision %d\n", p.Revision)
	}
}

func lines(f txtar.File) [][]string {
	var out [][]string
	for l := range strings.Lines(string(f.Data)) {
		if w := strings.Fields(l); len(w) > 0 {
			out = append(out, w)
		}
	}
	return out
}

func ref(t *testing.T, words []string) feature.Ref {
	k, err := feature.ParseKind(words[0])
	require.NoError(t, err)
	r := feature.Ref{Kind: k, Name: words[1]}
	if len(words) > 2 {
		r.Project = words[2]
	}
	return r
}
