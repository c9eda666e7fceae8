package ingest_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/sinktest"
	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/registry/feature"
)

// quick are settings of a broker that does now what it else does in minutes.
var quick = []string{
	"group.consumer.min.heartbeat.interval.ms=100", "group.consumer.heartbeat.interval.ms=300", "group.min.session.timeout.ms=1000",
	"group.consumer.min.session.timeout.ms=1000", "group.consumer.session.timeout.ms=6000",
	"log.initial.task.delay.ms=500", "log.retention.check.interval.ms=500", "log.cleaner.backoff.ms=200",
}

// TestRealKafka is what kfake cannot prove, on one real broker.
func TestRealKafka(t *testing.T) {
	k := testserver.OwnKafka(t, quick...)
	for _, tc := range []struct {
		name string
		run  func(*testing.T, *fixture)
		part int32
		conf map[string]string
	}{
		{"groups/classic", func(t *testing.T, f *fixture) { joinAndLeave(t, f, 11, ingest.ProtocolClassic) }, 6, nil},
		{"groups/consumer", func(t *testing.T, f *fixture) { joinAndLeave(t, f, 12, ingest.ProtocolConsumer) }, 6, nil},
		{"groups/both", func(t *testing.T, f *fixture) {
			joinAndLeave(t, f, 13, ingest.ProtocolClassic, ingest.ProtocolConsumer)
		}, 6, nil},
		{"transactions", transactions, 2, nil},
		{"compacted", compacted, 1, map[string]string{"cleanup.policy": "compact,delete", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.001",
			"delete.retention.ms": "0", "min.compaction.lag.ms": "0"}},
		{"truncated", truncatedWhileRead, 2, nil},
		{"expired", expired, 1, nil},
		{"recreated", recreated, 1, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			topic := testserver.Name(t)
			conf := map[string]*string{"retention.ms": kadm.StringPtr("-1")} // the events are old
			for name, v := range tc.conf {
				conf[name] = &v
			}
			f := setupOn(t, k.Addr, topic)
			_, err := kadm.NewClient(f.cl).CreateTopic(t.Context(), tc.part, 1, conf, topic)
			require.NoError(t, err)
			require.Eventually(t, func() bool { // created is not yet known everywhere
				ts, err := kadm.NewClient(f.cl).ListTopics(t.Context(), topic)
				return err == nil && ts[topic].Err == nil && len(ts[topic].Partitions) == int(tc.part)
			}, 30*time.Second, 5*time.Millisecond)
			f.view.Meta.Name = topic // its quarantine, too, is its own
			tc.run(t, f)
		})
	}
}

