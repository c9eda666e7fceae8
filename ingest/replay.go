package ingest

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest/format"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/registry/feature"
)

// ReplayConfig is what replays are made of; the same parts that feed the stream.
type ReplayConfig struct {
	Config
	Catalogs   Catalogs
	Open       OpenOutlets
	Kafka      []kgo.Opt // payloads that quarantine had no room for are read from the source again
	Quarantine *quarantine.Writer
	Reader     *quarantine.Reader
	Rows       quarantine.Rows // what the tables have
	Formats    *format.Formats // as PipelineConfig has it
	Replicas   int16
	Log        *slog.Logger
	Metrics    *Metrics
	Now        func() time.Time // when a replay is asked for; time.Now when nil
}

// Replayer takes held-back events through today's schema and suite again, and
// gives others up. Rows keep the coordinates of their events; their known time is that of the
// replay. Exactly once, because
//
//   - a replay begins with a claim: an empty commit that moves the one position of
//     the view's replays. From then on no older replay can commit anything, nor can
//     this one after a younger claim or a rollback, which move that position too;
//   - it looks after its claim which of the entries have rows in the table. Nobody
//     else adds rows below the position of a partition, so that stays true;
//   - entries at or above the position of their partition are not decided yet and
//     left alone: their events may come again.
//
// So a replay that was cut off anywhere is simply asked for again. Sinks that show
// rows at once are written to when the commit has landed: what they lack after a
// crash in between they fetch from the table, as after any loss.
type Replayer struct {
	ReplayConfig

	mu   sync.Mutex
	busy map[string]chan struct{} // guarded by mu; by view; closed when the work has ended
}

// NewReplayer makes a replayer.
func NewReplayer(c ReplayConfig) *Replayer {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Replayer{ReplayConfig: c, busy: map[string]chan struct{}{}}
}

// ReplayRequest says which entries of a view to replay or to discard. Of the
// filter's states only Held counts.
type ReplayRequest struct {
	Project, View string
	Filter        quarantine.Filter
	Limit         int64  // at most that many entries, in the order in which they were written; 0 for all
	DryRun        bool   // judge and count, change nothing
	By            string // who asks
	Reason        string // why, for Discard
}

// ReplayProgress counts entries so far.
type ReplayProgress struct {
	Replayed int64 // rows of the table now (in a dry run: they would be)
	Held     int64 // still bad; their entries have today's reasons now
	// Scanned of Total records of the quarantine topic.
	Scanned, Total int64
}

// ReplayResult is what became of the entries.
type ReplayResult struct {
	ReplayProgress
	Known     int64            // known time of the rows, microseconds UTC
	Revision  int64            // of the catalog that judged
	Undecided int64            // of events above the table's position, which ingestion may yet judge again
	Lost      int64            // whose payload was too large to keep, and that the source no longer has
	Rules     map[string]int64 // how many of Held failed each rule
}

// DiscardResult counts entries.
type DiscardResult struct {
	Discarded int64
	Undecided int64 // as in ReplayResult; left as they are
}

const opReplay = "ingest.replay"

// alone waits until no other replay or discard of this process works on the view.
func (r *Replayer) alone(ctx context.Context, view string) (release func(), err error) {
	for {
		r.mu.Lock()
		other := r.busy[view]
		if other == nil {
			mine := make(chan struct{})
			r.busy[view] = mine
			r.mu.Unlock()
			return func() {
				r.mu.Lock()
				delete(r.busy, view)
				r.mu.Unlock()
				close(mine)
			}, nil
		}
		r.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Replay replays entries. On an error the result tells what was done until
// then, and all of it stays. progress may be nil.
func (r *Replayer) Replay(ctx context.Context, req ReplayRequest, progress func(ReplayProgress)) (ReplayResult, error) {
	run, done, err := r.begin(ctx, req)
	if err != nil {
		return ReplayResult{}, err
	}
	defer done()
	run.progress = progress
	err = run.replay(ctx)
	return run.res, err
}

// Discard gives entries up: they are written again without payload and key, so
// that an audit still accounts for their events, and are not replayed any more.
func (r *Replayer) Discard(ctx context.Context, req ReplayRequest, progress func(done int64)) (DiscardResult, error) {
	var res DiscardResult
	run, done, err := r.begin(ctx, req)
	if err != nil {
		return res, err
	}
	defer done()
	if err := run.stand(ctx); err != nil {
		return res, err
	}
	d := quarantine.Discard{At: r.Now().UnixMicro(), By: req.By, Reason: req.Reason}
	err = run.entries(ctx, func(e *quarantine.Entry) error {
		if run.undecided(e) {
			res.Undecided++
			return nil
		}
		if !req.DryRun {
			e.Discard(d)
			if err := run.p.held.Write(ctx, e); err != nil {
				return err
			}
		}
		if res.Discarded++; progress != nil && res.Discarded%1000 == 0 {
			progress(res.Discarded)
		}
		return nil
	})
	if ferr := retry(ctx, r.Log, "quarantine", nil, run.p.held.Flush); err == nil {
		err = ferr
	}
	return res, err
}

// begin makes ready for work on a view's quarantine; done ends it.
func (r *Replayer) begin(ctx context.Context, req ReplayRequest) (run *replayRun, done func(), err error) {
	cat, err := r.Catalogs.Current(ctx)
	if err != nil {
		return nil, nil, err
	}
	v, err := cat.View(req.Project, req.View)
	if err != nil {
		return nil, nil, err
	}
	release, err := r.alone(ctx, v.ID())
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	if err := retry(ctx, r.Log, "quarantine", nil, func(ctx context.Context) error {
		return r.Quarantine.Ensure(ctx, req.Project, req.View, int64(r.MaxEventBytes), r.Replicas)
	}); err != nil {
		return nil, nil, err
	}
	o, err := r.Open(ctx, cat, v)
	if err != nil {
		return nil, nil, err
	}
	if r.Formats != nil {
		r.Formats.Forget() // the cause may have been mended in the schema registry
	}
	run = &replayRun{r: r, req: req, o: o, view: v, logs: map[string]*sourceLog{}}
	run.res.Revision, run.res.Rules = cat.Revision(), map[string]int64{}
	run.p = NewPipeline(PipelineConfig{Config: r.Config, Source: v.SourceOf, Revision: cat.Revision(), Outlets: []*Outlets{o},
		Quarantine: r.Quarantine, Formats: r.Formats, Log: r.Log.With("replay", v.ID()), Metrics: r.Metrics})
	return run, func() {
		run.drop()
		for _, l := range run.logs {
			l.close()
		}
		if o.Close != nil {
			_ = o.Close()
		}
		release()
	}, nil
}

// movedOn is why a replay cannot go on.
func movedOn(v *feature.View, err error) error {
	return feature.Errorf(feature.Conflict, opReplay, "view "+v.ID(), "another replay or discard of the view has begun, or its table was rolled back: %w", err).
		WithHint("what was replayed so far stays; ask again for the rest")
}
