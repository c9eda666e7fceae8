// Package sqlstore keeps drift's windows, verdicts, events and outbox in SQLite
// or PostgreSQL.
//
// The one rule: what belongs together is one transaction. A commit's deltas are
// merged in the transaction that forgets them; an event is stored in the one that stores
// its verdict and its outbox entries.
package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/registry/feature"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store implements drift.Store.
type Store struct{ db *sqldb.DB }

var _ drift.Store = (*Store)(nil)

// New brings the tables up to date and returns the store. The database stays the caller's to close.
func New(ctx context.Context, db *sqldb.DB) (*Store, error) {
	if err := db.Migrate(ctx, migrations, "migrations", "drift_schema"); err != nil {
		return nil, err
	}
	return &Store{db: db}, nil
}

func (s *Store) exec(ctx context.Context, tx *sql.Tx, q string, args ...any) (int64, error) {
	r, err := tx.ExecContext(ctx, s.db.Rebind(q), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// query calls row for each row of the answer.
func (s *Store) query(ctx context.Context, tx *sql.Tx, row func(scan func(...any) error) error, q string, args ...any) error {
	rows, err := tx.QueryContext(ctx, s.db.Rebind(q), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (s *Store) one(ctx context.Context, tx *sql.Tx, q string, args []any, into ...any) (bool, error) {
	err := tx.QueryRowContext(ctx, s.db.Rebind(q), args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }

func anys[T any](v []T) []any {
	out := make([]any, len(v))
	for i := range v {
		out[i] = v[i]
	}
	return out
}

func (s *Store) Stage(ctx context.Context, x *drift.Staged) error {
	b, err := x.MarshalBinary()
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		var one int
		if done, err := s.one(ctx, tx, `SELECT 1 FROM drift_settled WHERE commit_id = ?`, []any{x.Commit}, &one); done || err != nil {
			return err
		}
		if _, err := s.exec(ctx, tx, `INSERT INTO drift_staged (commit_id, view_id, payload, staged_at) VALUES (?, ?, ?, ?)
			ON CONFLICT (commit_id) DO UPDATE SET view_id = excluded.view_id, payload = excluded.payload`,
			x.Commit, x.View, b, time.Now().UnixMicro()); err != nil {
			return err
		}
		if _, err := s.exec(ctx, tx, `DELETE FROM drift_staged_parts WHERE commit_id = ?`, x.Commit); err != nil {
			return err
		}
		for i := range x.Marks {
			m := &x.Marks[i]
			if m.Carried {
				continue
			}
			if _, err := s.exec(ctx, tx, `INSERT INTO drift_staged_parts (commit_id, view_id, topic_id, part, from_next) VALUES (?, ?, ?, ?, ?)`,
				x.Commit, x.View, hex.EncodeToString(m.TopicID[:]), m.Partition, m.FromNext); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) Settle(ctx context.Context, commit string, now time.Time) (known bool, err error) {
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		var one int
		known, err = s.one(ctx, tx, `SELECT 1 FROM drift_settled WHERE commit_id = ?`, []any{commit}, &one)
		if known || err != nil {
			return err
		}
		known, err = s.settle(ctx, tx, commit, now.UnixMicro())
		return err
	})
	return known, err
}

func (s *Store) settle(ctx context.Context, tx *sql.Tx, commit string, now int64) (bool, error) {
	var b []byte
	if ok, err := s.one(ctx, tx, `SELECT payload FROM drift_staged WHERE commit_id = ?`, []any{commit}, &b); !ok || err != nil {
		return false, err
	}
	var x drift.Staged
	if err := x.UnmarshalBinary(b); err != nil {
		return false, err
	}
	if err := s.drop(ctx, tx, commit); err != nil {
		return false, err
	}
	for i := range x.Marks {
		if m := &x.Marks[i]; m.FromCommit != "" && !m.Carried {
			if _, err := s.settle(ctx, tx, m.FromCommit, now); err != nil {
				return false, err
			}
		}
	}
	if _, err := s.exec(ctx, tx, `INSERT INTO drift_settled (commit_id, settled_at) VALUES (?, ?)`, commit, now); err != nil {
		return false, err
	}
	for i := range x.Deltas {
		if err := s.add(ctx, tx, &x.Deltas[i]); err != nil {
			return false, err
		}
	}
	for i := range x.Marks {
		m := &x.Marks[i]
		if err := s.move(ctx, tx, x.View, m, now); err != nil {
			return false, err
		}
		if m.Carried {
			continue
		}
		if err := s.dropBelow(ctx, tx, x.View, hex.EncodeToString(m.TopicID[:]), m.Partition, m.Next); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (s *Store) drop(ctx context.Context, tx *sql.Tx, commits ...string) error {
	for _, id := range commits {
		if _, err := s.exec(ctx, tx, `DELETE FROM drift_staged WHERE commit_id = ?`, id); err != nil {
			return err
		}
		if _, err := s.exec(ctx, tx, `DELETE FROM drift_staged_parts WHERE commit_id = ?`, id); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) dropBelow(ctx context.Context, tx *sql.Tx, view, topic string, p int32, next int64) error {
	var dead []string
	err := s.query(ctx, tx, func(scan func(...any) error) error {
		var id string
		err := scan(&id)
		dead = append(dead, id)
		return err
	}, `SELECT commit_id FROM drift_staged_parts WHERE view_id = ? AND topic_id = ? AND part = ? AND from_next < ?`, view, topic, p, next)
	if err != nil {
		return err
	}
	return s.drop(ctx, tx, dead...)
}

func (s *Store) Assign(ctx context.Context, view string, at []feature.Position, now time.Time) error {
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		for _, p := range at {
			if p.Commit == "" {
				continue
			}
			if _, err := s.settle(ctx, tx, p.Commit, now.UnixMicro()); err != nil {
				return err
			}
		}
		for _, p := range at {
			topic := hex.EncodeToString(p.TopicID[:])
			if err := s.dropBelow(ctx, tx, view, topic, p.Partition, p.Next); err != nil {
				return err
			}
			old, err := s.progress(ctx, tx, view, topic, p.Partition)
			if err != nil {
				return err
			}
			n := drift.Assigned(old, view, p, now)
			if err := s.putProgress(ctx, tx, &n); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) Drop(ctx context.Context, commits []string) error {
	return s.db.Tx(ctx, func(tx *sql.Tx) error { return s.drop(ctx, tx, commits...) })
}
