package main

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest/decode"
	"github.com/weir-ml/weir/ingest/decode/decodetest"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/manifest"
	"github.com/weir-ml/weir/validate/expect"
)

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		value, target float64
		atLeast       bool
		want          string
	}{
		{1, 0, false, ""}, {1, 2, false, met}, {2, 2, false, met}, {2.1, 2, false, missed},
		{5, 4, true, met}, {4, 4, true, met}, {3.9, 4, true, missed},
	} {
		l := Line{Value: c.value, Target: c.target, AtLeast: c.atLeast}
		l.judge()
		require.Equal(t, c.want, l.Verdict, c)
	}
}

func TestNumbersAsPeopleReadThem(t *testing.T) {
	for want, v := range map[string]float64{"0.27": 0.271, "2": 2, "3.1": 3.1, "14.3": 14.34, "371": 370.6, "1,362,743": 1362742.9, "0": 0} {
		require.Equal(t, want, number(v))
	}
	require.Equal(t, []string{"734 ns", "19.0 µs", "8.6 ms", "2.14 s"}, []string{duration(734e-9), duration(19e-6), duration(8.6e-3), duration(2.14)})
}

func TestTheTableShowsWhatWasMissed(t *testing.T) {
	l := Line{What: "a thing", Value: 3, Unit: "s", Target: 2, CPU: 1, CPUUnit: "start", Profile: []string{"here"}}
	l.judge()
	for _, out := range []string{tableText(Machine{CPU: "a CPU"}, []Line{l}), markdown(Machine{CPU: "a CPU"}, []Line{l})} {
		for _, want := range []string{"a CPU", "a thing", "3 s", "at most 2", missed, "1.00 s a start", "here"} {
			require.Contains(t, out, want)
		}
	}
}

// The events must pass every rule, or the rates would be those of quarantine.
func TestTheTenRulesHold(t *testing.T) {
	require.Len(t, tenRules, 10)
	s, err := tenSuite()
	require.NoError(t, err)
	view := decodetest.View()
	suite, faults := expect.Compile(s, view.Schema())
	require.Empty(t, faults)
	dec, err := decode.New(decodetest.Source(), []*feature.View{view}, decode.Options{})
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(1, 2))
	events := make([][]byte, 2000)
	for i := range events {
		events[i] = decodetest.Event(i, rng)
	}
	require.NoError(t, decodeAll(dec, suite, events, 20_000))
	require.NoError(t, decodeGeneric(events, 500))
}

func TestManifestsAreRight(t *testing.T) {
	payments, err := paymentsManifests("payments", "payment", true)
	require.NoError(t, err)
	for _, text := range []string{payments, manifestOf(statsView())} {
		_, faults := manifest.Parse([]manifest.File{{Name: "bench.yaml", Data: []byte(text)}})
		require.Empty(t, faults, strings.TrimSpace(text))
	}
}

func TestCPUOfAProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("SKIP(proc absent): this system does not tell the CPU time of other processes")
	}
	for from := ownCPU(); ownCPU() < from+0.1; { // use some
	}
	own, seen := ownCPU(), cpuOf(os.Getpid())
	require.InDelta(t, own, seen, 0.05)
	require.Zero(t, cpuOf(-1))
}

func TestAnEventOfACustomer(t *testing.T) {
	e := decodetest.Event(7, rand.New(rand.NewPCG(1, 2)))
	n := len(e)
	e = ofCustomer(e, 123456)
	require.Len(t, e, n)
	require.Contains(t, string(e), `"event_id":1000000007,"customer_id":"c123456","ts":"`)
	require.Equal(t, byte('}'), e[n-1])
}
