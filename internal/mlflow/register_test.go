package mlflow

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/recordtest"
)

// TestRegisterRecorded: a model's first version, and its second. To record it anew, set
// WEIR_TEST_RECORD_MLFLOW to the address of an MLflow that has no model "weir demo".
func TestRegisterRecorded(t *testing.T) {
	cfg := DefaultConfig()
	cfg.URL = recordtest.Start(t, "testdata/register.json", "WEIR_TEST_RECORD_MLFLOW")
	c := New(cfg)
	for _, number := range []string{"1", "2"} {
		v, err := c.Register(t.Context(), Version{Name: "weir demo", Source: "weir-demo:/churn", Tags: map[string]string{"feature_service": "churn"}}, "of the test", "champion")
		require.NoError(t, err)
		require.Equal(t, number, v.Version)
		is, err := c.VersionByAlias(t.Context(), "weir demo", "champion")
		require.NoError(t, err)
		require.Equal(t, v, is)
	}
}
