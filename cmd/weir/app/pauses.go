package app

import (
	"context"
	"fmt"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/quality"
)

// pauseAlerts tells of views that pause by the way that all alerts of quality take.
type pauseAlerts struct{ to *quality.Alerts }

var _ ingest.Alert = pauseAlerts{}

// Alert implements ingest.Alert.
func (p pauseAlerts) Alert(ctx context.Context, e ingest.Event) error {
	x := quality.Alert{Project: e.Project, View: e.View, Rule: quality.RejectRate, Firing: e.Type == ingest.EventPaused, Severity: feature.Critical,
		Since: feature.Time(e.At), RejectsOf: &quality.RejectState{Max: e.Limit, Events: e.Events, Rules: e.Rules}}
	switch {
	case x.Firing:
		x.RejectsOf.Rate = float64(e.Rejected) / float64(e.Events)
		x.Reason = fmt.Sprintf("the view is paused: %d of the last %d events would be held back, and max_reject_rate is %g", e.Rejected, e.Events, e.Limit)
	case e.Accepted:
		x.Reason = "the view goes on: the bad events that waited were accepted"
	default:
		x.Reason = "the view goes on: its events were judged anew, and few enough are bad"
	}
	return p.to.Alert(ctx, x)
}
