package simtest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/registry/feature"
)

// coord is where an event stands in the log.
type coord struct {
	part int32
	off  int64
}

func (c coord) String() string { return fmt.Sprintf("%d@%d", c.part, c.off) }

// event is what the model knows of a record.
type event struct {
	rec     *kgo.Record
	key     string
	at      int64 // event time
	age     *int64
	score   *int64
	tags    string // as people read arrays; "null"
	deleted bool
	broken  bool // no definition lets it pass
}

// rules are what a revision of the catalog says of events.
type rules struct {
	ages  int64            // the schema's largest age
	suite map[string][]int // by view: the expectation's bounds on score; nil: no suite
	views map[string]bool  // that exist
}

// good is whether an event belongs into a view's table.
func (r *rules) good(view string, e *event) bool {
	if e.broken {
		return false
	}
	if e.deleted {
		return true
	}
	if e.age != nil && *e.age > r.ages {
		return false
	}
	if b := r.suite[view]; b != nil && e.score != nil && (*e.score < int64(b[0]) || *e.score > int64(b[1])) {
		return false
	}
	return true
}

const (
	topic    = "people"
	keys     = 9
	maxEvent = 2000 // bytes
)

// random draws a record, and what is known of it.
func random(r *rand.Rand, part int32, now time.Time, last *int64) *event {
	at := now.Add(-time.Duration(r.Int64N(int64(time.Minute)))).Truncate(time.Millisecond)
	switch r.IntN(10) {
	case 0: // late
		at = at.Add(-time.Duration(r.Int64N(int64(72 * time.Hour))))
	case 1, 2: // at the same time as another
		if *last != 0 {
			at = time.UnixMicro(*last)
		}
	}
	e := &event{key: "k" + strconv.Itoa(r.IntN(keys)), at: at.UnixMicro()}
	*last = e.at
	e.rec = &kgo.Record{Topic: topic, Partition: part, Timestamp: now.Truncate(time.Millisecond)}
	number := func(n int) (*int64, string) {
		if r.IntN(12) == 0 {
			return nil, "null"
		}
		v := r.Int64N(int64(n))
		return &v, strconv.FormatInt(v, 10)
	}
	var age, score string
	e.age, age = number(130)
	e.score, score = number(100)
	e.tags = []string{"null", "[]", `["a"]`, `["b", "", "\"x\""]`}[r.IntN(4)]
	id, more, tags := strconv.Quote(e.key), "", e.tags
	switch r.IntN(24) {
	case 0:
		e.rec.Value, e.broken = []byte(`{"id":"k1","at":`), true
		return e
	case 1:
		id, e.broken = "null", true
	case 2:
		e.at += 10 * 60 * 1_000_000
		e.broken = e.at > e.rec.Timestamp.UnixMicro()+feature.DefaultMaxFuture.Micros()
	case 3:
		more, e.broken = fmt.Sprintf(`,"more":"%0*d"`, maxEvent, 1), true
	case 4:
		age, e.broken = `"x"`, true
	case 5, 6:
		e.rec.Key, e.deleted = []byte(e.key), true
		e.at, e.age, e.score, e.tags = e.rec.Timestamp.UnixMicro(), nil, nil, "null"
		return e
	case 8:
		tags, e.broken = `["a",null]`, true
	case 7:
		e.broken = true // a tombstone of nobody
		return e
	}
	e.rec.Value = fmt.Appendf(nil, `{"id":%s,"at":%d,"age":%s,"score":%s,"tags":%s%s}`, id, e.at, age, score, tags, more)
	return e
}

// stamp is the event's place in the order of its key.
func (e *event) stamp(c coord) feature.Stamp {
	return feature.Stamp{Event: e.at, Known: e.rec.Timestamp.UnixMicro(), Partition: c.part, Offset: c.off}
}

// text is the row that the event makes.
func (e *event) text(c coord) string {
	num := func(v *int64) string {
		if v == nil || e.deleted {
			return "null"
		}
		return strconv.FormatInt(*v, 10)
	}
	st := e.stamp(c)
	return fmt.Sprintf("%s age %s score %s tags %s event %d known %d deleted %t", e.key, num(e.age), num(e.score), e.tags, st.Event, st.Known, e.deleted)
}
