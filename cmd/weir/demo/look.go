package demo

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// spineRows is the size of the training set.
const spineRows = 1000

// look asks what a user would ask: what was held back, what a server would
// get, what a training job would get.
func (r *Report) look(ctx context.Context, c Clients, o Options, sim *simulator) (err error) {
	if r.held, err = c.Held.List(ctx, &weirv1.ListQuarantineRequest{Project: project, View: view, Limit: 50}); err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	r.Quarantined = r.held.Total
	r.customer = sim.all[41].id
	r.lookup, err = c.Features.Lookup(ctx, &weirv1.LookupRequest{
		Project: project, What: &weirv1.LookupRequest_Service{Service: service}, IncludeStatuses: true, IncludeEventTimes: true,
		Entities: []*weirv1.EntityColumn{{Name: "customer_id", Values: &weirv1.Values{Kind: &weirv1.Values_Strings{Strings: &weirv1.Strings{Values: []string{r.customer}}}}}},
	})
	if err != nil {
		return fmt.Errorf("lookup: %w", err)
	}
	spine, out := filepath.Join(o.Folder, "spine.csv"), filepath.Join(o.Folder, "training.csv")
	if err := sim.spine(spine, o.Events); err != nil {
		return err
	}
	s, err := c.Snapshots(ctx, service, spine, out)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	r.SnapshotRows, r.SnapshotID = s.Rows, s.Id
	if r.made {
		if err := c.MLflow.SetVersionTag(ctx, model, r.version, "feature_snapshot_id", s.Id); err != nil {
			return fmt.Errorf("MLflow: %w", err)
		}
	}
	r.training, err = head(out, 4)
	return err
}

// spine writes customers and times at which the model should have predicted,
// with the label that a training job would bring.
func (s *simulator) spine(path string, events int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := csv.NewWriter(f)
	_ = w.Write([]string{"customer_id", "event_timestamp", "churned"})
	span := time.Duration(float64(events) / PerHour * float64(time.Hour))
	for range spineRows {
		at := s.start.Add(span/4 + time.Duration(s.rng.Int64N(int64(span*3/4))))
		_ = w.Write([]string{s.all[s.rng.IntN(len(s.all))].id, at.Format(time.RFC3339), strconv.FormatBool(s.rng.IntN(4) == 0)})
	}
	w.Flush()
	return w.Error()
}

func head(path string, n int) ([][]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cr := csv.NewReader(f)
	var out [][]string
	for range n {
		rec, err := cr.Read()
		if err != nil {
			return out, nil
		}
		out = append(out, rec)
	}
	return out, nil
}

// drift waits for the monitor to see the price change and for its event to be sent.
func (r *Report) drift(ctx context.Context, c Clients, o Options) error {
	if o.Events < (PriceChange+3)*PerHour {
		return nil // too short a stream to drift
	}
	o.Progress("judging", 0, 1)
	err := until(ctx, 30*time.Second, "the drift to be found", func() (bool, error) {
		ev, err := c.Events.List(ctx, &weirv1.ListEventsRequest{Project: project, Monitor: monitor})
		if err != nil {
			return false, err
		}
		r.events = ev.Events
		return len(ev.Events) > 0 && tried(ev.Events), nil
	})
	if err != nil {
		return err
	}
	o.Progress("judging", 1, 1)
	m, err := c.Monitors.Show(ctx, &weirv1.ShowMonitorRequest{Project: project, Name: monitor, Limit: Hours})
	if err != nil {
		return err
	}
	r.summary, r.windows = m.Monitor, m.Windows
	r.DriftedFeatures = []string{}
	seen := map[string]bool{}
	for _, w := range m.Windows {
		for _, f := range w.Features {
			if w.Drifted && f.Drifted && !seen[f.Feature] {
				seen[f.Feature] = true
				r.DriftedFeatures = append(r.DriftedFeatures, f.Feature)
			}
		}
	}
	for _, e := range r.events {
		if e.Type == "io.weir.drift.detected.v1" {
			r.RetrainingEvents++
			if err := r.sends(ctx, c, o, e); err != nil {
				return err
			}
		}
	}
	return nil
}
