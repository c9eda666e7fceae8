package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/online/feastredis"
)

// The driver's events have their values below "car", and a schema that wants whole seconds.
const ridesManifest = `
apiVersion: weir/v1
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
spec:
  topic: rides
  event_time: {field: meta.at, format: unix_ms}
  created: {field: written, format: rfc3339}
  schema:
    type: object
    required: [driver, meta, written]
    properties:
      driver: {type: integer}
      meta: {type: object, required: [at], properties: {at: {type: integer}}}
      written: {type: string}
      car: {type: object, properties: {trips: {type: integer, minimum: 0}, city: {type: string}}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: driver_stats}
spec:
  source: rides
  entities: [driver]
  keys: {driver_id: driver}
  features:
    - {name: trips, type: int64, path: car.trips}
    - {name: rating, type: float32, path: car.rating}
    - {name: city, type: string, path: car.city}
    - {name: seen, type: timestamp}
---
apiVersion: weir/v1
kind: Source
metadata: {name: pairs}
spec: {topic: pairs, event_time: {field: at}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: pair_stats}
spec:
  source: pairs
  entities: [region, driver]
  features: [{name: share, type: float64}, {name: photo, type: bytes}, {name: late, type: bool}]
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: model}
spec: {features: ["driver_stats:*", "pair_stats:*"]}
`

// Two features of one member of the event.
const tornManifest = `
apiVersion: weir/v1
kind: FeatureView
metadata: {name: torn}
spec:
  source: pairs
  entities: [driver]
  features: [{name: share, type: float64}, {name: again, type: float64, path: share}]
`

// feastStore writes into a Redis as Feast does.
type feastStore struct {
	t *testing.T
	c *goredis.Client
}

func feastIn(t *testing.T, addr string) *feastStore {
	c := goredis.NewClient(&goredis.Options{Addr: addr})
	t.Cleanup(func() { _ = c.Close() })
	return &feastStore{t, c}
}

func le(n uint64, bytes int) string { return string(binary.LittleEndian.AppendUint64(nil, n)[:bytes]) }

// key is an entity key of version 3: a driver, and a region where one is given.
func (s *feastStore) key(project string, driver int64, region string) string {
	names, values := "\x01\x00\x00\x00", "\x04\x00\x00\x00\x08\x00\x00\x00"+le(uint64(driver), 8)
	names += "\x02\x00\x00\x00\x09\x00\x00\x00driver_id"
	if region != "" {
		names = "\x02" + names[1:] + "\x02\x00\x00\x00\x06\x00\x00\x00region"
		values += "\x02\x00\x00\x00" + le(uint64(len(region)), 4) + region
	}
	return names + values + project
}

// put writes a view's row; the values are their Value messages.
func (s *feastStore) put(key, view string, at time.Time, values map[string]string) {
	s.t.Helper()
	ts := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(at.Unix()))
	ts = protowire.AppendVarint(protowire.AppendTag(ts, 2, protowire.VarintType), uint64(at.Nanosecond()))
	fields := []any{feastredis.TimeField(view), ts}
	for f, v := range values {
		fields = append(fields, feastredis.FeatureField(view, f), v)
	}
	require.NoError(s.t, s.c.HSet(s.t.Context(), key, fields...).Err())
}

func pbInt(field protowire.Number, v int64) string {
	return string(protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType), uint64(v)))
}

func pbText(field protowire.Number, v string) string {
	return string(protowire.AppendString(protowire.AppendTag(nil, field, protowire.BytesType), v))
}

func pbDouble(v float64) string {
	return string(protowire.AppendFixed64(protowire.AppendTag(nil, 5, protowire.Fixed64Type), math.Float64bits(v)))
}

func pbFloat(v float32) string {
	return string(protowire.AppendFixed32(protowire.AppendTag(nil, 6, protowire.Fixed32Type), math.Float32bits(v)))
}

