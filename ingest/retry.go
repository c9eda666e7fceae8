package ingest

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

const (
	firstDelay = 50 * time.Millisecond
	lastDelay  = 5 * time.Second
	sayAgain   = 30 * time.Second // an outage is logged when it begins and this often while it lasts
)

// retry runs f until it succeeds, fails with anything but feature.Unavailable,
// or ctx ends. It is the only place in Weir that repeats a store's call: what
// cannot be reached now is waited for, and meanwhile the log keeps the events.
func retry(ctx context.Context, log *slog.Logger, what string, tried func(), f func(context.Context) error) error {
	delay, said := firstDelay, time.Time{}
	for {
		err := f(ctx)
		if err == nil {
			if !said.IsZero() {
				log.Info("answers again", "what", what)
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if feature.KindOf(err) != feature.Unavailable {
			return err
		}
		if tried != nil {
			tried()
		}
		if now := time.Now(); now.Sub(said) >= sayAgain {
			log.Warn("does not answer; trying again, nothing is lost", "what", what, "err", err)
			said = now
		}
		t := time.NewTimer(delay/2 + rand.N(delay/2+1))
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
		delay = min(delay*2, lastDelay)
	}
}
