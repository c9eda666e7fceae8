package offline_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
)

// TestSpillFolders: what a dead process left goes at the start of the next; what a
// living one has, and what is none of ours, stays.
func TestSpillFolders(t *testing.T) {
	_, dir, _ := makeJoins(t, nil)
	dead := filepath.Join(dir, "99999-123")
	require.NoError(t, os.MkdirAll(dead, 0o700))
	for _, name := range []string{"lock", "1-spine"} {
		require.NoError(t, os.WriteFile(filepath.Join(dead, name), []byte("x"), 0o600))
	}
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "photos"), 0o700))

	svc, tables, spine := skewed(t, 2000)
	living, err := offline.NewJoins(offline.JoinConfig{Memory: 16 << 20, SpillDir: dir, Concurrent: 1}, discard, nil)
	require.NoError(t, err)
	require.NoDirExists(t, dead)
	req := offline.JoinRequest{Service: svc, Tables: tables, Spine: offline.Spine{Rows: spine(), Time: "at"}, Joins: living, Memory: 64 << 10}
	offline.By(&req, "chunks")
	looked := false
	_, err = offline.Join(context.Background(), req, func(arrow.RecordBatch) error {
		if looked {
			return nil
		}
		looked = true
		other, err := offline.NewJoins(offline.JoinConfig{Memory: 16 << 20, SpillDir: dir, Concurrent: 1}, discard, nil)
		if err != nil {
			return err
		}
		require.Len(t, spillFiles(t, dir), 1)
		return other.Close()
	})
	require.NoError(t, err)
	require.True(t, looked)
	require.NoError(t, living.Close())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range left {
		names = append(names, e.Name())
	}
	require.Equal(t, []string{"lock", "photos"}, names)
}

// TestSpillFolderFaults: a folder that cannot be made fails the join that needs
// it, and only that.
func TestSpillFolderFaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	joins, err := offline.NewJoins(offline.JoinConfig{Memory: 16 << 20, SpillDir: filepath.Join(file, "spill"), Concurrent: 1}, discard, nil)
	require.NoError(t, err)
	defer joins.Close()
	svc, tables, spine := skewed(t, 100)
	req := offline.JoinRequest{Service: svc, Tables: tables, Spine: offline.Spine{Rows: spine(), Time: "at"}, Joins: joins}
	_, res := joined(t, req)
	require.Equal(t, int64(100), res.Rows)
	req.Spine.Rows = spine()
	offline.By(&req, "partitions")
	_, err = offline.Join(context.Background(), req, func(arrow.RecordBatch) error { return nil })
	require.ErrorContains(t, err, "offline.join.spill_dir")
}

func TestJoinConfig(t *testing.T) {
	require.NoError(t, offline.DefaultJoinConfig().Validate())
	err := offline.JoinConfig{Memory: 1, MaxSpillBytes: -1}.Validate()
	for _, field := range []string{"offline.join.memory", "offline.join.max_spill_bytes", "offline.join.concurrent"} {
		require.ErrorContains(t, err, field)
	}
}
