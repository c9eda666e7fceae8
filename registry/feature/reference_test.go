package feature_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

func TestReferenceInWords(t *testing.T) {
	from, to := time.Unix(0, 0), time.Unix(3600, 0)
	v3 := feature.Model{Name: "churn", Version: "3", Snapshot: "s3"}
	for _, c := range []struct {
		r    feature.Reference
		want string
	}{
		{feature.Reference{Snapshot: "s1"}, "snapshot s1"},
		{feature.Reference{From: from, To: to}, "1970-01-01T00:00Z to 1970-01-01T01:00Z"},
		{feature.Reference{Model: "churn"}, "champion of churn, which no version is yet"},
		{feature.Reference{Model: "churn", Alias: "blue", Snapshot: "s1"}, "snapshot s1 until a version of churn is blue"},
		{feature.Reference{Model: "churn", Snapshot: "s1"}.Of(v3), "snapshot s3 of churn@3 (champion)"},
		{feature.Reference{Model: "churn", From: from, To: to}.Of(v3), "snapshot s3 of churn@3 (champion)"},
	} {
		require.Equal(t, c.want, c.r.String())
	}
}

func TestReferenceCheck(t *testing.T) {
	of := func(r feature.Reference) []string {
		m := feature.Monitor{Meta: feature.Meta{Name: "m"}, View: "v", Reference: r, Window: feature.Window{Size: "1h"}}
		var out []string
		for _, f := range m.Check() {
			out = append(out, f.Field)
		}
		return out
	}
	require.Empty(t, of(feature.Reference{Model: "Churn model"}))
	require.Empty(t, of(feature.Reference{Model: "churn", Alias: "blue", Snapshot: "s"}))
	require.Empty(t, of(feature.Reference{Model: "churn", From: time.Unix(0, 0), To: time.Unix(1, 0)}))
	require.Equal(t, []string{"spec.reference"}, of(feature.Reference{}))
	require.Equal(t, []string{"spec.reference"}, of(feature.Reference{Model: "churn", Snapshot: "s", To: time.Unix(1, 0)}))
	require.Equal(t, []string{"spec.reference.model"}, of(feature.Reference{Model: "a/b"}))
	require.Equal(t, []string{"spec.reference.alias"}, of(feature.Reference{Model: "a", Alias: "1"}))
	require.Equal(t, []string{"spec.reference", "spec.reference.alias"}, of(feature.Reference{Alias: "blue"}))
}
