package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fate is what has to become of an event, as far as no suite has a say.
type fate int

const (
	good fate = iota
	bad       // held back by every view
	gone      // a tombstone
)

// event is one event as it was made: the plain record that everything is compared with.
type event struct {
	fate  fate
	what  string // kind, for messages
	id    string
	at    int64 // event time, microseconds
	known int64 // the record's timestamp, microseconds
	age   int64 // -1: null
	score float64
	size  int
}

func (e *event) effective() int64 { return min(e.at, e.known) }

// outcome is what the producer heard of an event.
type outcome int

const (
	unknown   outcome = iota
	committed         // acknowledged, and its transaction if any
	aborted
)

const seqHeader = "seq"

// stream makes events of all kinds and remembers them.
type stream struct {
	topic      string
	partitions int32

	mu       sync.Mutex
	rng      *rand.Rand
	events   []*event       // by number
	outcome  []outcome      // by number
	where    map[int64]at   // coordinates that were acknowledged, by number
	previous map[string]int // an id's last event, by number

	ending sync.RWMutex // held for reading while a transaction ends; see killing
}

func newStream(topic string, partitions int32, seed uint64) *stream {
	return &stream{topic: topic, partitions: partitions, rng: rand.New(rand.NewPCG(seed, 21)), where: map[int64]at{}, previous: map[string]int{}}
}

// next makes an event.
func (s *stream) next() *kgo.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rng
	now := time.Now().Truncate(time.Millisecond) // what Kafka keeps
	e := &event{id: "k" + strconv.Itoa(r.IntN(60)), known: now.UnixMicro(), at: now.UnixMicro() - r.Int64N(2000)*1000, age: r.Int64N(100), score: r.Float64(), what: "plain"}
	rec := &kgo.Record{Topic: s.topic, Partition: r.Int32N(s.partitions)}
	switch n := r.IntN(100); {
	case n < 5: // late, by up to two hours or, less often, days
		e.what, e.at = "late", e.known-r.Int64N(7200)*1e6
		if n == 0 {
			e.at -= 48 * 3600 * 1e6
		}
	case n < 10: // a clock ahead, not too far
		e.what, e.at = "ahead", e.known+r.Int64N(240)*1e6
	case n < 16: // both times equal to those of the id's last event
		if p, ok := s.previous[e.id]; ok {
			e.what, e.at, e.known = "equal", s.events[p].at, s.events[p].known
		}
	case n < 19:
		e.fate, e.what, e.at = gone, "tombstone", e.known
	case n < 21:
		e.what, e.age = "null", -1
	case n < 25: // for a suite to say
		e.what, e.age = "old", 150
	}
	age := strconv.FormatInt(e.age, 10)
	if e.age < 0 {
		age = "null"
	}
	value := fmt.Sprintf(`{"id":%q,"at":%q,"age":%s,"score":%s}`, e.id, time.UnixMicro(e.at).UTC().Format(time.RFC3339Nano), age, strconv.FormatFloat(e.score, 'g', -1, 64))
	if e.fate == gone {
		rec.Key, value = []byte(e.id), ""
	}
	if e.fate == good {
		e.fate = bad
		switch n := r.IntN(300); {
		case n < 5:
			e.what, value = "torn", value[:len(value)-r.IntN(20)-1]
		case n < 8:
			e.what, value = "no id", strings.Replace(value, `"id"`, `"di"`, 1)
		case n < 10:
			e.what, value = "null id", strings.Replace(value, `"id":"`+e.id+`"`, `"id":null`, 1)
		case n < 13:
			e.what, value = "no time", strings.Replace(value, `"at"`, `"ta"`, 1)
		case n < 16:
			e.what, value = "schema", strings.Replace(value, `"score":`, `"score":"high","was":`, 1)
		case n < 18:
			e.what, e.at = "future", e.known+3600*1e6
			value = fmt.Sprintf(`{"id":%q,"at":%q}`, e.id, time.UnixMicro(e.at).UTC().Format(time.RFC3339Nano))
		case n < 20:
			e.what, value = "too large", value[:len(value)-1]+`,"more":"`+strings.Repeat("x", 30_000)+`"}`
		case n < 21:
			e.what, value = "tombstone of nobody", ""
		default:
			e.fate = good
		}
	}
	if value != "" {
		rec.Value = []byte(value)
	}
	if e.fate != bad {
		s.previous[e.id] = len(s.events)
	}
	e.size = len(rec.Value)
	rec.Timestamp = time.UnixMicro(e.known)
	rec.Headers = []kgo.RecordHeader{{Key: seqHeader, Value: []byte(strconv.Itoa(len(s.events)))}}
	s.events, s.outcome = append(s.events, e), append(s.outcome, unknown)
	return rec
}

