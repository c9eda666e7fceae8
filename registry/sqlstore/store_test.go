package sqlstore_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/internal/sqldb/sqldbtest"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/registrytest"
	"github.com/weir-ml/weir/registry/sqlstore"
)

func TestStore(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, newURL func(testing.TB) string) {
		registrytest.Run(t, func(t testing.TB) registrytest.Opener {
			url := newURL(t)
			return func(t testing.TB) registry.Store {
				s, err := sqlstore.Open(context.Background(), url)
				require.NoError(t, err)
				return s
			}
		})
		t.Run("registry", func(t *testing.T) {
			url := newURL(t)
			registrytest.RunRegistry(t, func(t testing.TB) registry.Store {
				s, err := sqlstore.Open(context.Background(), url)
				require.NoError(t, err)
				return s
			})
		})
		t.Run("survives reopening in a shared database", func(t *testing.T) {
			ctx := context.Background()
			db, err := sqldb.Open(ctx, newURL(t))
			require.NoError(t, err)
			defer db.Close()
			s, err := sqlstore.New(ctx, db)
			require.NoError(t, err)
			require.NoError(t, s.PutSnapshot(ctx, feature.Snapshot{ID: "x", Project: "p"}, nil))
			require.NoError(t, s.Close(), "the database is not the store's")
			s, err = sqlstore.New(ctx, db)
			require.NoError(t, err)
			_, err = s.Snapshot(ctx, "p", "x")
			require.NoError(t, err)
		})
	})
}
