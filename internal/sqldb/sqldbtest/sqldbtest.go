// Package sqldbtest gives tests the databases that Weir runs on: a new SQLite
// file, and a PostgreSQL server of the test's own.
//
// The one rule: a test that runs on one database runs on the other; what could
// not run says so in a line that starts with "SKIP(postgres absent)".
package sqldbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the "pgx" driver

	"github.com/weir-ml/weir/internal/sqldb"
)

// Env names the variable with the url of a PostgreSQL server to use instead of
// starting one; the user must be allowed to create databases.
const Env = "WEIR_TEST_POSTGRES_URL"

// Each runs f on every kind of database; newURL gives the url of a new, empty one.
func Each(t *testing.T, f func(t *testing.T, newURL func(t testing.TB) string)) {
	t.Run(sqldb.SQLite, func(t *testing.T) { f(t, NewSQLite) })
	t.Run(sqldb.Postgres, func(t *testing.T) {
		s := Start(t)
		f(t, s.NewDatabase)
	})
}

// NewSQLite is the url of a SQLite file that does not exist yet.
func NewSQLite(t testing.TB) string {
	return "sqlite:" + filepath.Join(t.TempDir(), "sub", "weir.db")
}

// Server is a running PostgreSQL.
type Server struct{ admin string }

// Start gives the server named by Env, else starts one that ends with the test
// (or with the test's process), else skips the test.
func Start(t testing.TB) *Server {
	t.Helper()
	if u := os.Getenv(Env); u != "" {
		return &Server{admin: u}
	}
	return &Server{admin: start(t)}
}

// NewDatabase creates an empty database, dropped with the test, and returns its url.
func (s *Server) NewDatabase(t testing.TB) string {
	t.Helper()
	var r [8]byte
	_, _ = rand.Read(r[:])
	name := "weir_test_" + hex.EncodeToString(r[:])
	s.exec(t, "CREATE DATABASE "+name)
	t.Cleanup(func() { s.exec(t, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	u, err := url.Parse(s.admin)
	if err != nil {
		t.Fatal("the PostgreSQL url does not parse")
	}
	u.Path = "/" + name
	return u.String()
}

func (s *Server) exec(t testing.TB, q string) {
	t.Helper()
	db, err := sql.Open("pgx", s.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(context.Background(), q); err != nil {
		t.Fatal(err)
	}
}
