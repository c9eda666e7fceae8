package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest/format"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/expect"
)

// Outlets is where the rows of one view go. The table's writer is among the
// sinks and is the Committer as well.
type Outlets struct {
	View  *feature.View
	Sinks []Sink
	Table Committer
	Close func() error
}

// Judge returns a view as it was at a catalog revision: with the schema and
// the suite that judge the events after a position of that revision.
type Judge func(ctx context.Context, revision int64, project, view string) (*feature.View, error)

// Pipeline is the way in of one source: it reads the topic and feeds all views of it.
//
// Two invariants. A position moves only with the commit that holds the rows
// below it, or after the quarantine topic has acknowledged the entries below
// it. And between two commits one catalog revision judges: the one that the
// earlier commit names.
//
//	poll      one goroutine; hands records to the queue of their partition
//	process   one goroutine a partition: decode, check, quarantine, write to each sink
//	flush     every interval: cut, flush quarantine, stage, commit, settle, group offsets
//
// One goroutine owns a partition because offset order is what makes a replay
// give the same rows; a pool over batches was not taken, for it needs a
// reordering stage that holds as much memory as the queues do.
//
// A stale commit, or a sink that fails with anything but Unavailable, ends Run:
// whoever runs it (Supervisor) starts it again and it reloads from the table.
type Pipeline struct {
	PipelineConfig

	cl      *kgo.Client // in the group; set before joined is closed, which its callbacks wait for
	joined  chan struct{}
	adm     *kadm.Client // a client of its own, outside the group
	schemas schemas
	topicID [16]byte        // set before joined is closed; of a topic made anew there is a pipeline anew
	work    context.Context // ends when the pipeline has to stop; set before joined is closed
	held    *quarantine.Session

	mem        budget
	fetch, one int32         // sizes of a fetch; of the poller alone once it runs
	decoding   chan struct{} // a token for each batch that may be decoded at once

	mu      sync.Mutex
	parts   map[int32]*partition       // guarded by mu; partitions this worker owns
	ends    map[int32]int64            // guarded by mu; end of the log, as last listed
	count   int                        // guarded by mu; partitions of the topic, as last listed
	brokers int                        // guarded by mu; that lead partitions of the topic
	pools   map[string]*decoders       // guarded by mu; by who judges for whom
	suites  map[*Outlets]*expect.Suite // guarded by mu
	guards  []*guard                   // of each outlet; nil where a view has no limit
	rejudge atomic.Bool                // a view that waits has got another judge

	flushMu turn // one flush at a time; held from cut to settle, however long the stores take
	kick    chan struct{}
	fatal   chan error
	// over is guarded by flushMu. The last flush is done, or one failed after its
	// cut: the rows it cut are not in the sinks any more, so a further commit would
	// move the positions over them. Nothing is committed from then on.
	over bool
	// untold is guarded by flushMu. The group could not be told of the last commits.
	untold bool
	// bygone is guarded by flushMu. Pauses to be forgotten: nothing waits there any more.
	bygone []Pause
}

// PipelineConfig is what a Pipeline is made of.
type PipelineConfig struct {
	Config
	Source     *feature.Source
	Revision   int64 // of the catalog that Source and Outlets come from
	Outlets    []*Outlets
	Judge      Judge
	Kafka      []kgo.Opt // how to reach Kafka
	Group      string    // consumer group
	Protocol   string    // of the group: ProtocolClassic (also when empty) or ProtocolConsumer
	Quarantine *quarantine.Writer
	Replicas   int16 // of quarantine topics; -1 is the broker's default
	Log        *slog.Logger
	Metrics    *Metrics
	Witness    Witness         // of records that ask for one; may be nil
	Formats    *format.Formats // of events that are not plain JSON; without a schema registry when nil
	Pauses     Pauses          // of views with too many bad events; in memory when nil
	Alert      Alert           // is told of them; may be nil
	// Ready, when set, is called once the group has assigned partitions for the first time.
	Ready func()
}

// NewPipeline makes a pipeline; Run starts it.
func NewPipeline(c PipelineConfig) *Pipeline {
	if c.Formats == nil {
		c.Formats = format.New(nil, c.MaxEventBytes)
	}
	if c.Pauses == nil {
		c.Pauses = NewPauses()
	}
	guards := make([]*guard, len(c.Outlets))
	for i, o := range c.Outlets {
		guards[i] = newGuard(o.View)
		c.Metrics.begins(o.View)
	}
	c.Log = c.Log.With("project", c.Source.Meta.Project, "source", c.Source.Meta.Name)
	return &Pipeline{
		PipelineConfig: c,
		parts:          map[int32]*partition{},
		ends:           map[int32]int64{},
		joined:         make(chan struct{}),
		held:           c.Quarantine.Session(),
		flushMu:        newTurn(),
		kick:           make(chan struct{}, 1),
		fatal:          make(chan error, 1),
		decoding:       make(chan struct{}, runtime.GOMAXPROCS(0)),
		pools:          map[string]*decoders{},
		suites:         map[*Outlets]*expect.Suite{},
		guards:         guards,
	}
}

