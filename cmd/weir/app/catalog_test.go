package app

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Iceberg's catalog has a database of its own.
func TestCatalogIsAnotherDatabase(t *testing.T) {
	c := DefaultConfig()
	require.NoError(t, c.Validate())
	c.Registry.URL, c.Offline.Catalog = "postgres://weir:hunter2@db/weir", "postgres://spark:hunter3@db:5432/weir"
	err := c.Validate()
	require.ErrorContains(t, err, "offline.catalog: must be another database than registry.url")
	require.NotContains(t, err.Error(), "hunter")
	c.Offline.Catalog = "postgres://spark:hunter3@db/tables"
	require.NoError(t, c.Validate())
	c.Registry.URL, c.Offline.Catalog = "sqlite:/data/weir.db", "sqlite:/data/./weir.db"
	require.Error(t, c.Validate())
}
