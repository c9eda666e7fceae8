package main

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDraws(t *testing.T) {
	d := draws{tests: map[string][]string{}}
	r := newReport(io.Discard, "m", false)
	r.ended = d.ended
	require.NoError(t, r.read(strings.NewReader(strings.Join([]string{
		`{"Action":"output","Package":"m/a","Test":"TestX/on disk","Output":"    seed.go:3: seed: WEIR_TEST_SEED=17\n"}`,
		`{"Action":"pass","Package":"m/a","Test":"TestX/on disk"}`,
		`{"Action":"pass","Package":"m/a","Test":"TestX"}`,
		`{"Action":"output","Package":"m/a","Test":"TestY/a.b_(c)","Output":"    seed.go:3: seed: WEIR_TEST_SEED=18\n"}`,
		`{"Action":"output","Package":"m/a","Test":"TestY/a.b_(c)","Output":"    seed.go:3: seed: WEIR_TEST_SEED=19\n"}`,
		`{"Action":"fail","Package":"m/a","Test":"TestY/a.b_(c)"}`,
		`{"Action":"fail","Package":"m/a","Test":"TestY"}`,
		`{"Action":"pass","Package":"m/a","Test":"TestPlain"}`,
		`{"Action":"output","Package":"m/a","Test":"TestZ","Output":"    seed.go:3: seed: WEIR_TEST_SEED=20\n"}`,
		`{"Action":"fail","Package":"m/a"}`, // the process died
	}, "\n"))))
	require.Equal(t, map[string][]string{"m/a": {"TestX", "TestY", "TestZ"}}, d.tests)
	require.Equal(t, []string{
		`WEIR_TEST_SEED=19 go test m/a -count=1 -run '^TestY$/^a\.b_\(c\)$'`,
		`WEIR_TEST_SEED=20 go test m/a -count=1 -run '^TestZ$'`,
	}, d.again)
}

// TestSeeded: a package counts whose tests draw seeds, also by a suite of another package.
func TestSeeded(t *testing.T) {
	const m = "github.com/weir-ml/weir/"
	got, err := seeded(t.Context(), nil, []string{m + "internal/window", m + "internal/secret", m + "registry/memory"})
	require.NoError(t, err)
	require.Equal(t, []string{m + "internal/window", m + "registry/memory"}, got)
}
