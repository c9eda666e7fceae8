package ingest

import (
	"bytes"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/registry/feature"
)

// WitnessHeader is the record header that has a Witness told what becomes of the record.
const WitnessHeader = "weir-write"

// Witness learns what becomes of records that carry WitnessHeader, from the worker that
// takes them. Calls come from many goroutines, and again for a record that is read again.
type Witness interface {
	// Held: a view holds the record back, and its entry is on the way to quarantine.
	Held(v *feature.View, r *kgo.Record, reasons []feature.Reason)
	// Passed: every sink of the view has what it takes of the record. Held came before it.
	Passed(v *feature.View, r *kgo.Record)
}

func witnessed(r *kgo.Record) bool {
	for i := range r.Headers {
		if r.Headers[i].Key == WitnessHeader {
			return true
		}
	}
	return false
}

// asked is a copy of what of a record's headers is for a witness.
func asked(all []kgo.RecordHeader) []kgo.RecordHeader {
	for _, h := range all {
		if h.Key == WitnessHeader {
			return []kgo.RecordHeader{{Key: WitnessHeader, Value: bytes.Clone(h.Value)}}
		}
	}
	return nil
}

// tellPassed tells the witness of the records of a chunk that all lanes have taken.
func (part *partition) tellPassed(lanes []*lane, recs []*kgo.Record) {
	w := part.p.Witness
	if w == nil {
		return
	}
	for _, r := range recs {
		if !witnessed(r) {
			continue
		}
		for _, l := range lanes {
			for i, o := range l.outlets {
				if part.views[l.places[i]].paused.Load() == nil {
					w.Passed(o.View, r)
				}
			}
		}
	}
}
