package demo

import (
	"testing"

	"github.com/stretchr/testify/require"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// The story shows the number that made a feature drift, and not that of another check, which did not.
func TestTelling(t *testing.T) {
	moved := &weirv1.TestResult{Test: "ks", Check: "distribution", Exceeded: true}
	still := &weirv1.TestResult{Test: "ks", Check: "distribution"}
	nulls := &weirv1.TestResult{Test: "proportions", Check: "nulls"}
	more := &weirv1.TestResult{Test: "proportions", Check: "nulls", Exceeded: true}
	require.Same(t, moved, telling(&weirv1.FeatureResult{Drifted: true, Tests: []*weirv1.TestResult{nulls, moved}}))
	require.Same(t, more, telling(&weirv1.FeatureResult{Drifted: true, Tests: []*weirv1.TestResult{still, more}}))
	require.Same(t, still, telling(&weirv1.FeatureResult{Tests: []*weirv1.TestResult{nulls, still}}))
	require.Nil(t, telling(&weirv1.FeatureResult{}))
}