// migrateReport is `weir migrate feast-redis -o json`.
type migrateReport struct {
	Complete bool
	Views    []struct {
		View, Error                     string
		Entities, Read, Copied, Skipped int64
		There                           int64 `json:"already_there"`
		Held                            int64 `json:"held_back"`
		Notes                           []string
		Reasons                         []struct {
			Field, Reason string
			Entities      int64
			Examples      []string
		}
	}
	Unread  map[string]int64 `json:"unread_views"`
	Unnamed map[string]int64 `json:"unnamed_values"`
	Others  map[string]int64 `json:"other_projects"`
}

func (w *weir) migrate(addr string, args ...string) (r migrateReport) {
	w.t.Helper()
	w.json(&r, append([]string{"migrate", "feast-redis", "--redis", "redis://" + addr, "--feast-project", "rides"}, args...)...)
	return r
}

// driver is what a lookup answers for one.
func (w *weir) driver(id int64, region string) (features map[string]any, statuses, times map[string]string) {
	w.t.Helper()
	var got struct {
		Rows []struct {
			Features map[string]any
			Statuses map[string]string
			Times    map[string]string `json:"event_times"`
		}
	}
	w.json(&got, "lookup", "--service", "model", "--entity", "driver_id="+strconv.FormatInt(id, 10), "--entity", "region="+region)
	return got.Rows[0].Features, got.Rows[0].Statuses, got.Rows[0].Times
}

