package deadletter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/outbox/deadletter"
	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/internal/tally/memory"
	"github.com/weir-ml/weir/internal/tally/tallytest"
	"github.com/weir-ml/weir/registry/feature"
)

var bg = context.Background()

type world struct {
	t     *testing.T
	store *memory.Store[*tallytest.Counted, *tallytest.Share]
	now   time.Time
	log   bytes.Buffer
	reg   *prometheus.Registry
	asked []outbox.Subject
	told  int
}

func newWorld(t *testing.T) *world {
	return &world{t: t, store: memory.New[*tallytest.Counted, *tallytest.Share](tallytest.DecodeCounted, nil), now: time.Unix(1e9, 0)}
}

func (w *world) watch() *deadletter.Watch {
	w.reg = prometheus.NewRegistry()
	return deadletter.New(w.store, deadletter.Options{Known: []string{"kafka", "oncall"}, Metrics: w.reg, Now: func() time.Time { return w.now }, Told: func() { w.told++ },
		Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		Route: func(s outbox.Subject) []string {
			w.asked = append(w.asked, s)
			return []string{"kafka", "oncall"}
		}})
}

// event stores an event of a project for both destinations.
func (w *world) event(id, project string) {
	e := tally.Event{ID: id, Project: project, Owner: "m", Payload: []byte("{}")}
	_, err := w.store.Tell(bg, &tally.Change{Event: &e, Outbox: e.Entries([]string{"kafka", "oncall"}, nil), At: w.now})
	require.NoError(w.t, err)
}

// die gives an entry up.
func (w *world) die(id string) {
	require.NoError(w.t, w.store.Fail(bg, id, "answered 410", w.now, w.now, true))
}

func (w *world) change(by func(context.Context, []string, time.Time) (int64, error), id string) {
	n, err := by(bg, []string{id}, w.now)
	require.NoError(w.t, err)
	require.EqualValues(w.t, 1, n)
}

// events are the events about deliveries, oldest first, each with its entries.
func (w *world) events() (out []string) {
	all, err := w.store.Events(bg, tally.EventQuery{})
	require.NoError(w.t, err)
	for i := len(all) - 1; i >= 0; i-- {
		if e := &all[i]; strings.HasPrefix(e.Type, "io.weir.delivery.") {
			line := strings.TrimPrefix(e.Type, "io.weir.delivery.") + " " + e.Project + "/" + e.Owner + " ->"
			entries, err := w.store.Entries(bg, outbox.Query{Events: []string{e.ID}})
			require.NoError(w.t, err)
			for _, x := range entries {
				line += " " + x.Destination
			}
			out = append(out, line)
		}
	}
	return out
}

// TestStory: a destination that gives up is told of once, to the others; its end as well.
func TestStory(t *testing.T) {
	w := newWorld(t)
	d := w.watch()
	w.event("e1", "p")
	w.event("e2", "p")
	w.event("e3", "q")
	require.NoError(t, d.Pass(bg))
	require.Empty(t, w.events(), "what is pending may still arrive")

	w.die("e1/oncall")
	w.die("e2/oncall")
	w.die("e3/kafka")
	w.now = w.now.Add(time.Minute)
	d = w.watch() // the process that gave it up has died
	require.NoError(t, d.Pass(bg))
	want := []string{"failed.v1 q/delivery@kafka -> oncall", "failed.v1 p/delivery@oncall -> kafka"}
	require.ElementsMatch(t, want, w.events())
	require.Equal(t, 2, w.told)
	require.Contains(t, w.log.String(), "level=ERROR msg=delivery type=io.weir.delivery.failed.v1 destination=oncall project=p")
	require.Contains(t, w.log.String(), "answered 410")
	require.Contains(t, w.asked, outbox.Subject{Project: "p", Type: deadletter.FailedType, Owner: "delivery@oncall", Severity: feature.Critical, Firing: true})

	require.NoError(t, testutil.GatherAndCompare(w.reg, strings.NewReader(`
# HELP weir_outbox_entries Entries that are pending, or dead: given up, and neither sent again nor discarded since.
# TYPE weir_outbox_entries gauge
weir_outbox_entries{destination="kafka",state="dead"} 1
weir_outbox_entries{destination="kafka",state="pending"} 2
weir_outbox_entries{destination="oncall",state="dead"} 2
weir_outbox_entries{destination="oncall",state="pending"} 1
# HELP weir_outbox_oldest_pending_seconds Age of the oldest entry that is pending; 0 where there is none.
# TYPE weir_outbox_oldest_pending_seconds gauge
weir_outbox_oldest_pending_seconds{destination="kafka"} 60
weir_outbox_oldest_pending_seconds{destination="oncall"} 60
`)))

	for range 3 {
		require.NoError(t, d.Pass(bg))
		require.NoError(t, w.watch().Pass(bg))
	}
	require.Len(t, w.events(), 2, "once for each change of state")

	w.change(w.store.Resend, "e1/oncall")
	require.NoError(t, d.Pass(bg))
	require.Len(t, w.events(), 2, "one is dead still")
	w.change(w.store.Discard, "e2/oncall")
	require.NoError(t, d.Pass(bg))
	require.Equal(t, "resolved.v1 p/delivery@oncall -> kafka", w.events()[2])

	w.die("e1/oncall")
	require.NoError(t, d.Pass(bg))
	require.Equal(t, "failed.v1 p/delivery@oncall -> kafka", w.events()[3])
	states, err := w.store.States(bg, "p", "delivery@oncall")
	require.NoError(t, err)
	require.True(t, states[0].Firing, "so that Alertmanager is told again and again")
}

