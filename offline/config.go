package offline

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
)

// Config holds the settings of the offline side.
type Config struct {
	// Catalog is the database of the table catalog: sqlite:/path/tables.db or
	// postgres://...; empty lets the program put a SQLite file into its data folder.
	Catalog string `koanf:"catalog"`
	// Warehouse is the folder of the table files, or s3://bucket/prefix (reached
	// by the settings under s3); empty as above.
	Warehouse string `koanf:"warehouse"`
	// Writers is how many data files of a flush are sorted and written at once.
	Writers int `koanf:"writers"`
	// Compression of data files: zstd, snappy or none.
	Compression string `koanf:"compression"`
	// RowGroupRows is the most rows a row group of a data file has.
	RowGroupRows int `koanf:"row_group_rows"`
	// PageBytes is the size of a page, uncompressed.
	PageBytes int `koanf:"page_bytes"`
	// Upkeep says how the tables are kept small.
	Upkeep UpkeepConfig `koanf:"upkeep"`
	// Compact says which files are merged, and what that may take.
	Compact CompactConfig `koanf:"compact"`
	// Join says what training sets may take.
	Join JoinConfig `koanf:"join"`
}

var compressions = []string{"zstd", "snappy", "none"}

// DefaultConfig is what works without any setting.
func DefaultConfig() Config {
	return Config{
		Writers:      min(4, runtime.GOMAXPROCS(0)),
		Compression:  "zstd",
		RowGroupRows: 1 << 18,
		PageBytes:    64 << 10,
		Upkeep:       DefaultUpkeepConfig(),
		Compact:      DefaultCompactConfig(),
		Join:         DefaultJoinConfig(),
	}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var errs []error
	if c.Writers < 1 || c.Writers > 64 {
		errs = append(errs, fmt.Errorf("offline.writers: must be from 1 to 64 (got %d)", c.Writers))
	}
	if !slices.Contains(compressions, c.Compression) {
		errs = append(errs, fmt.Errorf("offline.compression: must be one of %v (got %q)", compressions, c.Compression))
	}
	if c.RowGroupRows < 1024 || c.RowGroupRows > 1<<24 {
		errs = append(errs, fmt.Errorf("offline.row_group_rows: must be from 1024 to %d (got %d)", 1<<24, c.RowGroupRows))
	}
	if c.PageBytes < 4<<10 || c.PageBytes > 16<<20 {
		errs = append(errs, fmt.Errorf("offline.page_bytes: must be from %d to %d (got %d)", 4<<10, 16<<20, c.PageBytes))
	}
	return errors.Join(append(errs, c.Upkeep.Validate(), c.Compact.Validate(), c.Join.Validate())...)
}
