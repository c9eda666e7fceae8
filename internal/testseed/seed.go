// Package testseed gives random tests their seeds, so that a change is judged by the same cases each time: the seed
// of a test belongs to its name. New cases are for `make soak`, which runs the same tests elsewhere and for longer.
//
// What has to be unlike anything else that lives (topics, databases, the ids of commits) is no case; it stays random.
package testseed

import (
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

const variable = "WEIR_TEST_SEED"

// For gives the seed of a random test and prints it as "seed: WEIR_TEST_SEED=N". N is WEIR_TEST_SEED where that is a
// number, a new one each time where it is "new", else one that belongs to the test's name and never changes.
func For(t testing.TB) uint64 {
	t.Helper()
	return Or(t, named(t))
}

// Or is For with a seed that the test has long had in place of its name's.
func Or(t testing.TB, fixed uint64) uint64 {
	t.Helper()
	seed, _ := choose(t, fixed)
	say(t, seed)
	return seed
}

// Each gives the seeds of a test that tries so many cases, each with a seed of its own: the first as For chooses it,
// and those that follow it. Where WEIR_TEST_SEED is a number there is this one case. A case that fails
// is the last one; its seed is printed as For prints it.
func Each(t testing.TB, cases int) iter.Seq[uint64] {
	t.Helper()
	first, one := choose(t, named(t))
	if one {
		cases = 1
	}
	return func(yield func(uint64) bool) {
		t.Helper()
		t.Logf("%d cases from seed %d on", cases, first)
		before, seed := t.Failed(), first
		defer func() { // also when the body ends the test
			if t.Failed() && !before {
				say(t, seed)
			}
		}()
		for i := range cases {
			seed = first + uint64(i)
			if !yield(seed) || t.Failed() && !before {
				return
			}
		}
	}
}

// named is the seed that belongs to the test's name.
func named(t testing.TB) uint64 {
	sum := sha256.Sum256([]byte(t.Name()))
	return binary.BigEndian.Uint64(sum[:])
}

// choose says also whether the environment asks for this one seed.
func choose(t testing.TB, fixed uint64) (seed uint64, one bool) {
	t.Helper()
	switch s := os.Getenv(variable); s {
	case "":
		return fixed, false
	case "new":
		return rand.Uint64(), false
	default:
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf(`%s=%s is neither a number nor "new"`, variable, s)
		}
		return n, true
	}
}

func say(t testing.TB, seed uint64) {
	t.Helper()
	t.Logf("seed: %s=%d", variable, seed)
}
