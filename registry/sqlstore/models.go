package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"

	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

func (s *Store) PutModel(ctx context.Context, m feature.Model) error {
	if m.Tags == nil {
		m.Tags = map[string]string{}
	}
	tags, err := json.Marshal(m.Tags)
	if err != nil {
		return feature.Errorf(feature.Invalid, "registry.put_model", m.ID(), "%w", err)
	}
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		is, err := s.model(ctx, tx, m.Project, m.Name, m.Version)
		if err == nil {
			if !is.SameOrigin(&m) {
				return registry.ModelTaken(is, m)
			}
			_, err = tx.ExecContext(ctx, s.db.Rebind("UPDATE registry_models SET uri = ?, tags = ? WHERE project = ? AND name = ? AND version = ?"),
				m.URI, string(tags), m.Project, m.Name, m.Version)
			return err
		}
		if feature.KindOf(err) != feature.NotFound {
			return err
		}
		var one int
		err = tx.QueryRowContext(ctx, s.db.Rebind("SELECT 1 FROM registry_snapshots WHERE id = ? AND project = ?"), m.Snapshot, m.Project).Scan(&one)
		if err == sql.ErrNoRows {
			return registry.ModelNeedsSnapshot(m.Snapshot)
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, s.db.Rebind("INSERT INTO registry_models (project, name, version, service, service_version, snapshot, uri, tags, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"),
			m.Project, m.Name, m.Version, m.Service, m.ServiceVersion, m.Snapshot, m.URI, string(tags), m.CreatedAt)
		return err
	})
	return sqldb.Classify("registry.put_model", m.ID(), err)
}

// models returns versions with their aliases, in order.
func (s *Store) models(ctx context.Context, q querier, where string, args ...any) (out []feature.Model, err error) {
	err = s.each(ctx, q, `SELECT m.project, m.name, m.version, m.service, m.service_version, m.snapshot, m.uri, m.tags, m.created_at, COALESCE(a.alias, '')
		FROM registry_models m LEFT JOIN registry_model_aliases a ON a.project = m.project AND a.name = m.name AND a.version = m.version `+where, args,
		func(scan func(...any) error) error {
			var m feature.Model
			var tags []byte
			var alias string
			if err := scan(&m.Project, &m.Name, &m.Version, &m.Service, &m.ServiceVersion, &m.Snapshot, &m.URI, &tags, &m.CreatedAt, &alias); err != nil {
				return err
			}
			if err := json.Unmarshal(tags, &m.Tags); err != nil {
				return feature.Errorf(feature.Internal, "registry.models", m.ID(), "%w", err)
			}
			if len(m.Tags) == 0 {
				m.Tags = nil
			}
			if alias != "" {
				m.Aliases = []string{alias}
			}
			out = append(out, m)
			return nil
		})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, feature.CompareModels)
	one := out[:0] // a row for each alias has come
	for _, m := range out {
		if n := len(one); n > 0 && one[n-1].ID() == m.ID() {
			one[n-1].Aliases = append(one[n-1].Aliases, m.Aliases...)
			continue
		}
		one = append(one, m)
	}
	for i := range one {
		slices.Sort(one[i].Aliases)
	}
	return one, nil
}

func (s *Store) model(ctx context.Context, q querier, project, name, version string) (feature.Model, error) {
	found, err := s.models(ctx, q, "WHERE m.project = ? AND m.name = ? AND m.version = ?", project, name, version)
	if err != nil {
		return feature.Model{}, err
	}
	if len(found) == 0 {
		return feature.Model{}, registry.NoModel(project, name, version)
	}
	return found[0], nil
}

func (s *Store) Model(ctx context.Context, project, name, version string) (feature.Model, error) {
	m, err := s.model(ctx, s.db.SQL, project, name, version)
	return m, sqldb.Classify("registry.model", project+"/"+name+"@"+version, err)
}

func (s *Store) ListModels(ctx context.Context, project, name string) ([]feature.Model, error) {
	out, err := s.models(ctx, s.db.SQL, "WHERE (m.project = ? OR ? = '') AND (m.name = ? OR ? = '')", project, project, name, name)
	return out, sqldb.Classify("registry.list_models", project, err)
}

func (s *Store) DeleteModel(ctx context.Context, project, name, version string) error {
	err := s.db.Tx(ctx, func(tx *sql.Tx) error {
		m, err := s.model(ctx, tx, project, name, version)
		if err != nil {
			return err
		}
		if len(m.Aliases) > 0 {
			return registry.ModelAliased(m)
		}
		_, err = tx.ExecContext(ctx, s.db.Rebind("DELETE FROM registry_models WHERE project = ? AND name = ? AND version = ?"), project, name, version)
		return err
	})
	return sqldb.Classify("registry.delete_model", project+"/"+name+"@"+version, err)
}

func (s *Store) MoveAlias(ctx context.Context, m feature.AliasMove) (moved bool, err error) {
	err = s.db.Tx(ctx, func(tx *sql.Tx) error {
		moved = false
		snapshot := ""
		if m.Version != "" {
			x, err := s.model(ctx, tx, m.Project, m.Model, m.Version)
			if err != nil {
				return err
			}
			snapshot = x.Snapshot
		}
		exec := func(q string, args ...any) error {
			_, err := tx.ExecContext(ctx, s.db.Rebind(q), args...)
			return err
		}
		of := []any{m.Project, m.Model, m.Alias}
		var was string
		err := tx.QueryRowContext(ctx, s.db.Rebind("SELECT version FROM registry_model_aliases WHERE project = ? AND name = ? AND alias = ?"), of...).Scan(&was)
		if err != nil && err != sql.ErrNoRows {
			return err
		}
		if was == m.Version {
			return nil
		}
		var n int64
		if err := tx.QueryRowContext(ctx, s.db.Rebind("SELECT COALESCE(MAX(move), 0) FROM registry_model_moves WHERE project = ? AND name = ?"), m.Project, m.Model).Scan(&n); err != nil {
			return err
		}
		if err := exec("DELETE FROM registry_model_aliases WHERE project = ? AND name = ? AND alias = ?", of...); err != nil {
			return err
		}
		if m.Version != "" {
			if err := exec("INSERT INTO registry_model_aliases (project, name, alias, version) VALUES (?, ?, ?, ?)", append(of, m.Version)...); err != nil {
				return err
			}
		}
		moved = true
		return exec("INSERT INTO registry_model_moves (project, name, move, alias, version, snapshot, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
			m.Project, m.Model, n+1, m.Alias, m.Version, snapshot, m.At)
	})
	return moved && err == nil, sqldb.Classify("registry.move_alias", m.Project+"/"+m.Model+" "+m.Alias, err)
}

func (s *Store) AliasMoves(ctx context.Context, project, name string) (out []feature.AliasMove, err error) {
	err = s.each(ctx, s.db.SQL, "SELECT project, name, alias, version, snapshot, at FROM registry_model_moves WHERE project = ? AND name = ? ORDER BY move", []any{project, name},
		func(scan func(...any) error) error {
			var m feature.AliasMove
			err := scan(&m.Project, &m.Model, &m.Alias, &m.Version, &m.Snapshot, &m.At)
			out = append(out, m)
			return err
		})
	return out, sqldb.Classify("registry.alias_moves", project+"/"+name, err)
}