// joinAndLeave has up to three workers join and leave in the order of a seed
// while events flow; nothing is lost or doubled.
func joinAndLeave(t *testing.T, f *fixture, seed uint64, protocols ...string) {
	rng := newRand(seed)
	t.Logf("seed %d", seed)
	w := worksOn(t, f)
	w.source.Meta.Name = f.source.Topic // its group, too
	w.apply(w.source)
	name := f.view.Meta.Name
	v := personView(name)
	v.Source = w.source.Meta.Name
	w.apply(v)
	c := w.config()
	c.SessionTimeout = 2 * time.Second
	type member struct {
		s    *ingest.Supervisor
		stop func()
	}
	var running []member
	shared := func() bool {
		all := 0
		for _, m := range running {
			st := m.s.Status()
			if len(st) != 1 || len(st[0].Views) != 1 || len(st[0].Views[0].Partitions) < 6/len(running) {
				return false
			}
			all += len(st[0].Views[0].Partitions)
		}
		return all == 6
	}
	good, n, joined := 0, 0, 0
	for step := range 9 {
		switch {
		case len(running) == 0 || len(running) < 3 && rng.IntN(2) == 0:
			p := protocols[joined%len(protocols)]
			s, stop := w.worker(c, func(sc *ingest.SupervisorConfig) { sc.Protocol = p })
			running, joined = append(running, member{s, stop}), joined+1
		default:
			i := rng.IntN(len(running))
			running[i].stop()
			running = append(running[:i], running[i+1:]...)
		}
		var some []event
		for range 100 + rng.IntN(200) {
			e := w.event(rng, int32(rng.IntN(6)), n)
			if n++; !e.bad {
				good++
			}
			some = append(some, e)
		}
		w.produce(some...)
		if len(running) > 0 && step%3 != 1 { // the next change comes sometimes in the middle and sometimes not
			require.Eventually(t, shared, 60*time.Second, 5*time.Millisecond)
		}
	}
	if len(running) == 0 {
		s, stop := w.worker(c, func(sc *ingest.SupervisorConfig) { sc.Protocol = protocols[0] })
		running = append(running, member{s, stop})
	}
	w.holds(name, good)
	group := "weir.p." + w.source.Meta.Name
	described, err := kadm.NewClient(f.cl).DescribeConsumerGroups(t.Context(), group)
	require.NoError(t, err)
	if protocols[0] == ingest.ProtocolConsumer {
		require.NoError(t, described[group].Err)
		require.NotEmpty(t, described[group].Members, "the group does not speak the protocol")
	} else if len(protocols) == 1 {
		require.Error(t, described[group].Err, "the group speaks the other protocol")
	}
	for _, m := range running {
		m.stop()
	}
	w.holds(name, good)
	t.Logf("%d events, %d workers joined, %d assignments", n, joined, w.assigned.Load())
}

// ends is where the log of each partition ends.
func (f *fixture) ends() map[int32]int64 {
	f.t.Helper()
	ends, err := kadm.NewClient(f.cl).ListCommittedOffsets(f.t.Context(), f.source.Topic)
	require.NoError(f.t, err)
	require.NoError(f.t, ends.Error())
	out := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) { out[o.Partition] = o.Offset })
	return out
}

// ender is a writer that notes which partitions the last commit called drained.
type ender struct {
	*sinktest.Writer
	mu      sync.Mutex
	drained map[int32]int64 // where a partition was drained
}

func (f *fixture) ender() *ender { return &ender{Writer: f.table.Open(), drained: map[int32]int64{}} }

func (e *ender) Commit(ctx context.Context, c *feature.Commit) error {
	err := e.Writer.Commit(ctx, c)
	if err == nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, a := range c.Advances {
			if delete(e.drained, a.To.Partition); a.Drained {
				e.drained[a.To.Partition] = a.To.Next
			}
		}
	}
	return err
}

// atEnd waits until the table stands at the end of the log, the commits said so,
// and no lag is left: windows close by that.
func (f *fixture) atEnd(e *ender) {
	f.t.Helper()
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		ends := f.ends() // it may still grow: the markers of a transaction come behind its end
		e.mu.Lock()
		drained := maps.Clone(e.drained)
		e.mu.Unlock()
		lag := gauge(f.t, f.reg, "weir_ingest_lag_events")
		if f.reached(ends) && maps.Equal(ends, drained) && lag == 0 {
			return
		}
		select {
		case err := <-f.done:
			f.done <- err
			require.FailNow(f.t, "the pipeline ended by itself", "%v", err)
		default:
		}
		if time.Since(began) > 60*time.Second {
			require.FailNow(f.t, "not at the end", "the log ends at %v, the table stands at %v, drained at %v, lag %v", ends, f.table.Positions(), drained, lag)
		}
	}
}

