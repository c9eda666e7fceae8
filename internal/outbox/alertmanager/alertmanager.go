// Package alertmanager delivers entries of the outbox to Prometheus
// Alertmanager, by its API v2.
//
// Alertmanager forgets: an alert that nobody repeats is over for it after a
// while. So what fires is sent again and again, from what is stored, until it is
// resolved; an Alertmanager that restarted empty knows all of it a moment later.
//
// The one rule: what an alert's labels are does not depend on when it is sent, or
// its end would be another alert's.
package alertmanager

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/outbox/posting"
	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/registry/feature"
)

// Alert is one alert as Alertmanager knows it.
type Alert struct {
	Labels      map[string]string
	Annotations map[string]string
	Starts      time.Time
	Ends        time.Time // zero while it fires
}

// Options are Alertmanager's address and what is told to it.
type Options struct {
	URL     string // without /api/v2/alerts
	Token   secret.Ref
	Timeout time.Duration
	// Alerts makes alerts of a payload, none where it is not for this destination.
	Alerts func(payload []byte) ([]Alert, error)
	// Firing gives the payloads of what fires now, of an owner of a project or of all where they are empty.
	Firing func(ctx context.Context, project, owner string) ([][]byte, error)
	Resend time.Duration // how often what fires is sent again; 1m when 0. Unrepeated it ends after five times that
	Log    *slog.Logger
	Now    func() time.Time
}

// Deliverer implements outbox.Deliverer. Run repeats what fires.
type Deliverer struct {
	opt  Options
	post *posting.Client
	// mu has one request at a time: what was read as firing must not be sent after its end.
	mu sync.Mutex
}

var _ outbox.Deliverer = (*Deliverer)(nil)

// New makes a deliverer.
func New(o Options) *Deliverer {
	if o.Resend <= 0 {
		o.Resend = time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Deliverer{opt: o, post: posting.New("alertmanager", strings.TrimRight(o.URL, "/")+"/api/v2/alerts", o.Token, o.Timeout)}
}

// Deliver tells of a change: of what fires now, or of its end. An event that is told late, because it waited or was sent
// again, may be of a change that another has undone since: what fires now decides.
func (d *Deliverer) Deliver(ctx context.Context, e *outbox.Entry) error {
	as, err := d.opt.Alerts(e.Payload)
	if err != nil || len(as) == 0 {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now, err := d.firing(ctx, e.Scope, strings.TrimPrefix(e.Key, e.Scope+"/"))
	if err != nil {
		return err
	}
	var out []Alert
	for _, a := range as {
		is, fires := now[labels(&a)]
		switch {
		case fires && a.Ends.IsZero():
			out = append(out, is)
		case !fires && !a.Ends.IsZero():
			out = append(out, a)
		}
	}
	return d.send(ctx, out)
}

// firing is what fires now, by labels.
func (d *Deliverer) firing(ctx context.Context, project, owner string) (map[string]Alert, error) {
	all, err := d.opt.Firing(ctx, project, owner)
	if err != nil {
		return nil, err
	}
	out := map[string]Alert{}
	for _, p := range all {
		as, err := d.opt.Alerts(p)
		if err != nil {
			return nil, err
		}
		for _, a := range as {
			if a.Ends.IsZero() {
				out[labels(&a)] = a
			}
		}
	}
	return out, nil
}

func labels(a *Alert) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(a.Labels)) {
		fmt.Fprintf(&b, "%q=%q,", k, a.Labels[k])
	}
	return b.String()
}

// Run sends what fires again and again until ctx ends.
func (d *Deliverer) Run(ctx context.Context) error {
	t := time.NewTicker(d.opt.Resend)
	defer t.Stop()
	away := false
	for {
		err := d.Repeat(ctx)
		switch { // a line when an outage starts and when it ends, not one a minute
		case ctx.Err() != nil:
		case err != nil && !away:
			d.opt.Log.Warn("what fires cannot be repeated to Alertmanager, will try again", "error", err)
		case err == nil && away:
			d.opt.Log.Info("what fires is repeated to Alertmanager again")
		}
		away = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// Repeat sends what fires once more.
func (d *Deliverer) Repeat(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	all, err := d.firing(ctx, "", "")
	if err != nil {
		return err
	}
	var out []Alert
	for _, k := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[k])
	}
	return d.send(ctx, out)
}

// wire is an alert as the API takes it.
type wire struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

func (d *Deliverer) send(ctx context.Context, as []Alert) error {
	if len(as) == 0 {
		return nil
	}
	now := d.opt.Now().UTC()
	out := make([]wire, len(as))
	for i, a := range as {
		out[i] = wire{Labels: map[string]string{}, Annotations: a.Annotations, StartsAt: a.Starts.UTC(), EndsAt: a.Ends.UTC()}
		for k, v := range a.Labels {
			if v != "" { // to Alertmanager an empty label is none, and some versions refuse it
				out[i].Labels[k] = v
			}
		}
		if a.Ends.IsZero() {
			out[i].EndsAt = now.Add(5 * d.opt.Resend)
		}
		if out[i].StartsAt.After(out[i].EndsAt) { // clocks of two machines
			out[i].StartsAt = out[i].EndsAt
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		return feature.Errorf(feature.Invalid, "alertmanager", "alerts", "%w", err)
	}
	return d.post.Post(ctx, b, map[string]string{"Content-Type": "application/json"})
}
