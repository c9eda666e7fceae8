package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"time"

	driftsql "github.com/weir-ml/weir/drift/sqlstore"
	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/outbox/webhook"
	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/internal/tally"
)

const (
	waitingEvents = 10_000
	drainSeconds  = 30
)

// measureEvents is how soon events arrive. Undelivered ones drain after a restart, into a webhook: of one monitor, one after another, and of a hundred.
func measureEvents(ctx context.Context, r *run) error {
	for _, keys := range []int{1, 100} {
		took, err := r.drain(ctx, keys)
		if err != nil {
			return err
		}
		about := "one monitor"
		if keys > 1 {
			about = fmt.Sprintf("%d monitors", keys)
		}
		r.add(Line{What: fmt.Sprintf("%d undelivered events of %s drain after a restart (SQLite, webhook)", waitingEvents, about),
			Value: took.Seconds(), Unit: "s", Target: drainSeconds})
	}
	return r.measureDelays(ctx)
}

func (r *run) drain(ctx context.Context, keys int) (time.Duration, error) {
	url := "sqlite:" + filepath.Join(r.dir, fmt.Sprintf("events-%d.db", keys))
	open := func() (*driftsql.Store, *sqldb.DB, error) {
		db, err := sqldb.Open(ctx, url)
		if err != nil {
			return nil, nil, err
		}
		s, err := driftsql.New(ctx, db)
		return s, db, err
	}
	s, db, err := open()
	if err != nil {
		return 0, err
	}
	entries := make([]outbox.Entry, waitingEvents)
	for i := range entries {
		entries[i] = outbox.Entry{ID: fmt.Sprintf("%05d/hook", i), Destination: "hook", Key: fmt.Sprint(i % keys), Payload: make([]byte, 1500)}
	}
	if _, err := s.Tell(ctx, &tally.Change{Outbox: entries, At: time.Now()}); err != nil {
		return 0, err
	}
	if err := db.Close(); err != nil {
		return 0, err
	}
	var got atomic.Int64
	all := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if got.Add(1) == waitingEvents {
			close(all)
		}
	}))
	defer srv.Close()
	began := time.Now()
	if s, db, err = open(); err != nil {
		return 0, err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	d := outbox.New(s, map[string]outbox.Deliverer{"hook": webhook.New(webhook.Options{URL: srv.URL})}, outbox.DefaultConfig(), slog.New(slog.DiscardHandler), nil, nil)
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	select {
	case <-all:
	case <-ctx.Done():
		return 0, fmt.Errorf("%d of %d events arrived: %w", got.Load(), waitingEvents, ctx.Err())
	}
	took := time.Since(began)
	cancel()
	return took, <-done
}
