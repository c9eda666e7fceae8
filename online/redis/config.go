package redis

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/weir-ml/weir/internal/secret"
)

// Config says which Redis to use and how patiently.
type Config struct {
	// Addrs is host:port of one server, of several nodes of a cluster, or of sentinels.
	Addrs []string `koanf:"addrs"`
	// Cluster says that even a single address belongs to a cluster; several do anyway.
	Cluster bool `koanf:"cluster"`
	// Master is the name that sentinels know the server by; empty without sentinels.
	Master string `koanf:"master"`
	// SentinelUsername and SentinelPassword are of the sentinels, which have users of their own.
	SentinelUsername string      `koanf:"sentinel_username"`
	SentinelPassword secret.Text `koanf:"sentinel_password"`
	Username         string      `koanf:"username"`
	Password         secret.Text `koanf:"password"`
	DB               int         `koanf:"db"`
	TLS              TLS         `koanf:"tls"`
	// PoolSize bounds the connections to a server, for lookups and for writes each.
	PoolSize    int           `koanf:"pool_size"`
	DialTimeout time.Duration `koanf:"dial_timeout"`
	// ReadTimeout bounds a lookup's wait for an answer, below the request's own
	// deadline; WriteTimeout the wait for a pipeline of writes.
	ReadTimeout  time.Duration `koanf:"read_timeout"`
	WriteTimeout time.Duration `koanf:"write_timeout"`
	// MaxInFlight bounds the lookups that are under way on a server, PoolSize of them on a
	// connection; what comes beyond is turned away at once.
	MaxInFlight int `koanf:"max_in_flight"`
	// BreakerFailures in a row, with no answer in between, and a server's lookups fail at
	// once, until it has answered one of the questions it is asked every ProbeInterval.
	BreakerFailures int           `koanf:"breaker_failures"`
	ProbeInterval   time.Duration `koanf:"probe_interval"`
	// KeysPerRead is how many keys one MGET asks for, RowsPerWrite how many rows
	// one script call takes: both bound how long Redis serves nobody else.
	KeysPerRead  int `koanf:"keys_per_read"`
	RowsPerWrite int `koanf:"rows_per_write"`
}

// TLS says how to secure the connection.
type TLS struct {
	Enabled bool `koanf:"enabled"`
	// The files are read again when they have changed, for the next connection.
	CAFile     string `koanf:"ca_file"` // PEM; the system's when empty
	CertFile   string `koanf:"cert_file"`
	KeyFile    string `koanf:"key_file"`
	ServerName string `koanf:"server_name"` // the address's host when empty
}

// DefaultConfig is what holds where nothing is configured. It has no address.
func DefaultConfig() Config {
	return Config{
		PoolSize:        32,
		DialTimeout:     time.Second,
		ReadTimeout:     250 * time.Millisecond,
		WriteTimeout:    5 * time.Second,
		MaxInFlight:     512,
		BreakerFailures: 10,
		ProbeInterval:   100 * time.Millisecond,
		KeysPerRead:     100,
		RowsPerWrite:    256,
	}
}

// Validate reports every fault at once. An empty Addrs is no fault: it asks for
// the embedded server.
func (c Config) Validate() error {
	var errs []error
	fault := func(field, must string, got any) {
		errs = append(errs, fmt.Errorf("redis.%s: must be %s (got %v)", field, must, got))
	}
	for _, a := range c.Addrs {
		if _, _, err := net.SplitHostPort(a); err != nil {
			fault("addrs", "host:port", a)
		}
	}
	if c.DB < 0 {
		fault("db", "0 or above", c.DB)
	}
	if c.DB > 0 && (c.Cluster || c.Master == "" && len(c.Addrs) > 1) {
		fault("db", "0 on a cluster", c.DB)
	}
	if c.PoolSize <= 0 {
		fault("pool_size", "above zero", c.PoolSize)
	}
	for field, d := range map[string]time.Duration{"dial_timeout": c.DialTimeout, "read_timeout": c.ReadTimeout, "write_timeout": c.WriteTimeout, "probe_interval": c.ProbeInterval} {
		if d <= 0 {
			fault(field, "above zero", d)
		}
	}
	if c.MaxInFlight < 1 {
		fault("max_in_flight", "above zero", c.MaxInFlight)
	}
	if c.BreakerFailures < 1 {
		fault("breaker_failures", "above zero", c.BreakerFailures)
	}
	if c.Master != "" && c.Cluster {
		fault("master", "empty on a cluster, which has no sentinels", c.Master)
	}
	if c.Master == "" && (c.SentinelUsername != "" || c.SentinelPassword != "") {
		errs = append(errs, errors.New("redis.sentinel_username, redis.sentinel_password: must be empty where redis.master names no server of sentinels"))
	}
	if c.SentinelUsername != "" && c.SentinelPassword == "" {
		errs = append(errs, errors.New("redis.sentinel_password: must be given with redis.sentinel_username"))
	}
	if c.KeysPerRead < 1 || c.KeysPerRead > 10_000 {
		fault("keys_per_read", "between 1 and 10000", c.KeysPerRead)
	}
	if c.RowsPerWrite < 1 || c.RowsPerWrite > 3_000 {
		// Lua unpacks no more than about 8,000 values; the script does not, but a
		// call of that size blocks the server for tens of milliseconds.
		fault("rows_per_write", "between 1 and 3000", c.RowsPerWrite)
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		fault("tls", "given cert_file and key_file together", c.TLS.CertFile+c.TLS.KeyFile)
	}
	return errors.Join(errs...)
}