// TestMigrateFeastRedis: what Feast serves from Redis is served by Weir with the same
// values and event times; it is in the table as well; coming again brings what is new and
// nothing else; what cannot be read is told.
func TestMigrateFeastRedis(t *testing.T) {
	server := testserver.OwnRedis(t)
	feast := feastIn(t, server.Addr)
	w := start(t, testConfig(t))
	w.apply(ridesManifest)
	at := time.Date(2026, 3, 4, 5, 6, 7, 891_234_567, time.UTC)
	const drivers = 600
	fill := func(s *feastStore, order func(i int64) int64) {
		for i := range int64(drivers) {
			i = order(i)
			values := map[string]string{"trips": pbInt(4, i), "rating": pbFloat(float32(i) / 7), "city": pbText(2, fmt.Sprintf("größe <%d>", i)), "seen": pbInt(8, 1_700_000_000+i)}
			switch i % 5 {
			case 1:
				values["city"] = "" // null: Value without anything
			case 2:
				values["trips"] = pbInt(19, 0) // null: null_val
			}
			s.put(s.key("rides", i, ""), "driver_stats", at.Add(time.Duration(i)*time.Second), values)
			s.put(s.key("rides", i, "eu"), "pair_stats", at, map[string]string{"share": pbDouble(1 / float64(i+1)), "photo": pbText(1, "\x00\xff"), "late": pbInt(7, i%2)})
		}
		s.put(s.key("other", 1, ""), "driver_stats", at, map[string]string{"trips": pbInt(4, 1)})
		// Beside what is wanted: a list that Weir has no feature for.
		require.NoError(t, s.c.HSet(t.Context(), s.key("rides", 3, ""), feastredis.FeatureField("driver_stats", "embedding"), pbText(15, pbText(1, "12345678"))).Err())
		require.NoError(t, s.c.Set(t.Context(), "cache:rides", "somebody else's", 0).Err())
	}
	fill(feast, func(i int64) int64 { return i })

	check := func(i int64, when time.Time, trips any) {
		t.Helper()
		f, st, times := w.driver(i, "eu")
		require.Equal(t, map[string]string{"driver_stats": "PRESENT", "pair_stats": "PRESENT"}, st)
		require.Equal(t, when.Truncate(time.Millisecond).Format(time.RFC3339Nano), times["driver_stats"], "the source has milliseconds")
		require.Equal(t, at.Truncate(time.Microsecond).Format(time.RFC3339Nano), times["pair_stats"])
		rating, err := strconv.ParseFloat(strconv.FormatFloat(float64(float32(i)/7), 'g', -1, 32), 64)
		require.NoError(t, err)
		want := map[string]any{"trips": trips, "rating": rating, "city": fmt.Sprintf("größe <%d>", i), "seen": time.Unix(1_700_000_000+i, 0).UTC().Format(time.RFC3339Nano),
			"share": 1 / float64(i+1), "photo": "AP8=", "late": i%2 == 1}
		switch i % 5 {
		case 1:
			want["city"] = nil
		case 2:
			if trips == float64(i) {
				want["trips"] = nil
			}
		}
		require.Equal(t, want, f)
	}
	rows := func() (n int64) {
		return w.status("default", "driver_stats").Rows*1_000_000 + w.status("default", "pair_stats").Rows
	}

	dry := w.migrate(server.Addr, "--dry-run")
	require.True(t, dry.Complete)
	require.EqualValues(t, drivers, dry.Views[0].Copied)
	require.Zero(t, rows())

	r := w.migrate(server.Addr)
	require.True(t, r.Complete, "%+v", r)
	require.Equal(t, map[string]int64{"other": 1}, r.Others)
	require.Equal(t, map[string]int64{"double_list": 1}, r.Unnamed)
	for i, name := range []string{"driver_stats", "pair_stats"} {
		v := r.Views[i]
		require.Equal(t, name, v.View)
		require.EqualValues(t, []int64{drivers, drivers, drivers, 0, 0, 0}, []int64{v.Entities, v.Read, v.Copied, v.Skipped, v.There, v.Held})
	}
	require.Equal(t, []string{"event times were cut to the unit of the source in 600 rows"}, r.Views[0].Notes)
	for _, i := range []int64{0, 1, 2, 3, 599} {
		check(i, at.Add(time.Duration(i)*time.Second), float64(i))
	}
	require.EqualValues(t, drivers*1_000_001, rows())
	w.run("audit", "--no-imports")

	// Again, and from a Redis that has the same in another order: nothing changes.
	second := testserver.OwnRedis(t)
	fill(feastIn(t, second.Addr), func(i int64) int64 { return drivers - 1 - i })
	for _, addr := range []string{server.Addr, second.Addr} {
		r = w.migrate(addr)
		require.True(t, r.Complete, "%+v", r)
		for _, v := range r.Views {
			require.EqualValues(t, []int64{0, drivers}, []int64{v.Copied, v.There})
		}
		require.EqualValues(t, drivers*1_000_001, rows())
	}

	// Feast goes on writing, and so does Weir's stream: only what is new comes, and by the event time the newer wins.
	later := at.Add(time.Hour)
	for _, i := range []int64{5, 10} {
		feast.put(feast.key("rides", i, ""), "driver_stats", later, map[string]string{"trips": pbInt(4, 1000+i)})
	}
	cl := kafkaClient(t, w.app.KafkaAddr())
	newest := later.Add(time.Minute)
	send(t, cl, &kgo.Record{Topic: "rides", Value: fmt.Appendf(nil, `{"driver":10,"meta":{"at":%d},"written":%q,"seen":%q,"car":{"trips":7,"city":"größe <10>","rating":%v}}`,
		newest.UnixMilli(), newest.Format(time.RFC3339), time.Unix(1_700_000_010, 0).UTC().Format(time.RFC3339), float32(10)/7)})
	w.arrived("default", "driver_stats", 1)
	r = w.migrate(server.Addr, "--view", "driver_stats")
	require.True(t, r.Complete)
	require.EqualValues(t, []int64{2, drivers - 2}, []int64{r.Views[0].Copied, r.Views[0].There})
	check(5, later, float64(1005))
	check(10, newest, float64(7))
	require.EqualValues(t, (drivers+3)*1_000_000+drivers, rows())
	w.run("audit", "--no-imports")

	// What cannot be read, or is not good enough for Weir.
	feast.put(feast.key("rides", 20, ""), "driver_stats", later, map[string]string{"trips": pbInt(4, -1)})            // the schema has a minimum
	feast.put(feast.key("rides", 21, ""), "driver_stats", later, map[string]string{"rating": pbDouble(0.1)})          // no float32
	feast.put(feast.key("rides", 22, ""), "driver_stats", later, map[string]string{"trips": "\x20"})                  // damaged
	feast.put(feast.key("rides", 1, ""), "driver_places", later, map[string]string{"lat": pbDouble(0.1)})             // nobody knows it
	require.NoError(t, feast.c.HDel(t.Context(), feast.key("rides", 23, ""), "_ts:driver_stats").Err())               // no event time
	require.NoError(t, feast.c.HSet(t.Context(), feast.key("rides", 24, "us"), "_ts:driver_stats", "\x08\x01").Err()) // other join keys
	for range 2 {
		r = w.migrate(server.Addr)
		require.False(t, r.Complete)
		require.Equal(t, map[string]int64{"driver_places": 1}, r.Unread)
		v := r.Views[0]
		require.EqualValues(t, []int64{drivers + 1, drivers - 3, 0, drivers - 4, 1, 4}, []int64{v.Entities, v.Read, v.Copied, v.There, v.Held, v.Skipped})
		why := map[string]string{}
		for _, x := range v.Reasons {
			require.Len(t, x.Examples, 1)
			require.EqualValues(t, 1, x.Entities)
			why[x.Examples[0]] = x.Field + ": " + x.Reason
		}
		require.Equal(t, map[string]string{"driver_id=21": "rating: double that no float32 is equal to", "driver_id=22": "trips: the value is damaged: unexpected EOF",
			"driver_id=23": ": there are values, but no event time", "driver_id=24,region=us": ": the join keys are driver_id, region in Feast, driver_id in Weir"}, why)
	}
	require.EqualValues(t, 1, w.held("default", "driver_stats").Total, "it is held back once")
	code, out, _ := w.try("migrate", "feast-redis", "--redis", server.Addr, "--feast-project", "rides")
	require.Equal(t, 1, code)
	for _, say := range []string{"driver_places", "no float32", "held back", "double_list"} {
		require.Contains(t, out, say)
	}
	w.run("audit", "--no-imports")
}

