package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the "sqlite" driver

	"github.com/weir-ml/weir/registry/feature"
)

// Dialects.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// DB is an open database. It is safe for concurrent use.
type DB struct {
	SQL     *sql.DB
	Dialect string // SQLite or Postgres

	// writer lets one write transaction of this process at a time reach SQLite,
	// which has a single writer anyhow: waiting here is first come first served,
	// waiting in SQLite is polling. Nil for PostgreSQL.
	writer chan struct{}
	name   string // the url without its password, for errors
}

// Open connects and proves that the database answers. The url is
// "sqlite:/path/x.db" (the folder is created) or "postgres://user@host/db"; see
// openPostgres for the parameters it may have.
// Errors are feature.Invalid for a url that can never work and
// feature.Unavailable for a database that does not answer now.
func Open(ctx context.Context, rawURL string) (*DB, error) {
	scheme, rest, ok := strings.Cut(rawURL, ":")
	if !ok {
		return nil, badURL(Redact(rawURL), "it has no scheme")
	}
	switch scheme {
	case "sqlite":
		return openSQLite(ctx, strings.TrimPrefix(rest, "//"))
	case "postgres", "postgresql":
		return openPostgres(ctx, rawURL)
	}
	return nil, badURL(Redact(rawURL), fmt.Sprintf("unknown scheme %q", scheme))
}

func badURL(what, why string) error {
	return feature.Errorf(feature.Invalid, "sqldb.open", what, "%s", why).
		WithHint("use sqlite:/path/to/file.db or postgres://user:password@host:5432/database")
}

func openSQLite(ctx context.Context, path string) (*DB, error) {
	if path == "" || strings.HasPrefix(path, ":memory:") || strings.HasPrefix(path, "?") {
		return nil, badURL("sqlite:"+path, "a file is required")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, feature.Errorf(feature.Invalid, "sqldb.open", path, "%w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, feature.Errorf(feature.Unavailable, "sqldb.open", path, "%w", err).
			WithHint("the folder must be writable")
	}
	q := url.Values{"_txlock": {"immediate"}}
	// busy_timeout comes first: switching to WAL itself may have to wait. FULL
	// syncs the log at every commit; what was answered survives a power cut.
	for _, p := range []string{"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"} {
		q.Add("_pragma", p)
	}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
	pool, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, feature.Errorf(feature.Invalid, "sqldb.open", path, "%w", err)
	}
	pool.SetMaxOpenConns(8)
	pool.SetMaxIdleConns(4)
	return (&DB{SQL: pool, Dialect: SQLite, writer: make(chan struct{}, 1), name: "sqlite:" + path}).proven(ctx)
}

// proven asks the database something before anyone relies on it. SELECT 1 would
// not do: SQLite answers it without looking at the file.
func (db *DB) proven(ctx context.Context) (*DB, error) {
	q := "SELECT 1"
	if db.Dialect == SQLite {
		q = "PRAGMA schema_version"
	}
	var n int
	if err := db.SQL.QueryRowContext(ctx, q).Scan(&n); err != nil {
		_ = db.SQL.Close()
		return nil, Classify("sqldb.open", db.name, err)
	}
	return db, nil
}

// Close closes all connections.
func (db *DB) Close() error { return db.SQL.Close() }

// String is the database's url without its password.
func (db *DB) String() string { return db.name }

// Rebind turns "?" into "$1", "$2", ... for PostgreSQL; queries must not have a
// question mark inside a literal.
func (db *DB) Rebind(q string) string {
	if db.Dialect != Postgres || !strings.Contains(q, "?") {
		return q
	}
	var b strings.Builder
	b.Grow(len(q) + 16)
	n := 0
	for i := range len(q) {
		if q[i] == '?' {
			n++
			fmt.Fprintf(&b, "$%d", n)
			continue
		}
		b.WriteByte(q[i])
	}
	return b.String()
}

// Redact hides the password and every parameter of a database url, for logs and errors.
func Redact(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		scheme, _, _ := strings.Cut(rawURL, ":")
		return scheme + ":..."
	}
	if u.RawQuery != "" {
		u.RawQuery = "..."
	}
	return u.Redacted()
}
