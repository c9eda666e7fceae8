package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/internal/testserver/native"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

const (
	delayRounds  = 20
	delaySeconds = 2 // from the close of a drifted window to the accepted run
	delayRows    = 400
	delayWithin  = time.Minute
)

const delayManifest = `
apiVersion: weir/v1
kind: Entity
metadata: {name: order, description: An order of the shop, owner: bench@example.com}
spec:
  join_keys: [{name: order_id, type: string}]
---
apiVersion: weir/v1
kind: Source
metadata: {name: orders, description: Orders of the shop, owner: bench@example.com}
spec:
  topic: @TOPIC@
  event_time: {field: ts}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: orders, description: The newest state of each order, owner: bench@example.com}
spec:
  source: orders
  entities: [order]
  online: false
  features: [{name: amount, type: float64}]
---
apiVersion: weir/v1
kind: Monitor
metadata: {name: orders, description: The distribution of the amounts, owner: bench@example.com}
spec:
  view: orders
  reference: {from: 2026-01-01, to: 2026-02-01}
  window: {size: 10m}
  retrain: {model: prices, pipeline: retrain}
`

// The pipeline and its Airflow. Commits lie no multiple of the polls' second apart, so that over the
// rounds they come at all moments between two polls; with the default of 5 s all rounds would be alike.
const delayConfig = `
ingest: {flush_interval: 1130ms}
pipelines: [{name: retrain, type: airflow, url: %q, user: weir, password: %q}]
`

// measureDelays has windows drift, and measures how long after their close Airflow has a run: in one process,
// and with ingestion, drift and serving each in a process of its own, on one PostgreSQL.
func (r *run) measureDelays(ctx context.Context) error {
	airflow := &fakeAirflow{accepted: map[time.Time]time.Time{}, more: make(chan struct{}, 1)}
	srv := httptest.NewServer(airflow)
	defer srv.Close()
	password, config := filepath.Join(r.dir, "airflow.password"), filepath.Join(r.dir, "delays.yaml")
	if err := errors.Join(os.WriteFile(password, []byte("of-the-benchmark"), 0o600),
		os.WriteFile(config, fmt.Appendf(nil, delayConfig, srv.URL, "file:"+password), 0o600)); err != nil {
		return err
	}
	k, err := r.kafka(ctx, "delays")
	if err != nil {
		return err
	}
	defer k.stop()
	if err := r.delaysOfOne(ctx, k, airflow, config); err != nil {
		return err
	}
	return r.delaysOfRoles(ctx, k, airflow, config)
}

func (r *run) delaysOfOne(ctx context.Context, k *broker, a *fakeAirflow, config string) (err error) {
	p, err := r.launch(ctx, "", []string{"up", "--data", filepath.Join(r.dir, "delays-one"), "--config", config}, "kafka.brokers="+k.addr, "kafka.replicas=1")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	return r.delays(ctx, "one weir up, SQLite", k, a, p, p)
}

