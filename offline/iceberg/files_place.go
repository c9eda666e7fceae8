package iceberg

import (
	"context"
	"io"
	"time"

	"github.com/weir-ml/weir/offline"
)

// place is where a warehouse lies: a local folder or a bucket. Names are URIs, as they stand in metadata
// (file:///tables/p/v-1a2b3c4d/data/x.parquet, s3://bucket/tables/p/...); a folder is a URI without a slash at
// its end. No name is ever used twice.
//
// Errors are what the place says; those of files that are not there have fs.ErrNotExist in their chain.
type place interface {
	// root is the URI of the warehouse.
	root() string
	// join is the name of a file below a folder; rel has plain slashes.
	join(folder, rel string) string
	// key makes names comparable: all spellings of one file's name have the same key.
	key(name string) string
	// read returns a whole file.
	read(ctx context.Context, name string) ([]byte, error)
	// open opens a file to be read here and there, in parallel; ctx is that of its reads.
	open(ctx context.Context, name string) (offline.FileReader, error)
	// create starts a file that must not exist.
	create(ctx context.Context, name string) (newFile, error)
	// put writes a whole file that must not exist: durable when it returns, like the
	// names of all files of its folder that were closed before.
	put(ctx context.Context, name string, content []byte) error
	// settle makes the names of the files of a folder durable that were closed before.
	settle(ctx context.Context, folder string) error
	// list calls f for every file below a folder, at any depth, in no order that
	// counts; a folder that is not there has none. It ends at the first error of f, with it.
	list(ctx context.Context, folder string, f func(fileInfo) error) error
	// remove removes files; those that are not there are no error. It goes on after
	// a fault and returns them joined.
	remove(ctx context.Context, names []string) error
	// abandoned throws away what writers that have died left half written, begun
	// before a time, where list does not show it; it returns how many.
	abandoned(ctx context.Context, folder string, before time.Time) (int, error)
	// lockPath is the file of a table's lock among processes; "" where there is none.
	lockPath(location string) string
	// drop removes a folder with all that is below it.
	drop(ctx context.Context, folder string) error
}

// fileInfo is what list tells of a file. Its name is a URI; compare it by place.key, for
// another engine may have spelt it differently in metadata.
type fileInfo struct {
	name     string
	size     int64
	modified int64 // microseconds UTC, by the clock of the place; a file that is still being written may be absent or short
}

// newFile is a file being written. Nobody sees it whole, and on a bucket nobody sees it at all, before Close
// returns nil; after an error it is gone, or nothing that anybody names.
type newFile interface {
	io.Writer
	io.Closer
	// drop throws away what was written; no effect after Close.
	drop()
}
