package manifest

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// File is a manifest: one or more YAML documents.
type File struct {
	Name string // as faults name it
	Data []byte
	// Open reads a file that the manifest names (schema_file, file), relative to
	// it. Nil refuses such names: then the manifest did not come from a folder.
	Open func(name string) ([]byte, error)
}

// Load reads manifests from files and folders (all *.yaml and *.yml below them,
// in order of their names; names that start with a dot are left out).
func Load(paths ...string) ([]File, error) {
	var out []File
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, unreadable(p, err)
		}
		if !info.IsDir() {
			f, err := read(p)
			if err != nil {
				return nil, err
			}
			out = append(out, f)
			continue
		}
		n := len(out)
		err = filepath.WalkDir(p, func(name string, e fs.DirEntry, err error) error {
			if err != nil {
				return unreadable(name, err)
			}
			if strings.HasPrefix(e.Name(), ".") && name != p {
				if e.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			if ext := filepath.Ext(name); e.IsDir() || ext != ".yaml" && ext != ".yml" {
				return nil
			}
			f, err := read(name)
			out = append(out, f)
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(out) == n {
			return nil, feature.Errorf(feature.Invalid, "manifest.load", p, "the folder has no .yaml or .yml file").
				WithHint("name the folder that holds the definitions")
		}
	}
	return slices.Clip(out), nil
}

func read(name string) (File, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return File{}, unreadable(name, err)
	}
	dir := filepath.Dir(name)
	return File{Name: name, Data: data, Open: func(ref string) ([]byte, error) {
		if !filepath.IsAbs(ref) {
			ref = filepath.Join(dir, filepath.FromSlash(ref))
		}
		return os.ReadFile(ref)
	}}, nil
}

func unreadable(name string, err error) error {
	return feature.Errorf(feature.Invalid, "manifest.load", name, "%w", err)
}
