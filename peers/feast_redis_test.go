//go:build peers

package peers

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/cmd/weir/command"
	"github.com/weir-ml/weir/internal/testserver"
)

const feastRedisManifest = `apiVersion: weir/v1
kind: Entity
metadata: {name: driver}
spec: {join_keys: [{name: driver_id, type: int64}]}
---
apiVersion: weir/v1
kind: Entity
metadata: {name: region}
spec: {join_keys: [{name: region, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: rides}
spec: {topic: rides, event_time: {field: at}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: everything}
spec:
  source: rides
  entities: [driver]
  features:
    - {name: i32, type: int32}
    - {name: i64, type: int64}
    - {name: f32, type: float32}
    - {name: f64, type: float64}
    - {name: s, type: string}
    - {name: y, type: bytes}
    - {name: b, type: bool}
    - {name: t, type: timestamp}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: shares}
spec: {source: rides, entities: [driver, region], features: [{name: share, type: float64}]}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: arrays}
spec:
  source: rides
  entities: [driver]
  features:
    - {name: a_i32, type: array<int32>}
    - {name: a_i64, type: array<int64>}
    - {name: a_f32, type: array<float32>}
    - {name: a_f64, type: array<float64>}
    - {name: a_s, type: array<string>}
    - {name: a_y, type: array<bytes>}
    - {name: a_b, type: array<bool>}
    - {name: a_t, type: array<timestamp>}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: lists}
spec: {source: rides, entities: [driver], features: [{name: embedding, type: bytes}, {name: n, type: int64}]}
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: model}
spec: {features: ["everything:*", "shares:*", "arrays:*"]}
`

// feastAnswer is what Feast's SDK says of the rows that it wrote.
type feastAnswer struct {
	Entities []map[string]string
	Values   map[string][]any
	Times    map[string][]int64
}

// TestFeastRedis: rows of every type, and lists of it, that Feast's own SDK has materialized and pushed into
// a real Redis, with entity keys of versions 2 and 3, are answered by Weir as Feast answers them.
func TestFeastRedis(t *testing.T) {
	redis := testserver.OwnRedis(t)
	var answers []feastAnswer
	for _, version := range []string{"2", "3"} {
		cmd := exec.Command(pythonOf(t, "feast"), "feast/redis_writer.py", t.TempDir(), redis.Addr, version, version+"000")
		cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "FEAST_USAGE=False", "FEAST_TELEMETRY=False")
		say := &tail{}
		cmd.Stderr = say
		out, err := cmd.Output()
		require.NoError(t, err, "%s", say)
		var a feastAnswer
		require.NoError(t, json.Unmarshal(out[jsonAt(out):], &a), "%s", out)
		require.Len(t, a.Entities, 50)
		answers = append(answers, a)
	}
	p := start(t)
	f := filepath.Join(t.TempDir(), "rides.yaml")
	require.NoError(t, os.WriteFile(f, []byte(feastRedisManifest), 0o644))
	p.run("apply", "-f", f)
	migrate := []string{"migrate", "feast-redis", "--redis", "redis://" + redis.Addr, "--feast-project", "rides", "--view", "everything", "--view", "pairs=shares", "--view", "arrays", "-o", "json"}
	for run := range 2 {
		var r struct {
			Views []struct {
				Copied, Skipped int64
				There           int64 `json:"already_there"`
			}
			Unread map[string]int64 `json:"unread_views"`
		}
		require.NoError(t, json.Unmarshal([]byte(p.run(migrate...)), &r))
		for _, v := range r.Views {
			want := []int64{100, 0, 0}
			if run == 1 {
				want = []int64{0, 100, 0}
			}
			require.Equal(t, want, []int64{v.Copied, v.There, v.Skipped})
		}
		require.Equal(t, map[string]int64{"lists": 4}, r.Unread)
	}
	p.run("audit", "--no-imports")
	compared := 0
	for _, a := range answers {
		for i, e := range a.Entities {
			var got struct {
				Rows []struct {
					Features map[string]any
					Statuses map[string]string
					Times    map[string]string `json:"event_times"`
				}
			}
			require.NoError(t, json.Unmarshal([]byte(p.run("lookup", "--service", "model", "--entity", "driver_id="+e["driver_id"], "--entity", "region="+e["region"], "-o", "json")), &got))
			row := got.Rows[0]
			require.Equal(t, map[string]string{"everything": "PRESENT", "shares": "PRESENT", "arrays": "PRESENT"}, row.Statuses)
			for view, feature := range map[string]string{"everything": "s", "shares": "share"} {
				require.Equal(t, time.UnixMicro(a.Times[feature][i]).UTC().Format(time.RFC3339Nano), row.Times[view])
			}
			for name, values := range a.Values {
				require.Equal(t, asWeir(t, name, values[i]), row.Features[name], "%v %s", e, name)
				compared++
			}
		}
	}
	require.Equal(t, 2*50*17, compared)

	// A list that the view of Weir has no array for is refused by name, each with its row.
	require.Contains(t, p.no("migrate", "feast-redis", "--redis", redis.Addr, "--feast-project", "rides", "--view", "lists"), "float_list")
}

// jsonAt is where the answer begins: the SDK may print above it.
func jsonAt(out []byte) int {
	at := 0
	for i := range out {
		if out[i] == '\n' && i+1 < len(out) {
			at = i + 1
		}
	}
	return at
}

// asWeir is a value of Feast's as `weir lookup -o json` shows it.
func asWeir(t *testing.T, name string, v any) any {
	switch x := v.(type) {
	case []any:
		out := []any{}
		for _, e := range x {
			out = append(out, asWeir(t, strings.TrimPrefix(name, "a_"), e))
		}
		return out
	case string:
		if name == "y" {
			b, err := hex.DecodeString(x)
			require.NoError(t, err)
			return base64.StdEncoding.EncodeToString(b)
		}
	case float64:
		switch name {
		case "t":
			return time.Unix(int64(x), 0).UTC().Format(time.RFC3339Nano)
		case "f32":
			f, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', -1, 32), 64)
			require.NoError(t, err)
			return f
		}
	}
	return v
}

// no runs a command whose answer is no, and returns it.
func (p *product) no(args ...string) string {
	p.t.Helper()
	var out, errs bytes.Buffer
	code := command.Main(append([]string{"--server", p.app.GRPCAddr()}, args...), strings.NewReader(""), &out, &errs)
	require.Equal(p.t, 1, code, "%s%s", out.String(), errs.String())
	return out.String()
}
