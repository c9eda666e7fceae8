package serving

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// Config holds the settings of the gRPC server, and of calls over HTTP.
type Config struct {
	Addr string `koanf:"addr"` // host:port; port 0 takes any free one
	// MaxRows and MaxValues bound one lookup: rows, and rows times features.
	MaxRows   int `koanf:"max_rows"`
	MaxValues int `koanf:"max_values"`
	// MaxStreamRows bounds the rows of one LookupStream, which answers in parts of the size above.
	MaxStreamRows int `koanf:"max_stream_rows"`
	// MaxMessage is the largest message taken or sent, in bytes. pyarrow sends a table in
	// one message unless it is told otherwise: 256 MiB are some ten million rows of a spine.
	MaxMessage int `koanf:"max_message"`
	// MaxBody is the largest request taken over HTTP, in bytes.
	MaxBody int `koanf:"max_body"`
	// MaxBodies is how large the requests under way over HTTP may be together, in bytes; what
	// comes on top is turned away. One takes up to some twenty times its size while it is read.
	MaxBodies int `koanf:"max_bodies"`
	// MaxConnectionAge makes clients connect again, so that load balancers see new
	// servers. ConnectionGrace is how long their calls under way may go on; 0 lets
	// them end by themselves, as imports and snapshots need, which may take hours.
	MaxConnectionAge time.Duration `koanf:"max_connection_age"`
	ConnectionGrace  time.Duration `koanf:"connection_grace"`
	// IdleTimeout is how long a streaming call waits for its client to send or take something.
	IdleTimeout time.Duration `koanf:"idle_timeout"`
	// StopDelay is how long a stop, not ready any more, goes on as before, so that load
	// balancers notice; Drain is how long it then waits for calls under way.
	StopDelay time.Duration `koanf:"stop_delay"`
	Drain     time.Duration `koanf:"drain"`
	Log       LogConfig     `koanf:"log"`
}

// DefaultConfig is what holds where nothing is configured.
func DefaultConfig() Config {
	return Config{Addr: "127.0.0.1:6567", MaxRows: 10_000, MaxValues: 1_000_000, MaxStreamRows: 10_000_000,
		MaxMessage: 256 << 20, MaxBody: 16 << 20, MaxBodies: 64 << 20,
		MaxConnectionAge: 30 * time.Minute, IdleTimeout: 15 * time.Minute, Drain: 10 * time.Second,
		Log: LogConfig{Buffer: 1_000_000}}
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	var errs []error
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		errs = append(errs, fmt.Errorf("serving.addr: must be host:port (got %q)", c.Addr))
	}
	for _, x := range []struct {
		field string
		v     int
	}{{"max_rows", c.MaxRows}, {"max_values", c.MaxValues}, {"max_stream_rows", c.MaxStreamRows}, {"max_message", c.MaxMessage}, {"max_body", c.MaxBody}, {"max_bodies", c.MaxBodies}} {
		if x.v < 1 {
			errs = append(errs, fmt.Errorf("serving.%s: must be above zero (got %d)", x.field, x.v))
		}
	}
	if c.MaxBodies < c.MaxBody {
		errs = append(errs, fmt.Errorf("serving.max_bodies: must be at least serving.max_body, %d (got %d)", c.MaxBody, c.MaxBodies))
	}
	for _, x := range []struct {
		field string
		v     time.Duration
	}{{"max_connection_age", c.MaxConnectionAge}, {"idle_timeout", c.IdleTimeout}, {"drain", c.Drain}} {
		if x.v <= 0 {
			errs = append(errs, fmt.Errorf("serving.%s: must be above zero (got %s)", x.field, x.v))
		}
	}
	if c.StopDelay < 0 {
		errs = append(errs, fmt.Errorf("serving.stop_delay: must not be negative (got %s)", c.StopDelay))
	}
	if c.ConnectionGrace < 0 {
		errs = append(errs, fmt.Errorf("serving.connection_grace: must not be negative (got %s)", c.ConnectionGrace))
	}
	return errors.Join(append(errs, c.Log.validate()...)...)
}