// Run reads until ctx ends, then flushes, commits and leaves the group. next
// gives the catalog revision that will judge the events after the last commit;
// it is asked once, at the end.
func (p *Pipeline) Run(ctx context.Context, next func() int64) error {
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	p.work = work
	if err := p.open(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer p.adm.Close()
	defer p.leave()
	// A flush under way is not torn by a stop; it shares its time with the last one.
	flushing, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	defer context.AfterFunc(work, func() { time.AfterFunc(lastFlush, abort) })()
	var wg sync.WaitGroup
	wg.Go(func() { p.poll(work) })
	wg.Go(func() { p.flushLoop(work, flushing) })

	var err error
	select {
	case <-ctx.Done():
	case err = <-p.fatal:
	}
	cancel()
	stopAll(p.owned(), err == nil) // while a flush under way ends
	wg.Wait()
	p.finish(flushing, err == nil, next)
	return err
}

// A stop with every store down has to end before the 30 s are over after which
// most supervisors kill: what is not committed by then is read again.
const (
	lastBatch = 4 * time.Second  // for the batches in hand
	lastFlush = 15 * time.Second // for them and for the rows to be committed
	lastWords = 3 * time.Second  // for leaving the group
)

// leave leaves the group, without its coordinator when that does not answer.
func (p *Pipeline) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	p.cl.AllowRebalance()
	_ = p.cl.LeaveGroupContext(ctx)
	p.cl.Close()
	p.cl.AllowRebalance() // closing polls once more, and a goroutine that leaves the group again may wait for that poll's end
}

// fail ends Run with err; the first failure counts.
func (p *Pipeline) fail(err error) {
	select {
	case p.fatal <- err:
	default:
	}
}

