package secret_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/registry/feature"
)

func TestRef(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte("one\n"), 0o600))
	t.Setenv("WEIR_TEST_KEY", "two")

	for ref, want := range map[secret.Ref]string{"": "", "env:WEIR_TEST_KEY": "two", secret.Ref("file:" + file): "one"} {
		require.NoError(t, ref.Check())
		got, err := ref.Read()
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	require.Error(t, secret.Ref("env:").Check())
	require.Error(t, secret.Ref("file:").Check())
	require.NoError(t, os.WriteFile(file, []byte("new"), 0o600))
	got, err := secret.Ref("file:" + file).Read()
	require.NoError(t, err)
	require.Equal(t, "new", string(got), "read anew each time")

	for _, bad := range []secret.Ref{"hunter2", "vault:x"} {
		require.Error(t, bad.Check())
		require.NotContains(t, bad.Check().Error(), string(bad), "it may be the secret itself")
		_, err := bad.Read()
		require.Equal(t, feature.Invalid, feature.KindOf(err))
	}
	for _, absent := range []secret.Ref{"env:WEIR_TEST_NO_SUCH", secret.Ref("file:" + file + "x")} {
		_, err := absent.Read()
		require.Equal(t, feature.Unavailable, feature.KindOf(err))
	}
}
