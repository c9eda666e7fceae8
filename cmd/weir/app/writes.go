package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/serving/feast"
)

// The rooms' interfaces that writes serves.
var (
	_ feast.Writer   = (*writes)(nil)
	_ ingest.Witness = (*writes)(nil)
)

// writes takes rows that come over the API to the topics of their sources, and finds
// out what becomes of them. A worker in this process tells at once, as a witness; of
// others the tables tell, once they have committed.
type writes struct {
	a      *App
	topics *topics // makes missing ones; nil where Kafka is not embedded

	standings standings
	attempts  attempts
}

// writeCall is one call.
type writeCall struct {
	mu      sync.Mutex
	left    map[judging]bool // guarded by mu; what is not known yet
	held    []feast.Held     // guarded by mu
	changed chan struct{}    // has one when left became less
}

// judging is a view's verdict on an event.
type judging struct {
	view  string
	event int
}

// lookAround is how often a write looks at the tables, where no worker of this process says anything.
const lookAround = 250 * time.Millisecond

func (w *writes) Held(v *feature.View, r *kgo.Record, reasons []feature.Reason) {
	if c, event := w.find(r); c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.left[judging{v.Meta.Name, event}] && !slices.ContainsFunc(c.held, func(h feast.Held) bool { return h.Event == event && h.View == v.Meta.Name }) {
			c.held = append(c.held, feast.Held{Event: event, View: v.Meta.Name, Partition: r.Partition, Offset: r.Offset, Reasons: slices.Clone(reasons)})
		}
	}
}

func (w *writes) Passed(v *feature.View, r *kgo.Record) {
	if c, event := w.find(r); c != nil {
		c.done(judging{v.Meta.Name, event})
	}
}

func (c *writeCall) done(j judging) {
	c.mu.Lock()
	delete(c.left, j)
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// find is the call that a record belongs to, and which of its events it is.
func (w *writes) find(r *kgo.Record) (*writeCall, int) {
	for _, h := range r.Headers {
		if h.Key != ingest.WitnessHeader {
			continue
		}
		id, at, _ := strings.Cut(string(h.Value), "/")
		event, err := strconv.Atoi(at)
		if err != nil {
			return nil, 0
		}
		return w.attempts.call(id), event
	}
	return nil, 0
}

// Write is feast.Writer's.
func (w *writes) Write(ctx context.Context, src *feature.Source, views []*feature.View, rows feast.Rows) (out *feast.Outcome, err error) {
	if src.Encoded() {
		return nil, feature.Errorf(feature.Unsupported, "write", "source "+src.Meta.Name, "its events are written in %s by the schemas of a registry or its own, and rows that are written here become plain JSON", src.EventFormat()).
			WithHint("produce them to the topic %s yourself, or write to views of a source in JSON", src.Topic)
	}
	names := make([]string, len(views))
	for i, v := range views {
		names[i] = v.Meta.Name
	}
	same := strings.Join(append([]string{src.Meta.Project, src.Meta.Name, src.Topic, rows.Same}, names...), "\n")
	x := w.attempts.begin(same, names, rows.Events, src.Topic)
	defer func() { w.attempts.end(same, x, err == nil && !errors.Is(ctx.Err(), context.Canceled)) }()
	if err := w.produce(ctx, src, x); err != nil {
		return nil, err
	}
	c, recs := x.call, x.rows()
	waiting := w.judged(ctx, src, views, recs, c)
	if waiting == nil && rows.InTable {
		waiting = w.committed(ctx, src, views, recs)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	out = &feast.Outcome{Held: slices.Clone(c.held)}
	slices.SortFunc(out.Held, func(x, y feast.Held) int { return x.Event - y.Event })
	if waiting != nil {
		out.Waiting = w.why(src, len(c.left), waiting)
	}
	return out, nil
}

const writeAgain = "write the same rows again: this process goes on with those that are not in the topic yet"

// produce writes an attempt's records; an error may leave some of them in the topic, and more may come there later.
func (w *writes) produce(ctx context.Context, src *feature.Source, x *attempt) error {
	if w.topics != nil {
		if err := w.topics.create(ctx, src.Topic); err != nil {
			return err
		}
	}
	what := "topic " + src.Topic
	// What the broker has got and not answered for the producer does not give up, whatever its context says.
	r := x.produce(func(recs []*kgo.Record) kgo.ProduceResults { return w.a.producer.ProduceSync(ctx, recs...) })
	select {
	case <-r.done:
	case <-ctx.Done():
		return feature.Errorf(feature.Unavailable, "write", what, "Kafka has not taken all of %d rows in time: %w", x.count, ctx.Err()).WithHint(writeAgain)
	}
	var first error
	failed := 0
	for _, r := range r.res {
		if r.Err != nil {
			failed++
			if first == nil {
				first = r.Err
			}
		}
	}
	if first == nil {
		return nil
	}
	switch {
	case errors.Is(first, kerr.UnknownTopicOrPartition):
		return feature.Errorf(feature.Invalid, "write", what, "there is no such topic").WithHint("make it in Kafka")
	case errors.Is(first, kerr.MessageTooLarge):
		return feature.Errorf(feature.Invalid, "write", what, "%d of %d rows are larger than the topic takes", failed, x.count)
	case errors.Is(first, kerr.TopicAuthorizationFailed):
		return feature.Errorf(feature.Unauthorized, "write", what, "Kafka lets Weir not write there").WithHint("allow it to produce")
	}
	return feature.Errorf(feature.Unavailable, "write", what, "%d of %d rows could not be written: %w", failed, x.count, first).
		WithHint(writeAgain)
}

// judged waits until every view has judged every record.
func (w *writes) judged(ctx context.Context, src *feature.Source, views []*feature.View, recs []*kgo.Record, c *writeCall) error {
	t := time.NewTicker(lookAround)
	defer t.Stop()
	var last error
	g := vigil{w: w}
	for {
		c.mu.Lock()
		left := len(c.left)
		c.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-c.changed:
		case <-ctx.Done():
			return errors.Join(last, ctx.Err())
		case <-t.C:
			for _, v := range views {
				if err := w.byTable(ctx, src, v, recs, c); err != nil && ctx.Err() == nil {
					last = err
				}
			}
			if c.known() {
				continue
			}
			if err := g.look(ctx, views); err != nil {
				return err
			}
		}
	}
}

// known tells that every view has judged every event.
func (c *writeCall) known() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.left) == 0
}

