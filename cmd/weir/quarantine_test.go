package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// strictManifest holds back whoever is above 50, by a suite that can be mended.
const strictManifest = `
apiVersion: weir/v1
kind: ExpectationSuite
metadata: {name: ages, project: %[1]s}
spec:
  expectations:
    - {type: expect_column_values_to_be_between, kwargs: {column: age, max_value: %[2]d}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: people, project: %[1]s}
spec:
  source: people
  entities: [person]
  suite: ages
  features: [{name: age, type: int64}, {name: score, type: float64}]
`

type replayed struct {
	Replayed  int64            `json:"replayed"`
	Held      int64            `json:"held"`
	Undecided int64            `json:"undecided"`
	Rules     map[string]int64 `json:"rules"`
	Known     string           `json:"known_time"`
}

type listing struct {
	Total  int64            `json:"total"`
	Rules  map[string]int64 `json:"rules"`
	States map[string]int64 `json:"states"`
}

// TestReplayKilled: a suite was too strict. It is mended, what it held back is
// replayed while Weir is killed with SIGKILL again and again, the rest is given
// up; then lookups and a training set have everything, and an audit finds nothing.
func TestReplayKilled(t *testing.T) {
	kills, seed := killsAndSeed(t, 2)
	rng := rand.New(rand.NewPCG(seed, 11))
	dir, ports := t.TempDir(), freePorts(t, 4)
	p := &process{}
	up := func() {
		p = spawn(t, "up", "--data", dir, "--set", "http.addr="+ports[0], "--set", "serving.addr="+ports[1], "--set", "kafka.embedded_addr="+ports[2],
			"--set", "redis.embedded_addr="+ports[3], "--set", "ingest.flush_interval=100ms", "--set", "ingest.batch_rows=20", "--set", "ingest.flush_bytes=1")
		require.Eventually(t, func() bool {
			r, err := http.Get("http://" + ports[0] + "/readyz")
			if err != nil {
				return false
			}
			r.Body.Close()
			return r.StatusCode == http.StatusOK
		}, 60*time.Second, 20*time.Millisecond, "weir up is not ready\n%s", p.logs)
	}
	try := func(args ...string) (string, int) {
		c := spawn(t, append([]string{"--server", ports[1]}, args...)...)
		err := <-c.done
		c.done <- err
		return c.logs.String(), c.cmd.ProcessState.ExitCode()
	}
	run := func(into any, want int, args ...string) {
		t.Helper()
		out, code := try(append(args, "-o", "json")...)
		require.Equal(t, want, code, "weir %s\n%s", strings.Join(args, " "), out)
		require.NoError(t, json.Unmarshal([]byte(out), into), out)
	}
	apply := func(manifest string) {
		t.Helper()
		f := filepath.Join(t.TempDir(), "m.yaml")
		require.NoError(t, os.WriteFile(f, []byte(manifest), 0o644))
		out, code := try("apply", "-f", f)
		require.Zero(t, code, out)
	}
	up()
	apply(fmt.Sprintf(peopleManifest, "default", "people"))
	apply(fmt.Sprintf(strictManifest, "default", 50))
	cl := kafkaClient(t, ports[2])
	began := time.Now().Add(-time.Hour)
	const n = 4000
	var recs []*kgo.Record
	bad, old := int64(0), int64(0)
	for i := range n {
		r := person("people", fmt.Sprintf("k%d", i), began.Add(time.Duration(i)*time.Millisecond), i%100)
		switch {
		case i%40 == 7:
			r.Value = r.Value[:len(r.Value)-3]
			bad++
		case i%100 > 50:
			old++
		}
		recs = append(recs, r)
	}
	send(t, cl, recs...)
	var held listing
	require.Eventually(t, func() bool {
		held = listing{}
		run(&held, 0, "quarantine", "list", "--view", "people")
		return held.Total == bad+old
	}, 60*time.Second, 200*time.Millisecond, "%v of %d", &held, bad+old)
	var some listing
	run(&some, 0, "quarantine", "list", "--view", "people", "--rule", "expect_column_values_to_be_between(age)")
	require.Equal(t, old, some.Total)

	apply(fmt.Sprintf(strictManifest, "default", 1000))
	var res, dry replayed
	require.Eventually(t, func() bool { // the last events are passed by a commit
		run(&dry, 1, "quarantine", "replay", "--view", "people", "--dry-run")
		return dry.Undecided == 0
	}, 60*time.Second, 100*time.Millisecond)
	require.Equal(t, replayed{Replayed: old, Held: bad, Rules: map[string]int64{"decode": bad}, Known: dry.Known}, dry)
	for range kills {
		c := spawn(t, "--server", ports[1], "quarantine", "replay", "--view", "people")
		time.Sleep(time.Duration(50+rng.IntN(500)) * time.Millisecond) // any moment is right
		p.kill()
		<-c.done
		c.done <- nil
		up()
		var now listing
		run(&now, 0, "quarantine", "list", "--view", "people")
		t.Logf("killed with %d of %d replayed", now.States["replayed"], old)
	}
	run(&res, 1, "quarantine", "replay", "--view", "people") // what cannot be decoded stays
	require.Equal(t, bad, res.Held)
	held = listing{}
	run(&held, 0, "quarantine", "list", "--view", "people")
	require.Equal(t, bad, held.Total)
	require.Equal(t, old, held.States["replayed"])
	require.Equal(t, map[string]int64{"decode": bad}, held.Rules)

	out, code := try("quarantine", "discard", "--view", "people", "--reason", "cut off by the producer")
	require.Equal(t, 2, code, "without a terminal it asks for --yes: %s", out)
	var gone struct{ Discarded int64 }
	run(&gone, 0, "quarantine", "discard", "--view", "people", "--reason", "cut off by the producer", "--yes")
	require.Equal(t, bad, gone.Discarded)
	held = listing{}
	run(&held, 0, "quarantine", "list", "--view", "people")
	require.Zero(t, held.Total)
	require.Equal(t, map[string]int64{"replayed": old, "discarded": bad}, held.States)

	for _, i := range []int{51, 99, 1199} { // 51 to 99 were too old
		var got struct {
			Rows []struct {
				Features map[string]any `json:"features"`
			} `json:"rows"`
		}
		run(&got, 0, "lookup", "--service", "people", "--entity", fmt.Sprintf("id=k%d", i))
		require.EqualValues(t, i%100, got.Rows[0].Features["age"], "k%d", i)
	}
	checkTraining(t, dir, res.Known, try)
	var report struct {
		Views []struct {
			Differences []any `json:"differences"`
		} `json:"views"`
	}
	out, code = try("audit", "--view", "people", "-o", "json")
	require.Zero(t, code, out)
	require.NoError(t, json.Unmarshal([]byte(out), &report))
}

// checkTraining: rows of a training set have a replayed value from the replay on,
// and nothing before, for nobody knew of it then.
func checkTraining(t *testing.T, dir, known string, try func(args ...string) (string, int)) {
	t.Helper()
	last, err := time.Parse(time.RFC3339Nano, known)
	require.NoError(t, err)
	spine, data := filepath.Join(dir, "spine.csv"), filepath.Join(dir, "train.csv")
	text := "id,event_timestamp\n"
	text += "k51," + last.Add(time.Second).UTC().Format(time.RFC3339Nano) + "\n" // known by now, whichever replay brought it
	text += "k51," + last.Add(-30*time.Minute).UTC().Format(time.RFC3339Nano) + "\n"
	require.NoError(t, os.WriteFile(spine, []byte(text), 0o644))
	out, code := try("snapshot", "create", "--service", "people", "--spine", spine, "--out", data)
	require.Zero(t, code, out)
	b, err := os.ReadFile(data)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	require.Len(t, lines, 3, "%s", b)
	require.Contains(t, lines[1], "51,", "%s", b)
	require.NotContains(t, strings.Replace(lines[2], "k51", "", 1), ",51", "%s", b)
}
