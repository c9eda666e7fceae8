package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/cmd/weir/command"
)

// TestDemo runs the demo as a user does, and holds its story against itself.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIP(short): the demo publishes for some seconds")
	}
	var out, errs bytes.Buffer
	require.Equal(t, 0, command.Main([]string{"demo", "--exit", "-o", "json"}, strings.NewReader(""), &out, &errs), errs.String())
	var r struct {
		Published        int64    `json:"published"`
		OfflineRows      int64    `json:"offline_rows"`
		Quarantined      int64    `json:"quarantined"`
		SnapshotRows     int64    `json:"snapshot_rows"`
		DriftedFeatures  []string `json:"drifted_features"`
		RetrainingEvents int      `json:"retraining_events"`
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &r), out.String())
	require.EqualValues(t, 48000, r.Published)
	require.Equal(t, r.Published, r.OfflineRows+r.Quarantined)
	require.Greater(t, r.Quarantined, r.Published/50)
	require.EqualValues(t, 1000, r.SnapshotRows)
	require.Contains(t, r.DriftedFeatures, "monthly_charges")
	require.NotContains(t, r.DriftedFeatures, "tenure")
	require.Equal(t, 1, r.RetrainingEvents)
	require.Empty(t, errs.String())
}
