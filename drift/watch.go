package drift

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/weir-ml/weir/internal/window"
	"github.com/weir-ml/weir/registry/feature"
)

// Watch closes windows, judges them and tells of changes. Several may share a
// store: each verdict is recorded once.
type Watch struct {
	store        Store
	monitors     func(context.Context) ([]*feature.Monitor, error)
	references   References
	history      History
	cfg          Config
	destinations []string
	told         func()
	log          *slog.Logger
	met          *Metrics
	now          func() time.Time
	kick         chan struct{}

	// mu keeps passes apart: the loop's and those asked for by hand.
	mu     sync.Mutex
	refs   map[string]*Profile // reference profiles by referenceKey
	faults map[string]string   // the last fault of a monitor, so that it is logged once
	pruned time.Time
	shown  bool // the gauge shows the states that were stored before this process
	flows  map[flowKey]*flow
}

// WatchOptions are what a Watch needs.
type WatchOptions struct {
	Store    Store
	Monitors func(context.Context) ([]*feature.Monitor, error) // resolved; usually the catalog's
	// References and History may be nil where no monitor refers to a snapshot or a range.
	References   References
	History      History
	Config       Config
	Destinations []string // of events in the outbox
	Told         func()   // called after an event was recorded: Dispatcher.Kick
	Log          *slog.Logger
	Metrics      *Metrics
	Now          func() time.Time // the wall clock when nil
}

// NewWatch makes a watch; Run starts it.
func NewWatch(o WatchOptions) *Watch {
	w := &Watch{
		store: o.Store, monitors: o.Monitors, references: o.References, history: o.History, cfg: o.Config,
		destinations: o.Destinations, told: o.Told, log: o.Log, met: o.Metrics, now: o.Now,
		kick: make(chan struct{}, 1), refs: map[string]*Profile{}, faults: map[string]string{}, flows: map[flowKey]*flow{},
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	if w.met == nil {
		w.met = NewMetrics(nil)
	}
	if w.now == nil {
		w.now = time.Now
	}
	if w.told == nil {
		w.told = func() {}
	}
	return w
}

// Kick tells that windows may have moved. It never blocks.
func (w *Watch) Kick() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// Run looks at all monitors until ctx ends: at every Kick, and every Config.Poll
// for partitions that become idle.
func (w *Watch) Run(ctx context.Context) error {
	t := time.NewTicker(w.cfg.Poll)
	defer t.Stop()
	for {
		_ = w.Pass(ctx) // logged there; the next pass tries again
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case <-w.kick:
		}
	}
}

// Pass looks at all monitors once. A monitor that cannot be judged does not
// keep the others from it; the error is the first.
func (w *Watch) Pass(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	all, err := w.monitors(ctx)
	if err != nil {
		w.fault(ctx, "", err)
		w.met.passes.WithLabelValues("failed").Inc()
		return err
	}
	w.fault(ctx, "", nil)
	if !w.shown {
		states, err := w.store.States(ctx, "", "")
		if err != nil {
			return err
		}
		for i := range states {
			w.show(&states[i])
		}
		w.shown = true
	}
	var first error
	used := map[string]bool{}
	for _, m := range all {
		if m.ViewOf == nil {
			continue
		}
		used[referenceKey(m)] = true
		_, err := w.look(ctx, m, false)
		w.fault(ctx, m.ID(), err)
		if err != nil && first == nil {
			first = err
		}
	}
	for key := range w.refs {
		if !used[key] {
			delete(w.refs, key)
		}
	}
	if now := w.now(); now.Sub(w.pruned) > time.Hour {
		if err := w.store.Prune(ctx, now.Add(-w.cfg.KeepSettled), now.Add(-w.cfg.KeepProfiles), now.Add(-w.cfg.KeepDelivered)); err == nil {
			w.pruned = now
		}
	}
	result := "ok"
	if first != nil {
		result = "failed"
	}
	w.met.passes.WithLabelValues(result).Inc()
	return first
}

// fault logs what a monitor suffers from when it changes.
func (w *Watch) fault(ctx context.Context, monitor string, err error) {
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		delete(w.faults, monitor)
		return
	}
	if w.faults[monitor] != err.Error() {
		w.faults[monitor] = err.Error()
		w.log.Error("monitor cannot be judged, will try again", "monitor", monitor, "error", err)
	}
}

// Judge closes all windows of a monitor now, judges those that wait for a
// verdict, and returns the windows that got one. Rows that come later for them are late.
func (w *Watch) Judge(ctx context.Context, project, monitor string) ([]WindowRecord, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all, err := w.monitors(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		if m.Meta.Project == project && m.Meta.Name == monitor && m.ViewOf != nil {
			return w.look(ctx, m, true)
		}
	}
	return nil, feature.Errorf(feature.NotFound, "drift.judge", "monitor "+project+"/"+monitor, "there is none").
		WithHint("weir monitor list shows all")
}