// transactions end with one that is aborted: what is left behind the last event is only markers.
func transactions(t *testing.T, f *fixture) {
	cl, err := kgo.NewClient(append(f.opts, kgo.TransactionalID(f.source.Topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	defer cl.Close()
	rng := newRand(3)
	var events []event
	at := f.ender()
	stop := f.run(at, f.config())
	n := 0
	for i := range 9 {
		require.NoError(t, cl.BeginTransaction())
		commit := i%3 != 2
		for range 1 + rng.IntN(20) {
			e := f.event(rng, int32(rng.IntN(2)), n)
			n++
			require.NoError(t, cl.ProduceSync(t.Context(), e.rec).FirstErr())
			if commit {
				events = append(events, e)
			}
		}
		require.NoError(t, cl.EndTransaction(t.Context(), kgo.TransactionEndTry(commit)))
		f.atEnd(at)
	}
	require.NoError(t, stop())
	f.verify(events)
}

// compacted: most events are gone before they are read, and all that came last
// in their segments.
func compacted(t *testing.T, f *fixture) {
	var events []event
	send := func(key string, i int) {
		at := base.Add(time.Duration(i) * time.Second)
		e := event{rec: &kgo.Record{Topic: f.source.Topic, Key: []byte(key), Timestamp: at, Value: fmt.Appendf(nil, `{"id":"%s","at":%d,"age":1}`, key, at.UnixMicro())}}
		f.produce(e)
		events = append(events, e)
	}
	for i := range 60 {
		send(fmt.Sprint("k", i%3), i)
		if i%20 == 19 {
			time.Sleep(150 * time.Millisecond) // the next record begins a segment; only closed ones are compacted
		}
	}
	send("last", 60)
	// What is left is for the broker to say; a reader of its own tells.
	left := func() (offsets map[int64]bool) {
		cl, err := kgo.NewClient(append(f.opts, kgo.ConsumeTopics(f.source.Topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
		require.NoError(t, err)
		defer cl.Close()
		offsets = map[int64]bool{}
		for !offsets[60] {
			cl.PollFetches(t.Context()).EachRecord(func(r *kgo.Record) { offsets[r.Offset] = true })
		}
		return offsets
	}
	require.Eventually(t, func() bool { return len(left()) < 30 }, 60*time.Second, 100*time.Millisecond, "the broker does not compact")
	there, at := left(), f.ender()
	stop := f.run(at, f.config())
	f.atEnd(at)
	require.NoError(t, stop())
	// Compaction may have gone on: every event left is there once, nothing else is.
	final, seen := left(), map[int64]int{}
	for _, r := range f.table.Rows() {
		seen[r.Offset]++
		require.True(t, there[r.Offset])
	}
	for offset := range final {
		require.Equal(t, 1, seen[offset], "offset %d", offset)
	}
	t.Logf("%d of %d events left, %d in the table", len(final), len(events), len(seen))

	// A log that ends before the first event it would have: everything was removed.
	f.deleteTo(61)
	at = f.ender()
	stop = f.run(at, f.config())
	send("k1", 61)
	f.atEnd(at)
	require.NoError(t, stop())
}

// truncatedWhileRead: one partition of two loses events that the table lacks,
// under a worker that reads. It stops and says so, the other goes on; with
// truncated_topic: skip both do.
func truncatedWhileRead(t *testing.T, f *fixture) {
	w := worksOn(t, f)
	w.source.Meta.Name = f.source.Topic
	w.apply(w.source)
	v := personView(f.view.Meta.Name)
	v.Source = w.source.Meta.Name
	w.apply(v)
	rng, n := newRand(4), 0
	send := func(partition int32, count int) (good int) {
		var some []event
		for range count {
			e := w.event(rng, partition, n)
			if n++; !e.bad {
				good++
			}
			some = append(some, e)
		}
		w.produce(some...)
		return good
	}
	both := send(0, 50) + send(1, 50)
	c := w.config()
	_, stop := w.worker(c)
	w.holds(v.Meta.Name, both)
	stop()
	send(0, 50)
	w.deleteTo(80)
	both += send(1, 50)
	s, stop := w.worker(c)
	w.holds(v.Meta.Name, both)
	require.Eventually(t, func() bool { return w.stopped() == 1 }, 30*time.Second, 5*time.Millisecond)
	both += send(1, 30)
	w.holds(v.Meta.Name, both)
	var said string
	for _, p := range s.Status()[0].Views[0].Partitions {
		said += p.Stopped
	}
	require.Contains(t, said, "those between are gone")
	require.Contains(t, said, "ingest.truncated_topic: skip", "the way out")
	stop()

	c.TruncatedTopic = "skip"
	_, stop = w.worker(c)
	require.Eventually(t, func() bool {
		for _, p := range w.table(v.Meta.Name).Positions() {
			if p.Next != w.ends()[p.Partition] {
				return false
			}
		}
		return true
	}, 30*time.Second, 5*time.Millisecond)
	both += send(1, 10)
	require.Eventually(t, func() bool { return len(w.table(v.Meta.Name).Rows()) > both }, 30*time.Second, 5*time.Millisecond)
	stop()
	require.Zero(t, w.stopped())
}

// expired: retention, and not a person, removes what the table lacks.
func expired(t *testing.T, f *fixture) {
	rng := newRand(5)
	var events []event
	for i := range 60 {
		events = append(events, f.event(rng, 0, i))
	}
	f.produce(events[:30]...)
	at := f.ender()
	stop := f.run(at, f.config())
	f.atEnd(at)
	require.NoError(t, stop())
	f.produce(events[30:]...)
	adm := kadm.NewClient(f.cl)
	_, err := adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "retention.ms", Value: kadm.StringPtr("1000")}}, f.source.Topic)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		s, err := adm.ListStartOffsets(t.Context(), f.source.Topic)
		if err != nil {
			return false
		}
		o, _ := s.Lookup(f.source.Topic, 0)
		return o.Offset == 60
	}, 60*time.Second, 100*time.Millisecond, "the broker does not expire")
	stop = f.run(f.table.Open(), f.config())
	require.Eventually(t, func() bool { return f.stopped() == 1 }, 30*time.Second, 5*time.Millisecond)
	require.NoError(t, stop())
	require.Equal(t, int64(30), f.table.Positions()[0].Next)
	_, err = adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "retention.ms", Value: kadm.StringPtr("-1")}}, f.source.Topic)
	require.NoError(t, err)
	c := f.config()
	c.TruncatedTopic = "skip"
	at = f.ender()
	stop = f.run(at, c)
	f.atEnd(at) // nothing is left to read, and yet the position moves
	more := f.event(rng, 0, 60)
	f.produce(more)
	f.atEnd(at)
	require.NoError(t, stop())
	f.verify(append(events[:30:30], more))
}

