package demo

import (
	"context"
	"fmt"
	"io"

	"github.com/weir-ml/weir/internal/mlflow"
	"github.com/weir-ml/weir/internal/outbox/airflow"
	"github.com/weir-ml/weir/internal/outbox/modeltags"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

// The names under which deliveries are kept.
const (
	ToKafka   = "kafka"
	ToAirflow = "airflow"
	ToMLflow  = "mlflow"
)

// Pipeline is what the sample's monitor asks for, and the DAG of that name in examples/churn.
const Pipeline = "retrain_churn"

// Sent is what a retraining event is to one destination: what it does there, and whether it has.
type Sent struct {
	To    string `json:"to"`
	What  string `json:"what"`
	State string `json:"state"` // as deliveries have it, or "not configured"
	Error string `json:"error,omitempty"`
	hint  string
}

// sends says where the event has gone, and where it would have gone had that been there.
func (r *Report) sends(ctx context.Context, c Clients, o Options, e *weirv1.Event) error {
	told, err := c.Events.Get(ctx, &weirv1.GetEventRequest{Id: e.Id})
	if err != nil {
		return fmt.Errorf("event %s: %w", e.Id, err)
	}
	url := o.Airflow
	if url == "" {
		url = "http://airflow:8080"
	}
	// Only what would be sent is asked of it: the token is never read.
	air, err := airflow.New(airflow.Options{URL: url, Token: "env:AIRFLOW_TOKEN"})
	if err != nil {
		return err
	}
	run, err := air.Show(told.Payload)
	if err != nil {
		return err
	}
	model := "the champion of model " + model
	if r.version != "" {
		model = "version " + r.version + " of model churn"
	}
	r.Sends = []Sent{
		{To: ToKafka, What: fmt.Sprintf("topic weir.%s.events, key %s", project, monitor)},
		{To: ToAirflow, What: fmt.Sprintf("%s %s, run weir__%s", run.Method, run.URL, e.Id), hint: "weir demo --with-airflow URL"},
		{To: ToMLflow, What: fmt.Sprintf("tags %s=%s, %s, %s of %s", modeltags.Requested, e.Id, modeltags.Monitor, modeltags.At, model), hint: "weir demo --with-mlflow URL"},
	}
	for i := range r.Sends {
		s := &r.Sends[i]
		s.State = "not configured"
		for _, d := range e.Deliveries {
			if d.Destination == s.To {
				s.State, s.Error, s.hint = d.State, d.LastError, ""
			}
		}
	}
	return nil
}

// tried reports whether each delivery of the events is done, or has failed at least once: who is away is not waited for.
func tried(events []*weirv1.Event) bool {
	for _, e := range events {
		for _, d := range e.Deliveries {
			if d.State == "pending" && d.LastError == "" {
				return false
			}
		}
	}
	return true
}

// champion finds the version that the event will tag. Where MLflow has none, one is made, with no model behind it.
func (r *Report) champion(ctx context.Context, m *mlflow.Client) error {
	v, err := m.VersionByAlias(ctx, model, modeltags.Champion)
	if feature.KindOf(err) == feature.NotFound {
		v, err = m.Register(ctx, mlflow.Version{Name: model, Source: "weir-demo:/" + model, Tags: map[string]string{"weir.demo": "true", "feature_service": service}},
			"made by weir demo; there is no model behind it", modeltags.Champion)
		r.made = err == nil
	}
	if err != nil {
		return fmt.Errorf("MLflow: %w", err)
	}
	r.version = v.Version
	return nil
}

func (r *Report) tellSends(w io.Writer) {
	for _, s := range r.Sends {
		state := s.State
		if s.hint != "" {
			state = "not configured: " + s.hint
		}
		if s.Error != "" && s.State != "delivered" {
			state += ": " + s.Error
		}
		fmt.Fprintf(w, "  %-7s  %s\n           %s\n", s.To, state, s.What)
	}
}