func seqOf(r *kgo.Record) int64 {
	n, err := strconv.ParseInt(string(r.Headers[0].Value), 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func (s *stream) heard(r *kgo.Record, o outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcome[seqOf(r)] = o
	s.where[seqOf(r)] = at{r.Partition, r.Offset}
}

func (s *stream) producer(t *testing.T, broker string, more ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(broker), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.UnknownTopicRetries(-1), kgo.RequestRetries(100_000), kgo.RetryTimeout(time.Hour), kgo.ConsiderMissingTopicDeletedAfter(time.Hour),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }), kgo.MetadataMinAge(100 * time.Millisecond)}, more...)...)
	require.NoError(t, err)
	return cl
}

// publish produces until stop is closed, one event every so often, and returns
// once all are acknowledged.
func (s *stream) publish(cl *kgo.Client, every time.Duration, stop <-chan struct{}) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			_ = cl.Flush(context.Background())
			return
		case <-tick.C:
		}
		cl.Produce(context.Background(), s.next(), func(r *kgo.Record, err error) {
			if err == nil {
				s.heard(r, committed)
			}
		})
	}
}

// transact produces in transactions until stop is closed, and aborts some.
func (s *stream) transact(dial func() *kgo.Client, rng *rand.Rand, stop <-chan struct{}) (done, undone int) {
	ctx := context.Background()
	cl := dial()
	defer func() { cl.Close() }()
	for {
		select {
		case <-stop:
			return done, undone
		case <-time.After(time.Duration(rng.IntN(200)) * time.Millisecond):
		}
		if err := s.transaction(ctx, cl, rng, &done, &undone); err != nil {
			cl.Close() // the next client of that transactional id ends what this one left open
			cl = dial()
		}
	}
}

func (s *stream) transaction(ctx context.Context, cl *kgo.Client, rng *rand.Rand, done, undone *int) error {
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	var recs []*kgo.Record
	for range 1 + rng.IntN(15) {
		recs = append(recs, s.next())
	}
	wait, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var acked []*kgo.Record
	res := cl.ProduceSync(wait, recs...)
	for _, r := range res {
		if r.Err == nil {
			acked = append(acked, r.Record)
		}
	}
	if res.FirstErr() != nil || rng.IntN(3) == 0 {
		if err := cl.AbortBufferedRecords(wait); err != nil {
			return err
		}
		if err := s.end(wait, cl, kgo.TryAbort); err != nil {
			return err
		}
		*undone++
		for _, r := range acked {
			s.heard(r, aborted)
		}
		return res.FirstErr()
	}
	if err := s.end(wait, cl, kgo.TryCommit); err != nil {
		return err
	}
	*done++
	for _, r := range acked {
		s.heard(r, committed)
	}
	return nil
}

// end ends a transaction and waits until its partitions know.
func (s *stream) end(ctx context.Context, cl *kgo.Client, how kgo.TransactionEndTry) error {
	s.ending.RLock()
	defer s.ending.RUnlock()
	if err := cl.EndTransaction(ctx, how); err != nil {
		return err
	}
	for adm := kadm.NewClient(cl); ; time.Sleep(5 * time.Millisecond) {
		all, err := adm.DescribeTransactions(ctx)
		if err != nil {
			return err
		}
		told := len(all) > 0
		for _, x := range all {
			if x.Err != nil {
				return x.Err
			}
			told = told && !strings.HasPrefix(x.State, "Prepare")
		}
		if told {
			return nil
		}
	}
}