// recreated: the topic is deleted and made anew under a worker.
func recreated(t *testing.T, f *fixture) {
	rng := newRand(6)
	var events []event
	for i := range 80 {
		events = append(events, f.event(rng, 0, i))
	}
	f.produce(events[:50]...)
	at := f.ender()
	stop, done := f.start(at, f.config())
	f.atEnd(at)
	adm := kadm.NewClient(f.cl)
	_, err := adm.DeleteTopic(t.Context(), f.source.Topic)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := adm.CreateTopic(t.Context(), 1, 1, map[string]*string{"retention.ms": kadm.StringPtr("-1")}, f.source.Topic)
		return err == nil
	}, 30*time.Second, 20*time.Millisecond)
	err = f.ended(done)
	require.Error(t, err)
	t.Log("the pipeline said: ", strings.SplitN(err.Error(), "\n", 2)[0])
	_ = stop()
	cl, err := kgo.NewClient(append(f.opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	defer cl.Close()
	for _, e := range events[50:] {
		require.NoError(t, cl.ProduceSync(t.Context(), e.rec).FirstErr())
	}
	stop = f.run(f.table.Open(), f.config())
	require.Eventually(t, func() bool { return f.stopped() == 1 }, 30*time.Second, 5*time.Millisecond)
	require.NoError(t, stop())
	require.Len(t, f.table.Positions(), 1)
	c := f.config()
	c.RecreatedTopic = "start"
	stop = f.run(f.table.Open(), c)
	require.Eventually(t, func() bool { at := f.table.Positions(); return len(at) == 2 && at[1].Next == 30 }, 30*time.Second, 5*time.Millisecond)
	require.NoError(t, stop())
	good := 0
	for _, e := range events {
		if !e.bad {
			good++
		}
	}
	require.Len(t, f.table.Rows(), good)
}
