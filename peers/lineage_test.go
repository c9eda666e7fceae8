//go:build peers

package peers

import (
	"bytes"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/openlineage"
)

// TestOpenLineageReads has openlineage-python make the event of a training set with its own classes: it
// comes out as it went in.
func TestOpenLineageReads(t *testing.T) {
	b, err := openlineage.Event(feature.Snapshot{ID: "01kxyz", Project: "shop", Service: "churn", ServiceVersion: 2, Rows: 7, CreatedAt: 1_700_000_000_123_456,
		Tables:  []feature.SnapshotTable{{View: "profile", ViewVersion: 3, Version: 42}, {View: "usage", ViewVersion: 1, Version: 43}},
		Columns: []feature.SnapshotColumn{{Name: "tenure", View: "profile", Type: feature.Int64}, {Name: "calls", View: "usage", Type: feature.Float64}}}, "weir")
	require.NoError(t, err)
	cmd := exec.Command(pythonOf(t, "lineage"), "lineage/client.py")
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdin = bytes.NewReader(b)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(t, err, "%s", &errs)
	require.JSONEq(t, string(b), string(out))
}
