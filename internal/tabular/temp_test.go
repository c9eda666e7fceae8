package tabular_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/tabular"
)

func names(t *testing.T, dir string) (out []string) {
	all, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range all {
		out = append(out, e.Name())
	}
	return out
}

// TestLeftBehind: what a killed writer left goes when the same file is written
// again; what another one is writing now stays, and so does all else.
func TestLeftBehind(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no such locks there")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "set.csv")
	others := []string{".set.csv.part", ".set.csv.0000000g.part", ".other.csv.00000001.part", "set.csv.00000001.part"}
	for _, name := range append(others, ".set.csv.00000001.part", ".set.csv.deadbeef.part") {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600))
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: "a", Type: arrow.PrimitiveTypes.Int64}}, nil)
	first, err := tabular.Create(path, schema, tabular.WriteOptions{})
	require.NoError(t, err)
	require.Len(t, names(t, dir), len(others)+1)
	second, err := tabular.Create(path, schema, tabular.WriteOptions{})
	require.NoError(t, err)
	require.Len(t, names(t, dir), len(others)+2)
	require.NoError(t, first.Finish())
	third, err := tabular.Create(path, schema, tabular.WriteOptions{})
	require.NoError(t, err)
	require.NoFileExists(t, path, "finished is not closed")
	require.NoError(t, first.Close())
	require.FileExists(t, path)
	require.NoError(t, second.Finish())
	second.Abort()
	third.Abort()
	require.ElementsMatch(t, append(others, "set.csv"), names(t, dir))
}
