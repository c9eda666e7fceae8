// Package sqlstore keeps windows, verdicts, states, events and the outbox in
// SQLite or PostgreSQL.
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

	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/registry/feature"
)

//go:embed migrations
var migrations embed.FS

// Tables are the tables of one kind of owner. Events and the outbox are one for
// all, those that drift's migrations made when there was nobody else.
type Tables struct {
	prefix string // of the tables' names, and the folder of their migrations
	owner  string // the column of Series.Owner
}

// The kinds of owners.
var (
	Drift   = Tables{"drift", "monitor"}
	Quality = Tables{"quality", "owner"}
)

// Store implements tally.Store.
type Store[T tally.Tally[T], V comparable] struct {
	db     *sqldb.DB
	decode tally.Decode[T]
	names  *strings.Replacer
}

// New brings the tables up to date and returns the store. The database stays the caller's to close.
func New[T tally.Tally[T], V comparable](ctx context.Context, db *sqldb.DB, t Tables, decode tally.Decode[T]) (*Store[T, V], error) {
	all := []Tables{Drift} // first, for it has the outbox
	if t != Drift {
		all = append(all, t)
	}
	for _, x := range all {
		if err := db.Migrate(ctx, migrations, "migrations/"+x.prefix, x.prefix+"_schema"); err != nil {
			return nil, err
		}
	}
	return &Store[T, V]{db: db, decode: decode, names: strings.NewReplacer("@owner", t.owner, "@", t.prefix+"_")}, nil
}

// text is a statement as the database wants it: @windows is the table windows of these Tables.
func (s *Store[T, V]) text(q string) string { return s.db.Rebind(s.names.Replace(q)) }

func (s *Store[T, V]) exec(ctx context.Context, tx *sql.Tx, q string, args ...any) (int64, error) {
	r, err := tx.ExecContext(ctx, s.text(q), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// query calls row for each row of the answer.
func (s *Store[T, V]) query(ctx context.Context, tx *sql.Tx, row func(scan func(...any) error) error, q string, args ...any) error {
	rows, err := tx.QueryContext(ctx, s.text(q), args...)
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

func (s *Store[T, V]) one(ctx context.Context, tx *sql.Tx, q string, args []any, into ...any) (bool, error) {
	err := tx.QueryRowContext(ctx, s.text(q), args...).Scan(into...)
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

func (s *Store[T, V]) Stage(ctx context.Context, x *tally.Staged[T]) error {
	b, err := x.Encode()
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, func(tx *sql.Tx) error {
		var one int
		if done, err := s.one(ctx, tx, `SELECT 1 FROM @settled WHERE commit_id = ?`, []any{x.Commit}, &one); done || err != nil {
			return err
		}
		if _, err := s.exec(ctx, tx, `INSERT INTO @staged (commit_id, view_id, payload, staged_at) VALUES (?, ?, ?, ?)
			ON CONFLICT (commit_id) DO UPDATE SET view_id = excluded.view_id, payload = excluded.payload`,
			x.Commit, x.View, b, time.Now().UnixMicro()); err != nil {
			return err
		}
		if _, err := s.exec(ctx, tx, `DELETE FROM @staged_parts WHERE commit_id = ?`, x.Commit); err != nil {
			return err
		}
		for i := range x.Marks {
			m := &x.Marks[i]
			if m.Carried {
				continue
			}
			if _, err := s.exec(ctx, tx, `INSERT INTO @staged_parts (commit_id, view_id, topic_id, part, from_next) VALUES (?, ?, ?, ?, ?)`,
				x.Commit, x.View, hex.EncodeToString(m.TopicID[:]), m.Partition, m.FromNext); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store[T, V]) Settle(ctx context.Context, commit string, now time.Time) (known bool, err error) {
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		var one int
		known, err = s.one(ctx, tx, `SELECT 1 FROM @settled WHERE commit_id = ?`, []any{commit}, &one)
		if known || err != nil {
			return err
		}
		known, err = s.settle(ctx, tx, commit, now.UnixMicro())
		return err
	})
	return known, err
}

func (s *Store[T, V]) settle(ctx context.Context, tx *sql.Tx, commit string, now int64) (bool, error) {
	var b []byte
	if ok, err := s.one(ctx, tx, `SELECT payload FROM @staged WHERE commit_id = ?`, []any{commit}, &b); !ok || err != nil {
		return false, err
	}
	x, err := tally.DecodeStaged(b, s.decode)
	if err != nil {
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
	if _, err := s.exec(ctx, tx, `INSERT INTO @settled (commit_id, settled_at) VALUES (?, ?)`, commit, now); err != nil {
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

func (s *Store[T, V]) drop(ctx context.Context, tx *sql.Tx, commits ...string) error {
	for _, id := range commits {
		if _, err := s.exec(ctx, tx, `DELETE FROM @staged WHERE commit_id = ?`, id); err != nil {
			return err
		}
		if _, err := s.exec(ctx, tx, `DELETE FROM @staged_parts WHERE commit_id = ?`, id); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store[T, V]) dropBelow(ctx context.Context, tx *sql.Tx, view, topic string, p int32, next int64) error {
	var dead []string
	err := s.query(ctx, tx, func(scan func(...any) error) error {
		var id string
		err := scan(&id)
		dead = append(dead, id)
		return err
	}, `SELECT commit_id FROM @staged_parts WHERE view_id = ? AND topic_id = ? AND part = ? AND from_next < ?`, view, topic, p, next)
	if err != nil {
		return err
	}
	return s.drop(ctx, tx, dead...)
}

func (s *Store[T, V]) Assign(ctx context.Context, view string, at []feature.Position, now time.Time) error {
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
			n := tally.Assigned(old, view, p, now)
			if err := s.putProgress(ctx, tx, &n); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store[T, V]) Drop(ctx context.Context, commits []string) error {
	return s.db.Tx(ctx, func(tx *sql.Tx) error { return s.drop(ctx, tx, commits...) })
}
