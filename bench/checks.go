package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/xeipuuv/gojsonschema"

	"github.com/weir-ml/weir/ingest/decode"
	"github.com/weir-ml/weir/ingest/decode/decodetest"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
	"github.com/weir-ml/weir/validate/expect"
)

const batchRows = 8192 // what ingestion cuts

// tenRules are expectations on the payments of decodetest, one of each kind
// that suites have most; none fails on those events.
var tenRules = []struct{ kind, kwargs string }{
	{"expect_column_values_to_not_be_null", `{"column": "amount"}`},
	{"expect_column_values_to_be_between", `{"column": "amount", "min_value": 0, "max_value": 100000}`},
	{"expect_column_values_to_be_between", `{"column": "risk", "min_value": 0, "max_value": 1, "strict_max": true}`},
	{"expect_column_values_to_be_in_set", `{"column": "currency", "value_set": ["EUR", "USD", "GBP", "CHF"]}`},
	{"expect_column_values_to_be_in_set", `{"column": "channel", "value_set": ["web", "app", "store"]}`},
	{"expect_column_values_to_not_be_in_set", `{"column": "items", "value_set": [-1, 0, 9999]}`},
	{"expect_column_values_to_match_regex", `{"column": "customer_id", "regex": "^c[0-9]{6}$"}`},
	{"expect_column_value_lengths_to_be_between", `{"column": "device", "min_value": 1, "max_value": 32}`},
	{"expect_column_values_to_be_of_type", `{"column": "returning", "type_": "bool"}`},
	{"expect_column_pair_values_a_to_be_greater_than_b", `{"column_A": "event_id", "column_B": "items"}`},
}

func tenSuite() (*feature.Suite, error) {
	s := &feature.Suite{Meta: feature.Meta{Project: "default", Name: "payment"}}
	for _, r := range tenRules {
		e := feature.Expectation{Type: r.kind}
		if err := json.Unmarshal([]byte(r.kwargs), &e.Kwargs); err != nil {
			return nil, err
		}
		s.Expectations = append(s.Expectations, e)
	}
	return s, nil
}

// measureChecks is the hot path of ingestion without Kafka and sinks, on one goroutine.
func measureChecks(ctx context.Context, r *run) error {
	rng := rand.New(rand.NewPCG(1, 2))
	events := make([][]byte, 8*batchRows)
	size := 0
	for i := range events {
		events[i] = decodetest.Event(i, rng)
		size += len(events[i])
	}
	source, view := decodetest.Source(), decodetest.View()
	dec, err := decode.New(source, []*feature.View{view}, decode.Options{})
	if err != nil {
		return err
	}
	definition, err := tenSuite()
	if err != nil {
		return err
	}
	suite, faults := expect.Compile(definition, view.Schema())
	if len(faults) > 0 {
		return feature.JoinFaults(faults)
	}
	full := func(n int) error { return decodeAll(dec, suite, events, n) }
	full1, err := rate(full, 1_000_000, 5)
	if err != nil {
		return err
	}
	alone, err := rate(func(n int) error { return decodeAll(dec, nil, events, n) }, 1_000_000, 5)
	if err != nil {
		return err
	}
	other, err := rate(func(n int) error { return decodeGeneric(events, n) }, 20_000, 3)
	if err != nil {
		return err
	}
	l := Line{What: "decode + JSON Schema + ten expectations", Value: full1.middle, Unit: "events/CPU-s", Target: 400_000, AtLeast: true,
		CPU: 1 / full1.middle, CPUUnit: "event", Note: fmt.Sprintf("%d-byte events, one goroutine; best round %s; the next aim is 800,000", size/len(events), number(full1.best))}
	if l.Value < 800_000 {
		if l.Profile, err = r.profileOf(ctx, func() error { return full(2_000_000) }); err != nil {
			return err
		}
	}
	r.add(l)
	r.add(Line{What: "decode + JSON Schema alone", Value: alone.middle, Unit: "events/CPU-s", CPU: 1 / alone.middle, CPUUnit: "event",
		Note: "best round " + number(alone.best)})
	r.add(Line{What: "the same with encoding/json + gojsonschema", Value: other.middle, Unit: "events/CPU-s", CPU: 1 / other.middle, CPUUnit: "event",
		Note: fmt.Sprintf("into map[string]any, nothing stored; Weir's decode + schema does %.0f times as many", alone.middle/other.middle)})
	return nil
}

// decodeAll takes n events through what a partition's lane does with them.
func decodeAll(dec *decode.Decoder, suite *expect.Suite, events [][]byte, n int) error {
	known := decodetest.Start.Add(time.Hour).UnixMicro()
	var verdict validate.Verdict
	origin := feature.Origin{Topic: "payments"}
	for i := range n {
		dec.Decode(decode.Record{Value: events[i%len(events)], Offset: int64(i), Timestamp: known})
		if (i+1)%batchRows != 0 && i+1 < n {
			continue
		}
		origin.Next = int64(i + 1)
		for _, res := range dec.Cut(origin) {
			if len(res.Rejected) > 0 {
				return fmt.Errorf("%d events were held back: %v", len(res.Rejected), res.Rejected[0].Reasons)
			}
			good := res.Batch
			if suite != nil {
				if err := suite.Check(res.Batch, &verdict); err != nil {
					return err
				}
				good = validate.Filter(res.Batch, &verdict)
			}
			if good != res.Batch {
				return fmt.Errorf("%d events failed a rule: %v", len(verdict.Rejected()), verdict.Rejected()[0].Reasons)
			}
			res.Batch.Rows.Release()
		}
		origin.First = origin.Next
	}
	return nil
}

// decodeGeneric is what a program without an eye on speed does.
func decodeGeneric(events [][]byte, n int) error {
	loader := gojsonschema.NewSchemaLoader()
	loader.AutoDetect, loader.Draft = false, gojsonschema.Draft7 // it knows no later one; the schema reads the same in it
	schema, err := loader.Compile(gojsonschema.NewStringLoader(decodetest.Schema))
	if err != nil {
		return err
	}
	for i := range n {
		var v any
		if err := json.Unmarshal(events[i%len(events)], &v); err != nil {
			return err
		}
		res, err := schema.Validate(gojsonschema.NewGoLoader(v))
		if err != nil {
			return err
		}
		if !res.Valid() {
			return fmt.Errorf("gojsonschema: %v", res.Errors())
		}
	}
	return nil
}

type rates struct{ middle, best float64 }

// rate calls f(n) for some rounds and returns events per CPU-second: the median
// round and the best.
func rate(f func(n int) error, n, rounds int) (rates, error) {
	if err := f(n / 10); err != nil { // memory and caches warm
		return rates{}, err
	}
	var all []float64
	for range rounds {
		from := ownCPU()
		if err := f(n); err != nil {
			return rates{}, err
		}
		all = append(all, float64(n)/(ownCPU()-from))
	}
	slices.Sort(all)
	return rates{all[len(all)/2], all[len(all)-1]}, nil
}
