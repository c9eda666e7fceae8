package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/internal/sketch"
	"github.com/weir-ml/weir/internal/testserver"
)

// nycFeatures are the columns of the weather file that become features.
var nycFeatures = []string{"temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"}

// nycRow is one row of the file.
type nycRow struct {
	origin string
	at     time.Time
	values []string // of nycFeatures; "NA" is null
	bad    bool     // its wind speed is the recording error
}

// readNYC reads the file as it is: one airport after the other.
func readNYC(t *testing.T) (path string, rows []nycRow) {
	t.Helper()
	path = shared(t, "data", "nyc_weather_2013.csv")
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	col := map[string]int{}
	for i, n := range all[0] {
		col[n] = i
	}
	for _, rec := range all[1:] {
		r := nycRow{origin: rec[col["origin"]]}
		r.at, err = time.Parse(time.RFC3339, rec[col["time_hour"]])
		require.NoError(t, err)
		for _, n := range nycFeatures {
			r.values = append(r.values, rec[col[n]])
		}
		if w, err := strconv.ParseFloat(rec[col["wind_speed"]], 64); err == nil && w > 200 {
			r.bad = true
		}
		rows = append(rows, r)
	}
	require.Len(t, rows, 26115)
	return path, rows
}

func (r *nycRow) json() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `{"origin":%q,"time_hour":%q`, r.origin, r.at.Format(time.RFC3339))
	for i, n := range nycFeatures {
		v := r.values[i]
		if v == "NA" {
			v = "null"
		}
		fmt.Fprintf(&b, `,%q:%s`, n, v)
	}
	return []byte(b.String() + "}")
}

func nycManifest(project, topic, view, suffix string) string {
	var features, props []string
	for _, n := range nycFeatures {
		features = append(features, fmt.Sprintf("    - {name: %s, type: float64}", n))
		props = append(props, fmt.Sprintf("      %s: {type: [number, \"null\"]}", n))
	}
	return fmt.Sprintf(`
apiVersion: weir/v1
kind: Entity
metadata: {name: airport%[5]s, project: %[1]s}
spec: {join_keys: [{name: origin, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: weather%[5]s, project: %[1]s}
spec:
  topic: %[2]s
  event_time: {field: time_hour}
  created: {field: time_hour}
  null_values: [NA]
  schema:
    type: object
    required: [origin, time_hour]
    properties:
%[4]s
---
apiVersion: weir/v1
kind: ExpectationSuite
metadata: {name: weather%[5]s, project: %[1]s}
spec:
  expectations:
    - {type: expect_column_values_to_be_between, kwargs: {column: wind_speed, min_value: 0, max_value: 200}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: %[3]s, project: %[1]s}
spec:
  source: weather%[5]s
  entities: [airport%[5]s]
  suite: weather%[5]s
  features:
%[6]s
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: %[3]s, project: %[1]s}
spec: {features: ["%[3]s:*"]}
`, project, topic, view, strings.Join(props, "\n"), suffix, strings.Join(features, "\n"))
}

func monitorManifest(project, name, view, reference string) string {
	return fmt.Sprintf(`
apiVersion: weir/v1
kind: Monitor
metadata: {name: %s, project: %s}
spec:
  view: %s
  reference: %s
  window: {size: month}
  retrain: {model: delays, service: %s}
`, name, project, view, reference, view)
}

