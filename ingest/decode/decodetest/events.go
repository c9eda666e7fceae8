// Package decodetest makes the events that Weir's own measurements are taken
// on: payments of a shop, 11 fields, 205 bytes each on average, with the
// source, schema and view that belong to them. The same seed gives the same events.
//
// The one rule: what Event makes passes the schema and fits the view; a test
// that wants bad events breaks them itself.
package decodetest

import (
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// Customers is how many entities the events are about.
const Customers = 100_000

// Start is the event time of event 0; each event is ten milliseconds later.
var Start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// Schema is the JSON Schema of the events.
const Schema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "properties": {
    "event_id":    {"type": "integer", "minimum": 0},
    "customer_id": {"type": "string", "pattern": "^c[0-9]{6}$"},
    "ts":          {"type": "string", "minLength": 20, "maxLength": 35},
    "amount":      {"type": "number", "minimum": 0, "maximum": 100000},
    "items":       {"type": "integer", "minimum": 1, "maximum": 1000},
    "currency":    {"type": "string", "enum": ["EUR", "USD", "GBP", "CHF"]},
    "channel":     {"type": ["string", "null"], "enum": ["web", "app", "store", null]},
    "country":     {"type": "string", "minLength": 2, "maxLength": 2},
    "risk":        {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
    "returning":   {"type": "boolean"},
    "device":      {"type": "string", "maxLength": 32}
  },
  "required": ["event_id", "customer_id", "ts", "amount", "items"],
  "additionalProperties": false
}`

// Source is the source of the events.
func Source() *feature.Source {
	return &feature.Source{
		Meta: feature.Meta{Project: "default", Name: "payments"}, Topic: "payments", Schema: json.RawMessage(Schema),
		EventTime: feature.TimeField{Field: "ts"},
	}
}

// View is a resolved view with one join key and nine features of the events.
func View() *feature.View {
	v := &feature.View{
		Meta: feature.Meta{Project: "default", Name: "payment"}, Source: "payments", Entities: []string{"customer"},
		Features: []feature.Field{
			{Name: "event_id", Type: feature.Int64},
			{Name: "amount", Type: feature.Float64},
			{Name: "items", Type: feature.Int32},
			{Name: "currency", Type: feature.String},
			{Name: "channel", Type: feature.String},
			{Name: "country", Type: feature.String},
			{Name: "risk", Type: feature.Float32},
			{Name: "returning", Type: feature.Bool},
			{Name: "device", Type: feature.String},
		},
		Version: 1,
	}
	v.Keys = []feature.Field{{Name: "customer_id", Type: feature.String, Path: "customer_id"}}
	v.SourceOf = Source()
	return v
}

var (
	currencies = []string{"EUR", "EUR", "EUR", "USD", "GBP", "CHF"}
	channels   = []string{`"web"`, `"app"`, `"app"`, `"store"`, "null"}
	countries  = []string{"DE", "FR", "AT", "CH", "GB", "US", "IT", "ES"}
	devices    = []string{"ios-18.2", "android", "firefox", "chrome", "safari"}
)

// Event is event number i. rng decides everything but its number and its time.
func Event(i int, rng *rand.Rand) []byte { return AppendEvent(nil, i, rng) }

// AppendEvent appends event number i to dst.
func AppendEvent(dst []byte, i int, rng *rand.Rand) []byte {
	dst = append(dst, `{"event_id":`...)
	dst = strconv.AppendInt(dst, 1_000_000_000+int64(i), 10)
	dst = append(dst, `,"customer_id":"`...)
	dst = AppendCustomer(dst, rng.IntN(Customers))
	dst = append(dst, `","ts":"`...)
	dst = Start.Add(time.Duration(i)*10*time.Millisecond).AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	dst = append(dst, `","amount":`...)
	dst = strconv.AppendFloat(dst, float64(100+rng.IntN(5_000_000))/100, 'f', 2, 64)
	dst = append(dst, `,"items":`...)
	dst = strconv.AppendInt(dst, int64(1+rng.IntN(40)), 10)
	dst = append(dst, `,"currency":"`...)
	dst = append(dst, currencies[rng.IntN(len(currencies))]...)
	dst = append(dst, `","channel":`...)
	dst = append(dst, channels[rng.IntN(len(channels))]...)
	dst = append(dst, `,"country":"`...)
	dst = append(dst, countries[rng.IntN(len(countries))]...)
	dst = append(dst, `","risk":`...)
	dst = strconv.AppendFloat(dst, rng.Float64()*0.999, 'f', 4, 64)
	dst = append(dst, `,"returning":`...)
	dst = strconv.AppendBool(dst, rng.IntN(3) > 0)
	dst = append(dst, `,"device":"`...)
	dst = append(dst, devices[rng.IntN(len(devices))]...)
	return append(dst, `"}`...)
}

// AppendCustomer appends the id of customer n: c000042.
func AppendCustomer(dst []byte, n int) []byte {
	s := strconv.Itoa(1_000_000 + n)
	return append(append(dst, 'c'), s[1:]...)
}
