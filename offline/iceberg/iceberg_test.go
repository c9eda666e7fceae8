package iceberg_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/sqldb/sqldbtest"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/offline/offlinetest"
)

func opener(t testing.TB, dir string) offlinetest.Open {
	return openerOn(t, "sqlite:"+filepath.Join(dir, "tables.db"), dir)
}

func openerOn(t testing.TB, catalog, dir string) offlinetest.Open {
	return func() offline.Store {
		s, err := iceberg.Open(context.Background(), catalog, filepath.Join(dir, "ware house"), slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
}

func TestStore(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, newURL func(t testing.TB) string) {
		suite := offlinetest.Store
		if strings.Contains(t.Name(), "postgres") {
			suite = offlinetest.StoreElsewhere
		}
		suite(t, func(t *testing.T) offlinetest.Open { return openerOn(t, newURL(t), t.TempDir()) })
	})
}

func TestUpkeep(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, newURL func(t testing.TB) string) {
		offlinetest.Upkeep(t, func(t *testing.T) offlinetest.Open { return openerOn(t, newURL(t), t.TempDir()) })
	})
}

func TestHistory(t *testing.T) {
	if raceOn {
		t.Skip("SKIP(race): one thing after the other, which takes many times as long under the race detector; TestStore and TestUpkeep have it watch")
	}
	sqldbtest.Each(t, func(t *testing.T, newURL func(t testing.TB) string) {
		steps := 100
		if strings.Contains(t.Name(), "postgres") {
			steps = 30
		}
		offlinetest.History(t, steps, func(t *testing.T) offlinetest.Open { return openerOn(t, newURL(t), t.TempDir()) })
	})
}
