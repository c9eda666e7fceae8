package iceberg

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"

	"github.com/apache/iceberg-go/catalog"
	sqlcat "github.com/apache/iceberg-go/catalog/sql"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"github.com/weir-ml/weir/internal/objects"
	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// Store is an offline.Store of Iceberg tables.
type Store struct {
	db    *sqldb.DB
	cat   *sqlcat.Catalog // makes the catalog's own tables, namespaces
	files *files
	log   *slog.Logger
	// answer runs a swap; tests put faults here.
	answer func(swap func() (bool, error)) (bool, error)

	mu    sync.Mutex
	locks map[string]chan struct{} // by table location: one commit of this process at a time
	known map[tableName]*newest
}

// Option changes how a store is opened.
type Option func(*options)

type options struct{ s3 objects.Config }

// S3 says how a warehouse in a bucket is reached; without it by the usual chain.
func S3(c objects.Config) Option { return func(o *options) { o.s3 = c } }

// Open opens a store. catalogURL is sqlite:/path/tables.db or postgres://..., a
// database of the catalog's own; warehouse is a local folder or s3://bucket/prefix.
func Open(ctx context.Context, catalogURL, warehouse string, log *slog.Logger, opts ...Option) (*Store, error) {
	o := options{s3: objects.DefaultConfig()}
	for _, f := range opts {
		f(&o)
	}
	where, err := openPlace(ctx, warehouse, o)
	if err != nil {
		return nil, err
	}
	s := &Store{files: &files{where, context.WithoutCancel(ctx)}, log: log, locks: map[string]chan struct{}{}, known: map[tableName]*newest{},
		answer: func(swap func() (bool, error)) (bool, error) { return swap() }}
	if s.db, err = sqldb.Open(ctx, catalogURL); err != nil {
		return nil, err
	}
	dialect := sqlcat.SQLite
	if s.db.Dialect == sqldb.Postgres {
		dialect = sqlcat.Postgres
	}
	for try := 1; ; try++ {
		// Two processes that start at once may both try to make the catalog's tables.
		s.cat, err = sqlcat.NewCatalog(CatalogName, s.db.SQL, dialect, map[string]string{"warehouse": s.files.root()})
		if err == nil {
			return s, nil
		}
		if try == 3 {
			_ = s.db.Close()
			return nil, sqldb.Classify("iceberg.open", s.db.String(), err)
		}
	}
}

func openPlace(ctx context.Context, warehouse string, o options) (place, error) {
	if objects.IsS3(warehouse) {
		return openRemote(ctx, warehouse, o.s3)
	}
	dir, err := filepath.Abs(localPath(warehouse))
	if warehouse == "" || err != nil {
		return nil, feature.Errorf(feature.Invalid, "iceberg.open", warehouse, "the warehouse must be a folder or s3://bucket/prefix").
			WithHint("set offline.warehouse")
	}
	folder := &local{dir: dir}
	if err := folder.ensureDir(dir); err != nil {
		return nil, feature.Errorf(feature.Unavailable, "iceberg.open", dir, "%w", err).WithHint("offline.warehouse must be writable")
	}
	return folder, nil
}

// Close closes the catalog's database. Tables must not be used after it.
func (s *Store) Close() error { return errors.Join(s.cat.Close(), s.db.Close()) }

// Table opens the table of a view, making it or adding columns to it if need be.
func (s *Store) Table(ctx context.Context, v *feature.View) (offline.Table, error) {
	if len(v.Keys) == 0 || v.Meta.Project == "" {
		return nil, feature.Errorf(feature.Internal, "iceberg.table", "view "+v.ID(), "the view is not resolved")
	}
	name := tableName{v.Meta.Project, v.Meta.Name}
	now, err := s.newestOf(ctx, name)
	if err == nil && now == nil {
		if err = s.create(ctx, v); err == nil {
			now, err = s.newestOf(ctx, name)
		}
	}
	if err != nil {
		return nil, err
	}
	if now == nil {
		return nil, feature.Errorf(feature.Unavailable, "iceberg.table", "view "+v.ID(), "the table was dropped as it was opened")
	}
	t := &Table{store: s, view: v, location: now.seen().meta.Location(), newest: now}
	t.lock = s.lockOf(t.location)
	if err := t.evolve(ctx); err != nil {
		return nil, err
	}
	if _, err := t.standingOf(t.seen().meta); err != nil {
		return nil, err
	}
	return t, nil
}

func (s *Store) create(ctx context.Context, v *feature.View) error {
	what := "view " + v.ID()
	err := s.cat.CreateNamespace(ctx, table.Identifier{v.Meta.Project}, nil)
	if err != nil && !errors.Is(err, catalog.ErrNamespaceAlreadyExists) {
		if ok, look := s.cat.CheckNamespaceExists(ctx, table.Identifier{v.Meta.Project}); look != nil || !ok {
			return sqldb.Classify("iceberg.create", what, err)
		}
	}
	// A folder of its own for every table that ever had the name: the files of a
	// dropped one may still be on their way out.
	dir := s.files.join(s.files.root(), v.Meta.Project+"/"+v.Meta.Name+"-"+uuid.NewString()[:8])
	m, err := newMetadata(v, dir)
	if err != nil {
		return feature.Errorf(feature.Internal, "iceberg.create", what, "%w", err)
	}
	loc, err := s.writeMetadata(ctx, m, nil, "")
	if err != nil {
		return placeFault("iceberg.create", what, err)
	}
	first, err := s.insert(ctx, v.Meta.Project, v.Meta.Name, loc)
	if err != nil {
		return err
	}
	if !first {
		_ = s.files.drop(ctx, dir)
	} else {
		s.log.Info("table created", "view", v.ID(), "location", dir)
	}
	return nil
}

// Drop removes a table and its files.
func (s *Store) Drop(ctx context.Context, project, view string) error {
	now, err := s.read(ctx, project, view, nil)
	if err != nil || now == nil {
		return err
	}
	what := "table " + project + "." + view
	err = s.cat.DropTable(ctx, table.Identifier{project, view})
	if err != nil && !errors.Is(err, catalog.ErrNoSuchTable) {
		return sqldb.Classify("iceberg.drop", what, err)
	}
	dir := now.meta.Location()
	if !strings.HasPrefix(s.files.key(dir), s.files.key(s.files.root())+"/") {
		s.log.Warn("dropped table lies outside the warehouse, its files are left", "table", what, "location", dir)
		return nil
	}
	if err := s.files.drop(ctx, dir); err != nil {
		return feature.Errorf(feature.Unavailable, "iceberg.drop", what, "%w", err).WithHint("the table is gone, remove its folder by hand")
	}
	return nil
}

func (s *Store) lockOf(location string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.locks[location]
	if l == nil {
		l = make(chan struct{}, 1)
		s.locks[location] = l
	}
	return l
}
