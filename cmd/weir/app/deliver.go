package app

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/weir-ml/weir/cmd/weir/api"
	"github.com/weir-ml/weir/drift"
	driftkafka "github.com/weir-ml/weir/drift/kafka"
	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/outbox/alertmanager"
	"github.com/weir-ml/weir/internal/outbox/cloudevent"
	"github.com/weir-ml/weir/internal/outbox/webhook"
	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/openlineage"
	"github.com/weir-ml/weir/validate/quality"
)

// destinations are the names that events are stored for, by the settings that
// every process of an installation has: Kafka, what alerts lists, what trains again, and OpenLineage.
func (c *Config) destinations() []string {
	out := []string{api.EventDestination}
	for i := range c.Alerts {
		out = append(out, c.Alerts[i].name())
	}
	out = append(out, c.pipelineNames()...)
	if c.OpenLineage.URL != "" {
		out = append(out, openlineage.Destination)
	}
	return out
}

// route chooses an event's destinations: its project's topic always, of alerts those that ask for it, and what
// trains again where it asks for that.
func (c *Config) route() outbox.Route {
	return func(s outbox.Subject) []string {
		out := []string{api.EventDestination}
		for i := range c.Alerts {
			if x := &c.Alerts[i]; x.wants(s.Project, s.Severity) {
				out = append(out, x.name())
			}
		}
		return append(out, c.retrains(s)...)
	}
}

// deliverers makes what takes events to their destinations, and what repeats to Alertmanager what fires.
func (a *App) deliverers() (to map[string]outbox.Deliverer, repeat []*alertmanager.Deliverer) {
	to = map[string]outbox.Deliverer{
		api.EventDestination: encode(driftkafka.New(a.producer), a.cfg.Events.Mode, a.cfg.Events.Format, (*cloudevent.Event).Kafka)}
	for _, c := range a.cfg.Alerts {
		for _, r := range []secret.Ref{c.Secret, c.Token} {
			if _, err := r.Read(); err != nil {
				a.log.Warn("alerts cannot be sent there until their secret can be read", "destination", c.name(), "error", err)
			}
		}
		switch c.Type {
		case toLog:
			to[c.name()] = outbox.Log{Logger: a.log}
		case toWebhook:
			to[c.name()] = encode(webhook.New(webhook.Options{URL: c.URL, Secret: c.Secret, Token: c.Token, Timeout: c.Timeout}), c.Mode, c.Format, (*cloudevent.Event).HTTP)
		case toAlertmanager:
			d := alertmanager.New(alertmanager.Options{URL: c.URL, Token: c.Token, Timeout: c.Timeout, Resend: c.Resend, Firing: a.firing, Log: a.log,
				Alerts: func(payload []byte) ([]alertmanager.Alert, error) { return alertsOf(&c, payload) }})
			to[c.name()] = d
			repeat = append(repeat, d)
		}
	}
	a.addPipelines(to)
	if a.lineage != nil {
		to[openlineage.Destination] = openlineage.NewDeliverer(a.cfg.OpenLineage)
	}
	return to, repeat
}

// told is what destinations need of an event, of drift or quality.
type told struct {
	Type string    `json:"type"`
	Time time.Time `json:"time"`
	Data struct {
		quality.Alert
		Monitor     string `json:"monitor"`
		Destination string `json:"destination"`
	} `json:"data"`
}

func readEvent(payload []byte) (*told, error) {
	x := new(told)
	if err := json.Unmarshal(payload, x); err != nil {
		return nil, feature.Errorf(feature.Invalid, "alerts", "event", "%w", err)
	}
	if x.Data.Monitor != "" {
		x.Data.Firing = x.Type == drift.DetectedType
		if x.Data.Severity == "" { // from before monitors had one
			x.Data.Severity = feature.Warning
		}
	}
	return x, nil
}

// wants reports whether a destination asks for events of a project and severity.
func (c *AlertConfig) wants(project string, severity feature.Severity) bool {
	return (len(c.Projects) == 0 || slices.Contains(c.Projects, project)) &&
		(len(c.Severities) == 0 || slices.Contains(c.Severities, string(severity)))
}

// alertsOf makes alerts for Alertmanager of an event: of a suite one for each expectation that failed.
func alertsOf(c *AlertConfig, payload []byte) ([]alertmanager.Alert, error) {
	x, err := readEvent(payload)
	if err != nil || !c.wants(x.Data.Project, x.Data.Severity) || x.Data.Destination != "" && x.Data.Destination == c.name() {
		return nil, err
	}
	d := &x.Data
	name := map[quality.Rule]string{quality.SuiteRule: "WeirQualityFailed", quality.Freshness: "WeirFreshnessStale",
		quality.Volume: "WeirVolumeOff", quality.RejectRate: "WeirViewPaused", "": "WeirDrift"}[d.Rule]
	one := func(severity feature.Severity, expectation, summary string) alertmanager.Alert {
		al := alertmanager.Alert{Starts: d.Since, Annotations: map[string]string{"summary": summary}, Labels: map[string]string{
			"alertname": name, "severity": string(severity), "project": d.Project, "view": d.View, "suite": d.Suite, "monitor": d.Monitor, "expectation": expectation, "destination": d.Destination}}
		if !d.Firing {
			al.Ends = x.Time
		}
		return al
	}
	if d.Destination != "" {
		name = "WeirDeliveryFailed"
		return []alertmanager.Alert{one(d.Severity, "", d.Reason)}, nil
	}
	if d.Monitor != "" {
		return []alertmanager.Alert{one(d.Severity, "", "monitor "+d.Monitor+" of view "+d.View+" has drifted")}, nil
	}
	var out []alertmanager.Alert
	for i := range d.Expectations {
		r := &d.Expectations[i]
		out = append(out, one(r.Severity, r.Name(), "view "+d.View+": "+r.Text()))
	}
	if len(out) == 0 {
		out = append(out, one(d.Severity, "", "view "+d.View+": "+d.Reason))
	}
	return out, nil
}

// firing gives the events of what fires, of monitors and of views: of an owner of a project, of all where they are empty.
func (a *App) firing(ctx context.Context, project, owner string) (out [][]byte, err error) {
	for _, s := range []quality.States{a.drift, a.quality} {
		states, err := s.States(ctx, project, owner)
		if err != nil {
			return nil, err
		}
		for _, st := range states {
			if !st.Firing || st.Event == "" {
				continue
			}
			evs, err := s.Events(ctx, tally.EventQuery{ID: st.Event, Limit: 1})
			if err != nil {
				return nil, err
			}
			for _, e := range evs {
				out = append(out, e.Payload)
			}
		}
	}
	return out, nil
}
