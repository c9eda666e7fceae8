package registrytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// RunRegistry proves registries on a store: a random history against a plain
// map, and several registries that change one catalog at once. Every call of
// open gives another handle on the same data.
func RunRegistry(t *testing.T, open func(t testing.TB) registry.Store) {
	t.Run("concurrent applies", func(t *testing.T) { concurrent(t, open) })
	t.Run("random history", func(t *testing.T) { randomHistory(t, open) })
}

// Open opens a registry for a test, which closes it. Its poll is far away, so
// that what a test sees does not depend on the clock.
func Open(t testing.TB, s registry.Store, checks registry.Checks) *registry.Registry {
	t.Helper()
	cfg := registry.DefaultConfig()
	cfg.PollInterval = time.Hour
	cfg.ConflictRetries = 1000
	r, err := registry.Open(ctx, s, cfg, checks, nil, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close(); _ = s.Close() })
	return r
}

// Print writes everything that a catalog says, resolved fields included.
func Print(t testing.TB, c *registry.Catalog) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "revision %d\n", c.Revision())
	for _, d := range c.List("") {
		body, err := registry.Encode(d)
		require.NoError(t, err)
		fmt.Fprintf(&b, "%s@%d %s\n", registry.RefOf(d), c.Version(registry.RefOf(d)), body)
		switch d := d.(type) {
		case *feature.View:
			suite := 0
			if d.SuiteOf != nil {
				suite = d.SuiteOf.Version
			}
			shadow := 0
			if d.ShadowOf != nil {
				shadow = d.ShadowOf.Version
			}
			fmt.Fprintf(&b, "  version %d keys %v source %s suite %d shadow %d\n", d.Version, d.Keys, d.SourceOf.Topic, suite, shadow)
		case *feature.Service:
			fmt.Fprintf(&b, "  version %d columns %v views", d.Version, d.Columns)
			for _, v := range d.Views {
				fmt.Fprintf(&b, " %s@%d", v.Meta.Name, v.Version)
			}
			b.WriteByte('\n')
		case *feature.Monitor:
			fmt.Fprintf(&b, "  version %d view %s@%d\n", d.Version, d.ViewOf.Meta.Name, d.ViewOf.Version)
		}
	}
	return b.String()
}