// view is what the progress of a view says.
type view struct {
	mark   int64
	marked bool
	live   bool            // a partition of the stream is not idle
	final  map[string]bool // imports by topic id: whether they have ended
	ended  int64           // the newest event time of an import that has ended
	any    bool            // ended means something
}

func (w *Watch) progress(ctx context.Context, m *feature.Monitor) (v view, err error) {
	all, err := w.store.Progress(ctx, m.ViewOf.ID())
	if err != nil {
		return v, err
	}
	v.final = map[string]bool{}
	// Of several incarnations of a topic the one that moved last counts.
	var newest *Progress
	for i := range all {
		p := &all[i]
		if p.Partition == feature.ReplayPartition {
			continue // its rows are late ones: how far the stream has come they do not say
		}
		if p.Partition == feature.ImportPartition {
			v.final[importID(p.TopicID)] = p.Final
			if p.Final && p.Any && (!v.any || p.MaxEvent > v.ended) {
				v.ended, v.any = p.MaxEvent, true
			}
		} else if newest == nil || p.Updated > newest.Updated {
			newest = p
		}
	}
	if newest == nil {
		return v, nil
	}
	idle := time.Duration(m.Window.IdleFor)
	now := w.now()
	resumed := w.resumed(all, newest.TopicID, flowKey{m.ViewOf.ID(), newest.TopicID, idle}, now)
	var parts []window.Partition
	expected := 0
	for i := range all {
		p := &all[i]
		if p.Partition == feature.ImportPartition || p.TopicID != newest.TopicID {
			continue
		}
		expected = max(expected, p.Partitions)
		// Nobody is idle in a stream that has only just begun to flow again.
		since := feature.Time(max(p.Since, resumed))
		x := window.Partition{MaxEvent: p.MaxEvent, Any: p.Any, Drained: p.Drained, Since: since}
		v.live = v.live || !x.Idle(now, idle)
		parts = append(parts, x)
	}
	v.live = v.live || len(parts) < expected
	v.mark, v.marked = window.Watermark(parts, expected, now, idle)
	return v, nil
}

// flowKey names a view's stream as monitors with one idle_after see it.
type flowKey struct {
	view  string
	topic [16]byte
	idle  time.Duration
}

// flow is when a stream last moved, and when it began to move after it had been
// quiet for as long as makes a partition idle.
type flow struct{ last, resumed int64 }

// resumed is the time before which no partition of the stream can have been
// idle. When a topic that was quiet for hours gets events again, the first
// partition to be committed would find all others drained and long unchanged,
// and close windows that their events belong to. So does a watch that has just
// started and knows nothing of the past: both give the others idle_after to show.
func (w *Watch) resumed(all []Progress, topic [16]byte, k flowKey, now time.Time) int64 {
	last := int64(0)
	for i := range all {
		if p := &all[i]; p.TopicID == topic && p.Partition != feature.ImportPartition {
			last = max(last, min(p.Since, now.UnixMicro())) // an assignment puts it ahead
		}
	}
	f := w.flows[k]
	switch {
	case f == nil:
		f = &flow{last: last, resumed: last}
		w.flows[k] = f
	case last > f.last:
		if last-f.last >= k.idle.Microseconds() {
			f.resumed = last
		}
		f.last = last
	}
	return f.resumed
}

// due tells whether an open window is to be closed. The stream's watermark
// decides where the stream has brought rows and is still running; an import
// closes what it has touched at its end, and never holds a window open.
func (v *view) due(m *feature.Monitor, r *WindowRecord) bool {
	w := window.Window{Start: r.Start, End: r.End}
	streamed := r.Rows > r.ImportRows
	if streamed && v.marked && w.Due(v.mark, m.Window.Lateness.Micros()) {
		return true
	}
	if len(r.Imports) == 0 || (streamed && v.live) {
		return false
	}
	for _, id := range r.Imports {
		if !v.final[id] {
			return false
		}
	}
	return true
}

// chunk is how many windows are judged before the next are read: their profiles take memory.
const chunk = 32

// look closes and judges the windows of a monitor; force closes all of them.
func (w *Watch) look(ctx context.Context, m *feature.Monitor, force bool) (judged []WindowRecord, err error) {
	m = m.WithDefaults()
	v, err := w.progress(ctx, m)
	if err != nil {
		return nil, err
	}
	s := SeriesOf(m)
	q := WindowQuery{Project: s.Project, Monitor: s.Monitor, Size: s.Size, States: []WindowState{Open}}
	open, err := w.store.Windows(ctx, q)
	if err != nil {
		return nil, err
	}
	var starts []int64
	for i := range open {
		if force || v.due(m, &open[i]) {
			starts = append(starts, open[i].Start)
		}
	}
	if len(starts) > 0 {
		if err := w.store.Close(ctx, s, starts, w.now()); err != nil {
			return nil, err
		}
	}
	past := func(end int64) bool {
		return force || (v.marked && v.mark >= end) || (v.any && v.ended >= end)
	}
	q.States, q.Profiles, q.Limit = []WindowState{Closed}, true, chunk
	for {
		wait, err := w.store.Windows(ctx, q)
		if err != nil || len(wait) == 0 {
			return judged, err
		}
		for i := range wait {
			done, err := w.judge(ctx, m, &wait[i], past)
			if err != nil || !done {
				return judged, err
			}
			judged = append(judged, wait[i])
		}
	}
}