// TestNYCWeather is the whole way on real data, over a real Kafka and a real
// Redis: every row once, in the table or in quarantine; lookups, training sets
// and windows equal to what a few lines over the file compute; the drift of the seasons found.
func TestNYCWeather(t *testing.T) {
	path, rows := readNYC(t)
	kafka, redis := testserver.Kafka(t), testserver.Redis(t)
	project := testserver.Name(t)
	c := testConfig(t)
	c.Kafka.Brokers = []string{kafka.Addr}
	c.Redis.Addrs = []string{redis.Addr}
	c.Kafka.Replicas = 1
	w := start(t, c)

	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka.Addr), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	topic, halfTopic := project+".weather", project+".half"
	created, err := kadm.NewClient(cl).CreateTopics(t.Context(), 3, 1, nil, topic, halfTopic)
	require.NoError(t, err)
	require.NoError(t, created.Error())

	w.apply(nycManifest(project, topic, "weather", "") +
		"---" + monitorManifest(project, "seasons", "weather", "{from: 2013-01-01T00:00:00Z, to: 2013-02-01T00:00:00Z}"))

	byTime := append([]nycRow(nil), rows...)
	sort.SliceStable(byTime, func(i, j int) bool { return byTime[i].at.Before(byTime[j].at) })
	publish(t, cl, topic, byTime)
	w.arrived(project, "weather", int64(len(rows)))
	checkNYC(t, w, project, "weather", byTime)

	// The retraining event is on its topic, and names the model.
	ev := waitEvent(t, kafka.Addr, "weir."+project+".events", "seasons")
	require.Equal(t, "io.weir.drift.detected.v1", ev["type"])
	data := ev["data"].(map[string]any)
	require.Equal(t, "delays", data["retrain"].(map[string]any)["model"])

	t.Run("half of January against the other half", func(t *testing.T) {
		half := *w
		half.t = t
		halfJanuary(t, &half, cl, project, halfTopic, byTime)
	})
	t.Run("the same by import of the file", func(t *testing.T) {
		in := *w
		in.t = t
		other := project + "_file"
		in.apply(nycManifest(other, other+".never", "weather", "") +
			"---" + monitorManifest(other, "seasons", "weather", "{from: 2013-01-01T00:00:00Z, to: 2013-02-01T00:00:00Z}"))
		var res []struct {
			Rows            int64 `json:"rows"`
			Quarantined     int64 `json:"quarantined"`
			AlreadyImported bool  `json:"already_imported"`
		}
		in.json(&res, "import", "--project", other, "--view", "weather", path)
		require.EqualValues(t, len(rows), res[0].Rows+res[0].Quarantined)
		in.json(&res, "import", "--project", other, "--view", "weather", path)
		require.True(t, res[0].AlreadyImported)
		checkNYC(t, &in, other, "weather", rows)
		waitEvent(t, kafka.Addr, "weir."+other+".events", "seasons")
	})
}

// publish sends rows keyed by airport, each airport to a partition of its own:
// with none empty, the windows close without waiting for one to be idle.
func publish(t *testing.T, cl *kgo.Client, topic string, rows []nycRow) {
	t.Helper()
	partition := map[string]int32{"EWR": 0, "JFK": 1, "LGA": 2}
	var recs []*kgo.Record
	for i := range rows {
		recs = append(recs, &kgo.Record{Topic: topic, Partition: partition[rows[i].origin], Key: []byte(rows[i].origin), Value: rows[i].json()})
	}
	require.NoError(t, cl.ProduceSync(t.Context(), recs...).FirstErr())
}

// checkNYC compares everything that can be read with the file. rows are in the order they came.
func checkNYC(t *testing.T, w *weir, project, view string, rows []nycRow) {
	t.Helper()
	good := map[string][]nycRow{} // by airport, in order of time
	bad := 0
	perMonth := map[time.Time]int64{}
	for _, r := range rows {
		if r.bad {
			bad++
			continue
		}
		good[r.origin] = append(good[r.origin], r)
		perMonth[time.Date(r.at.Year(), r.at.Month(), 1, 0, 0, 0, 0, time.UTC)]++
	}
	require.Equal(t, 1, bad)
	for _, rs := range good {
		sort.SliceStable(rs, func(i, j int) bool { return rs[i].at.Before(rs[j].at) })
	}

	q := w.held(project, view)
	require.EqualValues(t, 1, q.Total)
	require.Equal(t, "expect_column_values_to_be_between", q.Entries[0].Reasons[0].Rule)
	require.Equal(t, "wind_speed", q.Entries[0].Reasons[0].Path)
	require.Contains(t, q.Entries[0].Reasons[0].Value, "1048")
	require.EqualValues(t, len(rows), w.status(project, view).Rows+q.Total)

	for origin, rs := range good {
		var got struct {
			Rows []struct {
				Features   map[string]*float64 `json:"features"`
				EventTimes map[string]string   `json:"event_times"`
			} `json:"rows"`
		}
		w.json(&got, "lookup", "--project", project, "--service", view, "--entity", "origin="+origin)
		newest := rs[len(rs)-1]
		require.Equal(t, newest.at.Format(time.RFC3339), got.Rows[0].EventTimes[view])
		for i, n := range nycFeatures {
			requireNYC(t, newest.values[i], got.Rows[0].Features[n], "%s %s", origin, n)
		}
	}
	checkSnapshot(t, w, project, view, good)
	checkWindows(t, w, project, perMonth)
}

func requireNYC(t *testing.T, want string, got *float64, what string, args ...any) {
	t.Helper()
	if want == "NA" {
		require.Nil(t, got, what, args)
		return
	}
	f, err := strconv.ParseFloat(want, 64)
	require.NoError(t, err)
	require.NotNil(t, got, what, args)
	require.Equal(t, f, *got, what, args)
}