// byTable finds what a view's table, and its quarantine, say of records that no worker here has told of.
func (w *writes) byTable(ctx context.Context, src *feature.Source, v *feature.View, recs []*kgo.Record, c *writeCall) error {
	at, id, err := w.positions(ctx, src, v)
	if err != nil {
		return err
	}
	name := v.Meta.Name
	var known []int // events that the table is past
	var within []quarantine.Range
	c.mu.Lock()
	for i, r := range recs {
		if c.left[judging{name, i}] && at[r.Partition] > r.Offset {
			known = append(known, i)
			within = append(within, quarantine.Range{TopicID: id, Partition: r.Partition, First: r.Offset, Next: r.Offset + 1})
		}
	}
	c.mu.Unlock()
	if len(known) == 0 {
		return nil
	}
	type place struct {
		part   int32
		offset int64
	}
	rows := map[place]bool{}
	if err := w.a.rowsWithin(ctx, v, within, func(_ [16]byte, part int32, offset, _ int64) error {
		rows[place{part, offset}] = true
		return nil
	}); err != nil {
		return err
	}
	held := map[place]int{}
	f := quarantine.Filter{States: quarantine.States()}
	for _, i := range known {
		if p := (place{recs[i].Partition, recs[i].Offset}); !rows[p] {
			held[p] = i
			f.Events = append(f.Events, quarantine.Event{Topic: src.Topic, Partition: p.part, Offset: p.offset})
		}
	}
	if len(held) > 0 {
		found, err := quarantine.NewReader(w.a.kafka...).List(ctx, v, f, w.a.rowsWithin, quarantine.ListOptions{})
		if err != nil {
			return err
		}
		c.mu.Lock()
		for _, e := range found.Entries {
			i, ok := held[place{e.Partition, e.Offset}]
			if ok && e.TopicID == id && c.left[judging{name, i}] {
				c.held = append(c.held, feast.Held{Event: i, View: name, Partition: e.Partition, Offset: e.Offset, Reasons: e.Reasons})
			}
		}
		c.mu.Unlock()
	}
	for _, i := range known {
		c.done(judging{name, i})
	}
	return nil
}

// positions are where a view's table stands on the source's topic as it is now, or was a moment ago.
func (w *writes) positions(ctx context.Context, src *feature.Source, v *feature.View) (map[int32]int64, [16]byte, error) {
	return w.standings.of(ctx, v.ID()+" "+src.Topic, func(ctx context.Context) (map[int32]int64, [16]byte, error) { return w.look(ctx, src, v) })
}

