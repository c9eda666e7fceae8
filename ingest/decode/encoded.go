package decode

import (
	"fmt"
	"math"

	"github.com/weir-ml/weir/registry/feature"
)

// keepText is how much memory is kept from event to event for their texts.
const keepText = 1 << 20

// encoded takes in an event in another encoding: it becomes the JSON text that it
// would be, which is then judged as any other. Whoever holds the event back does so with the
// payload as it came.
func (d *Decoder) encoded(rec Record) {
	most := d.options.MaxEventBytes
	if len(rec.Value) > most {
		d.reject(rec, most)
		return
	}
	text, err := d.options.Format.AppendJSON(d.text[:0], rec.Value)
	if cap(text) <= keepText {
		d.text = text
	}
	if err != nil {
		d.rejectAll(rec, []feature.Reason{{Rule: feature.RuleDecode, Value: feature.Shorten(fmt.Appendf(nil, "%x", rec.Value[:min(len(rec.Value), 64)])), Expected: err.Error()}})
		return
	}
	rec.Value = text
	if !d.row(rec, math.MaxInt) { // the payload's size was looked at, the format bounds the text's
		d.reject(rec, math.MaxInt)
	}
}