func concurrent(t *testing.T, open func(t testing.TB) registry.Store) {
	const writers, each = 4, 8
	regs := make([]*registry.Registry, writers)
	for i := range regs {
		regs[i] = Open(t, open(t), registry.Checks{})
	}
	before, err := regs[0].Refresh(ctx)
	require.NoError(t, err)
	// Every writer raises the same entity's description and adds one of its own.
	shared := func(note string) feature.Definition {
		return &feature.Entity{Meta: feature.Meta{Name: "shared", Description: note}, JoinKeys: []feature.Field{{Name: "id", Type: feature.String}}}
	}
	_, err = regs[0].Apply(ctx, registry.Request{Definitions: []feature.Definition{shared("")}, Project: "conc"})
	require.NoError(t, err)
	var wg sync.WaitGroup
	errs := make([]error, writers)
	revisions := make([][]int64, writers)
	for w, r := range regs {
		wg.Go(func() {
			for i := range each {
				own := &feature.Entity{Meta: feature.Meta{Name: fmt.Sprintf("w%d_%d", w, i)}, JoinKeys: []feature.Field{{Name: "id", Type: feature.Int64}}}
				p, err := r.Apply(ctx, registry.Request{Definitions: []feature.Definition{own, shared(fmt.Sprintf("%d %d", w, i))}, Project: "conc"})
				if err != nil {
					errs[w] = err
					return
				}
				revisions[w] = append(revisions[w], p.Revision)
				c, _ := r.Current(ctx)
				if c.Revision() < p.Revision {
					errs[w] = fmt.Errorf("current is %d after revision %d was made here", c.Revision(), p.Revision)
					return
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	all := slices.Sorted(slices.Values(slices.Concat(revisions...)))
	for i, n := range all {
		require.Equal(t, before.Revision()+2+int64(i), n, "every apply has a revision of its own")
	}
	var printed string
	for _, r := range regs {
		c, err := r.Refresh(ctx)
		require.NoError(t, err)
		require.Equal(t, all[len(all)-1], c.Revision())
		require.Equal(t, 1+writers*each, c.Version(feature.Ref{Kind: feature.KindEntity, Project: "conc", Name: "shared"}), "each change is a version")
		for w := range writers {
			for i := range each {
				_, err := c.Entity("conc", fmt.Sprintf("w%d_%d", w, i))
				require.NoError(t, err)
			}
		}
		if p := Print(t, c); printed == "" {
			printed = p
		} else {
			require.Equal(t, printed, p)
		}
	}
}

// model is the catalog as a plain map, with its own idea of what fits together.
type model struct {
	defs     map[feature.Ref]feature.Definition
	versions map[feature.Ref]int // the last one, also of what was deleted
	counted  map[feature.Ref]counted
	project  string
}

// counted is what a monitor counted last, and since which version.
type counted struct {
	view  string
	since int
}

// counts says of a monitor since which version it counts its view.
func (m *model) counts(ref feature.Ref, d feature.Definition) {
	x, ok := d.(*feature.Monitor)
	if !ok {
		return
	}
	last, ok := m.counted[ref]
	if ok && last.view != x.View {
		last.since = m.versions[ref] + 1
	}
	x.SinceVersion = last.since
	m.counted[ref] = counted{x.View, last.since}
}

func (m *model) fits() bool {
	for ref, d := range m.defs {
		for _, r := range d.Refs() {
			if m.defs[r] == nil {
				return false
			}
		}
		switch d := d.(type) {
		case *feature.Service:
			if ref.Kind != feature.KindService {
				return false
			}
			for _, x := range d.Features {
				v, f, _ := strings.Cut(x, ":")
				if f != "*" && !m.has(v, f) {
					return false
				}
			}
		case *feature.Monitor:
			for _, f := range d.Features {
				if !m.has(d.View, f) || f == "f2" { // an array in every view, and drift has nothing to say of those
					return false
				}
			}
		}
	}
	return true
}

func (m *model) has(view, f string) bool {
	v := m.defs[feature.Ref{Kind: feature.KindView, Project: m.project, Name: view}].(*feature.View)
	return slices.ContainsFunc(v.Features, func(x feature.Field) bool { return x.Name == f })
}

func (m *model) clone() *model {
	return &model{maps.Clone(m.defs), maps.Clone(m.versions), maps.Clone(m.counted), m.project}
}

func randomHistory(t *testing.T, open func(t testing.TB) registry.Store) {
	seed := testseed.For(t)
	rnd := rand.New(rand.NewPCG(seed, 1))
	regs := []*registry.Registry{Open(t, open(t), registry.Checks{}), Open(t, open(t), registry.Checks{})}
	m := &model{map[feature.Ref]feature.Definition{}, map[feature.Ref]int{}, map[feature.Ref]counted{}, "rnd"}
	was := map[int64]string{} // what Current was at each revision
	start, err := regs[0].Refresh(ctx)
	require.NoError(t, err)
	was[start.Revision()] = Print(t, start)
	revision, applied := start.Revision(), 0
	for step := range 300 {
		r := regs[rnd.IntN(2)]
		req, next := registry.Request{Project: "rnd", AllowBreaking: true}, m.clone()
		for range 1 + rnd.IntN(4) {
			d := randomDefinition(rnd)
			ref := feature.Ref{Kind: d.Kind(), Project: "rnd", Name: d.GetMeta().Name}
			if _, twice := next.defs[ref]; twice && next.defs[ref] != m.defs[ref] {
				continue
			}
			req.Definitions = append(req.Definitions, d)
			c := clone(t, d)
			c.GetMeta().Project = "rnd"
			next.defs[ref] = c
		}
		valid := true
		if rnd.IntN(3) == 0 {
			req.Definitions = nil
			next = m.clone()
			for range 1 + rnd.IntN(2) {
				d := randomDefinition(rnd)
				ref := feature.Ref{Kind: d.Kind(), Project: "rnd", Name: d.GetMeta().Name}
				if next.defs[ref] == nil && m.defs[ref] != nil {
					continue // already to be deleted
				}
				valid = valid && m.defs[ref] != nil
				req.Delete = append(req.Delete, ref)
				delete(next.defs, ref)
			}
		}
		valid = valid && next.fits()
		changes := 0
		for ref, d := range next.defs {
			next.counts(ref, d)
			if old := m.defs[ref]; old == nil || !same(t, old, d) {
				next.versions[ref]++
				changes++
			}
		}
		changes += len(req.Delete)

		p, err := r.Apply(ctx, req)
		if !valid {
			require.Equal(t, feature.Invalid, feature.KindOf(err), "step %d: %v", step, err)
			require.NotEmpty(t, p.Faults)
		} else {
			require.NoError(t, err, "step %d", step)
			m = next
			applied++
			if changes > 0 {
				revision++
			}
			require.Equal(t, revision, p.Revision, "step %d", step)
		}
		c, err := r.Current(ctx)
		require.NoError(t, err)
		require.Equal(t, revision, c.Revision(), "step %d", step)
		was[revision] = Print(t, c)
		require.Len(t, c.Select(registry.Selector{Project: "rnd"}), len(m.defs))
		for ref, d := range m.defs {
			got, err := c.Get(ref)
			require.NoError(t, err)
			require.True(t, same(t, d, got), "step %d: %s", step, ref)
			require.Equal(t, m.versions[ref], c.Version(ref), "step %d: %s", step, ref)
		}
	}
	t.Logf("%d of 300 requests fitted, %d revisions", applied, revision-start.Revision())
	// A third registry that saw nothing of it rebuilds every revision.
	late := Open(t, open(t), registry.Checks{})
	for rev, want := range was {
		for _, r := range []*registry.Registry{regs[0], late} {
			c, err := r.At(ctx, rev)
			require.NoError(t, err)
			require.Equal(t, want, Print(t, c))
		}
	}
	_, err = late.At(ctx, revision+1)
	require.Equal(t, feature.NotFound, feature.KindOf(err))
}

func clone(t testing.TB, d feature.Definition) feature.Definition {
	b, err := registry.Encode(d)
	require.NoError(t, err)
	c, err := registry.Decode(d.Kind(), b)
	require.NoError(t, err)
	return c
}

func same(t testing.TB, a, b feature.Definition) bool {
	x, err := registry.Encode(a)
	require.NoError(t, err)
	y, err := registry.Encode(b)
	require.NoError(t, err)
	return string(x) == string(y)
}

// randomDefinition draws from a small world, so that definitions meet, change
// and miss each other often. Each is fine on its own.
func randomDefinition(rnd *rand.Rand) feature.Definition {
	name := func(prefix string) string { return prefix + strconv.Itoa(rnd.IntN(3)) }
	meta := func(prefix string) feature.Meta {
		m := feature.Meta{Name: name(prefix)}
		if rnd.IntN(3) == 0 {
			m.Tags = map[string]string{"tier": strconv.Itoa(rnd.IntN(2))}
		}
		return m
	}
	switch rnd.IntN(9) {
	case 0, 1:
		return &feature.Entity{Meta: meta("e"), JoinKeys: []feature.Field{{Name: "id", Type: feature.String}}}
	case 2, 3:
		return &feature.Source{Meta: meta("s"), Topic: name("t"), EventTime: feature.TimeField{Field: "at"}}
	case 4:
		return &feature.Suite{Meta: meta("x"), Expectations: []feature.Expectation{{Type: name("expect_"), Kwargs: map[string]json.RawMessage{}}}}
	case 5, 6:
		v := &feature.View{Meta: meta("v"), Source: name("s"), TTL: feature.Duration(rnd.IntN(3)) * feature.Duration(time.Hour)}
		n := int(v.Meta.Name[1] - '0') // keys and types of a view are for ever
		v.Entities = []string{"e" + strconv.Itoa(n)}
		for i := range 1 + rnd.IntN(3) {
			t := feature.Type(1 + (3*n+i)%8)
			if i == 2 {
				t = feature.Array(t)
			}
			v.Features = append(v.Features, feature.Field{Name: "f" + strconv.Itoa(i), Type: t})
		}
		if rnd.IntN(3) == 0 {
			v.Suite = name("x")
		}
		return v
	case 7:
		s := &feature.Service{Meta: meta("m")}
		s.Features = append(s.Features, name("v")+":"+[]string{"*", "f0", "f1"}[rnd.IntN(3)])
		return s
	}
	m := &feature.Monitor{Meta: meta("w"), View: name("v"), Window: feature.Window{Size: "1h"}}
	m.Reference.From, m.Reference.To = time.Unix(0, 0).UTC(), time.Unix(3600, 0).UTC()
	if rnd.IntN(2) == 0 {
		m.Features = []string{name("f")}
	}
	return m
}
