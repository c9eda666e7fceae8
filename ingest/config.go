package ingest

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// Config holds the settings of the way in.
type Config struct {
	// FlushInterval is how often good rows are committed to the table.
	FlushInterval time.Duration `koanf:"flush_interval"`
	// FlushBytes commits earlier, once the sinks of one source hold this much.
	FlushBytes int64 `koanf:"flush_bytes"`
	// BatchRows and BatchBytes bound one batch; a batch is also cut when nothing more is waiting.
	BatchRows  int   `koanf:"batch_rows"`
	BatchBytes int64 `koanf:"batch_bytes"`
	// MemoryLimit bounds what one source holds in queues and sinks; above it
	// nothing more is fetched until a flush has freed some.
	MemoryLimit int64 `koanf:"memory_limit"`
	// MaxEventBytes is the largest payload that is decoded; larger ones go to quarantine.
	MaxEventBytes int `koanf:"max_event_bytes"`
	// RecreatedTopic and TruncatedTopic say what to do when the log is not the one
	// that the table was written from: "stop" that partition, or go on from what
	// is there ("start", "skip"), losing what the log no longer has.
	RecreatedTopic string `koanf:"recreated_topic"`
	TruncatedTopic string `koanf:"truncated_topic"`
	// CatchUp is how many events a view may be behind the others of its source
	// before it reads with a consumer of its own.
	CatchUp int64 `koanf:"catch_up"`
	// SessionTimeout is how long a worker that died without a word is waited for
	// before others take its partitions. The broker bounds it (6s to 30min unless
	// its group.min.session.timeout.ms and group.max.session.timeout.ms say otherwise).
	SessionTimeout time.Duration `koanf:"session_timeout"`
	// ImportFolders are the folders of this machine from which files may be brought
	// in by name (weir import --on-server), with all below them; none when empty.
	ImportFolders []string `koanf:"import_folders"`
}

// DefaultConfig is what holds where nothing is configured.
func DefaultConfig() Config {
	return Config{
		FlushInterval:  5 * time.Second,
		FlushBytes:     32 << 20,
		BatchRows:      8192,
		BatchBytes:     8 << 20,
		MemoryLimit:    128 << 20,
		MaxEventBytes:  1 << 20,
		RecreatedTopic: "stop",
		TruncatedTopic: "stop",
		CatchUp:        100_000,
		SessionTimeout: 15 * time.Second,
	}
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	var errs []error
	positive := func(field string, v int64) {
		if v <= 0 {
			errs = append(errs, fmt.Errorf("ingest.%s: must be above zero (got %d)", field, v))
		}
	}
	if c.FlushInterval <= 0 {
		errs = append(errs, fmt.Errorf("ingest.flush_interval: must be above zero (got %s)", c.FlushInterval))
	}
	if c.SessionTimeout < 100*time.Millisecond {
		errs = append(errs, fmt.Errorf("ingest.session_timeout: must be at least 100ms (got %s)", c.SessionTimeout))
	}
	positive("flush_bytes", c.FlushBytes)
	positive("batch_rows", int64(c.BatchRows))
	positive("batch_bytes", c.BatchBytes)
	positive("max_event_bytes", int64(c.MaxEventBytes))
	positive("catch_up", c.CatchUp)
	if c.MemoryLimit < c.FlushBytes {
		errs = append(errs, fmt.Errorf("ingest.memory_limit: must be at least flush_bytes, %d (got %d)", c.FlushBytes, c.MemoryLimit))
	}
	for _, f := range c.ImportFolders {
		if !filepath.IsAbs(f) {
			errs = append(errs, fmt.Errorf("ingest.import_folders: must be absolute paths (got %q)", f))
		}
	}
	if c.RecreatedTopic != "stop" && c.RecreatedTopic != "start" {
		errs = append(errs, fmt.Errorf("ingest.recreated_topic: must be stop or start (got %q)", c.RecreatedTopic))
	}
	if c.TruncatedTopic != "stop" && c.TruncatedTopic != "skip" {
		errs = append(errs, fmt.Errorf("ingest.truncated_topic: must be stop or skip (got %q)", c.TruncatedTopic))
	}
	return errors.Join(errs...)
}
