package feature_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

func TestModelCheck(t *testing.T) {
	good := feature.Model{Project: "p", Name: "Churn model 2", Version: "3", Snapshot: "s", Aliases: []string{"champion", "A-b_1"}}
	require.Empty(t, good.Check())
	for field, change := range map[string]func(*feature.Model){
		"project":    func(m *feature.Model) { m.Project = "P" },
		"name":       func(m *feature.Model) { m.Name = "a/b" },
		"version":    func(m *feature.Model) { m.Version = "" },
		"snapshot":   func(m *feature.Model) { m.Snapshot = "" },
		"uri":        func(m *feature.Model) { m.URI = "s3://a\nb" },
		"tags":       func(m *feature.Model) { m.Tags = map[string]string{"": "x"} },
		"aliases[0]": func(m *feature.Model) { m.Aliases = []string{"1"} },
	} {
		m := good
		change(&m)
		faults := m.Check()
		require.Len(t, faults, 1, field)
		require.Equal(t, field, faults[0].Field)
	}
	many := map[string]string{}
	for i := range 201 {
		many[strconv.Itoa(i)] = ""
	}
	for field, m := range map[string]feature.Model{
		"uri": {URI: strings.Repeat("x", 4097)}, "tags": {Tags: many},
		"tags ": {Tags: map[string]string{"x": strings.Repeat("x", 8001)}}, "tags  ": {Tags: map[string]string{strings.Repeat("x", 251): ""}},
	} {
		m.Project, m.Name, m.Version, m.Snapshot = good.Project, good.Name, good.Version, good.Snapshot
		faults := m.Check()
		require.Len(t, faults, 1, field)
		require.Equal(t, strings.TrimSpace(field), faults[0].Field)
		require.Less(t, len(faults[0].Msg), 200, "it does not repeat what is too long")
	}
	for _, name := range []string{" ", "a:b", "a@b", "a\nb", strings.Repeat("x", 251)} {
		require.NotEmpty(t, feature.CheckModelName("name", name), "%q", name)
	}
}

func TestModelsInOrder(t *testing.T) {
	var all []feature.Model
	for _, v := range []string{"b", "10", "9", "a", "1"} {
		all = append(all, feature.Model{Project: "p", Name: "m", Version: v})
	}
	all = append(all, feature.Model{Project: "p", Name: "a", Version: "99"})
	slices.SortFunc(all, feature.CompareModels)
	var got []string
	for _, m := range all {
		got = append(got, m.Label())
	}
	require.Equal(t, []string{"a@99", "m@1", "m@9", "m@10", "m@a", "m@b"}, got)
}
