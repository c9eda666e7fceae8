// Package sqlstore keeps drift's windows, verdicts, events and outbox in SQLite
// or PostgreSQL.
//
// The one rule: what belongs together is one transaction; internal/tally/sqlstore keeps it.
package sqlstore

import (
	"context"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/internal/tally/sqlstore"
)

// Store implements drift.Store.
type Store = sqlstore.Store[*drift.Profile, *drift.Verdict]

var _ drift.Store = (*Store)(nil)

// New brings the tables up to date and returns the store. The database stays the caller's to close.
func New(ctx context.Context, db *sqldb.DB) (*Store, error) {
	return sqlstore.New[*drift.Profile, *drift.Verdict](ctx, db, sqlstore.Drift, drift.DecodeProfile)
}
