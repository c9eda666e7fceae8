package openlineage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/internal/tally/memory"
	"github.com/weir-ml/weir/internal/tally/tallytest"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/openlineage"
)

// records fail where err is set.
type records struct {
	err error
	all []feature.Snapshot
}

func (r *records) PutSnapshot(_ context.Context, s feature.Snapshot, _ []byte) error {
	if r.err == nil {
		r.all = append(r.all, s)
	}
	return r.err
}

func (r *records) ListSnapshots(context.Context, string) ([]feature.Snapshot, error) {
	return r.all, r.err
}

// events fail where err is set.
type events struct {
	*memory.Store[*tallytest.Counted, *tallytest.Share]
	err error
}

func (e *events) Tell(ctx context.Context, c *tally.Change) (bool, error) {
	if e.err != nil {
		return false, e.err
	}
	return e.Store.Tell(ctx, c)
}

// room is a teller with what it stands on.
type room struct {
	t     *testing.T
	rec   *records
	store *events
	told  int
	now   time.Time
	log   bytes.Buffer
	cfg   openlineage.Config
}

func newRoom(t *testing.T) *room {
	return &room{t: t, rec: &records{}, store: &events{Store: memory.New[*tallytest.Counted, *tallytest.Share](tallytest.DecodeCounted, nil)},
		now: feature.Time(made().CreatedAt).Add(time.Second), cfg: openlineage.DefaultConfig()}
}

func (r *room) teller() *openlineage.Teller {
	return openlineage.NewTeller(openlineage.Options{Records: r.rec, Events: r.store, Config: r.cfg, Told: func() { r.told++ },
		Log: slog.New(slog.NewTextHandler(&r.log, nil)), Now: func() time.Time { return r.now }})
}

func (r *room) entries() []outbox.Entry {
	all, err := r.store.Entries(r.t.Context(), outbox.Query{})
	require.NoError(r.t, err)
	return all
}

// TestTeller: a snapshot that was put has an event, a CloudEvent that says what OpenLineage is told; one that was not has none.
func TestTeller(t *testing.T) {
	r := newRoom(t)
	r.rec.err = errors.New("full")
	require.ErrorContains(t, r.teller().PutSnapshot(t.Context(), made(), nil), "full")
	require.Empty(t, r.entries())
	r.rec.err = nil
	for range 2 { // the same again
		require.NoError(t, r.teller().PutSnapshot(t.Context(), made(), nil))
	}
	all := r.entries()
	require.Len(t, all, 1)
	require.Equal(t, 1, r.told)
	require.Equal(t, openlineage.RunID("01k")+"/openlineage", all[0].ID)
	require.Equal(t, "shop", all[0].Scope)
	var ce cloudevents.Event
	require.NoError(t, json.Unmarshal(all[0].Payload, &ce))
	require.NoError(t, ce.Validate())
	require.Equal(t, openlineage.EventType, ce.Type())
	require.Equal(t, "01k", ce.Subject())
	want, err := openlineage.Event(made(), "weir")
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(ce.Data()))
}

// TestCatchUp: what could not be recorded, or what a process that died between the two transactions left out, is
// found; what was told of is not told again when its delivery is forgotten, and what is old is no news.
func TestCatchUp(t *testing.T) {
	r := newRoom(t)
	r.store.err = errors.New("away")
	require.NoError(t, r.teller().PutSnapshot(t.Context(), made(), nil), "the training set is there all the same")
	require.Contains(t, r.log.String(), "away")
	require.Empty(t, r.entries())
	require.ErrorContains(t, r.teller().CatchUp(t.Context()), "away")
	r.store.err = nil
	died := made()
	died.ID, died.Project = "01m", "farm"
	r.rec.all = append(r.rec.all, died)
	require.NoError(t, r.teller().CatchUp(t.Context()))
	require.Len(t, r.entries(), 2)
	require.Equal(t, 2, r.told)

	for _, e := range r.entries() {
		require.NoError(t, r.store.Done(t.Context(), []string{e.ID}, r.now))
	}
	later := r.now.Add(time.Hour)
	require.NoError(t, r.store.Prune(t.Context(), later, later, later))
	require.Empty(t, r.entries())
	require.NoError(t, r.teller().CatchUp(t.Context()))
	require.Empty(t, r.entries(), "they were told")

	old := made()
	old.ID = "01n"
	r.rec.all = append(r.rec.all, old)
	r.now = feature.Time(old.CreatedAt).Add(24*time.Hour + time.Second)
	require.NoError(t, r.teller().CatchUp(t.Context()))
	require.Empty(t, r.entries())
	r.now = r.now.Add(-2 * time.Second)
	require.NoError(t, r.teller().CatchUp(t.Context()))
	require.Len(t, r.entries(), 1)
}

// TestRun tells at once of what was left out, and ends with its context.
func TestRun(t *testing.T) {
	r := newRoom(t)
	r.rec.all = []feature.Snapshot{made()}
	told := make(chan struct{}, 1)
	teller := openlineage.NewTeller(openlineage.Options{Records: r.rec, Events: r.store, Config: r.cfg, Told: func() { told <- struct{}{} }, Now: func() time.Time { return r.now }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- teller.Run(ctx) }()
	<-told
	cancel()
	require.NoError(t, <-done)
}

// TestDeliverer: the server gets OpenLineage's event alone, with the token, and its answer says whether to try again.
func TestDeliverer(t *testing.T) {
	t.Setenv("WEIR_TEST_TOKEN", "hunter2")
	var got string
	status := 201
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		got = req.Method + " " + req.URL.Path + " " + req.Header.Get("Content-Type") + " " + req.Header.Get("Authorization") + "\n" + string(b)
		w.WriteHeader(status)
	}))
	defer web.Close()
	r := newRoom(t)
	require.NoError(t, r.teller().PutSnapshot(t.Context(), made(), nil))
	e := r.entries()[0]
	r.cfg.URL, r.cfg.Token = web.URL+"/api/v1/lineage", "env:WEIR_TEST_TOKEN"
	d := openlineage.NewDeliverer(r.cfg)
	require.NoError(t, d.Deliver(t.Context(), &e))
	head, body, _ := bytes.Cut([]byte(got), []byte("\n"))
	require.Equal(t, "POST /api/v1/lineage application/json Bearer hunter2", string(head))
	want, err := openlineage.Event(made(), "weir")
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(body))

	for status = range map[int]bool{503: true, 404: true, 302: true} {
		require.Equal(t, feature.Unavailable, feature.KindOf(d.Deliver(t.Context(), &e)), status)
	}
	status = 400
	err = d.Deliver(t.Context(), &e)
	require.Equal(t, feature.Invalid, feature.KindOf(err), "it will never be taken")
	require.NotContains(t, err.Error(), "hunter2")
	e.Payload = []byte("{")
	require.Equal(t, feature.Invalid, feature.KindOf(d.Deliver(t.Context(), &e)))
}
