package manifest_test

import (
	"flag"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/manifest"
)

var rewrite = flag.Bool("rewrite", false, "write what the tests got into testdata")

// TestFaults runs testdata/faults/*.txt: the .yaml files of the archive are
// parsed, the others can be named by them, and "faults" is what is reported;
// "definitions", where it is there, is what was read in spite of them.
func TestFaults(t *testing.T) {
	scripts, err := filepath.Glob("testdata/faults/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, scripts)
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txt"), func(t *testing.T) {
			ar, err := txtar.ParseFile(script)
			require.NoError(t, err)
			all := map[string][]byte{}
			for _, f := range ar.Files {
				all[f.Name] = f.Data
			}
			var in []manifest.File
			for _, f := range ar.Files {
				if path.Ext(f.Name) == ".yaml" {
					dir := path.Dir(f.Name)
					in = append(in, manifest.File{Name: f.Name, Data: f.Data, Open: func(name string) ([]byte, error) {
						if b, ok := all[path.Join(dir, name)]; ok {
							return b, nil
						}
						return nil, fs.ErrNotExist
					}})
				}
			}
			docs, faults := manifest.Parse(in)
			got := map[string]string{}
			for _, f := range faults {
				got["faults"] += f.Error() + "\n"
				require.NotEmpty(t, f.File)
				require.NotZero(t, f.Line, f.Error())
				require.NotZero(t, f.Column, f.Error())
			}
			for _, d := range docs {
				b, err := registry.Encode(d.Definition)
				require.NoError(t, err)
				got["definitions"] += string(d.Definition.Kind()) + " " + string(b) + "\n"
			}
			if *rewrite {
				for i := range ar.Files {
					if s, ok := got[ar.Files[i].Name]; ok || ar.Files[i].Name == "faults" {
						ar.Files[i].Data = []byte(s)
					}
				}
				require.NoError(t, os.WriteFile(script, txtar.Format(ar), 0o644))
				return
			}
			for _, f := range ar.Files {
				if f.Name == "faults" || f.Name == "definitions" {
					require.Equal(t, string(f.Data), got[f.Name], "run with -rewrite to accept")
				}
			}
		})
	}
}
