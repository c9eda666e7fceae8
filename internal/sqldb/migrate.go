package sqldb

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"regexp"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/weir-ml/weir/registry/feature"
)

var tableRE = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// Migrate brings the tables of one room up to date: the goose files
// ("00001_init.sql" with "-- +goose Up") in folder dir of fsys, remembered in
// versionTable. Several processes may do it at once. A database that is newer
// than the binary is left as it is and refused.
func (db *DB) Migrate(ctx context.Context, fsys fs.FS, dir, versionTable string) error {
	what := db.name + " " + versionTable
	if !tableRE.MatchString(versionTable) {
		return feature.Errorf(feature.Invalid, "sqldb.migrate", what, "not a table name")
	}
	sub, err := fs.Sub(fsys, dir)
	if err != nil {
		return feature.Errorf(feature.Internal, "sqldb.migrate", what, "%w", err)
	}
	dialect := goose.DialectSQLite3
	opts := []goose.ProviderOption{
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()),
	}
	if db.Dialect == Postgres {
		dialect = goose.DialectPostgres
		h := fnv.New64a()
		_, _ = h.Write([]byte("weir " + versionTable))
		// One room migrates at a time across all processes; a second waits up to a minute.
		l, err := lock.NewPostgresSessionLocker(lock.WithLockID(int64(h.Sum64()>>1)), lock.WithLockTimeout(1, 60))
		if err != nil {
			return feature.Errorf(feature.Internal, "sqldb.migrate", what, "%w", err)
		}
		opts = append(opts, goose.WithSessionLocker(l))
	}
	p, err := goose.NewProvider(dialect, db.SQL, sub, opts...)
	if err != nil {
		return feature.Errorf(feature.Internal, "sqldb.migrate", what, "%w", err)
	}
	if db.writer != nil {
		select {
		case db.writer <- struct{}{}:
			defer func() { <-db.writer }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	// SQLite has no lock that spans goose's transactions: where two processes
	// start on a new file, one finds a table already there, and the second look
	// shows that nothing is left to do.
	for try := 1; ; try++ {
		err = up(ctx, p)
		if err == nil || db.Dialect != SQLite || try == 10 || ctx.Err() != nil || errors.Is(err, errNewer) {
			break
		}
		t := time.NewTimer(time.Duration(try) * 20 * time.Millisecond)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
	if errors.Is(err, errNewer) {
		return feature.Errorf(feature.Invalid, "sqldb.migrate", what, "%w", err).WithHint("use the newer weir that wrote it")
	}
	return Classify("sqldb.migrate", what, err)
}

var errNewer = errors.New("the database is newer than this program")

func up(ctx context.Context, p *goose.Provider) error {
	if _, err := p.Up(ctx); err != nil {
		return err
	}
	at, err := p.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	src := p.ListSources()
	if n := len(src); n > 0 && at > src[n-1].Version {
		return fmt.Errorf("%w: it has schema %d, this program knows up to %d", errNewer, at, src[n-1].Version)
	}
	return nil
}