// judge gives a closed window its verdict and records it with all that follows
// from it. done is false while there is no reference yet.
func (w *Watch) judge(ctx context.Context, m *feature.Monitor, r *WindowRecord, past func(int64) bool) (done bool, err error) {
	j := &Judgement{Series: r.Series, Start: r.Start, State: ReferenceOnly, At: w.now()}
	if !inReference(m, r) {
		ref, err := w.reference(ctx, m, past)
		if err != nil || ref == nil {
			return false, err
		}
		cur := r.Profile
		if cur == nil {
			cur = &Profile{}
		}
		j.State, j.Verdict = Judged, Judge(m, ref, cur)
		if err := w.transition(ctx, m, r, j); err != nil {
			return false, err
		}
	}
	ok, err := w.store.Record(ctx, j)
	if err != nil {
		return false, err
	}
	if !ok {
		// Another watch was first; what waits is to be read anew.
		return false, nil
	}
	r.State, r.Verdict, r.JudgedAt = j.State, j.Verdict, j.At.UnixMicro()
	w.tell(m, r, j)
	return true, nil
}

// transition finds the state that the verdict leads to, and the event.
func (w *Watch) transition(ctx context.Context, m *feature.Monitor, r *WindowRecord, j *Judgement) error {
	if j.Verdict.Outcome == Insufficient {
		return nil // says nothing either way
	}
	all, err := w.store.States(ctx, r.Project, r.Monitor)
	if err != nil {
		return err
	}
	st := MonitorState{Series: r.Series}
	for _, x := range all {
		if x.Series == r.Series {
			st = x
		}
	}
	if st.Seen && r.Start <= st.LastStart {
		return nil // history that came after what it precedes
	}
	st.View, st.Version, st.LastStart, st.Seen = m.View, m.Version, r.Start, true
	drifted := j.Verdict.Outcome == Drifted
	switch {
	case drifted == st.Drifting:
		st.Streak = 0
	default:
		if st.Streak == 0 && drifted {
			st.Since = r.Start
		}
		st.Streak++
	}
	if st.Streak >= m.Windows {
		kind := ResolvedType
		if drifted {
			kind = DetectedType
		}
		st.Drifting, st.Streak = drifted, 0
		if j.Event, err = newEvent(m, r, j.Verdict, st.Since, kind, j.At); err != nil {
			return err
		}
		st.Event = j.Event.ID
		j.Outbox = j.Event.entries(w.destinations)
		if !drifted {
			st.Since = 0
		}
	}
	j.Next = &st
	return nil
}

// tell logs and counts what was recorded.
func (w *Watch) tell(m *feature.Monitor, r *WindowRecord, j *Judgement) {
	outcome := string(j.State)
	if j.Verdict != nil {
		outcome = string(j.Verdict.Outcome)
	}
	w.met.windows.WithLabelValues(r.Project, r.Monitor, outcome).Inc()
	span := window.Window{Start: r.Start, End: r.End}.String()
	w.log.Debug("window closed", "monitor", m.ID(), "window", span, "rows", r.Rows, "outcome", outcome)
	if j.Next != nil {
		w.show(j.Next)
	}
	if j.Event == nil {
		return
	}
	w.met.events.WithLabelValues(r.Project, r.Monitor, j.Event.Type).Inc()
	args := []any{"monitor", m.ID(), "view", m.View, "window", span, "rows", r.Rows, "event", j.Event.ID}
	if j.Event.Type == DetectedType {
		w.log.Warn("drift detected", append(args, "features", summary(j.Verdict))...)
	} else {
		w.log.Info("drift resolved", args...)
	}
	w.told()
}

func (w *Watch) show(st *MonitorState) {
	x := 0.0
	if st.Drifting {
		x = 1
	}
	w.met.drifting.WithLabelValues(st.Project, st.Monitor).Set(x)
}

// summary is the drifted features with their numbers, for people.
func summary(v *Verdict) string {
	var out []string
	for i := range v.Features {
		r := &v.Features[i]
		if !r.Drifted() {
			continue
		}
		s := fmt.Sprintf("%s: %s=%.3g p=%.2g", r.Name, r.Test, *r.Statistic, *r.PValue)
		if r.PSI != nil {
			s += fmt.Sprintf(" psi=%.3g", *r.PSI)
		}
		if r.JS != nil {
			s += fmt.Sprintf(" js=%.3g", *r.JS)
		}
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}
