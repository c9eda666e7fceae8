package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"math"

	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

//go:embed migrations/*.sql
var migrations embed.FS

// inForce is to_revision of a definition that nothing has ended yet.
const inForce = math.MaxInt64

// Store is a registry.Store. Safe for concurrent use.
type Store struct {
	db  *sqldb.DB
	own bool // Close closes the database too
}

var _ registry.Store = (*Store)(nil)

// Open connects to a database (see sqldb.Open) and brings its tables up to date.
func Open(ctx context.Context, url string) (*Store, error) {
	db, err := sqldb.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	s, err := New(ctx, db)
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	s.own = true
	return s, nil
}

// New puts the registry into a database that others use too; it stays theirs to close.
func New(ctx context.Context, db *sqldb.DB) (*Store, error) {
	if err := db.Migrate(ctx, migrations, "migrations", "registry_schema"); err != nil {
		return nil, err
	}
	return &Store{db: db}, nil
}

// Close closes the database if Open opened it.
func (s *Store) Close() error {
	if s.own {
		return s.db.Close()
	}
	return nil
}

type querier interface {
	QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row
	QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error)
}

func newest(ctx context.Context, q querier) (int64, error) {
	var n int64
	err := q.QueryRowContext(ctx, "SELECT COALESCE(MAX(revision), 0) FROM registry_revisions").Scan(&n)
	return n, err
}

func (s *Store) Revision(ctx context.Context) (int64, error) {
	n, err := newest(ctx, s.db.SQL)
	return n, sqldb.Classify("registry.revision", s.db.String(), err)
}

func (s *Store) Revisions(ctx context.Context, after int64) ([]registry.Revision, error) {
	var out []registry.Revision
	err := s.each(ctx, s.db.SQL, "SELECT revision, at FROM registry_revisions WHERE revision > ? ORDER BY revision",
		[]any{after}, func(scan func(...any) error) error {
			var r registry.Revision
			err := scan(&r.Number, &r.At)
			out = append(out, r)
			return err
		})
	return out, sqldb.Classify("registry.revisions", s.db.String(), err)
}

const recordColumns = "SELECT kind, project, name, version, body, from_revision, to_revision FROM registry_definitions "

func (s *Store) Load(ctx context.Context, revision int64) ([]registry.Record, error) {
	var out []registry.Record
	err := s.db.ReadTx(ctx, func(tx *sql.Tx) error {
		out = out[:0]
		n, err := newest(ctx, tx)
		if err != nil {
			return err
		}
		if revision < 0 || revision > n {
			return registry.NoRevision(revision, n)
		}
		return s.records(ctx, tx, &out, recordColumns+"WHERE to_revision > ? AND from_revision <= ?", revision, revision)
	})
	if err != nil {
		return nil, sqldb.Classify("registry.load", s.db.String(), err)
	}
	return out, nil
}

func (s *Store) History(ctx context.Context, ref feature.Ref) ([]registry.Record, error) {
	var out []registry.Record
	err := s.records(ctx, s.db.SQL, &out, recordColumns+"WHERE kind = ? AND project = ? AND name = ? ORDER BY version",
		string(ref.Kind), ref.Project, ref.Name)
	return out, sqldb.Classify("registry.history", ref.String(), err)
}

func (s *Store) records(ctx context.Context, q querier, out *[]registry.Record, query string, args ...any) error {
	return s.each(ctx, q, query, args, func(scan func(...any) error) error {
		var r registry.Record
		if err := scan(&r.Ref.Kind, &r.Ref.Project, &r.Ref.Name, &r.Version, &r.Body, &r.From, &r.To); err != nil {
			return err
		}
		if r.To == inForce {
			r.To = 0
		}
		*out = append(*out, r)
		return nil
	})
}

func (s *Store) each(ctx context.Context, q querier, query string, args []any, f func(scan func(...any) error) error) error {
	rows, err := q.QueryContext(ctx, s.db.Rebind(query), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (s *Store) Commit(ctx context.Context, c registry.ChangeSet) error {
	err := s.db.Tx(ctx, func(tx *sql.Tx) error {
		n, err := newest(ctx, tx)
		if err != nil {
			return err
		}
		if n != c.Base {
			return registry.Stale(c.Base, n)
		}
		revision := c.Base + 1
		exec := func(q string, args ...any) (int64, error) {
			r, err := tx.ExecContext(ctx, s.db.Rebind(q), args...)
			if err != nil {
				return 0, err
			}
			return r.RowsAffected()
		}
		for _, id := range c.Snapshots {
			var one int
			err := tx.QueryRowContext(ctx, s.db.Rebind("SELECT 1 FROM registry_snapshots WHERE id = ?"), id).Scan(&one)
			if err == sql.ErrNoRows {
				return registry.SnapshotGone(id)
			}
			if err != nil {
				return err
			}
		}
		if _, err := exec("INSERT INTO registry_revisions (revision, at) VALUES (?, ?)", revision, c.At); err != nil {
			return err
		}
		const end = "UPDATE registry_definitions SET to_revision = ? WHERE kind = ? AND project = ? AND name = ? AND to_revision = ?"
		for _, r := range c.Delete {
			n, err := exec(end, revision, string(r.Kind), r.Project, r.Name, int64(inForce))
			if err != nil {
				return err
			}
			if n != 1 {
				return feature.Errorf(feature.Invalid, "registry.commit", r.String(), "it is not in force")
			}
		}
		for _, p := range c.Puts {
			k := []any{string(p.Ref.Kind), p.Ref.Project, p.Ref.Name}
			var last int
			err := tx.QueryRowContext(ctx, s.db.Rebind("SELECT COALESCE(MAX(version), 0) FROM registry_definitions WHERE kind = ? AND project = ? AND name = ?"), k...).Scan(&last)
			if err != nil {
				return err
			}
			if p.Version != last+1 {
				return feature.Errorf(feature.Invalid, "registry.commit", p.Ref.String(), "version %d follows version %d", p.Version, last)
			}
			if _, err := exec(end, revision, k[0], k[1], k[2], int64(inForce)); err != nil {
				return err
			}
			if _, err := exec("INSERT INTO registry_definitions (kind, project, name, version, body, from_revision, to_revision) VALUES (?, ?, ?, ?, ?, ?, ?)",
				k[0], k[1], k[2], p.Version, string(p.Body), revision, int64(inForce)); err != nil {
				return err
			}
		}
		return nil
	})
	return sqldb.Classify("registry.commit", s.db.String(), err)
}
