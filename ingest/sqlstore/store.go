package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/internal/sqldb"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store implements ingest.Pauses.
type Store struct{ db *sqldb.DB }

var _ ingest.Pauses = (*Store)(nil)

// New brings the table up to date and returns the store. The database stays the caller's to close.
func New(ctx context.Context, db *sqldb.DB) (*Store, error) {
	if err := db.Migrate(ctx, migrations, "migrations", "ingest_schema"); err != nil {
		return nil, err
	}
	return &Store{db: db}, nil
}

const columns = "SELECT state, body FROM ingest_pauses "

// Of implements ingest.Pauses.
func (s *Store) Of(ctx context.Context, project, view string) (out []ingest.Pause, err error) {
	err = s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		out, err = s.read(ctx, tx, columns+"WHERE (? = '' OR project = ?) AND (? = '' OR name = ?) ORDER BY project, name, topic_id, partition_no", project, project, view, view)
		return err
	})
	return out, sqldb.Classify("ingest.pauses", s.db.String(), err)
}

func (s *Store) read(ctx context.Context, tx *sql.Tx, q string, args ...any) (out []ingest.Pause, err error) {
	rows, err := tx.QueryContext(ctx, s.db.Rebind(q), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var state, body string
		var p ingest.Pause
		if err := rows.Scan(&state, &body); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			return nil, err
		}
		p.State = state
		out = append(out, p)
	}
	return out, rows.Err()
}

// Resumed implements ingest.Pauses.
func (s *Store) Resumed(ctx context.Context, project, view string) (r ingest.Resumption, err error) {
	err = s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		r, err = s.last(ctx, tx, project, view)
		return err
	})
	return r, sqldb.Classify("ingest.pauses", s.db.String(), err)
}

func (s *Store) last(ctx context.Context, tx *sql.Tx, project, view string) (r ingest.Resumption, err error) {
	var body string
	err = tx.QueryRowContext(ctx, s.db.Rebind("SELECT body FROM ingest_resumptions WHERE project = ? AND name = ?"), project, view).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal([]byte(body), &r)
}

// Put implements ingest.Pauses.
func (s *Store) Put(ctx context.Context, p ingest.Pause) (out ingest.Pause, err error) {
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		all, err := s.read(ctx, tx, columns+"WHERE project = ? AND name = ?", p.Project, p.View)
		if err != nil {
			return err
		}
		last, err := s.last(ctx, tx, p.Project, p.View)
		if err != nil {
			return err
		}
		out = p.Among(all, last)
		return s.write(ctx, tx, out)
	})
	return out, sqldb.Classify("ingest.pauses", s.db.String(), err)
}

func (s *Store) write(ctx context.Context, tx *sql.Tx, p ingest.Pause) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, s.db.Rebind(`INSERT INTO ingest_pauses (project, name, topic_id, partition_no, state, body) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (project, name, topic_id, partition_no) DO UPDATE SET state = excluded.state, body = excluded.body`),
		p.Project, p.View, hex.EncodeToString(p.TopicID[:]), p.Partition, p.State, string(body))
	return err
}

// Resume implements ingest.Pauses.
func (s *Store) Resume(ctx context.Context, r ingest.Resumption) (out []ingest.Pause, err error) {
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		out = nil
		standing, err := s.read(ctx, tx, columns+"WHERE project = ? AND name = ? AND state = ? ORDER BY partition_no", r.Project, r.View, ingest.PauseStanding)
		if err != nil || len(standing) == 0 {
			return err
		}
		before, err := s.last(ctx, tx, r.Project, r.View)
		if err != nil {
			return err
		}
		now, after := r.On(standing, before)
		body, err := json.Marshal(now)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, s.db.Rebind(`INSERT INTO ingest_resumptions (project, name, body) VALUES (?, ?, ?)
ON CONFLICT (project, name) DO UPDATE SET body = excluded.body`), r.Project, r.View, string(body)); err != nil {
			return err
		}
		for _, p := range after {
			if err := s.write(ctx, tx, p); err != nil {
				return err
			}
		}
		out = after
		return nil
	})
	return out, sqldb.Classify("ingest.resume", s.db.String(), err)
}

// Forget implements ingest.Pauses.
func (s *Store) Forget(ctx context.Context, p ingest.Pause) error {
	return s.exec(ctx, "DELETE FROM ingest_pauses WHERE project = ? AND name = ? AND topic_id = ? AND partition_no = ?",
		p.Project, p.View, hex.EncodeToString(p.TopicID[:]), p.Partition)
}

func (s *Store) exec(ctx context.Context, q string, args ...any) error {
	err := s.db.Tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, s.db.Rebind(q), args...)
		return err
	})
	return sqldb.Classify("ingest.pauses", s.db.String(), err)
}
