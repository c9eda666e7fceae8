package testseed_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
)

// told is a test of that name, and what it prints.
type told struct {
	testing.TB
	name   string
	failed bool
	lines  []string
}

func (t *told) Helper()      {}
func (t *told) Name() string { return t.name }
func (t *told) Failed() bool { return t.failed }

func (t *told) Logf(format string, args ...any) {
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
}

func (t *told) Fatalf(format string, args ...any) {
	t.failed = true
	panic(fmt.Sprintf(format, args...))
}

func TestFor(t *testing.T) {
	t.Setenv("WEIR_TEST_SEED", "")
	one := &told{name: "TestOne/memory"}
	require.Equal(t, uint64(0xa754af53525a0fc4), testseed.For(one), "the cases of every random test have changed")
	require.Equal(t, testseed.For(one), testseed.For(&told{name: one.name}))
	require.NotEqual(t, testseed.For(one), testseed.For(&told{name: "TestOne/redis"}))
	require.Equal(t, uint64(1), testseed.Or(one, 1))

	t.Setenv("WEIR_TEST_SEED", "new")
	drawn := testseed.For(one)
	require.NotEqual(t, drawn, testseed.For(one))
	require.Contains(t, one.lines, fmt.Sprintf("seed: WEIR_TEST_SEED=%d", drawn))
	require.NotEqual(t, testseed.Or(one, 1), testseed.Or(one, 1))

	t.Setenv("WEIR_TEST_SEED", "18446744073709551615")
	require.Equal(t, uint64(18446744073709551615), testseed.For(one))
	require.Equal(t, uint64(18446744073709551615), testseed.Or(one, 1))

	t.Setenv("WEIR_TEST_SEED", "-1")
	require.PanicsWithValue(t, `WEIR_TEST_SEED=-1 is neither a number nor "new"`, func() { testseed.For(one) })
}

func TestEach(t *testing.T) {
	t.Setenv("WEIR_TEST_SEED", "")
	one := &told{name: "TestOne"}
	all := slices.Collect(testseed.Each(one, 3))
	first := testseed.For(one)
	require.Equal(t, []uint64{first, first + 1, first + 2}, all)
	one.lines = nil

	// A case that fails, and one that ends the test with it.
	for s := range testseed.Each(one, 3) {
		one.failed = s == first+1
		require.Less(t, s, first+2, "a case after one that failed")
	}
	require.Equal(t, fmt.Sprintf("seed: WEIR_TEST_SEED=%d", first+1), one.lines[1])
	ended := &told{name: "TestOne"}
	require.Panics(t, func() {
		for s := range testseed.Each(ended, 3) {
			if s == first+2 {
				ended.Fatalf("wrong")
			}
		}
	})
	require.Equal(t, fmt.Sprintf("seed: WEIR_TEST_SEED=%d", first+2), ended.lines[1])

	t.Setenv("WEIR_TEST_SEED", "17")
	require.Equal(t, []uint64{17}, slices.Collect(testseed.Each(&told{}, 3)))
}
