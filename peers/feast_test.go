//go:build peers

package peers

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/internal/testseed"
)

const ridesManifest = `apiVersion: weir/v1
kind: Entity
metadata: {name: driver, project: rides}
spec: {join_keys: [{name: driver_id, type: int64}]}
---
apiVersion: weir/v1
kind: Entity
metadata: {name: region, project: rides}
spec: {join_keys: [{name: region, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: rides, project: rides}
spec:
  topic: rides
  event_time: {field: at, format: unix_us}
  created: {field: written, format: unix_us}
  schema: {type: object, required: [driver_id, at, written]}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: driver_stats, project: rides}
spec:
  source: rides
  entities: [driver]
  ttl: 1h
  features:
    - {name: trips, type: int64}
    - {name: rating, type: float64}
    - {name: city, type: string}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: driver_level, project: rides}
spec:
  source: rides
  entities: [driver]
  features:
    - {name: level, type: float64}
    - {name: trips, type: int64}
    - {name: stops, type: array<string>}
    - {name: fares, type: array<float32>}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: region_stats, project: rides}
spec:
  source: rides
  entities: [region]
  ttl: 1h
  features:
    - {name: region_rating, type: float64, path: rating}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: pair_stats, project: rides}
spec:
  source: rides
  entities: [driver, region]
  features:
    - {name: pair_trips, type: int64, path: trips}
`

// ride is an event; what it lacks is nil.
type ride struct {
	Driver  int64    `json:"driver_id"`
	Region  string   `json:"region"`
	At      int64    `json:"at"`
	Written int64    `json:"written"`
	Trips   *int64   `json:"trips"`
	Rating  *float64 `json:"rating"`
	City    *string  `json:"city"`
	Level   *float64 `json:"level"`
	// Lists may be empty, or null where they are nil.
	Stops []string  `json:"stops"`
	Fares []float32 `json:"fares"`
}

func (r ride) effective() int64 { return min(r.At, r.Written) }

// asOf is what is known at a time of those that match, by the definition: of all that was
// known, the last in the order of effective time, known time and offset; nil where that has expired.
func asOf(rides []ride, at int64, ttl time.Duration, match func(ride) bool) *ride {
	best := -1
	for i, r := range rides { // in the order of offsets
		if !match(r) || r.Written > at {
			continue
		}
		if best < 0 || r.effective() > rides[best].effective() ||
			r.effective() == rides[best].effective() && r.Written >= rides[best].Written {
			best = i
		}
	}
	if best < 0 || ttl > 0 && rides[best].effective() < at-ttl.Microseconds() {
		return nil
	}
	return &rides[best]
}

// sdk is Feast's SDK in a process of its own.
type sdk struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
	say *tail
}

func startSDK(t *testing.T, addr string) *sdk {
	host, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	return startScript(t, "feast/client.py", t.TempDir(), host, port)
}

func startScript(t *testing.T, args ...string) *sdk {
	cmd := exec.Command(pythonOf(t, "feast"), args...)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "FEAST_USAGE=False", "FEAST_TELEMETRY=False")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	s := &sdk{t, in, bufio.NewReaderSize(out, 1<<20), &tail{}}
	cmd.Stderr = s.say
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the SDK said at the end:\n%s", s.say)
		}
	})
	return s
}

// do calls the client; the answer's error is its class and text.
func (s *sdk) do(what string, args call) (ok json.RawMessage, fault string) {
	s.t.Helper()
	all := call{"do": what}
	for k, v := range args {
		all[k] = v
	}
	b, err := json.Marshal(all)
	require.NoError(s.t, err)
	_, err = s.in.Write(append(b, '\n'))
	require.NoError(s.t, err)
	line, err := s.out.ReadBytes('\n')
	require.NoError(s.t, err, "the SDK ended:\n%s", s.say)
	var a struct {
		OK          json.RawMessage
		Error, Text string
	}
	require.NoError(s.t, json.Unmarshal(line, &a))
	if a.Error != "" {
		return nil, a.Error + ": " + a.Text
	}
	return a.OK, ""
}