// killing calls kill, which kills Kafka, at a moment at which no transaction is half
// ended. Kafka 4.3.1 loses such a one when it is its partitions' only broker: as it
// starts, the transaction's coordinator finds them without a leader, takes them for
// deleted ("likely deleted already and hence can be skipped"), and calls the
// transaction complete; the next one of that producer there then decides for both,
// and what was acknowledged as committed is aborted. That is a promise of Kafka's,
// on which Weir builds, and not one of Weir's that this could test. A transaction
// that has not come to its end is killed at any moment.
func (s *stream) killing(kill func()) {
	s.ending.Lock()
	defer s.ending.Unlock()
	kill()
}

// endHanging ends transactions of which the log knows and no coordinator does, as
// kafka-transactions.sh does for who runs Kafka: a broker that is killed at the wrong moment
// can leave one behind, and nobody who reads only what is committed gets past it.
func endHanging(t *testing.T, adm *kadm.Client, topic string) {
	t.Helper()
	known, err := adm.DescribeTransactions(t.Context())
	require.NoError(t, err)
	under := map[int64]bool{}
	for _, x := range known {
		t.Logf("transaction %+v", x)
		under[x.ProducerID] = under[x.ProducerID] || x.State == "Ongoing" || strings.HasPrefix(x.State, "Prepare")
	}
	active, err := adm.DescribeProducers(t.Context(), kadm.TopicsSet{topic: nil})
	require.NoError(t, err)
	active.EachProducer(func(p kadm.DescribedProducer) {
		if p.CurrentTxnStartOffset < 0 {
			return
		}
		t.Logf("open: %+v", p)
		if under[p.ProducerID] {
			return
		}
		var at kadm.TopicsSet
		at.Add(topic, p.Partition)
		_, err := adm.WriteTxnMarkers(t.Context(), kadm.TxnMarkers{ProducerID: p.ProducerID, ProducerEpoch: p.ProducerEpoch, CoordinatorEpoch: max(p.CoordinatorEpoch, 0), Topics: at})
		t.Logf("hanging since offset %d of partition %d, aborted: %v", p.CurrentTxnStartOffset, p.Partition, err)
	})
}

// inLog reads the topic to its end as a consumer of committed records sees it:
// the number of the event at each offset.
func (s *stream) inLog(t *testing.T, broker string) (seqs map[at]int64, ends map[int32]int64) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(s.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	require.NoError(t, err)
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ends = map[int32]int64{}
	listed, err := adm.ListEndOffsets(t.Context(), s.topic)
	require.NoError(t, err)
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	require.Len(t, ends, int(s.partitions))
	// An open transaction ends by its timeout at the latest.
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		stable, err := adm.ListCommittedOffsets(t.Context(), s.topic)
		require.NoError(t, err)
		open := 0
		stable.Each(func(o kadm.ListedOffset) {
			if o.Offset < ends[o.Partition] {
				open++
			}
		})
		if open == 0 {
			break
		}
		if waited := time.Since(began); waited > 30*time.Second {
			require.Less(t, waited, 3*time.Minute, "transactions stay open")
			endHanging(t, adm, s.topic)
			time.Sleep(5 * time.Second)
		}
	}
	// The marker of a transaction that ended just now moved the end.
	listed, err = adm.ListEndOffsets(t.Context(), s.topic)
	require.NoError(t, err)
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	seqs = map[at]int64{}
	next := map[int32]int64{}
	left := func() bool {
		for p, e := range ends {
			if next[p] < e {
				return true
			}
		}
		return false
	}
	for left() {
		fs := cl.PollFetches(t.Context())
		require.NoError(t, fs.Err())
		fs.EachRecord(func(r *kgo.Record) {
			next[r.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				seqs[at{r.Partition, r.Offset}] = seqOf(r)
			}
		})
	}
	return seqs, ends
}
