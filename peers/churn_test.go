//go:build peers

package peers

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/peers/platform"
)

// TestChurnExample runs the tests of the example's scripts, with the MLflow that they log to.
func TestChurnExample(t *testing.T) {
	cmd := exec.Command(platform.Python(t, "mlflow"), "-m", "unittest", "discover", "-t", ".", "-s", "tests", "-v")
	cmd.Dir = "../examples/churn"
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Regexp(t, `Ran [1-9][0-9]* tests`, string(out))
}