// TestMigrateRefuses: wrong use ends with 2 and a way out, an empty answer with 1.
func TestMigrateRefuses(t *testing.T) {
	server := testserver.OwnRedis(t, "--requirepass", "hush")
	w := start(t, testConfig(t))
	must := func(want int, say string, args ...string) {
		t.Helper()
		code, out, errs := w.try(append([]string{"migrate", "feast-redis"}, args...)...)
		require.Equal(t, want, code, "%s%s", out, errs)
		require.Contains(t, out+errs, say)
		require.NotContains(t, out+errs, "hush")
	}
	must(2, "--redis")
	must(2, "has no views", "--redis", server.Addr)
	w.apply(ridesManifest)
	w.apply(tornManifest)
	must(2, "connection_string", "--redis", "hush")
	must(2, "--password-file", "--redis", server.Addr)
	must(2, "reachable", "--redis", "127.0.0.1:1,password=hush")
	must(2, "nobody", "--redis", server.Addr+",password=hush", "--view", "driver_stats=nobody")
	must(2, "named twice", "--redis", server.Addr, "--view", "a=driver_stats", "--view", "driver_stats")
	must(2, "no event can say both", "--redis", server.Addr+",password=hush", "--view", "torn")
	must(1, "nothing of project default", "--redis", server.Addr+",password=hush", "--view", "driver_stats")
	must(1, "torn was not copied", "--redis", server.Addr+",password=hush")
	secret := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(secret, []byte("hush\n"), 0o600))
	must(1, "nothing of project elsewhere", "--redis", "redis://"+server.Addr, "--password-file", secret, "--feast-project", "elsewhere")
	t.Setenv("FEAST_REDIS_PASSWORD", "hush")
	must(1, "nothing of project", "--redis", "redis://"+server.Addr, "--spool", t.TempDir())
}
