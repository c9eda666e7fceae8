package sqldb

import (
	"context"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	defaultConns = 16
	mostConns    = 1000
	// A server gives a statement up after this; ours take milliseconds, so only one
	// that waits for a lock which nobody gives back gets here. An idle transaction is one
	// whose worker has died without its connection being closed.
	statementTimeout = "60s"
	idleTimeout      = "60s"
	// deadPeer is how long sent bytes may stay unacknowledged: a host that vanished
	// without a word, as in a failover, is given up after it.
	deadPeer = 30 * time.Second
)

// openPostgres opens a pool. Besides what every PostgreSQL client takes (sslmode,
// sslrootcert, sslcert, sslkey, connect_timeout, target_session_attrs, several hosts, and
// settings of the session such as statement_timeout or search_path) the url may say
// pool_max_conns: the most connections this process opens to the database.
func openPostgres(ctx context.Context, rawURL string) (*DB, error) {
	cfg, conns, why := postgresConfig(rawURL)
	if why != "" {
		return nil, badURL(Redact(rawURL), why)
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 10 * time.Second
	}
	for name, value := range map[string]string{"statement_timeout": statementTimeout, "idle_in_transaction_session_timeout": idleTimeout, "application_name": "weir"} {
		if _, said := cfg.RuntimeParams[name]; !said {
			cfg.RuntimeParams[name] = value
		}
	}
	dialer := &net.Dialer{Control: giveUpOn(deadPeer), KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 4}}
	cfg.DialFunc = dialer.DialContext
	pool := stdlib.OpenDB(*cfg)
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(min(4, conns))
	pool.SetConnMaxIdleTime(5 * time.Minute)
	return (&DB{SQL: pool, Dialect: Postgres, name: Redact(rawURL)}).proven(ctx)
}

func postgresConfig(rawURL string) (cfg *pgx.ConnConfig, conns int, why string) {
	cfg, err := pgx.ParseConfig(rawURL)
	if err != nil {
		// pgx prints the url with its password hidden, but only where it can
		// parse it; so its text is not passed on.
		return nil, 0, "not a PostgreSQL address"
	}
	conns = defaultConns
	if s, said := cfg.RuntimeParams["pool_max_conns"]; said {
		delete(cfg.RuntimeParams, "pool_max_conns") // ours, not the server's
		if conns, err = strconv.Atoi(s); err != nil || conns < 1 || conns > mostConns {
			return nil, 0, "pool_max_conns must be from 1 to " + strconv.Itoa(mostConns)
		}
	}
	return cfg, conns, ""
}

// Same reports whether two urls name one database, as far as the urls tell:
// the same file, or the same database (and search_path) of the same server.
func Same(a, b string) bool { return a != "" && b != "" && place(a) == place(b) }

func place(rawURL string) string {
	scheme, rest, _ := strings.Cut(rawURL, ":")
	switch scheme {
	case "sqlite":
		if path, err := filepath.Abs(strings.TrimPrefix(rest, "//")); err == nil {
			return "sqlite:" + path
		}
	case "postgres", "postgresql":
		if cfg, _, why := postgresConfig(rawURL); why == "" {
			// Not the user: two users of one database share its tables.
			return (&url.URL{Scheme: Postgres, Host: strings.ToLower(cfg.Host) + ":" + strconv.Itoa(int(cfg.Port)),
				Path: cfg.Database, RawQuery: cfg.RuntimeParams["search_path"]}).String()
		}
	}
	return rawURL
}
