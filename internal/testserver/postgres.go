package testserver

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the "pgx" driver

	"github.com/weir-ml/weir/internal/testserver/native"
)

// Postgres gives the url of a new, empty database, dropped with the test.
func Postgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv("WEIR_TEST_POSTGRES_URL")
	if server == "" {
		server = startPostgres(t)
	}
	name := "weir_" + Name(t)
	if len(name) > 63 {
		name = name[len(name)-63:]
	}
	execute(t, server, `CREATE DATABASE "`+name+`"`)
	t.Cleanup(func() { execute(t, server, `DROP DATABASE IF EXISTS "`+name+`" WITH (FORCE)`) })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("WEIR_TEST_POSTGRES_URL is not a url")
	}
	u.Path = "/" + name
	return u.String()
}

// PostgresServer is one server of the test's own.
type PostgresServer struct {
	control
	p *native.Postgres
}

// OwnPostgres gives a server of the test's own, which it may stop, kill, pause
// and start again. It is always a child process.
func OwnPostgres(t testing.TB) *PostgresServer {
	t.Helper()
	p, err := native.StartPostgres(starting(t), tempDir(t, t.Cleanup))
	if p != nil && p.Process != nil {
		t.Cleanup(func() { p.Kill() })
	}
	if err != nil {
		absent(t, "postgres", err)
	}
	return &PostgresServer{control{p}, p}
}

// Database makes a new, empty database and returns its url.
func (s *PostgresServer) Database(t testing.TB, name string) string {
	t.Helper()
	execute(t, s.p.URL, `CREATE DATABASE "`+name+`"`)
	u, err := url.Parse(s.p.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func startPostgres(t testing.TB) string {
	t.Helper()
	if engine() {
		ctx := starting(t)
		c, err := runContainer(ctx, "postgres:15", "5432/tcp", t.Cleanup, map[string]string{"POSTGRES_USER": "weir", "POSTGRES_HOST_AUTH_METHOD": "trust"})
		if err == nil {
			url := "postgres://weir@" + c.addr + "/postgres?sslmode=disable"
			if err = await(ctx, func(ctx context.Context) error { return native.PostgresReady(ctx, url) }); err == nil {
				return url
			}
		}
		t.Logf("no postgres container, starting a process instead: %v", err)
	}
	p, err := native.StartPostgres(starting(t), tempDir(t, t.Cleanup))
	if p != nil && p.Process != nil {
		t.Cleanup(func() { p.Kill() })
	}
	if err != nil {
		absent(t, "postgres", err)
	}
	return p.URL
}

func execute(t testing.TB, url, statement string) {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(context.Background(), statement); err != nil {
		t.Fatal(err)
	}
}
