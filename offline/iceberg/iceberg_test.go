package iceberg_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/offline/offlinetest"
)

func opener(t testing.TB, dir string) offlinetest.Open {
	return func() offline.Store {
		s, err := iceberg.Open(context.Background(), "sqlite:"+filepath.Join(dir, "tables.db"), filepath.Join(dir, "ware house"), slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
}

func TestStore(t *testing.T) {
	offlinetest.Store(t, func(t *testing.T) offlinetest.Open { return opener(t, t.TempDir()) })
}