// checkSnapshot joins 1,000 random rows and compares each with a search over the file.
func checkSnapshot(t *testing.T, w *weir, project, view string, good map[string][]nycRow) {
	t.Helper()
	const seed = 11
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	spine, out := filepath.Join(dir, "spine.csv"), filepath.Join(dir, "training.csv")
	origins := []string{"EWR", "JFK", "LGA", "XXX"} // the last is not there
	lines := []string{"origin,event_timestamp,label"}
	type ask struct {
		origin string
		at     time.Time
	}
	var asks []ask
	begin := time.Date(2012, 12, 31, 0, 0, 0, 0, time.UTC)
	for i := range 1000 {
		a := ask{origins[rng.IntN(len(origins))], begin.Add(time.Duration(rng.Int64N(int64(370 * 24 * time.Hour)))).Truncate(time.Microsecond)}
		if rng.IntN(5) == 0 {
			a.at = a.at.Truncate(time.Hour) // exactly at an observation
		}
		asks = append(asks, a)
		lines = append(lines, fmt.Sprintf("%s,%s,%d", a.origin, a.at.Format(time.RFC3339Nano), i))
	}
	require.NoError(t, os.WriteFile(spine, []byte(strings.Join(lines, "\n")+"\n"), 0o644))
	w.run("snapshot", "create", "--project", project, "--service", view, "--spine", spine, "--out", out)
	f, err := os.Open(out)
	require.NoError(t, err)
	defer f.Close()
	recs, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	require.Len(t, recs, 1001)
	require.Equal(t, append([]string{"origin", "event_timestamp", "label"}, nycFeatures...), recs[0])
	found := 0
	for i, a := range asks {
		rs := good[a.origin]
		n := sort.Search(len(rs), func(i int) bool { return rs[i].at.After(a.at) }) - 1
		require.Equal(t, strconv.Itoa(i), recs[i+1][2], "row %d out of order", i)
		for j, name := range nycFeatures {
			want := "NA"
			if n >= 0 {
				want = rs[n].values[j]
			}
			got := recs[i+1][3+j]
			if want == "NA" {
				require.Empty(t, got, "row %d (%s at %s) %s", i, a.origin, a.at, name)
				continue
			}
			found++
			x, _ := strconv.ParseFloat(want, 64)
			y, err := strconv.ParseFloat(got, 64)
			require.NoError(t, err, "row %d (%s at %s) %s: %q", i, a.origin, a.at, name, got)
			require.Equal(t, x, y, "row %d (%s at %s) %s", i, a.origin, a.at, name)
		}
	}
	require.Greater(t, found, 4000)
}

// monitorWindows is `weir monitor show -o json`.
type monitorWindows struct {
	State   string `json:"state"`
	Results []struct {
		Start    string `json:"start"`
		Rows     int64  `json:"rows"`
		Drifted  bool   `json:"drifted"`
		Open     bool   `json:"open"`
		Features []struct {
			Feature string `json:"feature"`
			Drifted bool   `json:"drifted"`
			Skipped string `json:"skipped"`
		} `json:"features"`
	} `json:"results"`
}

func (m *monitorWindows) drifted(start, feature string) (judged, drifted bool) {
	for _, r := range m.Results {
		if strings.HasPrefix(r.Start, start) && !r.Open {
			for _, f := range r.Features {
				if f.Feature == feature && f.Skipped == "" {
					return true, f.Drifted
				}
			}
		}
	}
	return false, false
}

