// Package sqlstore keeps quality's clocks in SQLite or PostgreSQL. The windows,
// states and events are in internal/tally/sqlstore.
//
// The one rule: a clock is replaced by compare-and-swap on its revision.
package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"slices"

	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/validate/quality"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Clocks implements quality.Clocks.
type Clocks struct{ db *sqldb.DB }

var _ quality.Clocks = (*Clocks)(nil)

// New brings the table up to date. The database stays the caller's to close.
func New(ctx context.Context, db *sqldb.DB) (*Clocks, error) {
	if err := db.Migrate(ctx, migrations, "migrations", "quality_clock_schema"); err != nil {
		return nil, err
	}
	return &Clocks{db}, nil
}

func (s *Clocks) Clock(ctx context.Context, view string) (c *quality.Clock, err error) {
	err = s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		var revision int64
		var body string
		c = nil
		err := tx.QueryRowContext(ctx, s.db.Rebind(`SELECT revision, body FROM quality_clocks WHERE view_id = ?`), view).Scan(&revision, &body)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		c = new(quality.Clock)
		err = json.Unmarshal([]byte(body), c)
		c.Revision = revision
		return err
	})
	return c, err
}

func (s *Clocks) PutClock(ctx context.Context, c *quality.Clock) (ok bool, err error) {
	body, err := json.Marshal(c)
	if err != nil {
		return false, err
	}
	q := `UPDATE quality_clocks SET revision = revision + 1, body = ? WHERE view_id = ? AND revision = ?`
	args := []any{string(body), c.View, c.Revision}
	if c.Revision == 0 {
		q, args = `INSERT INTO quality_clocks (body, view_id, revision) VALUES (?, ?, 1) ON CONFLICT (view_id) DO NOTHING`, args[:2]
	}
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, s.db.Rebind(q), args...)
		if err != nil {
			return err
		}
		n, err := r.RowsAffected()
		ok = n == 1
		return err
	})
	return ok, err
}

func (s *Clocks) DropClocks(ctx context.Context, keep []string) error {
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT view_id FROM quality_clocks`)
		if err != nil {
			return err
		}
		defer rows.Close()
		var gone []string
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			if !slices.Contains(keep, id) {
				gone = append(gone, id)
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for _, id := range gone {
			if _, err := tx.ExecContext(ctx, s.db.Rebind(`DELETE FROM quality_clocks WHERE view_id = ?`), id); err != nil {
				return err
			}
		}
		return nil
	})
}