// open looks the topic up, makes sure of the quarantine topics, and joins the
// group: from then on the callbacks of assign.go may run.
func (p *Pipeline) open(ctx context.Context) error {
	ask, err := kgo.NewClient(slices.Clone(p.Kafka)...)
	if err != nil {
		return feature.Errorf(feature.Invalid, "ingest.open", "kafka", "%w", err)
	}
	p.adm = kadm.NewClient(ask)
	ready := false
	defer func() {
		if !ready {
			ask.Close()
		}
	}()
	if p.topicID, p.count, p.brokers, err = p.describe(ctx); err != nil {
		return err
	}
	p.mem.cost.Store(firstCost)
	p.fetch, p.one, _ = p.mem.sizes(p.MemoryLimit, p.brokers, p.count)
	for _, o := range p.Outlets {
		if err := p.Quarantine.Ensure(ctx, o.View.Meta.Project, o.View.Meta.Name, p.largest(ctx), p.Replicas); err != nil {
			return err
		}
	}
	p.cl, err = kgo.NewClient(append(append(slices.Clone(p.Kafka), p.protocol(ctx, ask)...),
		kgo.ConsumerGroup(p.Group),
		kgo.SessionTimeout(p.SessionTimeout),
		kgo.HeartbeatInterval(min(3*time.Second, p.SessionTimeout/3)),
		kgo.ConsumeTopics(p.Source.Topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // their offsets move the position to the end of the log
		kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // a log that no longer has the next event must not be skipped over
		kgo.BlockRebalanceOnPoll(),                  // see poll
		kgo.FetchMaxBytes(p.fetch),                  // see budget
		kgo.FetchMaxPartitionBytes(p.one),
		kgo.WithHooks(&p.mem),
		kgo.AdjustFetchOffsetsFn(p.assign),
		kgo.OnPartitionsRevoked(func(ctx context.Context, _ *kgo.Client, m map[string][]int32) { p.revoke(ctx, m, true) }),
		kgo.OnPartitionsLost(func(ctx context.Context, _ *kgo.Client, m map[string][]int32) { p.revoke(ctx, m, false) }),
	)...)
	if err != nil {
		return feature.Errorf(feature.Invalid, "ingest.open", "kafka", "%w", err)
	}
	ready = true
	close(p.joined)
	return nil
}

// describe learns the topic's id, its number of partitions, and how many brokers lead them.
func (p *Pipeline) describe(ctx context.Context) (id [16]byte, count, brokers int, err error) {
	ts, err := p.adm.ListTopics(ctx, p.Source.Topic)
	if err != nil {
		return id, 0, 0, feature.Errorf(feature.Unavailable, "ingest.open", "topic "+p.Source.Topic, "%w", err).
			WithHint("check kafka.brokers")
	}
	t := ts[p.Source.Topic]
	switch {
	case errors.Is(t.Err, kerr.UnknownTopicOrPartition):
		return id, 0, 0, feature.Errorf(feature.NotFound, "ingest.open", "topic "+p.Source.Topic, "the topic does not exist").
			WithHint("create it, or correct spec.topic of Source %s; Weir looks again by itself", p.Source.Meta.Name)
	case t.Err != nil:
		return id, 0, 0, feature.Errorf(feature.Unavailable, "ingest.open", "topic "+p.Source.Topic, "%w", t.Err)
	}
	leaders := map[int32]bool{}
	for _, part := range t.Partitions {
		leaders[part.Leader] = true
	}
	return t.ID, len(t.Partitions), len(leaders), nil
}

// sameTopic looks whether the topic is still the one that this pipeline reads,
// and how many partitions it has now. A pipeline started anew finds out what
// the tables make of another one.
func (p *Pipeline) sameTopic(ctx context.Context) error {
	id, count, brokers, err := p.describe(ctx)
	if err != nil {
		return err
	}
	if id != p.topicID {
		return feature.Errorf(feature.Conflict, "ingest.topic", "topic "+p.Source.Topic, "the topic was recreated while it was read")
	}
	p.mu.Lock()
	p.count, p.brokers = count, brokers
	p.mu.Unlock()
	return nil
}

// largest is the largest record that the source's topic takes, 1 MiB where the broker does not tell.
func (p *Pipeline) largest(ctx context.Context) int64 {
	rc, err := p.adm.DescribeTopicConfigs(ctx, p.Source.Topic)
	if err == nil {
		if c, err := rc.On(p.Source.Topic, nil); err == nil {
			for _, kv := range c.Configs {
				if kv.Key == "max.message.bytes" && kv.Value != nil {
					if n, err := strconv.ParseInt(*kv.Value, 10, 64); err == nil {
						return n
					}
				}
			}
		}
	}
	return 1 << 20
}

// poll hands fetched records to their partitions until ctx ends. No partition
// is given up or taken between the fetch and that: records of an earlier
// assignment, put into the queue of a later one, would look like a gap in the offsets.
func (p *Pipeline) poll(ctx context.Context) {
	for ctx.Err() == nil {
		if !p.mayFetch() {
			p.waitForRoom(ctx)
			continue
		}
		fs := p.cl.PollFetches(ctx)
		if fs.IsClientClosed() || ctx.Err() != nil {
			p.cl.AllowRebalance()
			return
		}
		fs.EachError(func(topic string, part int32, err error) {
			if errors.Is(err, context.Canceled) {
				return
			}
			if kerr.IsRetriable(err) || kgo.IsRetryableBrokerErr(err) {
				p.Log.Warn("fetch", "partition", part, "err", err)
				return
			}
			p.fail(feature.Errorf(feature.Unavailable, "ingest.poll", fmt.Sprintf("%s/%d", topic, part), "%w", err))
		})
		fs.EachPartition(func(ft kgo.FetchTopicPartition) {
			if len(ft.Records) == 0 {
				return
			}
			p.mu.Lock()
			part := p.parts[ft.Partition]
			p.mu.Unlock()
			if part == nil {
				return // revoked meanwhile
			}
			own(ft.Records)
			part.q.put(ft.Records)
			// One that waits for a sink must not take the memory that the others need.
			if part.stuck.Load() || p.mem.records.Load() > p.MemoryLimit/backlogShare {
				part.pauseAbove(p.share())
			}
		})
		p.cl.AllowRebalance()
	}
}

// waitForRoom waits a moment while memory is used up, and has the sinks commit what they hold.
func (p *Pipeline) waitForRoom(ctx context.Context) {
	p.flushSoon()
	select {
	case <-ctx.Done():
	case <-time.After(5 * time.Millisecond):
	}
}

// share is how much of one partition may wait while memory is short.
func (p *Pipeline) share() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return share(p.MemoryLimit, len(p.parts))
}

func (p *Pipeline) buffered() int64 {
	var n int64
	for _, o := range p.Outlets {
		for _, s := range o.Sinks {
			n += s.Buffered()
		}
	}
	return n
}

func (p *Pipeline) owned() []*partition {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*partition, 0, len(p.parts))
	for _, part := range p.parts {
		out = append(out, part)
	}
	slices.SortFunc(out, func(a, b *partition) int { return int(a.id - b.id) })
	return out
}

func (p *Pipeline) partitions() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

func (p *Pipeline) flushSoon() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}
