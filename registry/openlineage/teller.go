package openlineage

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/weir-ml/weir/internal/outbox/posting"
	"github.com/weir-ml/weir/registry/feature"
)

// Records is where snapshots are put.
type Records interface {
	PutSnapshot(ctx context.Context, s feature.Snapshot, profile []byte) error
}

// Teller is Records that tell a server of each snapshot that was put. That happens beside the snapshot: a server
// that is away holds nothing up, and after some tries, or when the process ends, its event is given up with a line in the log.
// `weir snapshot show ID -o openlineage` has it at any time.
type Teller struct {
	Records
	cfg   Config
	http  *http.Client
	log   *slog.Logger
	after func(time.Duration) <-chan time.Time

	ctx  context.Context
	stop context.CancelFunc
	busy sync.WaitGroup
}

// Waits between tries; one more than these are made.
var waits = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute}

// NewTeller makes one; Close ends it.
func NewTeller(r Records, c Config, log *slog.Logger, after func(time.Duration) <-chan time.Time) *Teller {
	t := &Teller{Records: r, cfg: c, http: posting.HTTP(0), log: log, after: after}
	t.ctx, t.stop = context.WithCancel(context.Background())
	return t
}

// PutSnapshot puts a snapshot, then tells of it.
func (t *Teller) PutSnapshot(ctx context.Context, s feature.Snapshot, profile []byte) error {
	if err := t.Records.PutSnapshot(ctx, s, profile); err != nil {
		return err
	}
	t.busy.Go(func() { t.tell(s) })
	return nil
}

// Close gives up what could not be told yet.
func (t *Teller) Close() error {
	t.stop()
	t.busy.Wait()
	return nil
}

func (t *Teller) tell(s feature.Snapshot) {
	body, err := Event(s, t.cfg.Namespace)
	for try := 0; err == nil; try++ {
		if err = t.post(body); err == nil {
			t.log.Info("OpenLineage was told of a training set", "snapshot", s.ID, "run", RunID(s.ID))
			return
		}
		if try == len(waits) || feature.KindOf(err) != feature.Unavailable || t.ctx.Err() != nil {
			break
		}
		select {
		case <-t.ctx.Done():
		case <-t.after(waits[try]):
			err = nil
		}
	}
	t.log.Warn("OpenLineage was not told of a training set; weir snapshot show has its event", "snapshot", s.ID, "error", err)
}

func (t *Teller) post(body []byte) error {
	r := posting.Request{Method: http.MethodPost, URL: t.cfg.URL, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}
	if err := posting.Authorize(r.Header, "", "", t.cfg.Token); err != nil {
		return err
	}
	a, err := posting.Send(t.ctx, t.http, "openlineage", r)
	if err != nil {
		return err
	}
	if a.Status/100 != 2 {
		return posting.Refused("openlineage", t.cfg.URL, a)
	}
	return nil
}

// Wait waits until all that was put has been told or given up.
func (t *Teller) Wait() { t.busy.Wait() }
