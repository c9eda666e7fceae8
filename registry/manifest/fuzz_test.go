package manifest_test

import (
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/manifest"
)

// FuzzParse: whatever somebody wrote, Parse answers; and what it takes without
// a fault is the same definition after Marshal and Parse.
func FuzzParse(f *testing.F) {
	f.Add([]byte(everything), []byte(`{"expectations":[{"type":"x","kwargs":{"a":[1,{"b":null}]}}]}`))
	scripts, err := filepath.Glob("testdata/faults/*.txt")
	require.NoError(f, err)
	for _, s := range scripts {
		ar, err := txtar.ParseFile(s)
		require.NoError(f, err)
		for _, x := range ar.Files {
			f.Add(x.Data, []byte(`{}`))
			f.Add(ar.Files[0].Data, x.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data, other []byte) {
		open := func(name string) ([]byte, error) {
			if len(name) > 100 {
				return nil, fs.ErrNotExist
			}
			return other, nil
		}
		docs, faults := manifest.Parse([]manifest.File{{Name: "fuzz.yaml", Data: data, Open: open}})
		for _, x := range faults {
			require.NotEmpty(t, x.Msg)
			require.Positive(t, x.Line, x.Error())
		}
		if len(faults) > 0 || len(docs) == 0 {
			return
		}
		out, err := manifest.Marshal(docs.Definitions()...)
		require.NoError(t, err)
		again, faults := manifest.Parse([]manifest.File{{Name: "again.yaml", Data: out}})
		require.Empty(t, faults, "%s", out)
		require.Len(t, again, len(docs))
		for i := range docs {
			a, err := registry.Encode(docs[i].Definition)
			require.NoError(t, err)
			b, err := registry.Encode(again[i].Definition)
			require.NoError(t, err)
			require.Equal(t, string(a), string(b), "%s", out)
		}
	})
}
