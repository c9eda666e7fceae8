package ingest_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/format"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/registry/feature"
)

const personAvro = `{"type":"record","name":"Person","fields":[{"name":"id","type":["null","string"]},
	{"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},{"name":"age","type":["null","long"],"default":null}]}`

// olderAvro was written before age was known.
const olderAvro = `{"type":"record","name":"Person","fields":[{"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},{"name":"id","type":"string"}]}`

// fakeRegistry is a schema registry that may be away.
type fakeRegistry struct {
	mu    sync.Mutex
	away  bool
	asked chan struct{} // told of each question while away
	calls map[uint32]int
}

func (r *fakeRegistry) Schema(_ context.Context, id uint32) (*format.Schema, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls[id]++
	if r.away {
		select {
		case r.asked <- struct{}{}:
		default:
		}
		return nil, feature.Errorf(feature.Unavailable, "test", "registry", "away")
	}
	switch id {
	case 1:
		return &format.Schema{Type: "avro", Text: personAvro, Subjects: []string{"people-value"}}, nil
	case 2:
		return &format.Schema{Type: "avro", Text: olderAvro, Subjects: []string{"people-value", "x"}}, nil
	case 3:
		return &format.Schema{Type: "avro", Text: personAvro, Subjects: []string{"others"}}, nil
	case 4:
		return &format.Schema{Type: "json", Text: "{}", Subjects: []string{"people-value"}}, nil
	case 5:
		return &format.Schema{Type: "avro", Text: `"int"`, Subjects: []string{"people-value"}}, nil
	}
	return nil, feature.Errorf(feature.NotFound, "test", "registry", "no schema %d", id)
}

func (r *fakeRegistry) goAway(v bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = v
}

func avroText(s string) []byte { return append(binary.AppendVarint(nil, int64(len(s))), s...) }

// person is an event as personAvro writes it.
func person(id string, at time.Time, age int64) []byte {
	b := append([]byte{2}, avroText(id)...)
	b = binary.AppendVarint(b, at.UnixMicro())
	return binary.AppendVarint(append(b, 2), age)
}

func framed(id uint32, event []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, id), event...)
}

// TestAvroEvents: events in Avro whose schemas a registry has. While it is away the partition
// waits and nothing is held back; then each event is a row or in quarantine, with its payload.
func TestAvroEvents(t *testing.T) {
	f := setup(t, 1)
	f.source.Format, f.source.EventSchema = "avro", []byte(personAvro)
	f.source.SchemaRegistry = &feature.SchemaRegistry{Subject: "people-value"}
	f.source.EventTime = feature.TimeField{Field: "at"}
	f.source.Schema = []byte(`{"type":"object","properties":{"age":{"type":["integer","null"],"maximum":1000}}}`)

	reg := &fakeRegistry{away: true, asked: make(chan struct{}, 1), calls: map[uint32]int{}}
	cfg := f.config()
	var events []event
	add := func(bad bool, value []byte) {
		events = append(events, event{bad: bad, rec: &kgo.Record{Topic: "people", Timestamp: base.Add(time.Duration(len(events)) * time.Second), Value: value, Key: []byte("k1")}})
	}
	for i := range 20 {
		at := base.Add(time.Duration(i) * time.Second)
		add(false, framed(1, person(fmt.Sprint("k", i), at, int64(i))))
		add(false, framed(2, append(binary.AppendVarint(nil, at.UnixMicro()), avroText(fmt.Sprint("o", i))...)))
		add(true, framed(1, person("k1", at, 5000)))               // the JSON Schema
		add(true, framed(1, person("k1", at, 5))[:12])             // cut off
		add(true, framed(1, append(person("k1", at, 5), 1)))       // more than an event
		add(true, framed(3, person("k1", at, 5)))                  // another subject
		add(true, framed(4, []byte(`{"id":"k1","at":1,"age":1}`))) // another type
		add(true, framed(5, []byte{2}))                            // no record
		add(true, framed(99, person("k1", at, 5)))                 // no such schema
		add(true, person("k1", at, 5))                             // no head
		add(true, []byte{0, 0, 0})
		add(true, []byte{})
		add(false, nil) // a tombstone
	}
	f.produce(events...)
	formats := format.New(reg, cfg.MaxEventBytes)
	stop := f.run(f.table.Open(), cfg, func(c *ingest.PipelineConfig) { c.Formats = formats })
	held := func() []*quarantine.Entry {
		res, err := quarantine.NewReader(f.opts...).Read(t.Context(), quarantine.Query{Project: "p", View: "person"})
		require.NoError(t, err)
		return res.Entries
	}
	for range 3 {
		<-reg.asked // it waits, and asks again
	}
	require.Empty(t, held())
	reg.goAway(false)
	f.committed(map[int32]int64{0: int64(len(events))})
	require.NoError(t, stop())
	f.verify(events)
	why := map[string]int{}
	for _, e := range held() {
		require.Equal(t, events[e.Offset].rec.Value, e.Payload, "the payload as it came")
		why[e.Reasons[0].Expected]++
	}
	for _, part := range []string{"ends too early", "1 bytes follow", "of subject people-value", "of type json", "does not fit", "no id 99", "begins with a zero byte"} {
		found := 0
		for reason, n := range why {
			if strings.Contains(reason, part) {
				found += n
			}
		}
		require.GreaterOrEqual(t, found, 20, "%s: %v", part, why)
	}
	reg.mu.Lock()
	defer reg.mu.Unlock()
	require.LessOrEqual(t, reg.calls[2], 1, "schemas are asked for once")
}