func (r *run) delaysOfRoles(ctx context.Context, k *broker, a *fakeAirflow, config string) (err error) {
	dir, err := os.MkdirTemp("", "weir-bench-pg-") // whose user must reach it
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	pg, err := native.StartPostgres(ctx, dir)
	if errors.Is(err, native.ErrAbsent) {
		fmt.Fprintln(os.Stderr, "  roles in processes of their own are not measured:", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer pg.Stop()
	settings := []string{"kafka.brokers=" + k.addr, "kafka.replicas=1", "offline.warehouse=" + filepath.Join(r.dir, "delays-tables")}
	for name, setting := range map[string]string{"definitions": "registry.url", "tables": "offline.catalog"} {
		url, err := database(ctx, pg.URL, name)
		if err != nil {
			return err
		}
		settings = append(settings, setting+"="+url)
	}
	roles := map[string]*process{}
	for _, role := range []string{"serving", "drift", "ingest"} {
		p, lerr := r.launch(ctx, "", []string{"run", "--role", role, "--config", config}, append([]string{"data_dir=" + filepath.Join(r.dir, "delays-"+role)}, settings...)...)
		if lerr != nil {
			return lerr
		}
		defer func() { err = errors.Join(err, p.stop()) }()
		roles[role] = p
	}
	return r.delays(ctx, "ingest, drift and serving in processes of their own, PostgreSQL", k, a, roles["serving"], roles["ingest"])
}

// database makes one on a server, and gives its address.
func database(ctx context.Context, server, name string) (string, error) {
	db, err := sql.Open("pgx", server) // native has the driver
	if err != nil {
		return "", err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "CREATE DATABASE "+name)
	return strings.Replace(server, "/postgres?", "/"+name+"?", 1), err
}

// delays measures rounds of two windows each: one that is steady, and one that drifts. A window is over when
// the commit has landed by which the next one's first rows are in the table.
func (r *run) delays(ctx context.Context, what string, k *broker, a *fakeAirflow, head, worker *process) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.addr))
	if err != nil {
		return err
	}
	defer cl.Close()
	s := &orders{topic: fmt.Sprintf("orders-%d", len(r.lines)), cl: cl, worker: worker}
	// One partition: its first row of the next window is what closes the last, whichever commit has the others.
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 1, 1, nil, s.topic); err != nil {
		return err
	}
	if err := head.apply(ctx, strings.ReplaceAll(delayManifest, "@TOPIC@", s.topic)); err != nil {
		return err
	}
	at := time.Date(2026, 1, 10, 0, 0, 0, 0, time.UTC)
	for range 5 {
		if _, err := s.window(ctx, at, 0); err != nil {
			return err
		}
		at = at.Add(10 * time.Minute)
	}
	at = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	a.mu.Lock()
	a.accepted = map[time.Time]time.Time{}
	a.mu.Unlock()
	var delays, whole []float64
	for round := range delayRounds + 1 {
		if _, err := s.window(ctx, at, 0); err != nil {
			return err
		}
		drifted := at.Add(10 * time.Minute)
		if _, err := s.window(ctx, drifted, 3); err != nil {
			return err
		}
		at = drifted.Add(10 * time.Minute)
		sent := time.Now()
		over, err := s.window(ctx, at, 0) // also the next round's steady one
		if err != nil {
			return err
		}
		accepted, err := a.await(ctx, drifted)
		if err != nil {
			return err
		}
		if round > 0 { // the first reads the reference, and logs in
			delays, whole = append(delays, accepted.Sub(over).Seconds()), append(whole, accepted.Sub(sent).Seconds())
		}
	}
	r.add(Line{What: "from the close of a drifted window to the accepted DAG run, " + what, Value: slices.Max(delays), Unit: "s", Target: delaySeconds,
		Note: fmt.Sprintf("the slowest of %d, median %s s; from the sending of the event that closes it, with commits every 1.13 s, median %s s; %s; an Airflow that answers at once",
			len(delays), number(median(delays)), number(median(whole)), k.what)})
	return nil
}

// orders is a stream of which each window is sent at once. All windows have the same values, or all of them more by a
// shift: what is steady never looks as if it drifted.
type orders struct {
	topic  string
	cl     *kgo.Client
	worker *process
	sent   int64
}

// window sends the rows of one, and returns when all of them are in the table: with the time of the
// first commit that has some of them.
func (s *orders) window(ctx context.Context, start time.Time, shift float64) (first time.Time, err error) {
	began, before := time.Now(), s.sent
	var recs []*kgo.Record
	for i := range delayRows {
		ts := start.Add(time.Duration(i) * 10 * time.Minute / delayRows)
		recs = append(recs, &kgo.Record{Topic: s.topic, Value: fmt.Appendf(nil, `{"order_id": "o%d", "ts": %q, "amount": %.4f}`, s.sent, ts.Format(time.RFC3339Nano), shift+float64(i*7%delayRows)/delayRows)})
		s.sent++
	}
	if err := s.cl.ProduceSync(ctx, recs...).FirstErr(); err != nil {
		return first, err
	}
	for {
		log, err := weirv1.NewTableServiceClient(s.worker.conn).Log(ctx, &weirv1.TableLogRequest{View: "orders"})
		if err != nil && !strings.Contains(err.Error(), "NotFound") {
			return first, err
		}
		for _, x := range log.GetSnapshots() {
			if x.Current && x.Rows == s.sent {
				for _, y := range log.Snapshots {
					if at := time.UnixMicro(y.CommittedAt); y.Rows > before && (first.IsZero() || at.Before(first)) {
						first = at
					}
				}
				return first, nil
			}
		}
		if time.Since(began) > delayWithin {
			return first, fmt.Errorf("after %s the table does not have the %d rows\n%s", delayWithin, s.sent, s.worker.logs)
		}
		select {
		case <-ctx.Done():
			return first, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
