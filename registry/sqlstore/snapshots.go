package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"

	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

func (s *Store) PutSnapshot(ctx context.Context, snap feature.Snapshot, profile []byte) error {
	body, err := json.Marshal(snap)
	if err != nil {
		return feature.Errorf(feature.Invalid, "registry.put_snapshot", snap.ID, "%w", err)
	}
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		var oldBody string
		var oldProfile []byte
		err := tx.QueryRowContext(ctx, s.db.Rebind("SELECT body, profile FROM registry_snapshots WHERE id = ?"), snap.ID).Scan(&oldBody, &oldProfile)
		switch {
		case err == nil && oldBody == string(body) && bytes.Equal(oldProfile, profile):
			return nil
		case err == nil:
			return registry.SnapshotTaken(snap.ID)
		case err != sql.ErrNoRows:
			return err
		}
		_, err = tx.ExecContext(ctx, s.db.Rebind("INSERT INTO registry_snapshots (id, project, created_at, body, profile) VALUES (?, ?, ?, ?, ?)"),
			snap.ID, snap.Project, snap.CreatedAt, string(body), profile)
		return err
	})
	return sqldb.Classify("registry.put_snapshot", snap.ID, err)
}

func (s *Store) Snapshot(ctx context.Context, project, id string) (feature.Snapshot, error) {
	var snap feature.Snapshot
	var body []byte
	err := s.db.SQL.QueryRowContext(ctx, s.db.Rebind("SELECT body FROM registry_snapshots WHERE id = ? AND (project = ? OR ? = '')"), id, project, project).Scan(&body)
	if err == sql.ErrNoRows {
		return snap, registry.NoSnapshot(project, id)
	}
	if err != nil {
		return snap, sqldb.Classify("registry.snapshot", id, err)
	}
	return snap, decode(body, &snap)
}

func decode(body []byte, into *feature.Snapshot) error {
	if err := json.Unmarshal(body, into); err != nil {
		return feature.Errorf(feature.Internal, "registry.snapshot", "", "%w", err)
	}
	return nil
}

func (s *Store) SnapshotProfile(ctx context.Context, id string) ([]byte, error) {
	var profile []byte
	err := s.db.SQL.QueryRowContext(ctx, s.db.Rebind("SELECT profile FROM registry_snapshots WHERE id = ?"), id).Scan(&profile)
	if err == sql.ErrNoRows {
		return nil, registry.NoSnapshot("", id)
	}
	return profile, sqldb.Classify("registry.snapshot_profile", id, err)
}

func (s *Store) ListSnapshots(ctx context.Context, project string) ([]feature.Snapshot, error) {
	var out []feature.Snapshot
	err := s.each(ctx, s.db.SQL, "SELECT body FROM registry_snapshots WHERE project = ? OR ? = '' ORDER BY created_at, id", []any{project, project},
		func(scan func(...any) error) error {
			var body []byte
			var snap feature.Snapshot
			if err := scan(&body); err != nil {
				return err
			}
			err := decode(body, &snap)
			out = append(out, snap)
			return err
		})
	return out, sqldb.Classify("registry.list_snapshots", project, err)
}

func (s *Store) DeleteSnapshot(ctx context.Context, id string, base int64) error {
	err := s.db.Tx(ctx, func(tx *sql.Tx) error {
		n, err := newest(ctx, tx)
		if err != nil {
			return err
		}
		if n != base {
			return registry.Stale(base, n)
		}
		by, err := s.models(ctx, tx, "WHERE m.snapshot = ?", id)
		if err != nil {
			return err
		}
		if len(by) > 0 {
			return registry.SnapshotTrained(id, by)
		}
		r, err := tx.ExecContext(ctx, s.db.Rebind("DELETE FROM registry_snapshots WHERE id = ?"), id)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return registry.NoSnapshot("", id)
	})
	return sqldb.Classify("registry.delete_snapshot", id, err)
}
