package ingest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// task is what a runner has to do: a source and its views at one catalog revision.
type task struct {
	catalog *registry.Catalog
	source  *feature.Source
	views   []*feature.View
	print   string
}

// runner keeps the pipelines of one source going.
type runner struct {
	s      *Supervisor
	change chan struct{} // one token when want has changed

	mu    sync.Mutex
	want  *task // guarded by mu; nil: stop
	state string
	err   error
	live  []*Pipeline // guarded by mu; the last is the one that catches up, if any
	apart int         // guarded by mu; how many of live catch up
}

func newRunner(s *Supervisor, t *task) *runner {
	return &runner{s: s, want: t, state: StateStarting, change: make(chan struct{}, 1)}
}

// set changes what the runner has to do; an equal task does not disturb it.
func (r *runner) set(t *task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	same := t != nil && r.want != nil && t.print == r.want.print
	r.want = t
	if same {
		return
	}
	select {
	case r.change <- struct{}{}:
	default:
	}
}

func (r *runner) task() *task {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.want
}

func (r *runner) note(state string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state, r.err = state, err
}

func (r *runner) run(ctx context.Context) {
	delay := firstDelay
	said := ""
	for ctx.Err() == nil {
		t := r.task()
		if t == nil {
			return
		}
		began := time.Now()
		err := r.once(ctx, t)
		if err == nil || ctx.Err() != nil {
			delay, said = firstDelay, ""
			continue
		}
		state := StateFailed
		if k := feature.KindOf(err); k == feature.NotFound || k == feature.Invalid {
			state = StateWaiting
		}
		r.note(state, err)
		kind := feature.KindOf(err)
		most := lastDelay
		if kind == feature.Internal {
			most = faultDelay
		}
		if time.Since(began) > max(time.Minute, 2*most) {
			delay = firstDelay
		}
		r.s.Metrics.restarts.WithLabelValues(t.source.Meta.Project, t.source.Meta.Name, kind.String()).Inc()
		if err.Error() != said || delay >= lastDelay && time.Since(began) > sayAgain {
			r.s.Log.Error("source stopped; starting it again", "project", t.source.Meta.Project, "source", t.source.Meta.Name, "err", err)
			said = err.Error()
		}
		select {
		case <-ctx.Done():
		case <-r.change:
		case <-time.After(delay):
		}
		delay = min(delay*2, most)
	}
}

// faultDelay is the longest wait before a source is started again whose sinks or
// decoding have a fault: the same batch will most likely find it again.
const faultDelay = 30 * time.Second

// once opens the outlets and runs the pipelines until the task changes (nil),
// one fails, or a view has caught up (nil).
func (r *runner) once(ctx context.Context, t *task) error {
	if r.s.CreateTopic != nil {
		if err := r.s.CreateTopic(ctx, t.source.Topic); err != nil {
			return err
		}
	}
	var outlets []*Outlets
	defer func() {
		for _, o := range outlets {
			if o.Close != nil {
				if err := o.Close(); err != nil {
					r.s.Log.Warn("close", "view", o.View.ID(), "err", err)
				}
			}
		}
	}()
	for _, v := range t.views {
		o, err := r.s.Open(ctx, t.catalog, v)
		if err != nil {
			return err
		}
		outlets = append(outlets, o)
	}
	together, apart, err := r.split(ctx, t, outlets)
	if err != nil {
		return err
	}
	run, cancel := context.WithCancel(ctx)
	defer cancel()
	var ps []*Pipeline
	if len(together) > 0 {
		ps = append(ps, r.pipeline(t, together, ""))
	}
	for _, o := range apart {
		ps = append(ps, r.pipeline(t, []*Outlets{o}, o.View.Meta.Name))
	}
	r.mu.Lock()
	r.live, r.apart = ps, len(apart)
	r.mu.Unlock()
	ended := make(chan error, len(ps))
	for _, p := range ps {
		go func() { ended <- p.Run(run, r.nextRevision(t)) }()
	}
	errs := r.wait(run, t, ended, ps, outlets, len(apart) > 0)
	cancel()
	for range len(ps) - len(errs) {
		if err := <-ended; err != nil {
			errs = append(errs, err)
		}
	}
	r.mu.Lock()
	r.live = nil
	r.mu.Unlock()
	return errors.Join(errs...)
}

// wait returns when the pipelines have to stop; it holds the errors of those that already have.
func (r *runner) wait(ctx context.Context, t *task, ended chan error, ps []*Pipeline, outlets []*Outlets, apart bool) []error {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.change:
			return nil
		case err := <-ended:
			return []error{err}
		case <-look.C:
			if slices.ContainsFunc(ps, func(p *Pipeline) bool { return p.mayGoOn(ctx) }) {
				return nil
			}
			if apart && caughtUp(ps, r.s.CatchUp/10) && r.together(ctx, t, outlets) {
				return nil
			}
		}
	}
}

func (r *runner) pipeline(t *task, outlets []*Outlets, catchUp string) *Pipeline {
	s := r.s
	return NewPipeline(PipelineConfig{
		Config: s.Config, Source: t.source, Revision: t.catalog.Revision(), Outlets: outlets,
		Judge: judgeFrom(s.Catalogs),
		Kafka: s.Kafka, Group: GroupOf(t.source.Meta.Project, t.source.Meta.Name, catchUp),
		Protocol:   s.Protocol,
		Quarantine: s.Quarantine, Replicas: s.Replicas, Log: s.Log, Metrics: s.Metrics,
		Witness: s.Witness, Formats: s.Formats, Pauses: s.Pauses, Alert: s.Alert,
		Ready: func() { r.note(StateRunning, nil) },
	})
}

// nextRevision is the revision that judges after the last commit of a pipeline
// that stops because its task changed; 0 when it stops for another reason.
func (r *runner) nextRevision(t *task) func() int64 {
	return func() int64 {
		if now := r.task(); now != nil && now != t {
			return now.catalog.Revision()
		}
		return 0
	}
}

func (r *runner) status() SourceStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := SourceStatus{State: r.state}
	if t := r.want; t != nil {
		st.Project, st.Source, st.Topic = t.source.Meta.Project, t.source.Meta.Name, t.source.Topic
	}
	if r.err != nil {
		st.Err = r.err.Error()
	}
	for i, p := range r.live {
		for _, v := range p.views() {
			v.CatchingUp = i >= len(r.live)-r.apart
			st.Views = append(st.Views, v)
		}
	}
	return st
}
