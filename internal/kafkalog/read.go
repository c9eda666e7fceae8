package kafkalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-ml/weir/registry/feature"
)

const (
	fetchBytes = 4 << 20
	fetchWait  = 500 * time.Millisecond
)

// Read calls fn with the committed records of [from, to) of a partition, in
// offset order, control records left out, and returns when everything below to
// has been passed or the log ends before it. While fn works the next records are
// fetched. The records are fn's to keep. A Conflict of ErrGone tells that the log
// has lost the offset that came next.
func (l *Log) Read(ctx context.Context, partition int32, from, to int64, fn func([]*kgo.Record) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type fetched struct {
		recs []*kgo.Record
		err  error
	}
	ahead := make(chan fetched, 1)
	go func() {
		defer close(ahead)
		for at := from; at < to; {
			recs, next, err := l.fetch(ctx, partition, at)
			if err == nil && next == at {
				return // the log ends here
			}
			at = next
			for len(recs) > 0 && recs[len(recs)-1].Offset >= to {
				recs = recs[:len(recs)-1]
			}
			if len(recs) == 0 && err == nil {
				continue
			}
			select {
			case ahead <- fetched{recs, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	for f := range ahead {
		if f.err != nil {
			return f.err
		}
		if err := fn(f.recs); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// fetch returns records from offset at on and the offset to ask for next: at
// itself at the end of the log.
func (l *Log) fetch(ctx context.Context, partition int32, at int64) ([]*kgo.Record, int64, error) {
	what := fmt.Sprintf("%s/%d", l.Topic, partition)
	size, empty := int32(fetchBytes), 0
	var failed error
	for began, wait := time.Now(), 20*time.Millisecond; ; {
		rp, err := l.ask(ctx, partition, at, size)
		if err == nil {
			opts := kgo.ProcessFetchPartitionOpts{Offset: at, IsolationLevel: kgo.ReadCommitted(), Topic: l.Topic, Partition: partition}
			fp, next := kgo.ProcessFetchPartition(opts, rp, l.dec, nil)
			switch {
			case fp.Err == nil && next > at:
				return fp.Records, next, nil
			case fp.Err == nil && len(rp.RecordBatches) > 0 && size < 1<<30:
				size *= 4 // a batch larger than what was asked for, cut off
				continue
			case fp.Err == nil:
				// A broker answers with what is there, so nothing means the end; it may
				// have been busy once.
				if empty++; empty == 2 {
					return nil, at, nil
				}
				continue
			case errors.Is(fp.Err, kerr.OffsetOutOfRange):
				return nil, at, feature.Errorf(feature.Conflict, "kafkalog.read", what, "%w: offset %d", ErrGone, at)
			}
			err = fp.Err
			if !kerr.IsRetriable(err) {
				return nil, at, l.error(err)
			}
		}
		failed = err
		if ctx.Err() != nil {
			return nil, at, ctx.Err()
		}
		if time.Since(began) > Patience {
			return nil, at, l.error(failed)
		}
		select {
		case <-ctx.Done():
			return nil, at, ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, time.Second)
		if err := l.lookUp(ctx); err != nil && feature.KindOf(err) == feature.NotFound {
			return nil, at, err
		}
	}
}

// ask sends one fetch to the partition's leader, outside of fetch sessions.
func (l *Log) ask(ctx context.Context, partition int32, at int64, size int32) (*kmsg.FetchResponseTopicPartition, error) {
	l.mu.Lock()
	leader, ok := l.leaders[partition]
	l.mu.Unlock()
	if !ok {
		return nil, kerr.UnknownTopicOrPartition
	}
	req := kmsg.NewFetchRequest()
	req.MaxWaitMillis = int32(fetchWait.Milliseconds())
	req.MinBytes, req.MaxBytes, req.IsolationLevel = 1, size, 1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = l.Topic, l.ID // whichever the broker's version wants
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, at, size
	p.CurrentLeaderEpoch = -1
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	kresp, err := l.cl.Broker(int(leader)).RetriableRequest(ctx, &req)
	if err != nil {
		return nil, err
	}
	resp := kresp.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			if rp := &resp.Topics[i].Partitions[j]; rp.Partition == partition {
				return rp, nil
			}
		}
	}
	return &kmsg.FetchResponseTopicPartition{Partition: partition}, nil
}
