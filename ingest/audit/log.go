package audit

import (
	"context"
	"encoding/hex"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/weir-ml/weir/internal/kafkalog"
	"github.com/weir-ml/weir/registry/feature"
)

// readers is how many partitions are read at once.
const readers = 2

// readLogs reads again what the logs still have of what is below the table's
// positions, and looks into the buckets that do not come out equal.
func (r *run) readLogs(ctx context.Context) error {
	topics := map[string][]*part{}
	for _, p := range r.parts {
		if p.known && p.at.Partition != feature.ImportPartition {
			topics[p.at.Topic] = append(topics[p.at.Topic], p)
		}
	}
	if r.o.SkipLog {
		if len(topics) > 0 {
			r.note("the log was not read again, as asked: what is missing and what has changed was not looked for")
		}
		return nil
	}
	for topic, parts := range topics {
		if err := r.readTopic(ctx, topic, parts); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) readTopic(ctx context.Context, topic string, parts []*part) error {
	log, err := kafkalog.Open(ctx, r.a.Kafka, topic)
	if err != nil && feature.KindOf(err) == feature.NotFound {
		if topic == r.v.SourceOf.Topic {
			return feature.Errorf(feature.NotFound, op, "topic "+topic, "the topic of source %s does not exist, there is no log to compare with", r.v.SourceOf.Meta.Name).
				WithHint("restore it, or leave the log out: weir audit --skip-log")
		}
		r.note("topic %s, which the source had before, does not exist any more: what came from it was not compared", topic)
		return nil
	}
	if err != nil {
		return err
	}
	defer log.Close()
	bounds, err := log.Bounds(ctx)
	if err != nil {
		return err
	}
	compacted, err := log.Compacted(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		compacted = true
		r.note("topic %s: whether it is compacted could not be learnt (%v), so rows without an event were not looked for", topic, err)
	} else if compacted {
		r.note("topic %s is compacted: rows whose events it has removed were not compared", topic)
	}
	var here []*part
	var total int64
	for _, p := range parts {
		b, there := bounds[p.at.Partition]
		if p.at.TopicID != log.ID || !there {
			r.note("topic %s was recreated: what came from topic id %s was not compared", topic, hex.EncodeToString(p.at.TopicID[:]))
			continue
		}
		if b.End < p.at.Next {
			r.note("%s/%d: the log ends at %d, below the table's position %d: it has lost its end", topic, p.at.Partition, b.End, p.at.Next)
		}
		p.read, p.start, p.compacted = true, min(b.Start, p.at.Next), compacted
		here = append(here, p)
		total += p.at.Next - p.start
	}
	var done atomic.Int64
	r.say("log", 0, total)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(readers)
	for _, p := range here {
		g.Go(func() error {
			w := &walk{r: r, p: p, log: log, x: newReader(gctx, r.hash, p.seed), passed: func(n int64) { r.say("log", done.Add(n), total) }}
			return w.all(gctx)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := r.lookInto(ctx, log); err != nil {
		return err
	}
	for _, p := range here {
		if rows, held := below(&p.rows, p.start), below(&p.held, p.start); rows+held > 0 {
			r.note("%s/%d: the log begins at %d, so %d rows and %d entries of quarantine below it were not compared", topic, p.at.Partition, p.start, rows, held)
		}
	}
	return nil
}
