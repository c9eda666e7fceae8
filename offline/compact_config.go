package offline

import (
	"errors"
	"fmt"
)

// CompactConfig says when data files are merged, and what merging may take.
type CompactConfig struct {
	// MinFiles is how many small files of one day are merged at least; fewer are
	// left alone. A larger number makes for less writing and for more files.
	MinFiles int `koanf:"min_files"`
	// FileBytes is how large files are made; one of half that size is never merged
	// again. What fits into half of Memory compresses to more than that for most
	// views; where it does not, files are merged once more than need be.
	FileBytes int64 `koanf:"file_bytes"`
	// FileRows is as FileBytes, in rows.
	FileRows int64 `koanf:"file_rows"`
	// MaxFiles is how many files are merged into one at most.
	MaxFiles int `koanf:"max_files"`
	// Memory is about what merging takes in all, in bytes.
	Memory int64 `koanf:"memory"`
	// Merges is how many merges of one table run at once; they share Memory.
	Merges int `koanf:"merges"`
}

// DefaultCompactConfig is what works without any setting.
func DefaultCompactConfig() CompactConfig {
	return CompactConfig{MinFiles: 5, FileBytes: 64 << 20, FileRows: 4 << 20, MaxFiles: 500, Memory: 256 << 20, Merges: 1}
}

// Validate reports all faults at once.
func (c CompactConfig) Validate() error {
	var errs []error
	fault := func(bad bool, field, must string, got any) {
		if bad {
			errs = append(errs, fmt.Errorf("offline.compact.%s: must be %s (got %v)", field, must, got))
		}
	}
	fault(c.MinFiles < 2 || c.MinFiles > 100, "min_files", "from 2 to 100", c.MinFiles)
	fault(c.FileBytes < 1<<20 || c.FileBytes > 4<<30, "file_bytes", fmt.Sprintf("from %d to %d", 1<<20, int64(4<<30)), c.FileBytes)
	fault(c.FileRows < 1<<10 || c.FileRows > 1<<30, "file_rows", fmt.Sprintf("from %d to %d", 1<<10, 1<<30), c.FileRows)
	fault(c.MaxFiles < c.MinFiles || c.MaxFiles > 10_000, "max_files", "from min_files to 10000", c.MaxFiles)
	fault(c.Memory < 16<<20, "memory", fmt.Sprintf("at least %d", 16<<20), c.Memory)
	fault(c.Merges < 1 || c.Merges > 8, "merges", "from 1 to 8", c.Merges)
	return errors.Join(errs...)
}