// TestNobodyDelivers: what waits for a destination that the settings have no more is given up, after a while.
func TestNobodyDelivers(t *testing.T) {
	w := newWorld(t)
	d := w.watch()
	e := tally.Event{ID: "e1", Project: "p", Owner: "m", Payload: []byte("{}")}
	_, err := w.store.Tell(bg, &tally.Change{Event: &e, Outbox: e.Entries([]string{"kafka", "renamed"}, nil), At: w.now})
	require.NoError(t, err)
	state := func(id string) outbox.State {
		all, err := w.store.Entries(bg, outbox.Query{ID: id})
		require.NoError(t, err)
		return all[0].State
	}
	w.now = w.now.Add(59 * time.Minute)
	require.NoError(t, d.Pass(bg))
	require.Equal(t, outbox.Pending, state("e1/renamed"), "another process may know it")
	w.now = w.now.Add(time.Minute)
	require.NoError(t, d.Pass(bg))
	require.Equal(t, outbox.Dead, state("e1/renamed"))
	require.Equal(t, outbox.Pending, state("e1/kafka"))
	require.Equal(t, []string{"failed.v1 p/delivery@renamed -> oncall kafka"}, w.events())
	require.Contains(t, w.log.String(), "the settings have no destination renamed")

	w.change(w.store.Resend, "e1/renamed") // the name is about to be put back
	require.NoError(t, d.Pass(bg))
	require.Equal(t, outbox.Pending, state("e1/renamed"))
	w.now = w.now.Add(time.Hour)
	require.NoError(t, d.Pass(bg))
	require.Equal(t, outbox.Dead, state("e1/renamed"))
	w.change(w.store.Discard, "e1/renamed")
	require.NoError(t, d.Pass(bg))
	require.Equal(t, "resolved.v1 p/delivery@renamed -> oncall kafka", w.events()[len(w.events())-1])
}

// Several watches that look at the same time tell once.
func TestSeveral(t *testing.T) {
	w := newWorld(t)
	w.event("e1", "p")
	w.die("e1/oncall")
	var wg sync.WaitGroup
	for range 8 {
		d := deadletter.New(w.store, deadletter.Options{Route: outbox.To("kafka", "oncall")})
		wg.Go(func() {
			for range 20 {
				if err := d.Pass(bg); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, []string{"failed.v1 p/delivery@oncall -> kafka"}, w.events())
}

// TestRun: a dispatcher that gives an entry up has the others told at once.
func TestRun(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	told := make(chan struct{}, 1)
	d := deadletter.New(w.store, deadletter.Options{Poll: time.Hour, Route: outbox.To("kafka", "oncall"), Told: func() { told <- struct{}{} }})
	box := outbox.New(w.store, map[string]outbox.Deliverer{"oncall": refuses{}}, outbox.DefaultConfig(), slog.New(slog.DiscardHandler), nil, nil)
	box.OnDead(d.Kick)
	done := make(chan error)
	go func() { done <- d.Run(ctx) }()
	w.event("e1", "p")
	_, err := box.Step(ctx)
	require.NoError(t, err)
	<-told
	cancel()
	require.NoError(t, <-done)
	require.Len(t, w.events(), 1)
}

type refuses struct{}

func (refuses) Deliver(context.Context, *outbox.Entry) error {
	return feature.Errorf(feature.Invalid, "test", "entry", "never")
}

// TestEventsAreWhatTheDocsSay: real events, and the example of the docs, against the schema.
func TestEventsAreWhatTheDocsSay(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", name))
		require.NoError(t, err)
		return b
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(read("delivery-v1.schema.json")))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource(deadletter.DataSchema, doc))
	schema, err := c.Compile(deadletter.DataSchema)
	require.NoError(t, err)
	check := func(payload []byte) {
		t.Helper()
		var ce cloudevents.Event
		require.NoError(t, json.Unmarshal(payload, &ce))
		require.NoError(t, ce.Validate())
		require.Equal(t, deadletter.DataSchema, ce.DataSchema())
		data, err := jsonschema.UnmarshalJSON(bytes.NewReader(ce.Data()))
		require.NoError(t, err)
		require.NoError(t, schema.Validate(data))
		var d deadletter.Data
		dec := json.NewDecoder(bytes.NewReader(ce.Data()))
		dec.DisallowUnknownFields()
		require.NoError(t, dec.Decode(&d))
	}
	w := newWorld(t)
	d := w.watch()
	w.event("e1", "p")
	w.die("e1/oncall")
	require.NoError(t, d.Pass(bg))
	w.change(w.store.Discard, "e1/oncall")
	require.NoError(t, d.Pass(bg))
	all, err := w.store.Events(bg, tally.EventQuery{Owner: "delivery@oncall"})
	require.NoError(t, err)
	require.Len(t, all, 2)
	for _, e := range all {
		check(e.Payload)
		require.Contains(t, string(read("events.md")), "`"+e.Type+"`")
	}
	examples := 0
	for _, block := range strings.Split(string(read("events.md")), "```json\n")[1:] {
		if block, _, _ = strings.Cut(block, "```"); strings.Contains(block, "io.weir.delivery.") {
			check([]byte(block))
			examples++
		}
	}
	require.Equal(t, 1, examples)
}
