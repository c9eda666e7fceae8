package app

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/serving/feast"
)

// A write that is sent again after an error goes on with the first: what is in the topic, or on its way, is not produced again, and what failed is, under the
// same names. What was answered is forgotten.
func TestRepeatedWrite(t *testing.T) {
	a := &attempts{}
	events := []feast.Event{{Payload: []byte("0")}, {Payload: []byte("1")}, {Payload: []byte("2")}}
	begin := func() *attempt { return a.begin("same", []string{"v", "u"}, events, "t") }
	var sent [][]string
	send := func(fail string) func([]*kgo.Record) kgo.ProduceResults {
		return func(recs []*kgo.Record) (out kgo.ProduceResults) {
			var texts []string
			for _, r := range recs {
				texts = append(texts, string(r.Value))
				res := kgo.ProduceResult{Record: r}
				if r.Offset = 7; string(r.Value) == fail {
					res.Err = errors.New("no")
				}
				out = append(out, res)
			}
			sent = append(sent, texts)
			return out
		}
	}
	x := begin()
	names := string(x.recs[1].Headers[0].Value)
	<-x.produce(send("1")).done
	a.end("same", x, false)
	require.NotNil(t, a.call(x.id), "its rows may be judged yet")

	y := begin()
	require.Same(t, x, y)
	<-y.produce(send("1")).done
	<-y.produce(send("")).done
	<-y.produce(send("")).done
	require.Equal(t, [][]string{{"0", "1", "2"}, {"1"}, {"1"}}, sent)
	for i, r := range y.rows() {
		require.Equal(t, string(events[i].Payload), string(r.Value))
		require.EqualValues(t, 7, r.Offset)
	}
	require.Equal(t, names, string(y.rows()[1].Headers[0].Value))

	// Who comes while they are on their way waits for them.
	z := begin()
	require.Same(t, x, z)
	a.end("same", z, true)
	require.NotNil(t, a.call(x.id), "another call waits for it")
	a.end("same", y, true)
	require.Nil(t, a.call(x.id))
	require.NotSame(t, x, begin(), "an answered write is another one")

	resume := make(chan struct{})
	slow := a.begin("slow", []string{"v"}, events, "t")
	r := slow.produce(func([]*kgo.Record) kgo.ProduceResults { <-resume; return nil })
	require.Same(t, r, slow.produce(send("")))
	close(resume)
	<-r.done

	// Nothing is remembered for good.
	a = &attempts{}
	for _, same := range []string{"old", "new"} {
		x := a.begin(same, nil, events, "t")
		a.end(same, x, false)
	}
	a.known["old"].began = time.Now().Add(-attemptAge)
	_ = a.begin("other", nil, events, "t")
	require.Len(t, a.known, 2)
	require.Len(t, a.byID, 2)
	require.Nil(t, a.known["old"])
}

// Attempts that failed are forgotten by their age, their rows and their bytes, the oldest first; none that somebody waits for.
func TestAttemptsAreBounded(t *testing.T) {
	a := &attempts{}
	waiting := a.begin("waiting", nil, []feast.Event{{}}, "t")
	add := func(i int, rows []feast.Event) {
		same := fmt.Sprint(i)
		a.end(same, a.begin(same, nil, rows, "t"), false)
	}
	large := []feast.Event{{Key: make([]byte, 1<<20), Payload: make([]byte, 63<<20)}} // shared by all of them
	for i := range 20 {
		add(i, large)
		kept := len(a.known) - 1
		require.LessOrEqual(t, kept, mostBytes/(64<<20)+1)
		require.NotNil(t, a.known[fmt.Sprint(i)], "the newest stays")
	}
	many := make([]feast.Event, mostAttempted/4)
	for i := range 20 {
		add(100+i, many)
		require.LessOrEqual(t, len(a.known)-1, 4+1+4)
	}
	require.Nil(t, a.known["19"])

	a = &attempts{known: a.known, byID: a.byID}
	for same, x := range a.known {
		if x != waiting {
			a.forget(same, x)
		}
	}
	const failed = 60_000 // of an hour without Kafka, say, and all are old at once
	for i := range failed {
		same := fmt.Sprint(i)
		x := &attempt{id: same, count: 1, began: time.Now().Add(-attemptAge)}
		a.known[same], a.byID[same] = x, x
	}
	add(failed, many[:1])
	require.Len(t, a.known, 2)
	require.Len(t, a.byID, 2)
	require.Same(t, waiting, a.known["waiting"])
}