// frame is a data frame as the client writes it.
type frame struct {
	Columns []string
	Values  map[string][]any
}

func (s *sdk) frame(what string, args call) (f frame) {
	s.t.Helper()
	ok, fault := s.do(what, args)
	require.Empty(s.t, fault)
	require.NoError(s.t, json.Unmarshal(ok, &f))
	return f
}

func plain[T any](p *T) any {
	if p == nil {
		return nil
	}
	switch v := any(*p).(type) {
	case int64:
		return float64(v) // JSON's
	default:
		return v
	}
}

// list is a list as JSON reads it; nil is null.
func list[T any](values []T, as func(T) any) any {
	if values == nil {
		return nil
	}
	out := []any{}
	for _, v := range values {
		out = append(out, as(v))
	}
	return out
}

// TestFeast: Feast's own SDK, pointed at Weir, gets exactly one row for each of
// its entities, in their order, with the values of the definition.
func TestFeast(t *testing.T) {
	seed := testseed.For(t)
	rng := rand.New(rand.NewPCG(seed, 1))
	p := start(t)
	file := filepath.Join(t.TempDir(), "rides.yaml")
	require.NoError(t, os.WriteFile(file, []byte(ridesManifest), 0o644))
	p.run("apply", "-f", file)
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.app.KafkaAddr()), kgo.DefaultProduceTopic("rides"), kgo.AllowAutoTopicCreation(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	base := time.Now().Add(-48 * time.Hour).Truncate(time.Second).UnixMicro()
	const hour = int64(3600_000_000)
	var rides []ride
	var records []*kgo.Record
	for range 1500 {
		r := ride{Driver: rng.Int64N(40), Region: []string{"Süd", "Nord", "a 'b' \\"}[rng.IntN(3)], At: base + rng.Int64N(120)*hour/10}
		r.Written = r.At + []int64{0, 0, 1, hour / 10, 2 * hour, -1}[rng.IntN(6)] // late ones, and clocks that run ahead
		maybe := func() bool { return rng.IntN(5) > 0 }
		if maybe() {
			x := rng.Int64N(1000)
			r.Trips = &x
		}
		if maybe() {
			x := rng.Float64()
			r.Rating = &x
		}
		if maybe() {
			x := []string{"Köln", "Lyon", ""}[rng.IntN(3)]
			r.City = &x
		}
		if maybe() {
			x := float64(rng.IntN(10))
			r.Level = &x
		}
		if maybe() {
			r.Stops = []string{"Köln", "", "a 'b'"}[:rng.IntN(4)]
		}
		if maybe() {
			r.Fares = []float32{0.5, float32(rng.IntN(1000)) / 8, -1e20}[:rng.IntN(4)]
		}
		b, err := json.Marshal(r)
		require.NoError(t, err)
		rides = append(rides, r)
		records = append(records, &kgo.Record{Value: b})
	}
	require.NoError(t, cl.ProduceSync(ctx, records...).FirstErr())
	require.Eventually(t, func() bool {
		var all []struct {
			Partitions []struct{ Position int64 }
		}
		require.NoError(t, json.Unmarshal([]byte(p.run("status", "--project", "rides", "-o", "json")), &all))
		n := int64(0)
		for _, v := range all {
			for _, x := range v.Partitions {
				n += x.Position
			}
		}
		return n == 4*int64(len(rides))
	}, time.Minute, 20*time.Millisecond)

	// The moments at which something changes: known, expired, and a microsecond to either side.
	type entity struct {
		Driver int64   `json:"driver_id"`
		At     int64   `json:"event_timestamp"`
		Region *string `json:"region"`
		Label  string  `json:"label"`
		Weight int     `json:"weight"`
	}
	var entities []entity
	for i := range 1000 {
		r := rides[rng.IntN(len(rides))]
		at := []int64{r.At, r.Written, r.effective() + hour}[rng.IntN(3)] + rng.Int64N(3) - 1
		e := entity{r.Driver, at, &r.Region, fmt.Sprint("row ", i), i}
		if rng.IntN(20) == 0 {
			e.Driver = 1_000_000 // nobody
		}
		if rng.IntN(20) == 0 {
			e.Region = nil
		}
		if i > 0 && rng.IntN(20) == 0 {
			e.Driver, e.At = entities[i-1].Driver, entities[i-1].At // twice the same
		}
		entities = append(entities, e)
	}

	s := startSDK(t, p.app.GRPCAddr())
	ok, fault := s.do("define", nil)
	require.Empty(t, fault)
	require.JSONEq(t, `["driver_level:fares Array(Float32)", "driver_level:level Float64", "driver_level:stops Array(String)", "driver_level:trips Int64", "driver_stats:bonus Int64", "driver_stats:city String", "driver_stats:rating Float64", "driver_stats:trips Int64", "ghost:x Int64", "pair_stats:pair_trips Int64", "region_stats:region_rating Float64"]`, string(ok))

	check := func(f frame, columns []string, want func(e entity) map[string]any) {
		t.Helper()
		require.Equal(t, columns, f.Columns)
		hit := map[string]int{}
		for i, e := range entities {
			row := want(e)
			row["driver_id"], row["event_timestamp"], row["region"], row["label"], row["weight"] = float64(e.Driver), float64(e.At), plain(e.Region), e.Label, float64(e.Weight)
			for name, values := range f.Values {
				require.Len(t, values, len(entities), name)
				require.Equal(t, row[name], values[i], "row %d, %+v: %s", i, e, name)
				if values[i] == nil {
					hit[name]++
				}
			}
		}
		for _, name := range columns[5:] {
			require.Less(t, hit[name], len(entities)*9/10, "%s is null nearly everywhere: the test compares nothing", name)
		}
	}
	spine := []string{"driver_id", "event_timestamp", "region", "label", "weight"}
	all := func(full bool) func(e entity) map[string]any {
		return func(e entity) map[string]any {
			row := map[string]any{}
			prefix := func(view, name string) string {
				if full {
					return view + "__" + name
				}
				return name
			}
			driven := func(r ride) bool { return r.Driver == e.Driver }
			within := func(r ride) bool { return e.Region != nil && r.Region == *e.Region }
			if r := asOf(rides, e.At, time.Hour, within); r != nil {
				row[prefix("region_stats", "region_rating")] = plain(r.Rating)
			}
			if r := asOf(rides, e.At, 0, func(r ride) bool { return driven(r) && within(r) }); r != nil {
				row[prefix("pair_stats", "pair_trips")] = plain(r.Trips)
			}
			if r := asOf(rides, e.At, time.Hour, driven); r != nil {
				row[prefix("driver_stats", "trips")], row[prefix("driver_stats", "rating")], row[prefix("driver_stats", "city")] = plain(r.Trips), plain(r.Rating), plain(r.City)
				row["recent__trips"] = plain(r.Trips)
			}
			if r := asOf(rides, e.At, 0, driven); r != nil {
				row[prefix("driver_level", "level")] = plain(r.Level)
				row[prefix("driver_level", "stops")] = list(r.Stops, func(s string) any { return s })
				row[prefix("driver_level", "fares")] = list(r.Fares, func(x float32) any { return float64(x) })
				if full {
					row["driver_level__trips"] = plain(r.Trips)
				}
			}
			return row
		}
	}
	check(s.frame("history", call{"rows": entities, "features": []string{"driver_stats:trips", "driver_stats:city", "driver_level:level", "driver_stats:rating"}}),
		append(spine, "trips", "city", "level", "rating"), all(false))
	check(s.frame("history", call{"rows": entities, "full": true, "index": true, "features": []string{"driver_level:trips", "driver_stats:trips", "driver_level:level"}}),
		append(spine, "driver_level__trips", "driver_stats__trips", "driver_level__level"), all(true))
	check(s.frame("history", call{"rows": entities, "naive": true, "service": "model"}), append(spine, "level", "rating", "city"), all(false))
	check(s.frame("history", call{"rows": entities, "zone": "Europe/Berlin", "features": []string{"pair_stats:pair_trips", "driver_level:level", "region_stats:region_rating"}}),
		append(spine, "pair_trips", "level", "region_rating"), all(false))
	check(s.frame("history", call{"rows": entities, "full": true, "service": "places"}), append(spine, "region_stats__region_rating", "pair_stats__pair_trips"), all(true))
	check(s.frame("history", call{"rows": entities, "service": "named", "full": true}), append(spine, "recent__trips"), all(true))
	check(s.frame("history", call{"rows": entities, "features": []string{"driver_level:stops", "driver_level:fares"}}), append(spine, "stops", "fares"), all(false))
	check(s.frame("older", call{"rows": entities, "features": []string{"driver_stats:trips"}}), append(spine, "trips"), all(false))
	renamed := s.frame("history", call{"rows": entities, "time": "when", "features": []string{"driver_stats:trips"}})
	require.Equal(t, []string{"driver_id", "when", "region", "label", "weight", "trips"}, renamed.Columns)

	ok, fault = s.do("to_arrow", call{"rows": entities, "features": []string{"driver_stats:trips"}})
	require.Empty(t, fault)
	require.JSONEq(t, `{"names":["driver_id","event_timestamp","region","label","weight","trips"],"rows":1000,"types":["int64","timestamp[ns, tz=UTC]","string","string","int64","int64"]}`,
		strings.ReplaceAll(string(ok), "large_string", "string"))
	ok, fault = s.do("both", call{"rows": entities, "service": "model"})
	require.Empty(t, fault)
	require.JSONEq(t, `[]`, string(ok), "two clients at once")

	ok, fault = s.do("large", call{"rows": entities, "times": 100, "features": []string{"driver_stats:rating", "pair_stats:pair_trips"}})
	require.Empty(t, fault)
	require.JSONEq(t, `{"rows":100000,"same":true}`, string(ok))

	for _, c := range []struct {
		what string
		args call
		says []string
	}{
		{"history", call{"rows": entities, "features": []string{"ghost:x"}}, []string{"FeatureViewNotFoundException: ", "ghost"}},
		{"history", call{"rows": entities, "features": []string{"driver_stats:bonus"}}, []string{"KeyError", `no feature "bonus"`, "it has trips, rating, city"}},
		{"history", call{"rows": entities, "features": []string{"driver_stats:trips", "driver_level:trips"}}, []string{"full_feature_names"}},
		{"history", call{"rows": entities, "text": "driver_id", "features": []string{"driver_stats:trips"}}, []string{"ArrowInvalid", "driver_id", "cast the column to int64"}},
		{"history", call{"rows": entities, "features": []string{"doubled:twice"}}, []string{"on demand"}},
		{"history", call{"sql": "SELECT 1", "features": []string{"driver_stats:trips"}}, []string{"SQL", "pass the rows"}},
		{"history", call{"range": []int64{base, base + hour}, "features": []string{"driver_stats:trips"}}, []string{"a range of time without an entity_df"}},
		{"history", call{"rows": entities, "drop": []string{"driver_id"}, "features": []string{"driver_stats:trips"}}, []string{"driver_id"}},
		{"persist", call{"rows": entities, "features": []string{"driver_stats:trips"}}, []string{"weir snapshot"}},
		{"materialize", nil, []string{"weir materialize"}},
		{"latest", nil, []string{"weir materialize"}},
		{"write", nil, []string{"Kafka topic"}},
	} {
		_, fault := s.do(c.what, c.args)
		require.NotEmpty(t, fault, "%s %v", c.what, c.args["features"])
		for _, text := range c.says {
			require.Contains(t, fault, text)
		}
	}
}
