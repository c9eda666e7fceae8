package main

import (
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

	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/registry/feature"
)

// TestImportKilled kills a weir up with SIGKILL while a file comes in, again and
// again; the same import then goes on. Each good row is in the table once, each bad
// one in quarantine once, and the audit finds nothing.
func TestImportKilled(t *testing.T) {
	kills, seed := killsAndSeed(t, 3)
	rng := rand.New(rand.NewPCG(seed, 9))
	const rows, badEach = 60_000, 500
	dir, ports := t.TempDir(), freePorts(t, 4)
	up := func() *process {
		p := spawn(t, "up", "--data", dir, "--set", "http.addr="+ports[0], "--set", "serving.addr="+ports[1],
			"--set", "kafka.embedded_addr="+ports[2], "--set", "redis.embedded_addr="+ports[3], "--set", "ingest.flush_bytes=262144")
		require.Eventually(t, func() bool {
			r, err := http.Get("http://" + ports[0] + "/readyz")
			if err != nil {
				return false
			}
			r.Body.Close()
			return r.StatusCode == http.StatusOK
		}, 60*time.Second, 20*time.Millisecond, "weir up is not ready\n%s", p.logs)
		return p
	}
	command := func(args ...string) (string, error) {
		p := spawn(t, append([]string{"--server", ports[1]}, args...)...)
		err := <-p.done
		p.done <- err
		return p.logs.String(), err
	}
	p := up()
	out, err := command("apply", "-f", fileOf(t, "people.yaml", fmt.Sprintf(peopleManifest, "default", "people")))
	require.NoError(t, err, out)
	text := []byte("id,at,age\n")
	for i := range rows {
		age := fmt.Sprint(i)
		if i%badEach == 0 {
			age = "old"
		}
		text = fmt.Appendf(text, "k%d,%s,%s\n", i%100, time.Unix(1_770_000_000+int64(i), 0).UTC().Format(time.RFC3339), age)
	}
	file := filepath.Join(t.TempDir(), "people.csv")
	require.NoError(t, os.WriteFile(file, text, 0o600))

	broken := 0
	for range kills {
		client := spawn(t, "--server", ports[1], "import", "--view", "people", file)
		time.Sleep(time.Duration(50+rng.IntN(300)) * time.Millisecond) // any moment is right
		p.kill()
		client.kill()
		if !strings.Contains(client.logs.String(), "imported") {
			broken++
		}
		p = up()
	}
	out, err = command("import", "--view", "people", "-o", "json", file)
	require.NoError(t, err, "%s\n%s", out, p.logs)
	out, err = command("audit", "--view", "people", "-o", "json")
	require.NoError(t, err, out)

	held := map[at]int{}
	res, err := quarantine.NewReader(kgo.SeedBrokers(ports[2])).Read(t.Context(), quarantine.Query{Project: "default", View: "people"})
	require.NoError(t, err)
	for _, e := range res.Entries {
		held[at{e.Partition, e.Offset}]++
	}
	p.kill()
	got := readTable(t, dir, "default", "people")
	for i := range int64(rows) {
		a, bad := at{feature.ImportPartition, i}, 0
		if i%badEach == 0 {
			bad = 1
		}
		require.Equal(t, 1-bad, got[a], "row %d in the table", i)
		require.Equal(t, bad, held[a], "row %d in quarantine", i)
	}
	require.Len(t, got, rows-rows/badEach)
	require.Len(t, held, rows/badEach)
	t.Logf("%d kills, %d of them before the import had ended", kills, broken)
}
