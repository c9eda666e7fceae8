package app

import (
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/serving/feast"
)

// attempts has a write that is sent again, because its caller got no answer to the first, go on with the first: the rows that are in the topic, or on their way
// there, are not produced once more. What was answered is forgotten, and the same rows are other events then.
//
// A process knows of its own attempts only: sent to another one, rows come twice.
type attempts struct {
	mu    sync.Mutex
	known map[string]*attempt // guarded by mu; by what was sent
	byID  map[string]*attempt // guarded by mu
}

// attempt is the records of a write, and what became of them.
type attempt struct {
	id    string
	call  *writeCall
	began time.Time
	users int // guarded by attempts.mu
	count int // of rows
	bytes int // of their keys and values

	turn sync.Mutex
	recs []*kgo.Record       // guarded by turn
	at   map[*kgo.Record]int // where each is in recs; guarded by turn
	last *round              // guarded by turn
}

const (
	// An attempt that nobody came back to is forgotten.
	attemptAge = 10 * time.Minute
	// So many rows are remembered of attempts that failed, and so many bytes of their keys and values.
	mostAttempted = 200_000
	mostBytes     = 256 << 20
)

// begin finds the attempt that sent the same, or makes one.
func (a *attempts) begin(same string, views []string, events []feast.Event, topic string) *attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweep()
	x := a.known[same]
	if x == nil {
		x = &attempt{id: rand.Text(), began: time.Now(), count: len(events), at: map[*kgo.Record]int{},
			call: &writeCall{left: map[judging]bool{}, changed: make(chan struct{}, 1)}}
		for i, e := range events {
			for _, v := range views {
				x.call.left[judging{v, i}] = true
			}
			r := &kgo.Record{Topic: topic, Key: e.Key, Value: e.Payload, Headers: []kgo.RecordHeader{{Key: ingest.WitnessHeader, Value: fmt.Appendf(nil, "%s/%d", x.id, i)}}}
			x.recs, x.at[r] = append(x.recs, r), i
			x.bytes += len(e.Key) + len(e.Payload)
		}
		if a.known == nil {
			a.known, a.byID = map[string]*attempt{}, map[string]*attempt{}
		}
		a.known[same], a.byID[x.id] = x, x
	}
	x.users++
	return x
}

// end gives an attempt back, which is over once its caller got an answer.
func (a *attempts) end(same string, x *attempt, answered bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	x.users--
	if answered && a.known[same] == x {
		delete(a.known, same)
	}
	if x.users == 0 && a.known[same] != x {
		delete(a.byID, x.id)
	}
}

// call is the attempt's of an id.
func (a *attempts) call(id string) *writeCall {
	a.mu.Lock()
	defer a.mu.Unlock()
	if x := a.byID[id]; x != nil {
		return x.call
	}
	return nil
}

// sweep forgets attempts that are old, and the oldest where there are too many. Needs mu.
func (a *attempts) sweep() {
	var idle []string
	rows, bytes := 0, 0
	for same, x := range a.known {
		switch {
		case x.users > 0:
		case time.Since(x.began) >= attemptAge:
			a.forget(same, x)
		default:
			idle = append(idle, same)
			rows, bytes = rows+x.count, bytes+x.bytes
		}
	}
	if rows <= mostAttempted && bytes <= mostBytes {
		return
	}
	slices.SortFunc(idle, func(x, y string) int { return a.known[x].began.Compare(a.known[y].began) })
	for _, same := range idle { // some more than need be, so that not every write comes here
		if rows <= mostAttempted/2 && bytes <= mostBytes/2 {
			return
		}
		x := a.known[same]
		rows, bytes = rows-x.count, bytes-x.bytes
		a.forget(same, x)
	}
}

func (a *attempts) forget(same string, x *attempt) {
	delete(a.byID, x.id)
	delete(a.known, same)
}

// round is one time that an attempt's records were given to the producer.
type round struct {
	done chan struct{} // closed when all of them have arrived, or not
	res  kgo.ProduceResults
}

// produce sends what is not in the topic, unless it is on its way there.
func (x *attempt) produce(send func([]*kgo.Record) kgo.ProduceResults) *round {
	x.turn.Lock()
	defer x.turn.Unlock()
	left := x.recs
	if r := x.last; r != nil {
		select {
		case <-r.done:
		default:
			return r
		}
		left = nil
		for _, res := range r.res {
			if old := res.Record; res.Err != nil { // a record is the producer's once it was given to it
				fresh := &kgo.Record{Topic: old.Topic, Key: old.Key, Value: old.Value, Headers: old.Headers}
				x.recs[x.at[old]] = fresh
				x.at[fresh] = x.at[old]
				left = append(left, fresh)
			}
		}
		if len(left) == 0 {
			return r
		}
	}
	r := &round{done: make(chan struct{})}
	x.last = r
	go func() {
		defer close(r.done)
		r.res = send(left)
	}()
	return r
}

// rows are the records, once all are in the topic.
func (x *attempt) rows() []*kgo.Record {
	x.turn.Lock()
	defer x.turn.Unlock()
	return slices.Clone(x.recs)
}
