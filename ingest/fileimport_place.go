package ingest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry/feature"
)

// ImportFile is a file that a place has.
type ImportFile struct {
	Name    string // below the place, with slashes
	Size    int64
	Version string // changes with the content
}

func (f ImportFile) stamp() string { return fmt.Sprintf("%d/%s", f.Size, f.Version) }

// ImportPlace is where files are that the server reads itself: a folder, or a bucket below a prefix.
type ImportPlace interface {
	// Files calls f for each file, in the order of their names.
	Files(ctx context.Context, f func(ImportFile) error) error
	// Read reads a file from its beginning to its end, and which version that is.
	Read(ctx context.Context, name string) (io.ReadCloser, ImportFile, error)
	// Path is the file on this machine; empty where it is elsewhere.
	Path(name string) string
}

// Folder is a folder of this machine as a place; of a path that is a file, that file alone.
func Folder(root string) ImportPlace { return folder(root) }

type folder string

func (d folder) Path(name string) string { return filepath.Join(string(d), filepath.FromSlash(name)) }

func (d folder) Files(ctx context.Context, f func(ImportFile) error) error {
	st, err := os.Stat(string(d))
	if err != nil {
		return feature.Errorf(feature.NotFound, "ingest.import", string(d), "%w", err)
	}
	if !st.IsDir() {
		return f(fileOf("", st))
	}
	return filepath.WalkDir(string(d), func(p string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone since
		}
		if err != nil {
			return feature.Errorf(feature.Invalid, "ingest.import", p, "%w", err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !e.Type().IsRegular() {
			return nil
		}
		st, err := e.Info()
		if err != nil {
			return nil // gone since
		}
		rel, err := filepath.Rel(string(d), p)
		if err != nil {
			return err
		}
		return f(fileOf(filepath.ToSlash(rel), st))
	})
}

func fileOf(name string, st fs.FileInfo) ImportFile {
	return ImportFile{Name: name, Size: st.Size(), Version: fmt.Sprint(st.ModTime().UnixNano())}
}

func (d folder) Read(_ context.Context, name string) (io.ReadCloser, ImportFile, error) {
	f, err := os.Open(d.Path(name))
	if err != nil {
		return nil, ImportFile{}, feature.Errorf(feature.NotFound, "ingest.import", d.Path(name), "%w", err)
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, ImportFile{}, feature.Errorf(feature.Invalid, "ingest.import", d.Path(name), "%w", err)
	}
	return f, fileOf(name, st), nil
}

// unchanged reports an error once a file of this machine is not what it was.
func unchanged(path string, was ImportFile) func() error {
	return func() error {
		st, err := os.Stat(path)
		if err != nil || fileOf(was.Name, st) != was {
			return feature.Errorf(feature.Conflict, "ingest.import", path, "the file changed while it was read; what was committed of it stays").
				WithHint("import it again once nobody writes to it: it is another content then")
		}
		return nil
	}
}

// Selection says which files of a place are wanted.
type Selection struct {
	Glob       string // of the name without folders; all when empty
	Any        bool   // also files whose names tell no format
	DoneSuffix string // a file counts once one of its name and this suffix is there
}

// Select lists the wanted files in the order of their names. Files that other
// programs keep beside their data (hidden ones, markers, what is not finished) are
// passed over, and so is, where no format is given, what no format goes by the name of.
func (s Selection) Select(ctx context.Context, p ImportPlace) ([]ImportFile, error) {
	if _, err := path.Match(s.Glob, ""); err != nil {
		return nil, feature.Errorf(feature.Invalid, "ingest.import", s.Glob, "not a pattern: %w", err).WithHint("* and ? stand for any characters and one; [a-z] for a range")
	}
	var all []ImportFile
	names := map[string]bool{}
	err := p.Files(ctx, func(f ImportFile) error {
		names[f.Name] = true
		if s.wants(f.Name) {
			all = append(all, f)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if s.DoneSuffix != "" {
		all = slices.DeleteFunc(all, func(f ImportFile) bool { return !names[f.Name+s.DoneSuffix] })
	}
	slices.SortFunc(all, func(a, b ImportFile) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

func (s Selection) wants(name string) bool {
	if name == "" { // the place is this file
		return true
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part[0] == '.' || part[0] == '_' {
			return false
		}
	}
	base := path.Base(name)
	for _, end := range []string{".tmp", ".temp", ".part", ".partial", ".inprogress", ".crc", "~"} {
		if strings.HasSuffix(base, end) {
			return false
		}
	}
	if s.DoneSuffix != "" && strings.HasSuffix(base, s.DoneSuffix) {
		return false
	}
	if s.Glob != "" {
		ok, _ := path.Match(s.Glob, base)
		return ok
	}
	if s.Any {
		return true
	}
	_, err := tabular.FormatOf(base)
	return err == nil
}

// spool copies a file to this machine: an object of a bucket is fetched once, and
// what is imported is what was hashed, whatever becomes of the object meanwhile.
func spool(ctx context.Context, p ImportPlace, f ImportFile, called, dir string) (at string, err error) {
	in, got, err := p.Read(ctx, f.Name)
	if err != nil {
		return "", err
	}
	defer in.Close()
	if got != f {
		return "", feature.Errorf(feature.Conflict, "ingest.import", f.Name, "the file was replaced after it was listed").WithHint("import it again")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", feature.Errorf(feature.Internal, "ingest.import", dir, "%w", err)
	}
	out, err := os.CreateTemp(dir, SpoolPrefix+"*"+SpoolSuffix(called))
	if err != nil {
		return "", feature.Errorf(feature.Internal, "ingest.import", dir, "%w", err)
	}
	defer func() {
		if cerr := out.Close(); err == nil && cerr != nil {
			err = feature.Errorf(feature.Exhausted, "ingest.import", dir, "%w", cerr)
		}
		if err != nil {
			os.Remove(out.Name())
		}
	}()
	n, err := io.Copy(out, alive{ctx, in})
	if err != nil {
		var fe *feature.Error
		if errors.As(err, &fe) {
			return "", err
		}
		return "", feature.Errorf(feature.Unavailable, "ingest.import", f.Name, "%w", err)
	}
	if n != f.Size {
		return "", feature.Errorf(feature.Conflict, "ingest.import", f.Name, "%d bytes of %d: the file changed while it was read", n, f.Size).WithHint("import it again")
	}
	return out.Name(), nil
}

// SpoolPrefix begins the names of files that are on their way in.
const SpoolPrefix = "import-"

// SpoolSuffix is what the name of a copy must end in, for the ending tells how
// its content is written: .csv.gz.
func SpoolSuffix(name string) string {
	end := filepath.Ext(name)
	if e := strings.ToLower(end); e == ".gz" || e == ".zst" {
		end = filepath.Ext(strings.TrimSuffix(name, end)) + end
	}
	for _, c := range end {
		if c != '.' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return ""
		}
	}
	if len(end) > 24 {
		return ""
	}
	return end
}

// alive ends a copy with its context.
type alive struct {
	ctx context.Context
	r   io.Reader
}

func (a alive) Read(b []byte) (int, error) {
	if a.ctx.Err() != nil {
		return 0, a.ctx.Err()
	}
	return a.r.Read(b)
}

// contentID is a file's identity: the first half of its SHA-256.
func contentID(h hash.Hash) (id [sha256.Size / 2]byte) {
	copy(id[:], h.Sum(nil))
	return id
}
