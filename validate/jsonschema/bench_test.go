package jsonschema

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	full "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/xeipuuv/gojsonschema"
)

// eventSchema describes the events of wideEvents: 12 fields, 243 bytes on average.
const eventSchema = `{
	"$schema": "http://json-schema.org/draft-07/schema#",
	"type": "object",
	"properties": {
		"event_id": {"type": "string", "minLength": 36, "maxLength": 36},
		"user_id": {"type": "integer", "minimum": 1},
		"ts": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T"},
		"amount": {"type": "number", "minimum": 0, "maximum": 1000000},
		"currency": {"type": "string", "enum": ["EUR", "USD", "GBP"]},
		"country": {"type": "string", "pattern": "^[A-Z]{2}$"},
		"channel": {"type": "string", "maxLength": 16},
		"items": {"type": "integer", "minimum": 0, "exclusiveMaximum": 1000},
		"score": {"type": "number", "minimum": 0, "maximum": 1},
		"new": {"type": "boolean"},
		"ref": {"type": ["string", "null"]},
		"merchant": {"type": "string", "minLength": 1}
	},
	"required": ["event_id", "user_id", "ts", "amount", "currency"],
	"additionalProperties": false
}`

func wideEvents(n int) [][]byte {
	rng := rand.New(rand.NewPCG(3, 4))
	events := make([][]byte, n)
	for i := range events {
		events[i] = fmt.Appendf(nil, `{"event_id":"%08x-%04x-4%03x-a%03x-%012x","user_id":%d,"ts":"2026-03-%02dT10:%02d:%02d.%03dZ","amount":%d.%02d,"currency":%q,"country":%q,"channel":"mobile-app","items":%d,"score":%.4f,"new":%v,"ref":null,"merchant":"m%05d"}`,
			rng.Uint32(), rng.IntN(1<<16), rng.IntN(1<<12), rng.IntN(1<<12), rng.Uint64N(1<<48), 100_000+rng.IntN(900_000), 1+rng.IntN(28), rng.IntN(60), rng.IntN(60), rng.IntN(1000),
			100+rng.IntN(9900), rng.IntN(100), pick(rng, []string{"EUR", "USD", "GBP"}), pick(rng, []string{"DE", "FR", "AT"}), 1+rng.IntN(99), rng.Float64(), rng.IntN(2) == 0, rng.IntN(100_000))
	}
	return events
}

func TestWideEvents(t *testing.T) {
	s := mustCompile(t, eventSchema, Options{})
	size := 0
	events := wideEvents(1000)
	c := s.NewChecker()
	for _, e := range events {
		size += len(e)
		if r := c.Check(e); r != nil {
			t.Fatalf("%s: %v", e, r)
		}
	}
	if avg := size / len(events); avg < 240 || avg > 246 {
		t.Errorf("%d bytes on average", avg)
	}
	i := 0
	if n := testing.AllocsPerRun(500, func() { c.Valid(events[i%len(events)]); i++ }); n > 0 {
		t.Error(n, "allocations an event")
	}
}

func BenchmarkValidate(b *testing.B) {
	events := wideEvents(1000)
	rate := func(b *testing.B) {
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	}
	b.Run("weir", func(b *testing.B) {
		c := mustCompile(b, eventSchema, Options{}).NewChecker()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if !c.Valid(events[i%len(events)]) {
				b.Fatal("refused")
			}
		}
		rate(b)
	})
	b.Run("santhosh", func(b *testing.B) {
		s := mustCompile(b, eventSchema, Options{}).engine
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			v, err := full.UnmarshalJSON(strings.NewReader(string(events[i%len(events)])))
			if err != nil || s.Validate(v) != nil {
				b.Fatal("refused")
			}
		}
		rate(b)
	})
	b.Run("gojsonschema", func(b *testing.B) {
		s, err := gojsonschema.NewSchema(gojsonschema.NewStringLoader(eventSchema))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			r, err := s.Validate(gojsonschema.NewBytesLoader(events[i%len(events)]))
			if err != nil || !r.Valid() {
				b.Fatal("refused")
			}
		}
		rate(b)
	})
}