func (w *writes) look(ctx context.Context, src *feature.Source, v *feature.View) (map[int32]int64, [16]byte, error) {
	ts, err := kadm.NewClient(w.a.producer).ListTopics(ctx, src.Topic)
	if err == nil {
		err = ts[src.Topic].Err
	}
	if err != nil {
		return nil, [16]byte{}, feature.Errorf(feature.Unavailable, "write", "topic "+src.Topic, "%w", err)
	}
	id := [16]byte(ts[src.Topic].ID)
	all, err := w.a.positionsNow(ctx, v)
	if err != nil {
		return nil, id, err
	}
	at := map[int32]int64{}
	for _, p := range all {
		if p.Topic == src.Topic && p.TopicID == id {
			at[p.Partition] = max(at[p.Partition], p.Next)
		}
	}
	return at, id, nil
}

// committed waits until the tables of the views are past all records.
func (w *writes) committed(ctx context.Context, src *feature.Source, views []*feature.View, recs []*kgo.Record) error {
	ends := map[int32]int64{}
	for _, r := range recs {
		ends[r.Partition] = max(ends[r.Partition], r.Offset+1)
	}
	return w.each(ctx, views, func(v *feature.View) (bool, error) {
		at, _, err := w.positions(ctx, src, v)
		for part, end := range ends {
			if err != nil || at[part] < end {
				return false, err
			}
		}
		return true, err
	})
}

// each asks for every view, again and again, until all say yes.
func (w *writes) each(ctx context.Context, views []*feature.View, ok func(*feature.View) (bool, error)) error {
	left := slices.Clone(views)
	t := time.NewTicker(lookAround / 5)
	defer t.Stop()
	g := vigil{w: w}
	for {
		var last error
		left = slices.DeleteFunc(left, func(v *feature.View) bool {
			yes, err := ok(v)
			if err != nil && ctx.Err() == nil {
				last = err
			}
			return yes && err == nil
		})
		if len(left) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(last, ctx.Err())
		case <-t.C:
		}
		if err := g.look(ctx, left); err != nil {
			return err
		}
	}
}

// CaughtUp is feast.Writer's.
func (w *writes) CaughtUp(ctx context.Context, views []*feature.View) error {
	logs := map[string]map[int32]int64{} // topic -> ends of the partitions that have something
	for _, v := range views {
		topic := v.SourceOf.Topic
		if logs[topic] != nil {
			continue
		}
		logs[topic] = map[int32]int64{}
		l, err := w.a.topicLog(ctx, topic)
		if feature.KindOf(err) == feature.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		for part, b := range l.Bounds {
			if b.End > b.Start {
				logs[topic][part] = b.End
			}
		}
	}
	err := w.each(ctx, views, func(v *feature.View) (bool, error) {
		here := w.here(v)
		var at map[int32]int64
		for part, end := range logs[v.SourceOf.Topic] {
			if here[part] >= end {
				continue
			}
			if at == nil {
				var err error
				if at, _, err = w.positions(ctx, v.SourceOf, v); err != nil {
					return false, err
				}
			}
			if at[part] < end {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return feature.Errorf(feature.Unavailable, "materialize", "", "the views have not come to where their topics were at the call: %w", err).WithHint("weir status shows how far they are")
	}
	return nil
}

// here is how far a worker of this process has taken each partition to a view's sinks.
func (w *writes) here(v *feature.View) map[int32]int64 {
	out := map[int32]int64{}
	if w.a.supervisor == nil {
		return out
	}
	for _, st := range w.a.supervisor.Status() {
		if st.Project != v.Meta.Project || st.Source != v.Source {
			continue
		}
		for _, x := range st.Views {
			if x.View == v.Meta.Name {
				for _, p := range x.Partitions {
					if p.Stopped == "" {
						out[p.Partition] = p.Seen
					}
				}
			}
		}
	}
	return out
}

// why says what a write waits for.
func (w *writes) why(src *feature.Source, left int, err error) string {
	var nobody *nobodyError
	if errors.As(err, &nobody) {
		return nobody.why
	}
	if w.a.supervisor != nil {
		for _, st := range w.a.supervisor.Status() {
			if st.Project != src.Meta.Project || st.Source != src.Meta.Name {
				continue
			}
			if st.State != ingest.StateRunning {
				return "ingestion is " + st.State + ": " + st.Err
			}
			for _, v := range st.Views {
				for _, p := range v.Partitions {
					if p.Stopped != "" {
						return fmt.Sprintf("view %s is stopped on partition %d: %s", v.View, p.Partition, p.Stopped)
					}
				}
			}
		}
	}
	if left == 0 {
		return "they can be looked up, and are not in the tables yet"
	}
	text := "the workers have not come to them in time (weir status shows how far they are)"
	if rest := strings.ReplaceAll(err.Error(), "\n", "; "); rest != context.DeadlineExceeded.Error() {
		text += ": " + rest
	}
	return text
}
