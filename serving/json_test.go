package serving

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "a", "\"\\\n\r\t\x00\x1f\x7f", "äöü€😀", "\xff", "a\xc3", "\xe2\x82", "😀\xf0\x9f\x98", "\ufffd", "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got, want string
		require.NoError(t, json.Unmarshal(appendText(nil, s), &got), "%q", s)
		oracle, err := json.Marshal(s)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(oracle, &want))
		require.Equal(t, want, got)
		require.Equal(t, appendText(nil, s), appendText(nil, []byte(s)))
	})
}
