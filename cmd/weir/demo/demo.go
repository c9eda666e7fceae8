package demo

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/internal/mlflow"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

//go:embed project.yaml
var projectYAML string

const (
	project = "default"
	topic   = "customers"
	view    = "customer_profile"
	service = "churn"
	monitor = "churn_inputs"
	model   = "churn"
)

// Clients is how the demo speaks to the Weir it shows.
type Clients struct {
	Kafka     []kgo.Opt
	Registry  weirv1.RegistryServiceClient
	Features  weirv1.FeatureServiceClient
	Ingest    weirv1.IngestServiceClient
	Held      weirv1.QuarantineServiceClient
	Monitors  weirv1.MonitorServiceClient
	Events    weirv1.EventServiceClient
	Snapshots func(ctx context.Context, service, spine, out string) (*weirv1.Snapshot, error)
	MLflow    *mlflow.Client // nil for none
}

// Options are what a user can choose.
type Options struct {
	Events int           // how many to publish; a day of PerHour when 0
	Pace   time.Duration // how long publishing should take
	Folder string        // for the spine and the training set
	// Airflow is the address of the one that Weir is told to start retraining at; "" for none.
	Airflow string
	// Progress is told what has been published and what has arrived in the table or in quarantine.
	Progress func(stage string, done, total int64)
}

// Report is what the demo found; its JSON is what `weir demo -o json` prints.
type Report struct {
	Published        int64    `json:"published"`
	OfflineRows      int64    `json:"offline_rows"`
	Quarantined      int64    `json:"quarantined"`
	SnapshotRows     int64    `json:"snapshot_rows"`
	DriftedFeatures  []string `json:"drifted_features"`
	RetrainingEvents int      `json:"retraining_events"`
	SnapshotID       string   `json:"snapshot_id"`
	Seconds          float64  `json:"seconds"`
	Sends            []Sent   `json:"sends"` // of the event that asks for retraining

	held     *weirv1.ListQuarantineResponse
	customer string
	lookup   *weirv1.LookupResponse
	training [][]string // header and three rows
	windows  []*weirv1.WindowResult
	summary  *weirv1.MonitorSummary
	events   []*weirv1.Event
	version  string // of the model in MLflow, where there is one
	made     bool   // by the demo
}

// Run applies the sample project, publishes the stream and waits until all of
// it has arrived and been judged.
func Run(ctx context.Context, c Clients, o Options) (*Report, error) {
	began := time.Now()
	if o.Events == 0 {
		o.Events = Hours * PerHour
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	start := began.UTC().Truncate(time.Hour).Add(-(Hours - 1) * time.Hour)
	if err := apply(ctx, c, start); err != nil {
		return nil, err
	}
	r := &Report{Sends: []Sent{}}
	if c.MLflow != nil {
		if err := r.champion(ctx, c.MLflow); err != nil {
			return nil, err
		}
	}
	sim := newSimulator(42, start)
	if err := r.publish(ctx, c, o, sim); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	if err := r.arrive(ctx, c, o); err != nil {
		return nil, err
	}
	if err := r.look(ctx, c, o, sim); err != nil {
		return nil, err
	}
	if err := r.drift(ctx, c, o); err != nil {
		return nil, err
	}
	r.Seconds = time.Since(began).Seconds()
	return r, nil
}

func apply(ctx context.Context, c Clients, start time.Time) error {
	y := strings.NewReplacer("@FROM@", start.Format(time.RFC3339), "@TO@", start.Add(Reference*time.Hour).Format(time.RFC3339)).Replace(projectYAML)
	r, err := c.Registry.Apply(ctx, &weirv1.ApplyRequest{Files: []*weirv1.ManifestFile{{Name: "demo.yaml", Content: []byte(y)}}, DefaultProject: project})
	if err != nil {
		return fmt.Errorf("apply the sample project: %w", err)
	}
	for _, f := range r.Faults {
		return fmt.Errorf("apply the sample project: line %d: %s: %s", f.Line, f.Field, f.Message)
	}
	return nil
}

// publish sends the stream at an even pace, as a producer would.
func (r *Report) publish(ctx context.Context, c Clients, o Options, sim *simulator) error {
	cl, err := kgo.NewClient(append(append([]kgo.Opt{}, c.Kafka...), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(5*time.Millisecond))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := topicReady(ctx, cl); err != nil {
		return err
	}
	began := time.Now()
	var failed error
	for i := range o.Events {
		e := sim.next(i)
		cl.Produce(ctx, &kgo.Record{Key: e.key, Value: e.value, Timestamp: e.at}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed = err // callbacks run one after another, and Flush comes before the read
			}
		})
		if i%200 == 199 {
			o.Progress("publishing", int64(i+1), int64(o.Events))
			due := time.Duration(float64(o.Pace) * float64(i+1) / float64(o.Events))
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(due - time.Since(began)):
			}
		}
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	r.Published = int64(o.Events)
	return failed
}

// topicReady waits until Weir has made the topic.
func topicReady(ctx context.Context, cl *kgo.Client) error {
	adm := kadm.NewClient(cl)
	return until(ctx, 10*time.Second, "the topic "+topic, func() (bool, error) {
		ts, err := adm.ListTopics(ctx, topic)
		if err != nil {
			return false, err
		}
		return ts[topic].Err == nil && len(ts[topic].Partitions) > 0, nil
	})
}

// arrive waits until every event is in the table or in quarantine.
func (r *Report) arrive(ctx context.Context, c Clients, o Options) error {
	return until(ctx, 60*time.Second, "all events to arrive", func() (bool, error) {
		st, err := c.Ingest.Status(ctx, &weirv1.IngestStatusRequest{Project: project, View: view})
		if err != nil {
			return false, err
		}
		var done int64
		for _, v := range st.Views {
			r.OfflineRows = v.Rows
			for _, p := range v.Partitions {
				done += p.Position
			}
		}
		o.Progress("arriving", done, r.Published)
		return done >= r.Published, nil
	})
}

// until asks again until ok, or says what it waited for.
func until(ctx context.Context, most time.Duration, what string, ok func() (bool, error)) error {
	deadline := time.Now().Add(most)
	for {
		done, err := ok()
		if done && err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			if err != nil {
				return fmt.Errorf("waited %s for %s: %w", most, what, err)
			}
			return fmt.Errorf("waited %s for %s", most, what)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
