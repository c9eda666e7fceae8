package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// fakeAirflow accepts runs at once, and remembers when: by the start of the window that each is about.
type fakeAirflow struct {
	mu       sync.Mutex
	accepted map[time.Time]time.Time
	more     chan struct{}
}

func (a *fakeAirflow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.URL.Path == "/auth/token":
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"access_token": "of-the-benchmark"}`))
	case r.Method == http.MethodPost && r.URL.Path == "/api/v2/dags/retrain/dagRuns":
		var asked struct {
			Conf struct {
				Data struct{ Window struct{ Start time.Time } }
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		a.mu.Lock()
		if start := asked.Conf.Data.Window.Start.UTC(); a.accepted[start].IsZero() {
			a.accepted[start] = time.Now()
		}
		a.mu.Unlock()
		select {
		case a.more <- struct{}{}:
		default:
		}
		_, _ = w.Write([]byte(`{"state": "queued"}`))
	default:
		_, _ = w.Write([]byte(`{"is_paused": false}`))
	}
}

// await waits for the run that is about a window.
func (a *fakeAirflow) await(ctx context.Context, window time.Time) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, delayWithin)
	defer cancel()
	for {
		a.mu.Lock()
		at := a.accepted[window]
		a.mu.Unlock()
		if !at.IsZero() {
			return at, nil
		}
		select {
		case <-a.more:
		case <-ctx.Done():
			return at, fmt.Errorf("no run was asked for of the window of %s: %w", window.Format(time.RFC3339), ctx.Err())
		}
	}
}
