package iceberg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/apache/iceberg-go/table"

	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/registry/feature"
)

// CatalogName is the catalog's name within its database; other engines must be
// given the same.
const CatalogName = "weir"

// loaded is a table's metadata together with the file it came from, which is
// what a swap compares with.
type loaded struct {
	location  string
	meta      table.Metadata
	snapshots []byte // encodeSnapshots of meta; nil where it was read and not made here
}

// pointer reads where the newest metadata of a table is; "" when there is no such table.
func (s *Store) pointer(ctx context.Context, project, view string) (string, error) {
	var loc sql.NullString
	err := s.db.SQL.QueryRowContext(ctx, s.db.Rebind(
		`SELECT metadata_location FROM iceberg_tables WHERE catalog_name = ? AND table_namespace = ? AND table_name = ?`),
		CatalogName, project, view).Scan(&loc)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return loc.String, sqldb.Classify("iceberg.load", "table "+project+"."+view, err)
}

// read loads the newest metadata, from memory when the pointer has not moved
// since prev. Nil when there is no such table.
func (s *Store) read(ctx context.Context, project, view string, prev *loaded) (*loaded, error) {
	for try := 1; ; try++ {
		loc, err := s.pointer(ctx, project, view)
		if err != nil || loc == "" {
			return nil, err
		}
		if prev != nil && prev.location == loc {
			return prev, nil
		}
		b, err := s.files.read(ctx, loc)
		if errors.Is(err, fs.ErrNotExist) && try < 5 {
			continue // twenty commits have gone by since the pointer was read
		}
		if err != nil {
			e := feature.Errorf(feature.Unavailable, "iceberg.load", loc, "%w", err)
			if k := feature.KindOf(err); k == feature.Unauthorized {
				e.Kind = k
			}
			return nil, e.WithHint("the catalog names a metadata file that cannot be read; is the warehouse the right one?")
		}
		m, err := table.ParseMetadataBytes(b)
		if err != nil {
			return nil, feature.Errorf(feature.Internal, "iceberg.load", loc, "%w", err)
		}
		return &loaded{location: loc, meta: m}, nil
	}
}

// insert names the first metadata of a table; false when somebody was faster.
func (s *Store) insert(ctx context.Context, project, view, location string) (bool, error) {
	_, err := s.db.SQL.ExecContext(ctx, s.db.Rebind(
		`INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type) VALUES (?, ?, ?, ?, 'TABLE')`),
		CatalogName, project, view, location)
	err = sqldb.Classify("iceberg.create", "table "+project+"."+view, err)
	if err != nil && feature.KindOf(err) == feature.Conflict {
		return false, nil
	}
	return err == nil, err
}

// swap is the commit itself: it moves the pointer from one metadata file to the next.
func (s *Store) swap(ctx context.Context, project, view, from, to string) (bool, error) {
	res, err := s.db.SQL.ExecContext(ctx, s.db.Rebind(
		`UPDATE iceberg_tables SET metadata_location = ?, previous_metadata_location = ?
		 WHERE catalog_name = ? AND table_namespace = ? AND table_name = ? AND metadata_location = ?`),
		to, from, CatalogName, project, view, from)
	if err != nil {
		return false, sqldb.Classify("iceberg.commit", "table "+project+"."+view, err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// writeMetadata writes metadata m as the version after the file at prev ("" for
// none); snapshots is encodeSnapshots of it.
func (s *Store) writeMetadata(ctx context.Context, m table.Metadata, snapshots []byte, prev string) (string, error) {
	p, err := table.LoadLocationProvider(m.Location(), m.Properties())
	if err != nil {
		return "", err
	}
	loc, err := p.NewTableMetadataFileLocation(metadataVersion(prev) + 1)
	if err != nil {
		return "", err
	}
	b, err := encode(m, snapshots)
	if err != nil {
		return "", err
	}
	// put settles the folder too, and with it the names of the manifests that were
	// written just before.
	return loc, s.files.put(ctx, loc, b)
}

// metadataVersion is the number that a metadata file's name begins with; -1 for "".
func metadataVersion(loc string) int {
	if loc == "" {
		return -1
	}
	name, _, _ := strings.Cut(filepath.Base(loc), "-")
	n, err := strconv.Atoi(name)
	if err != nil {
		return 0
	}
	return n
}

// swapper lets iceberg-go's transactions commit by our swap, against exactly the
// metadata they were computed from.
type swapper struct {
	t    *Table
	base *loaded
	try  *attempted
}

func (w swapper) LoadTable(ctx context.Context, _ table.Identifier) (*table.Table, error) {
	now, err := w.t.load(ctx)
	if err != nil {
		return nil, err
	}
	return w.t.handle(now), nil
}

// CommitTable keeps what it has committed as the table's newest metadata. It wraps table.ErrCommitFailed only where it is certain that nothing was committed.
func (w swapper) CommitTable(ctx context.Context, ident table.Identifier, reqs []table.Requirement, updates []table.Update) (table.Metadata, string, error) {
	for _, r := range reqs {
		if err := r.Validate(w.base.meta); err != nil {
			return nil, "", err
		}
	}
	next, err := table.UpdateTableMetadata(w.base.meta, updates, w.base.location)
	if err != nil {
		return nil, "", err
	}
	snapshots, err := snapshotsAfter(w.base, updates, next)
	if err != nil {
		return nil, "", err
	}
	s := w.t.store
	loc, err := s.writeMetadata(ctx, next, snapshots, w.base.location)
	if err != nil {
		return nil, "", err
	}
	swap := func() (bool, error) { return s.swap(ctx, ident[0], ident[1], w.base.location, loc) }
	w.try.unknown = true
	ok, err := s.answer(swap)
	if err != nil {
		return nil, "", err // it may have landed all the same
	}
	if !ok {
		w.try.unknown = false
		_ = s.files.remove(ctx, []string{loc})
		return nil, "", fmt.Errorf("%w: the table has moved on", table.ErrCommitFailed)
	}
	w.t.keep(&loaded{loc, next, snapshots})
	return next, loc, nil
}