// checkWindows waits for the windows and compares their rows with the file's.
func checkWindows(t *testing.T, w *weir, project string, perMonth map[time.Time]int64) {
	t.Helper()
	var m monitorWindows
	w.eventually(func() bool {
		m = monitorWindows{}
		w.json(&m, "monitor", "show", "seasons", "--project", project, "--limit", "50")
		judged, _ := m.drifted("2013-11", "temp")
		return judged
	}, "November to be judged")
	got := map[time.Time]int64{}
	for _, r := range m.Results {
		at, err := time.Parse(time.RFC3339, r.Start)
		require.NoError(t, err)
		got[at] += r.Rows
	}
	require.Equal(t, perMonth, got)
	judged, drifted := m.drifted("2013-07", "temp")
	require.True(t, judged && drifted, "July against January is a drift of temp")

	var kept windowProfile
	w.json(&kept, "monitor", "profile", "seasons", "--project", project, "--window", "2013-07-05T00:00:00Z", "--feature", "temp")
	require.Equal(t, perMonth[time.Date(2013, 7, 1, 0, 0, 0, 0, time.UTC)], kept.Rows)
	require.Len(t, kept.Features, 1)
	temp := kept.Features[0]
	require.Equal(t, "temp", temp.Feature)
	require.Equal(t, kept.Rows, temp.Count+temp.Nulls+temp.Odd)
	require.NoError(t, sketch.CheckKLL(temp.KLL))
	require.NotEmpty(t, temp.HLL)
	require.LessOrEqual(t, temp.Bytes, int64(8<<10))

	// The same months over the table's history: it would have fired, and nothing is told of it.
	events := w.run("events", "list", "--project", project)
	var history struct {
		Changes []struct {
			Drifted bool   `json:"drifted"`
			Window  string `json:"window"`
		} `json:"changes"`
		Results []any `json:"results"`
	}
	code, out, errs := w.try("monitor", "run", "seasons", "--project", project, "--from", "2013-06-01", "--to", "2013-08-01", "-o", "json")
	require.Equal(t, 1, code, errs)
	require.NoError(t, json.Unmarshal([]byte(out), &history), out)
	require.Len(t, history.Results, 2)
	require.Len(t, history.Changes, 1)
	require.True(t, history.Changes[0].Drifted)
	require.Equal(t, events, w.run("events", "list", "--project", project), "a backtest tells nobody")
}

// windowProfile is `weir monitor profile -o json`.
type windowProfile struct {
	Rows     int64 `json:"rows"`
	Features []struct {
		Feature           string `json:"feature"`
		Count, Nulls, Odd int64
		Bytes             int64  `json:"bytes"`
		KLL               []byte `json:"kll"`
		HLL               []byte `json:"hll"`
	} `json:"features"`
}

// halfJanuary trains on a random half of January and streams the other.
func halfJanuary(t *testing.T, w *weir, cl *kgo.Client, project, topic string, rows []nycRow) {
	rng := rand.New(rand.NewPCG(5, 0))
	var live []nycRow
	lines := []string{"origin,event_timestamp"}
	feb := time.Date(2013, 2, 1, 0, 0, 0, 0, time.UTC)
	for _, r := range rows {
		switch {
		case r.at.Before(feb) && rng.IntN(2) == 0:
			lines = append(lines, r.origin+","+r.at.Format(time.RFC3339))
		case r.at.Before(feb.Add(72 * time.Hour)):
			live = append(live, r) // the days after it close January
		}
	}
	dir := t.TempDir()
	spine := filepath.Join(dir, "spine.csv")
	require.NoError(t, os.WriteFile(spine, []byte(strings.Join(lines, "\n")+"\n"), 0o644))
	var snap struct {
		ID   string `json:"id"`
		Rows int    `json:"rows"`
	}
	w.json(&snap, "snapshot", "create", "--project", project, "--service", "weather", "--spine", spine, "--out", filepath.Join(dir, "half.parquet"))
	require.Equal(t, len(lines)-1, snap.Rows)
	w.apply(nycManifest(project, topic, "half", "_half") + "---" + monitorManifest(project, "halves", "half", "{snapshot: "+snap.ID+"}"))
	publish(t, cl, topic, live)
	w.arrived(project, "half", int64(len(live)))
	var m monitorWindows
	w.eventually(func() bool {
		m = monitorWindows{}
		w.json(&m, "monitor", "show", "halves", "--project", project)
		judged, _ := m.drifted("2013-01", "temp")
		return judged
	}, "January to be judged")
	require.Equal(t, "ok", m.State)
	for _, n := range nycFeatures {
		_, drifted := m.drifted("2013-01", n)
		require.False(t, drifted, "a random half of January is no drift of %s", n)
	}
}

// waitEvent reads a project's topic of events until one is about the monitor.
func waitEvent(t *testing.T, broker, topic, monitor string) map[string]any {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.UnknownTopicRetries(-1), kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(time.Second))
	require.NoError(t, err)
	defer cl.Close()
	deadline := time.Now().Add(90 * time.Second)
	for time.Now().Before(deadline) {
		fs := cl.PollFetches(t.Context())
		var found map[string]any
		fs.EachRecord(func(r *kgo.Record) {
			var ev map[string]any
			require.NoError(t, json.Unmarshal(r.Value, &ev), string(r.Value))
			if data, ok := ev["data"].(map[string]any); ok && data["monitor"] == monitor && found == nil {
				found = ev
			}
		})
		if found != nil {
			return found
		}
	}
	t.Fatalf("no event of %s on %s", monitor, topic)
	return nil
}
