package offline_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

func TestParseVersion(t *testing.T) {
	noon := time.Date(2026, 1, 5, 12, 0, 0, 500_000_000, time.UTC).UnixMicro()
	for text, want := range map[string]offline.Version{
		"":                            {},
		"newest":                      {},
		"42":                          {Snapshot: 42},
		"7236524938204593021":         {Snapshot: 7236524938204593021},
		"2026-01-05T12:00:00.5Z":      {At: noon},
		"2026-01-05T14:00:00.5+02:00": {At: noon},
		"2026-01-05":                  {At: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC).UnixMicro()},
		"1970-01-01":                  {At: 1},
		"training_1":                  {Tag: "training_1"},
		"2026-01":                     {Tag: "2026-01"},
		"2026-01-05-release":          {Tag: "2026-01-05-release"},
		"-5":                          {Tag: "-5"},
	} {
		got, err := offline.ParseVersion(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
		again, err := offline.ParseVersion(got.String())
		require.NoError(t, err, text)
		require.Equal(t, got, again, "%s is written as %s", text, got)
	}
	for _, text := range []string{"0", "00", "99999999999999999999", "1969-12-31", "0001-01-01T00:00:00Z",
		"2026-13-45", "2026-01-05T12:00", "2026-01-05 12:00:00Z"} {
		_, err := offline.ParseVersion(text)
		require.Equal(t, feature.Invalid, feature.KindOf(err), text)
	}
}
